#include "source/upstream/balancer.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <map>

#include "absl/strings/str_cat.h"
#include "test/upstream/support.h"

namespace heddle::upstream {
namespace {

using Kind = config::Cluster::Balancer;
using config::Health;

config::Cluster With(Kind kind) {
  config::Cluster config;
  config.balancer = kind;
  return config;
}

// How often each address was chosen.
std::map<std::string, int> Tally(Balancer& balancer, int times, Balancer::Context context = {}) {
  std::map<std::string, int> tally;
  for (int i = 0; i < times; ++i) {
    const Balancer::Choice choice = balancer.Choose(context);
    ++tally[choice.host == nullptr ? "none" : choice.host->state->address_text];
  }
  return tally;
}

std::vector<TestHost> Hosts(int n) {
  std::vector<TestHost> hosts;
  for (int i = 0; i < n; ++i)
    hosts.push_back({absl::StrCat("10.0.", i / 200, ".", i % 200 + 1, ":80")});
  return hosts;
}

struct Fixture {
  explicit Fixture(config::Cluster config) : cluster(std::move(config)), balancer(random) {}
  void Reset(const std::vector<TestHost>& hosts) {
    spec = cluster.Spec(hosts);
    balancer.Reset(*spec);
  }
  TestCluster cluster;
  base::Random random{42};
  std::shared_ptr<const ClusterSpec> spec;
  Balancer balancer;
};

SCENARIO("round robin goes around") {
  Fixture f(With(Kind::kRoundRobin));
  f.Reset(Hosts(3));
  const auto tally = Tally(f.balancer, 300);
  REQUIRE(tally.size() == 3);
  for (const auto& [address, n] : tally) CHECK(n == 100);
}

SCENARIO("round robin keeps to weights, interleaved") {
  Fixture f(With(Kind::kRoundRobin));
  f.Reset({{"10.0.0.1:80", 1}, {"10.0.0.2:80", 2}, {"10.0.0.3:80", 5}});
  const auto tally = Tally(f.balancer, 800);
  CHECK(std::abs(tally.at("10.0.0.1:80") - 100) <= 1);
  CHECK(std::abs(tally.at("10.0.0.2:80") - 200) <= 1);
  CHECK(std::abs(tally.at("10.0.0.3:80") - 500) <= 1);
  // Never more than the light hosts' share in a row.
  int run = 0, longest = 0;
  for (int i = 0; i < 80; ++i) {
    run = f.balancer.Choose({}).host->weight == 5 ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  CHECK(longest <= 4);
}

SCENARIO("least request takes the idler of two") {
  Fixture f(With(Kind::kLeastRequest));
  f.Reset(Hosts(2));
  f.spec->hosts[0].state->active_requests = 10;
  const auto tally = Tally(f.balancer, 1000);
  // The busy one only when both draws are it: a quarter.
  CHECK(std::abs(tally.at(f.spec->hosts[0].state->address_text) - 250) < 60);
}

SCENARIO("weighted least request divides the weight by what runs") {
  Fixture f(With(Kind::kLeastRequest));
  f.Reset({{"10.0.0.1:80", 2}, {"10.0.0.2:80", 1}});
  CHECK(std::abs(Tally(f.balancer, 900).at("10.0.0.1:80") - 600) <= 3);
  f.spec->hosts[0].state->active_requests = 3;  // 2 / 4 against 1
  f.balancer.Reset(*f.spec);
  CHECK(std::abs(Tally(f.balancer, 900).at("10.0.0.1:80") - 300) <= 3);
}

SCENARIO("random spreads evenly and ignores weights") {
  Fixture f(With(Kind::kRandom));
  f.Reset({{"10.0.0.1:80", 1}, {"10.0.0.2:80", 50}});
  CHECK(std::abs(Tally(f.balancer, 2000).at("10.0.0.1:80") - 1000) < 120);
}

SCENARIO("hashing balancers send one key to one host, and most keys stay when a host goes") {
  for (const Kind kind : {Kind::kRingHash, Kind::kMaglev}) {
    Fixture f(With(kind));
    f.Reset(Hosts(10));
    std::map<uint64_t, std::string> before;
    std::map<std::string, int> share;
    base::Random keys(7);
    for (int i = 0; i < 5000; ++i) {
      const uint64_t key = keys.Next();
      const Host* host = f.balancer.Choose({.hash = key}).host;
      REQUIRE(f.balancer.Choose({.hash = key}).host == host);
      before[key] = host->state->address_text;
      ++share[host->state->address_text];
    }
    REQUIRE(share.size() == 10);
    for (const auto& [address, n] : share) CHECK(n > 300);
    const std::string gone = f.spec->hosts[9].state->address_text;
    f.Reset(Hosts(9));
    int moved = 0;
    for (const auto& [key, address] : before) {
      const std::string& now = f.balancer.Choose({.hash = key}).host->state->address_text;
      if (address != gone && now != address) ++moved;
    }
    CHECK(moved < 500);
  }
}

SCENARIO("hash weights and hash keys") {
  for (const Kind kind : {Kind::kRingHash, Kind::kMaglev}) {
    Fixture f(With(kind));
    f.Reset({{"10.0.0.1:80", 1}, {"10.0.0.2:80", 3}});
    int second = 0;
    base::Random keys(9);
    for (int i = 0; i < 4000; ++i)
      second += f.balancer.Choose({.hash = keys.Next()}).host->weight == 3 ? 1 : 0;
    CHECK(std::abs(second - 3000) < 300);
    // The key, not the address, decides: two hosts that swap addresses keep their keys' traffic.
    const config::Metadata a = {{"envoy.lb", {{"hash_key", "a"}}}};
    const config::Metadata b = {{"envoy.lb", {{"hash_key", "b"}}}};
    f.Reset(
        {{"10.0.0.1:80", 1, Health::kHealthy, 0, a}, {"10.0.0.2:80", 1, Health::kHealthy, 0, b}});
    const std::string before =
        f.balancer.Choose({.hash = 12345}).host->metadata.at("envoy.lb").at("hash_key");
    f.Reset(
        {{"10.0.0.2:80", 1, Health::kHealthy, 0, a}, {"10.0.0.1:80", 1, Health::kHealthy, 0, b}});
    CHECK(f.balancer.Choose({.hash = 12345}).host->metadata.at("envoy.lb").at("hash_key") ==
          before);
  }
}

SCENARIO("unhealthy, draining and ejected hosts get nothing") {
  Fixture f(With(Kind::kRoundRobin));
  f.Reset({{"10.0.0.1:80"},
           {"10.0.0.2:80"},
           {"10.0.0.3:80"},
           {"10.0.0.4:80"},
           {"10.0.0.5:80", 1, Health::kUnhealthy},
           {"10.0.0.6:80", 1, Health::kDraining},
           {"10.0.0.7:80", 1, Health::kTimeout}});
  f.spec->hosts[3].state->ejected = true;
  f.balancer.Reset(*f.spec);
  // 3 of 7 is panic; with it off:
  TestCluster calm([] {
    config::Cluster config;
    config.panic_percent = 0;
    return config;
  }());
  auto spec = calm.Spec({{"10.0.0.1:80"},
                         {"10.0.0.2:80"},
                         {"10.0.0.5:80", 1, Health::kUnhealthy},
                         {"10.0.0.6:80", 1, Health::kDraining},
                         {"10.0.0.7:80", 1, Health::kTimeout}});
  spec->hosts[1].state->ejected = true;
  Balancer balancer(f.random);
  balancer.Reset(*spec);
  const auto tally = Tally(balancer, 100);
  CHECK(tally == std::map<std::string, int>{{"10.0.0.1:80", 100}});
}

SCENARIO("panic uses every host of the priority and says so") {
  Fixture f(With(Kind::kRoundRobin));
  f.Reset({{"10.0.0.1:80"},
           {"10.0.0.2:80", 1, Health::kUnhealthy},
           {"10.0.0.3:80", 1, Health::kUnhealthy}});
  CHECK(Tally(f.balancer, 300).size() == 3);
  CHECK(f.balancer.Choose({}).panic);
}

SCENARIO("no healthy host and no panic: nothing") {
  config::Cluster config;
  config.panic_percent = 0;
  Fixture f(config);
  f.Reset({{"10.0.0.1:80", 1, Health::kUnhealthy}});
  CHECK(f.balancer.Choose({}).host == nullptr);
  f.Reset({});
  CHECK(f.balancer.Choose({}).host == nullptr);
}

SCENARIO("priorities share as their health says") {
  Fixture f(With(Kind::kRoundRobin));
  f.Reset({{"10.0.0.1:80"},
           {"10.0.0.2:80", 1, Health::kUnhealthy},
           {"10.1.0.1:80", 1, Health::kHealthy, 1}});
  const auto tally = Tally(f.balancer, 3000);
  CHECK(std::abs(tally.at("10.0.0.1:80") - 2100) < 120);
  CHECK(std::abs(tally.at("10.1.0.1:80") - 900) < 120);
}

SCENARIO("avoided hosts are chosen only when the attempts run out") {
  for (const Kind kind : {Kind::kRoundRobin, Kind::kRingHash, Kind::kMaglev}) {
    Fixture f(With(kind));
    f.Reset(Hosts(4));
    const HostState* avoid[] = {f.spec->hosts[0].state.get(), f.spec->hosts[1].state.get()};
    Balancer::Context context{.avoid = avoid, .avoid_attempts = 30};
    const auto tally = Tally(f.balancer, 200, context);
    CHECK(tally.count(avoid[0]->address_text) + tally.count(avoid[1]->address_text) == 0);
    // One host only: better it than none.
    f.Reset(Hosts(1));
    const HostState* only[] = {f.spec->hosts[0].state.get()};
    CHECK(f.balancer.Choose({.avoid = only, .avoid_attempts = 3}).host != nullptr);
  }
}

}  // namespace
}  // namespace heddle::upstream
