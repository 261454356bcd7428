#include "source/upstream/builder.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <map>
#include <thread>

#include "source/upstream/balancer.h"
#include "source/upstream/intake.h"
#include "source/upstream/limits.h"
#include "test/support/fake_clock.h"
#include "test/upstream/support.h"

namespace heddle::upstream {
namespace {

using Discovery = config::Cluster::Discovery;

// Answers when the test says so.
class FakeResolver final : public net::Resolver {
 public:
  std::unique_ptr<net::Lookup> Resolve(absl::string_view host, net::IpFamily, Done done) override {
    waiting[std::string(host)] = std::move(done);
    ++asked;
    return std::make_unique<net::Lookup>();
  }
  void Answer(const std::string& host, std::vector<std::string> ips,
              absl::Duration ttl = absl::ZeroDuration()) {
    net::Resolved r;
    for (const std::string& ip : ips) r.addresses.push_back(*net::Address::FromIp(ip, 0));
    r.ttl = ttl;
    Finish(host, std::move(r));
  }
  void Finish(const std::string& host, absl::StatusOr<net::Resolved> answer) {
    Done done = std::move(waiting.at(host));
    waiting.erase(host);
    done(std::move(answer));
  }
  std::map<std::string, Done> waiting;
  int asked = 0;
};

struct Fixture {
  test::FakeClock clock;
  event::Loop loop{{.clock = &clock}};
  stats::Registry registry;
  stats::Sheet& sheet = registry.AddSheet();
  base::Random random{3};
  FakeResolver resolver;
  std::vector<OutlierEvent> events;
  int changes = 0;

