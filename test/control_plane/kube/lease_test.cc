#include "control_plane/kube/lease.h"

#include <catch2/catch.hpp>
#include <string>

#include "absl/strings/match.h"
#include "control_plane/kube/events.h"
#include "test/support/fake_clock.h"

namespace heddle::kube {
namespace {

const ElectionOptions kOne{.ns = "heddle-system", .name = "heddle-control", .identity = "one"};
const ElectionOptions kTwo{.ns = "heddle-system", .name = "heddle-control", .identity = "two"};

// The object on the server: a write is taken when it knows the newest version.
struct Server {
  std::optional<LeaseRecord> record;
  int version = 0;

  bool Put(LeaseRecord next) {
    if (next.resource_version != (record.has_value() ? record->resource_version : "")) return false;
    next.resource_version = std::to_string(++version);
    record = std::move(next);
    return true;
  }
  void Round(Candidate& candidate) {
    if (const auto next = candidate.Look(record); next.has_value()) candidate.Wrote(Put(*next));
  }
};

SCENARIO("the first one leads, and the other waits for as long as it renews") {
  test::FakeClock clock;
  Candidate one(kOne, clock), two(kTwo, clock);
  Server server;
  for (int i = 0; i < 20; ++i) {
    server.Round(one);
    server.Round(two);
    REQUIRE(one.leading());
    REQUIRE_FALSE(two.leading());
    clock.Advance(absl::Seconds(2));
  }
}

SCENARIO("a leader that falls silent steps down before another one leads") {
  test::FakeClock clock;
  Candidate one(kOne, clock), two(kTwo, clock);
  Server server;
  server.Round(one);
  bool was_nobody = false;
  for (int i = 0; i < 20 && !two.leading(); ++i) {
    server.Round(two);
    REQUIRE_FALSE((one.leading() && two.leading()));
    was_nobody = was_nobody || (!one.leading() && !two.leading());
    clock.Advance(absl::Seconds(1));
  }
  REQUIRE(two.leading());
  REQUIRE(was_nobody);
  REQUIRE(server.record->transitions == 1);
  server.Round(one);
  REQUIRE_FALSE(one.leading());
}

SCENARIO("a lease that was given back is taken at once") {
  test::FakeClock clock;
  Candidate one(kOne, clock), two(kTwo, clock);
  Server server;
  server.Round(one);
  server.record->holder.clear();
  server.Round(two);
  REQUIRE(two.leading());
}

SCENARIO("of two that write at once one is taken") {
  test::FakeClock clock;
  Candidate one(kOne, clock), two(kTwo, clock);
  Server server;
  const auto first = one.Look(std::nullopt);
  const auto second = two.Look(std::nullopt);
  one.Wrote(server.Put(*first));
  two.Wrote(server.Put(*second));
  REQUIRE(one.leading());
  REQUIRE_FALSE(two.leading());
}

SCENARIO("a Lease is read as it was written") {
  LeaseRecord record{.holder = "one",
                     .duration = absl::Seconds(15),
                     .acquired = absl::FromUnixMicros(1767225600123456),
                     .renewed = absl::FromUnixMicros(1767225601000001),
                     .transitions = 3,
                     .resource_version = "12"};
  REQUIRE(*ParseLease(LeaseJson(kOne, record)) == record);
  REQUIRE_FALSE(ParseLease("{}").ok());
  REQUIRE_FALSE(ParseLease("").ok());
}

Event Refused(const std::string& message) {
  return {.object = {"gateway.networking.k8s.io/v1", "HTTPRoute", "shop", "reviews", "u1"},
          .reason = "Refused",
          .message = message};
}

SCENARIO("the same event is counted, not repeated, and no storm passes") {
  test::FakeClock clock;
  EventLedger ledger({.instance = "pod-1"}, clock);
  const Request first = ledger.Add(Refused("no such Service"));
  REQUIRE(first.method == "POST");
  REQUIRE(first.path == "/api/v1/namespaces/shop/events");
  REQUIRE(absl::StrContains(first.body, "\"reason\":\"Refused\""));
  REQUIRE(ledger.Add(Refused("no such Service")).path.empty());
  clock.Advance(absl::Minutes(6));
  const Request again = ledger.Add(Refused("no such Service"));
  REQUIRE(again.method == "PATCH");
  REQUIRE(absl::StrContains(again.body, "\"count\":3"));
  int sent = 0;
  for (int i = 0; i < 1000; ++i)
    if (!ledger.Add(Refused("storm " + std::to_string(i))).path.empty()) ++sent;
  REQUIRE(sent <= 25);
  REQUIRE(ledger.dropped() >= 975);
}

}  // namespace
}  // namespace heddle::kube
