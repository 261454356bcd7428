#include "source/upstream/outlier.h"

#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "source/upstream/intake.h"
#include "test/upstream/support.h"

namespace heddle::upstream {
namespace {

using Kind = Result::Kind;

// A cluster whose workers and main thread are one.
class World {
 public:
  World(config::OutlierDetection config, int hosts)
      : cluster_([&] {
          config::Cluster c;
          c.outlier = config;
          return c;
        }()),
        detector_(config, {.cluster = "c",
                           .stats = cluster_.stats,
                           .sheet = cluster_.sheet,
                           .shared = *cluster_.shared,
                           .random = random_,
                           .on_event = [this](const OutlierEvent& e) { events.push_back(e); }}) {
    cluster_.shared->on_failure_run = [this](const std::shared_ptr<HostState>& host,
                                             Ejection type) {
      detector_.OnFailureRun(host, type, now_);
    };
    SetHosts(hosts);
  }
  void SetHosts(int n) {
    std::vector<TestHost> hosts;
    for (int i = 0; i < n; ++i) hosts.push_back({absl::StrCat("10.0.0.", i + 1, ":80")});
    spec_ = cluster_.Spec(hosts);
    std::vector<std::shared_ptr<HostState>> states;
    for (const Host& host : spec_->hosts) states.push_back(host.state);
    detector_.SetHosts(states);
  }
  void Take(size_t host, Result result, int times = 1) {
    for (int i = 0; i < times; ++i)
      TakeResult(*spec_->config, *cluster_.shared, spec_->hosts[host].state, result);
  }
  void Http(size_t host, int status, int times = 1) {
    Take(host, {.kind = Kind::kHttp, .status = status}, times);
  }
  // Seconds go by, an interval ends after each ten.
  void Pass(int seconds) {
    for (int i = 0; i < seconds; ++i) {
      now_ += 1'000'000;
      if (++elapsed_ % 10 == 0) detector_.OnInterval(now_);
    }
  }
  bool Ejected(size_t host) const { return spec_->hosts[host].state->ejected; }
  uint64_t Detected(Ejection t) const {
    return cluster_.Count(cluster_.stats->ejections_detected[static_cast<size_t>(t)]);
  }
  uint64_t Enforced(Ejection t) const {
    return cluster_.Count(cluster_.stats->ejections_enforced[static_cast<size_t>(t)]);
  }
  uint64_t Overflow() const { return cluster_.Count(cluster_.stats->ejections_overflow); }
  int64_t Active() const { return cluster_.Show(cluster_.stats->ejections_active); }
  uint64_t generation() const { return cluster_.shared->generation; }

  std::vector<OutlierEvent> events;