  std::unique_ptr<ClusterBuilder> Make(config::Cluster config) {
    config.name = "c";
    return std::make_unique<ClusterBuilder>(
        ClusterBuilder::Context{
            .loop = loop,
            .registry = registry,
            .sheet = sheet,
            .random = random,
            .resolver = &resolver,
            .on_outlier = [this](const OutlierEvent& e) { events.push_back(e); }},
        std::make_shared<config::Cluster>(std::move(config)), Transports{}, [this] { ++changes; });
  }
};

std::vector<std::string> Addresses(const ClusterSpec& spec) {
  std::vector<std::string> all;
  for (const Host& host : spec.hosts) all.push_back(host.state->address_text);
  return all;
}

config::Cluster Named(Discovery discovery) {
  config::Cluster config;
  config.discovery = discovery;
  config.assignment.localities.emplace_back();
  config::Endpoint& endpoint = config.assignment.localities[0].endpoints.emplace_back();
  endpoint.hostname = "db.example";
  endpoint.dns_port = 5432;
  return config;
}

SCENARIO("hosts keep their state while their address stays") {
  Fixture f;
  config::Cluster config;
  config.discovery = Discovery::kEds;
  auto builder = f.Make(config);
  CHECK(!builder->ready());
  builder->SetAssignment(Assignment({{"10.0.0.1:80"}, {"10.0.0.2:80"}}));
  CHECK(builder->ready());
  auto first = builder->spec();
  first->hosts[0].state->total_requests = 7;
  builder->SetAssignment(Assignment({{"10.0.0.3:80"}, {"10.0.0.1:80", 5}}));
  auto second = builder->spec();
  CHECK(second->hosts[1].state == first->hosts[0].state);
  CHECK(second->hosts[1].weight == 5);
  CHECK(second->hosts[0].state != first->hosts[1].state);
  CHECK(second->shared == first->shared);
  CHECK(f.registry.Total(second->stats->membership_total) == 2);
  CHECK(f.registry.Total(second->stats->membership_change) == 2);
}

SCENARIO("transport socket matches are chosen by the endpoint's metadata") {
  config::Cluster config;
  config.transport_matches = {{.name = "mtls", .match = {{"tlsMode", "istio"}}, .socket = {}},
                              {.name = "any", .match = {}, .socket = {}}};
  CHECK(TransportOf(config,
                    {{"envoy.transport_socket_match", {{"tlsMode", "istio"}, {"x", "y"}}}}) == 1);
  CHECK(TransportOf(config, {{"envoy.transport_socket_match", {{"tlsMode", "disabled"}}}}) == 2);
  CHECK(TransportOf(config, {}) == 2);
  config.transport_matches.pop_back();
  CHECK(TransportOf(config, {}) == 0);
}

SCENARIO(
    "STRICT_DNS: every address is a host; the name is asked again; a failure keeps what was "
    "known") {
  Fixture f;
  auto builder = f.Make(Named(Discovery::kStrictDns));
  CHECK(!builder->ready());
  CHECK(builder->spec()->hosts.empty());
  f.resolver.Answer("db.example", {"10.0.0.2", "10.0.0.1"});
  CHECK(builder->ready());
  CHECK(f.changes == 1);
  CHECK(Addresses(*builder->spec()) == std::vector<std::string>{"10.0.0.1:5432", "10.0.0.2:5432"});
  CHECK(builder->spec()->hosts[0].state->hostname == "db.example");
  const auto state = builder->spec()->hosts[0].state;

  test::Advance(f.loop, f.clock, absl::Seconds(5));
  REQUIRE(f.resolver.asked == 2);
  f.resolver.Answer("db.example", {"10.0.0.1", "10.0.0.2"});  // another order is no change
  CHECK(f.changes == 1);

  test::Advance(f.loop, f.clock, absl::Seconds(5));
  f.resolver.Finish("db.example", absl::DeadlineExceededError("timeout"));
  CHECK(builder->spec()->hosts.size() == 2);

  test::Advance(f.loop, f.clock, absl::Seconds(5));
  f.resolver.Answer("db.example", {"10.0.0.1", "10.0.0.9"});
  CHECK(Addresses(*builder->spec()) == std::vector<std::string>{"10.0.0.1:5432", "10.0.0.9:5432"});
  CHECK(builder->spec()->hosts[0].state == state);

  test::Advance(f.loop, f.clock, absl::Seconds(5));
  f.resolver.Finish("db.example", absl::NotFoundError("NXDOMAIN"));
  CHECK(builder->spec()->hosts.empty());
}

SCENARIO("a cluster whose name cannot be asked is ready all the same, and empty") {
  Fixture f;
  auto builder = f.Make(Named(Discovery::kStrictDns));
  f.resolver.Finish("db.example", absl::UnavailableError("no server"));
  CHECK(builder->ready());
  CHECK(f.changes == 1);
  CHECK(builder->spec()->hosts.empty());
}

SCENARIO("LOGICAL_DNS: one host, the same while the name still has its address") {
  Fixture f;
  auto builder = f.Make(Named(Discovery::kLogicalDns));
  f.resolver.Answer("db.example", {"10.0.0.2", "10.0.0.3"});
  CHECK(Addresses(*builder->spec()) == std::vector<std::string>{"10.0.0.2:5432"});
  test::Advance(f.loop, f.clock, absl::Seconds(5));
  f.resolver.Answer("db.example", {"10.0.0.1", "10.0.0.2"});
  CHECK(Addresses(*builder->spec()) == std::vector<std::string>{"10.0.0.2:5432"});
  test::Advance(f.loop, f.clock, absl::Seconds(5));
  f.resolver.Answer("db.example", {"10.0.0.1"});
  CHECK(Addresses(*builder->spec()) == std::vector<std::string>{"10.0.0.1:5432"});
  test::Advance(f.loop, f.clock, absl::Seconds(5));
  f.resolver.Finish("db.example", absl::NotFoundError("NXDOMAIN"));
  CHECK(Addresses(*builder->spec()) == std::vector<std::string>{"10.0.0.1:5432"});
}

SCENARIO("respect_dns_ttl asks again when the records expire") {
  Fixture f;
  config::Cluster config = Named(Discovery::kStrictDns);
  config.respect_dns_ttl = true;
  auto builder = f.Make(config);
  f.resolver.Answer("db.example", {"10.0.0.1"}, absl::Seconds(30));
  test::Advance(f.loop, f.clock, absl::Seconds(29));
  CHECK(f.resolver.asked == 1);
  test::Advance(f.loop, f.clock, absl::Seconds(1));
  CHECK(f.resolver.asked == 2);
}

SCENARIO(
    "a run of failures on a worker ejects on the main thread, and the host comes back in time") {
  Fixture f;
  config::Cluster config;
  config.discovery = Discovery::kStatic;
  config.assignment = Assignment({{"10.0.0.1:80"}, {"10.0.0.2:80"}});
  config.outlier.emplace();
  config.outlier->max_ejection_percent = 100;
  auto builder = f.Make(config);
  auto spec = builder->spec();
  const uint64_t before = spec->shared->generation;
  for (int i = 0; i < 5; ++i)
    TakeResult(*spec->config, *spec->shared, spec->hosts[0].state, {.status = 500});
  f.loop.RunOnce(false);
  CHECK(spec->hosts[0].state->ejected);
  CHECK(spec->shared->generation > before);
  CHECK(f.registry.Total(spec->stats->membership_healthy) == 1);
  // New configuration keeps it ejected.
  builder->SetConfig(std::make_shared<config::Cluster>(builder->config()), {});
  CHECK(builder->spec()->hosts[0].state->ejected);
  test::Advance(f.loop, f.clock, absl::Seconds(31));
  CHECK(!spec->hosts[0].state->ejected);
  CHECK(f.registry.Total(spec->stats->membership_healthy) == 2);
  CHECK(f.events.size() == 2);
  // A run that is reported after the builder has gone hurts nobody.
  for (int i = 0; i < 5; ++i)
    TakeResult(*spec->config, *spec->shared, spec->hosts[0].state, {.status = 500});
  builder.reset();
  f.loop.RunOnce(false);
  CHECK(!spec->hosts[0].state->ejected);
}

SCENARIO("workers count and choose while the main thread ejects and publishes") {
  event::Loop loop;
  stats::Registry registry;
  stats::Sheet& sheet = registry.AddSheet();
  base::Random random(3);
  config::Cluster config;
  config.name = "c";
  config.discovery = Discovery::kEds;
  config.outlier.emplace();
  config.outlier->max_ejection_percent = 100;
  config.outlier->base_ejection_time = absl::Milliseconds(1);
  config.outlier->interval = absl::Milliseconds(1);
  ClusterBuilder builder({.loop = loop, .registry = registry, .sheet = sheet, .random = random},
                         std::make_shared<config::Cluster>(config), {}, nullptr);
  builder.SetAssignment(Assignment({{"10.0.0.1:80"}, {"10.0.0.2:80"}, {"10.0.0.3:80"}}));
  std::atomic<bool> stop{false};
  std::vector<std::thread> workers;
  for (uint64_t i = 0; i < 3; ++i) {
    workers.emplace_back([&, spec = builder.spec(), i] {
      base::Random mine(i);
      Balancer balancer(mine);
      balancer.Reset(*spec);
      uint64_t generation = 0;
      while (!stop) {
        if (const uint64_t now = spec->shared->generation; now != generation) {
          generation = now;
          balancer.Reset(*spec);
        }
        const Host* host = balancer.Choose({}).host;
        TakeResult(*spec->config, *spec->shared, host->state,
                   {.status = mine.Below(2) == 0 ? 500 : 200});
        RetryPermit permit(std::shared_ptr<SharedLimits>(spec->shared, &spec->shared->limits),
                           Priority::kDefault);
      }
    });
  }
  for (int i = 0; i < 200; ++i) {
    event::Timer tick(loop, [] {});
    tick.Start(absl::Milliseconds(1));
    loop.RunOnce(true);
    if (i % 20 == 0)
      builder.SetAssignment(Assignment({{"10.0.0.1:80"}, {"10.0.0.2:80"}, {"10.0.0.3:80"}}));
  }
  stop = true;
  for (std::thread& worker : workers) worker.join();
  CHECK(registry.Total(builder.spec()->stats->ejections_enforced_total) > 0);
  CHECK(builder.spec()->shared->limits.usage[0].retries == 0);
}

}  // namespace
}  // namespace heddle::upstream