 private:
  base::Random random_{1};
  TestCluster cluster_;
  base::Micros now_ = 1'000'000;
  int elapsed_ = 0;
  std::shared_ptr<const ClusterSpec> spec_;
  OutlierDetector detector_;
};

config::OutlierDetection Half() {
  config::OutlierDetection config;
  config.max_ejection_percent = 50;
  return config;
}

SCENARIO("five 5xx in a row eject, four and a success do not") {
  World w(Half(), 4);
  w.Http(0, 500, 4);
  w.Http(0, 200);
  w.Http(0, 500, 4);
  CHECK(!w.Ejected(0));
  const uint64_t before = w.generation();
  w.Http(0, 500);
  CHECK(w.Ejected(0));
  CHECK(w.generation() > before);
  CHECK(w.Active() == 1);
  CHECK(w.Enforced(Ejection::kConsecutive5xx) == 1);
  REQUIRE(w.events.size() == 1);
  CHECK(w.events[0].eject);
  CHECK(w.events[0].num_ejections == 1);
  CHECK(!w.events[0].since_last_action);
}

SCENARIO("results without a response count as Envoy maps them") {
  struct Row {
    Kind kind;
    bool failure;
  };
  for (const Row& row :
       {Row{Kind::kConnectFailed, true}, Row{Kind::kTimeout, true}, Row{Kind::kReset, true},
        Row{Kind::kConnectSuccess, false}, Row{Kind::kConnectDone, false}}) {
    World w(Half(), 4);
    w.Take(0, {.kind = row.kind}, 5);
    CAPTURE(static_cast<int>(row.kind));
    CHECK(w.Ejected(0) == row.failure);
    // 503 and 504 are gateway failures too: by default that is only detected.
    CHECK(w.Detected(Ejection::kConsecutiveGateway) == (row.failure ? 1 : 0));
    CHECK(w.Enforced(Ejection::kConsecutiveGateway) == 0);
  }
}

SCENARIO("connect successes of HTTP do not break a run of 5xx") {
  World w(Half(), 4);
  for (int i = 0; i < 5; ++i) {
    w.Take(0, {.kind = Kind::kConnectSuccess});
    w.Http(0, 503);
  }
  CHECK(w.Ejected(0));
}

SCENARIO("gateway failures: counted apart, broken by another 5xx") {
  config::OutlierDetection config = Half();
  config.consecutive_5xx = 1000;
  config.enforcing_consecutive_gateway_failure = 100;
  World w(config, 4);
  w.Http(0, 503, 4);
  w.Http(0, 500);
  w.Http(0, 502, 4);
  CHECK(!w.Ejected(0));
  w.Http(0, 504);
  CHECK(w.Ejected(0));
  CHECK(w.Enforced(Ejection::kConsecutiveGateway) == 1);
}

SCENARIO("enforcing 0 detects and logs, without ejecting") {
  config::OutlierDetection config = Half();
  config.enforcing_consecutive_5xx = 0;
  World w(config, 4);
  w.Http(0, 500, 5);
  CHECK(!w.Ejected(0));
  CHECK(w.Detected(Ejection::kConsecutive5xx) == 1);
  REQUIRE(w.events.size() == 1);
  CHECK(!w.events[0].enforced);
  // The run was reset: it is noticed again.
  w.Http(0, 500, 5);
  CHECK(w.Detected(Ejection::kConsecutive5xx) == 2);
}

SCENARIO("max_ejection_percent holds, also for the first host") {
  World none(config::OutlierDetection{}, 4);  // 10 % of 4
  none.Http(0, 500, 5);
  CHECK(!none.Ejected(0));
  CHECK(none.Overflow() == 1);

  World ten(config::OutlierDetection{}, 10);
  ten.Http(0, 500, 5);
  ten.Http(1, 500, 5);
  CHECK(ten.Ejected(0));
  CHECK(!ten.Ejected(1));
  CHECK(ten.Overflow() == 1);

  config::OutlierDetection always;
  always.always_eject_one_host = true;
  World one(always, 4);
  one.Http(0, 500, 5);
  one.Http(1, 500, 5);
  CHECK(one.Ejected(0));
  CHECK(!one.Ejected(1));
}

SCENARIO("an ejected host comes back after base time, longer each time, and calms down") {
  World w(Half(), 4);
  w.Http(0, 500, 5);
  w.Pass(29);
  CHECK(w.Ejected(0));
  w.Pass(1);
  CHECK(!w.Ejected(0));
  REQUIRE(w.events.size() == 2);
  CHECK(!w.events[1].eject);
  CHECK(w.events[1].since_last_action == absl::Seconds(30));
  w.Http(0, 500, 5);  // second: 60 s
  w.Pass(59);
  CHECK(w.Ejected(0));
  w.Pass(1);
  CHECK(!w.Ejected(0));
  // Quiet intervals bring the multiplier down: two are enough for the base time again.
  w.Pass(20);
  w.Http(0, 500, 5);
  w.Pass(30);
  CHECK(!w.Ejected(0));
}

SCENARIO("ejection time stops at max_ejection_time") {
  config::OutlierDetection config = Half();
  config.max_ejection_time = absl::Seconds(60);
  World w(config, 4);
  for (int round = 0; round < 5; ++round) {
    w.Http(0, 500, 5);
    REQUIRE(w.Ejected(0));
    w.Pass(60);
    CHECK(!w.Ejected(0));
  }
}

SCENARIO("coming back clears the runs") {
  World w(Half(), 4);
  w.Http(0, 500, 5);
  w.Http(0, 500, 4);  // requests that were under way
  w.Pass(30);
  w.Http(0, 500, 4);
  CHECK(!w.Ejected(0));
}

SCENARIO("local origin failures count apart when split") {
  config::OutlierDetection config = Half();
  config.split_external_local_origin_errors = true;
  World w(config, 4);
  w.Take(0, {.kind = Kind::kConnectFailed}, 4);
  w.Take(0, {.kind = Kind::kConnectSuccess});
  w.Take(0, {.kind = Kind::kTimeout}, 4);
  w.Http(0, 500, 4);
  CHECK(!w.Ejected(0));
  w.Take(0, {.kind = Kind::kReset});
  CHECK(w.Ejected(0));
  CHECK(w.Enforced(Ejection::kConsecutiveLocal) == 1);
  CHECK(w.Detected(Ejection::kConsecutive5xx) == 0);
}

SCENARIO("success rate: below mean minus 1.9 deviations") {
  config::OutlierDetection config = Half();
  config.consecutive_5xx = 100000;
  World w(config, 5);
  for (size_t host = 0; host < 5; ++host) w.Http(host, 200, 100);
  for (int i = 0; i < 100; ++i) w.Http(0, 500);  // 50 %
  w.Pass(10);
  CHECK(w.Ejected(0));
  for (size_t host = 1; host < 5; ++host) CHECK(!w.Ejected(host));
  REQUIRE(w.events.size() == 1);
  CHECK(w.events[0].average_success_rate == Approx(90));
  CHECK(w.events[0].threshold == Approx(52));
  CHECK(w.events[0].host_success_rate == Approx(50));
  // The next interval begins empty.
  w.Pass(10);
  CHECK(w.events.size() == 1);
}

SCENARIO("success rate needs enough hosts with enough requests") {
  config::OutlierDetection config = Half();
  config.consecutive_5xx = 100000;
  World w(config, 5);
  for (size_t host = 0; host < 5; ++host) w.Http(host, host == 0 ? 500 : 200, host == 4 ? 99 : 100);
  w.Pass(10);
  CHECK(!w.Ejected(0));
}

SCENARIO("failure percentage ejects by itself when enforced") {
  config::OutlierDetection config = Half();
  config.consecutive_5xx = 100000;
  config.enforcing_success_rate = 0;
  config.enforcing_failure_percentage = 100;
  World w(config, 5);
  for (size_t host = 0; host < 5; ++host) w.Http(host, 200, 50);
  w.Http(0, 500, 284);  // 85.03 % failures
  w.Http(1, 500, 280);  // 84.8 %
  w.Pass(10);
  CHECK(w.Ejected(0));
  CHECK(!w.Ejected(1));
  CHECK(w.Enforced(Ejection::kFailurePercentage) == 1);
}

SCENARIO("a host that leaves while ejected gives its place back") {
  World w(Half(), 4);
  w.Http(3, 500, 5);
  CHECK(w.Active() == 1);
  w.SetHosts(3);
  CHECK(w.Active() == 0);
  w.Http(0, 500, 5);
  CHECK(w.Ejected(0));
}

SCENARIO("the event log is Envoy's JSON") {
  const OutlierEvent event{.eject = true,
                           .type = Ejection::kConsecutive5xx,
                           .cluster = "reviews",
                           .address = "10.0.0.1:80",
                           .num_ejections = 2,
                           .enforced = true,
                           .since_last_action = absl::Seconds(7)};
  CHECK(ToJson(event, absl::FromUnixSeconds(0)) ==
        R"({"type":"CONSECUTIVE_5XX","cluster_name":"reviews","upstream_url":"10.0.0.1:80",)"
        R"("action":"EJECT","num_ejections":2,"enforced":true,"secs_since_last_action":"7",)"
        R"("timestamp":"1970-01-01T00:00:00.000Z","eject_consecutive_event":{}})");
}

}  // namespace
}  // namespace heddle::upstream
