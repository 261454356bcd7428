// The xDS stream logic, both variants, by short scripts: requests in, responses out as text.
#include "control_plane/serve/stream.h"

#include <catch2/catch.hpp>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace heddle::serve {
namespace {

using translate::Resource;
using translate::ResourceRef;

const absl::Time kStart = absl::FromUnixSeconds(1'800'000'000);
using Contents = std::map<std::string, std::string>;  // name -> version

std::shared_ptr<const TypeSet> Set(const Contents& contents) {
  std::vector<ResourceRef> refs;
  for (const auto& [name, version] : contents) {
    auto resource = std::make_shared<Resource>();
    resource->name = name;
    resource->version = version;
    refs.push_back(std::move(resource));
  }
  return TypeSet::Make(std::move(refs));
}

// What a control plane holds, edited type by type.
struct World {
  View view;
  World& With(Type type, const Contents& contents) {
    view.sets[static_cast<size_t>(type)] = Set(contents);
    return *this;
  }
};

// "CDS#1[a=1 b=1]-[gone]"; "" for nothing.
std::string Text(const std::optional<Response>& response) {
  if (!response) return "";
  std::vector<std::string> names;
  for (const ResourceRef& resource : response->resources)
    names.push_back(absl::StrCat(resource->name, "=", resource->version));
  std::string out = absl::StrCat(ShortName(response->type_url), "#", response->nonce, "[",
                                 absl::StrJoin(names, " "), "]");
  if (!response->removed.empty())
    absl::StrAppend(&out, "-[", absl::StrJoin(response->removed, " "), "]");
  return out;
}

struct DeltaPeer {
  World world;
  DeltaStream stream{{}};
  absl::Time now = kStart;

  explicit DeltaPeer(StreamOptions options = {}) : stream(options) {}
  void Send(Type type, std::vector<std::string> add, std::vector<std::string> drop = {},
            std::vector<std::pair<std::string, std::string>> initial = {}) {
    const auto taken = stream.OnRequest({.type_url = std::string(TypeUrl(type)),
                                         .answer = {},
                                         .subscribe = std::move(add),
                                         .unsubscribe = std::move(drop),
                                         .initial_versions = std::move(initial)},
                                        world.view, now);
    REQUIRE(taken.ok());
  }
  void Answer(Type type, const std::string& nonce, const std::string& error = "") {
    REQUIRE(stream
                .OnRequest({.type_url = std::string(TypeUrl(type)),
                            .answer = {.nonce = nonce, .rejected = !error.empty(), .error = error},
                            .subscribe = {},
                            .unsubscribe = {},
                            .initial_versions = {}},
                           world.view, now)
                .ok());
  }
  std::string Next() { return Text(stream.Next(world.view, now)); }
  bool Settled() { return stream.Settled(world.view); }
};

struct SotwPeer {
  World world;
  SotwStream stream{{}};
  absl::Time now = kStart;

  void Send(Type type, std::vector<std::string> names, const std::string& nonce = "",
            const std::string& error = "") {
    const auto taken =
        stream.OnRequest({.type_url = std::string(TypeUrl(type)),
                          .answer = {.nonce = nonce, .rejected = !error.empty(), .error = error},
                          .names = std::move(names)},
                         world.view, now);
    REQUIRE(taken.ok());
  }
  std::string Next() { return Text(stream.Next(world.view, now)); }
  bool Settled() { return stream.Settled(world.view); }
};

}  // namespace

SCENARIO("delta: a wildcard client gets everything once, then only what changed") {
  DeltaPeer peer;
  peer.world.With(Type::kCluster, {{"a", "1"}, {"b", "1"}});
  peer.Send(Type::kCluster, {});
  CHECK(peer.Next() == "CDS#1[a=1 b=1]");
  CHECK(peer.Next().empty());
  CHECK_FALSE(peer.Settled());
  peer.Answer(Type::kCluster, "1");
  CHECK(peer.Next().empty());
  CHECK(peer.stream.Report()[0].acked_version == peer.world.view.Of(Type::kCluster)->version);

  peer.world.With(Type::kCluster, {{"a", "1"}, {"b", "2"}, {"c", "1"}});
  CHECK(peer.Next() == "CDS#2[b=2 c=1]");
  peer.world.With(Type::kCluster, {{"a", "1"}, {"c", "1"}});
  CHECK(peer.Next() == "CDS#3[]-[b]");
  CHECK(peer.Next().empty());
}

SCENARIO("a sidecar is settled when it asked for, and answered, everything it is to have") {
  DeltaPeer peer;
  peer.world.With(Type::kCluster, {{"a", "1"}})
      .With(Type::kEndpoints, {{"a", "1"}})
      .With(Type::kListener, {{"l", "1"}})
      .With(Type::kRoutes, {{"r", "1"}});
  CHECK_FALSE(peer.Settled());
  int nonce = 0;
  for (const Type type : {Type::kCluster, Type::kEndpoints, Type::kListener, Type::kRoutes}) {
    CHECK_FALSE((nonce > 0 && peer.Settled()));
    const bool named = !HasWildcard(type);
    peer.Send(type, named ? std::vector<std::string>{type == Type::kRoutes ? "r" : "a"}
                          : std::vector<std::string>{});
    CHECK_FALSE(peer.Next().empty());
    peer.Answer(type, absl::StrCat(++nonce));
    CHECK(peer.Next().empty());
  }
  CHECK(peer.Settled());
  peer.world.With(Type::kRoutes, {{"r", "1"}, {"s", "1"}});
  CHECK(peer.Next().empty());
  CHECK_FALSE(peer.Settled());
}

SCENARIO("delta: a client that never answers is not filled up") {
  DeltaPeer peer;
  peer.Send(Type::kCluster, {"*"});
  int sent = 0;
  for (int i = 0; i < 100; ++i) {
    peer.world.With(Type::kCluster, {{"a", absl::StrCat(i)}});
    sent += !peer.Next().empty();
  }
  CHECK(sent == 16);
  peer.Answer(Type::kCluster, "16");
  CHECK(peer.Next() == "CDS#17[a=99]");
}

SCENARIO("delta: the newest configuration is what a slow reader gets") {
  DeltaPeer peer;
  peer.world.With(Type::kCluster, {{"a", "1"}});
  peer.Send(Type::kCluster, {"*"});
  CHECK(peer.Next() == "CDS#1[a=1]");
  for (const char* version : {"2", "3", "4"}) peer.world.With(Type::kCluster, {{"a", version}});
  CHECK(peer.Next() == "CDS#2[a=4]");
}

SCENARIO("delta: an empty wildcard answer is given once, so that the client knows") {
  DeltaPeer peer;
  peer.Send(Type::kListener, {});
  CHECK(peer.Next() == "LDS#1[]");
  CHECK(peer.Next().empty());
}

SCENARIO("delta: the wildcard examples of the protocol document") {
  DeltaPeer peer;
  peer.world.With(Type::kCluster, {{"a", "1"}, {"b", "1"}, {"c", "1"}});
  SECTION("legacy wildcard stays when names are added, until * is dropped") {
    peer.Send(Type::kCluster, {});
    CHECK(peer.Next() == "CDS#1[a=1 b=1 c=1]");
    peer.Send(Type::kCluster, {"a"});
    CHECK(peer.Next() == "CDS#2[a=1]");
    peer.world.With(Type::kCluster, {{"a", "1"}, {"b", "2"}, {"c", "1"}});
    CHECK(peer.Next() == "CDS#3[b=2]");
    peer.Send(Type::kCluster, {}, {"*"});
    peer.world.With(Type::kCluster, {{"a", "2"}, {"b", "3"}, {"c", "2"}});
    CHECK(peer.Next() == "CDS#4[a=2]");
  }
  SECTION("names first: no wildcard until asked for") {
    peer.Send(Type::kCluster, {"a"});
    CHECK(peer.Next() == "CDS#1[a=1]");
    peer.Send(Type::kCluster, {"*"});
    CHECK(peer.Next() == "CDS#2[b=1 c=1]");
    peer.Send(Type::kCluster, {}, {"*"});
    CHECK(peer.Next().empty());
    peer.Send(Type::kCluster, {"*"});
    CHECK(peer.Next() == "CDS#3[b=1 c=1]");
  }
  SECTION("a client that wants nothing subscribes and unsubscribes *") {
    peer.Send(Type::kCluster, {"*"}, {"*"});
    CHECK(peer.Next().empty());
  }
  SECTION("dropping a name while everything is subscribed is answered") {
    peer.Send(Type::kCluster, {"*", "a", "x"});
    CHECK(peer.Next() == "CDS#1[a=1 b=1 c=1]-[x]");
    peer.Send(Type::kCluster, {}, {"a", "x"});
    CHECK(peer.Next() == "CDS#2[a=1]-[x]");
  }
  SECTION("* means nothing special for endpoints and routes") {
    peer.world.With(Type::kEndpoints, {{"a", "1"}});
    peer.Send(Type::kEndpoints, {"*"});
    CHECK(peer.Next() == "EDS#1[]-[*]");
    peer.Send(Type::kRoutes, {});
    CHECK(peer.Next().empty());
  }
}

SCENARIO(
    "delta: names are sent again whenever they are subscribed, and unknown ones are said to be "
    "unknown") {
  DeltaPeer peer;
  peer.world.With(Type::kEndpoints, {{"a", "1"}});
  peer.Send(Type::kEndpoints, {"a", "x"});
  CHECK(peer.Next() == "EDS#1[a=1]-[x]");
  peer.Answer(Type::kEndpoints, "1");
  peer.Send(Type::kEndpoints, {"a"});
  CHECK(peer.Next() == "EDS#2[a=1]");
  THEN("a name that did not exist is sent when it appears") {
    peer.world.With(Type::kEndpoints, {{"a", "1"}, {"x", "7"}});
    CHECK(peer.Next() == "EDS#3[x=7]");
  }
  THEN("a name that was dropped is not") {
    peer.Send(Type::kEndpoints, {}, {"x", "a"});
    peer.world.With(Type::kEndpoints, {{"a", "2"}, {"x", "7"}});
    CHECK(peer.Next().empty());
  }
}

SCENARIO("delta: subscription changes count although the nonce is stale") {
  DeltaPeer peer;
  peer.world.With(Type::kEndpoints, {{"a", "1"}, {"b", "1"}});
  peer.Send(Type::kEndpoints, {"a"});
  CHECK(peer.Next() == "EDS#1[a=1]");
  peer.world.With(Type::kEndpoints, {{"a", "2"}, {"b", "1"}});
  CHECK(peer.Next() == "EDS#2[a=2]");
  REQUIRE(peer.stream
              .OnRequest({.type_url = std::string(TypeUrl(Type::kEndpoints)),
                          .answer = {.nonce = "1", .rejected = false, .error = ""},
                          .subscribe = {"b"},
                          .unsubscribe = {},
                          .initial_versions = {}},
                         peer.world.view, peer.now)
              .ok());
  CHECK(peer.Next() == "EDS#3[b=1]");
  CHECK(peer.stream.counters().stale == 1);
  CHECK(peer.stream.counters().acks == 1);
  CHECK_FALSE(peer.Settled());
  peer.Answer(Type::kEndpoints, "2");
  peer.Answer(Type::kEndpoints, "3");
  CHECK(peer.Next().empty());
  CHECK(peer.Settled());
}

SCENARIO("delta: what was rejected is not sent again before it changes, and the text is kept") {
  DeltaPeer peer;
  peer.world.With(Type::kRoutes, {{"r", "1"}, {"s", "1"}});
  peer.Send(Type::kRoutes, {"r", "s"});
  CHECK(peer.Next() == "RDS#1[r=1 s=1]");
  peer.Answer(Type::kRoutes, "1", "routes[0].match: bad regex");
  CHECK(peer.Next().empty());
  CHECK(peer.stream.Rejecting());
  CHECK(peer.stream.Report()[0].rejected_why == "routes[0].match: bad regex");
  CHECK(peer.Settled());

  peer.world.With(Type::kRoutes, {{"r", "1"}, {"s", "2"}});
  CHECK(peer.Next() == "RDS#2[s=2]");
  peer.Answer(Type::kRoutes, "2");
  THEN("an accepted other resource does not hide the rejected one") {
    CHECK(peer.stream.Rejecting());
  }
  peer.world.With(Type::kRoutes, {{"r", "3"}, {"s", "2"}});
  CHECK(peer.Next() == "RDS#3[r=3]");
  peer.Answer(Type::kRoutes, "3");
  CHECK_FALSE(peer.stream.Rejecting());
  CHECK(peer.stream.Report()[0].rejected_why == "routes[0].match: bad regex");
}

SCENARIO("delta: a reconnecting client is told only the difference") {
  DeltaPeer peer;
  peer.world.With(Type::kCluster, {{"a", "1"}, {"b", "2"}, {"c", "1"}});
  peer.Send(Type::kCluster, {"*"}, {}, {{"a", "1"}, {"b", "1"}, {"gone", "1"}});
  CHECK(peer.Next() == "CDS#1[b=2 c=1]");
  CHECK(peer.Next() == "CDS#2[]-[gone]");
  CHECK(peer.Next().empty());

  peer.world.With(Type::kEndpoints, {{"a", "1"}, {"b", "2"}});
  peer.Send(Type::kEndpoints, {"a", "b"}, {}, {{"a", "1"}, {"b", "1"}, {"not asked for", "1"}});
  CHECK(peer.Next() == "EDS#3[b=2]");
  peer.world.With(Type::kEndpoints, {{"a", "1"}, {"b", "2"}, {"not asked for", "2"}});
  CHECK(peer.Next().empty());
}

SCENARIO("delta: a reconnecting client that has everything counts as up to date") {
  DeltaPeer peer;
  peer.world.With(Type::kRoutes, {{"r", "1"}});
  peer.Send(Type::kRoutes, {"r"}, {}, {{"r", "1"}});
  CHECK(peer.Next().empty());
  CHECK(peer.Settled());
  CHECK(peer.stream.Report()[0].acked_version == peer.world.view.Of(Type::kRoutes)->version);
}

SCENARIO("delta: Envoy is sent its endpoints again after a reconnect") {
  DeltaPeer peer({.resend_endpoints_on_reconnect = true});
  peer.world.With(Type::kEndpoints, {{"a", "1"}});
  peer.Send(Type::kEndpoints, {"a"}, {}, {{"a", "1"}});
  CHECK(peer.Next() == "EDS#1[a=1]");
}

SCENARIO("delta: endpoints follow a changed cluster even if they are the same") {
  DeltaPeer peer;
  peer.world.With(Type::kCluster, {{"a", "1"}, {"b", "1"}})
      .With(Type::kEndpoints, {{"a", "1"}, {"b", "1"}});
  peer.Send(Type::kCluster, {});
  CHECK(peer.Next() == "CDS#1[a=1 b=1]");
  peer.Send(Type::kEndpoints, {"a", "b"});
  CHECK(peer.Next() == "EDS#2[a=1 b=1]");
  peer.world.With(Type::kCluster, {{"a", "2"}, {"b", "1"}});
  CHECK(peer.Next() == "CDS#3[a=2]");
  CHECK(peer.Next() == "EDS#4[a=1]");
  CHECK(peer.Next().empty());
}

SCENARIO("delta: types are pushed in order, removals last") {
  DeltaPeer peer;
  peer.world.With(Type::kCluster, {{"old", "1"}})
      .With(Type::kEndpoints, {{"old", "1"}})
      .With(Type::kListener, {{"l", "1"}})
      .With(Type::kRoutes, {{"r", "1"}});
  // Asked for in the wrong order.
  peer.Send(Type::kRoutes, {"r"});
  peer.Send(Type::kListener, {});
  peer.Send(Type::kEndpoints, {"old", "new"});
  peer.Send(Type::kCluster, {});
  CHECK(peer.Next() == "CDS#1[old=1]");
  CHECK(peer.Next() == "EDS#2[old=1]-[new]");
  CHECK(peer.Next() == "LDS#3[l=1]");
  CHECK(peer.Next() == "RDS#4[r=1]");
  CHECK(peer.Next().empty());
  peer.Answer(Type::kListener, "3");
  peer.Answer(Type::kRoutes, "4");

  peer.world.With(Type::kCluster, {{"new", "1"}})
      .With(Type::kEndpoints, {{"new", "1"}})
      .With(Type::kRoutes, {{"r", "2"}});
  CHECK(peer.Next() == "CDS#5[new=1]");
  CHECK(peer.Next() == "EDS#6[new=1]");
  CHECK(peer.Next() == "RDS#7[r=2]");
  CHECK(peer.Next().empty());
  CHECK(peer.stream.HoldingBack());
  WHEN("the routes are acknowledged") {
    peer.Answer(Type::kRoutes, "7");
    CHECK(peer.Next() == "CDS#8[]-[old]");
    CHECK(peer.Next() == "EDS#9[]-[old]");
    CHECK(peer.Next().empty());
    CHECK_FALSE(peer.stream.HoldingBack());
  }
  WHEN("nothing is heard for a while") {
    peer.now += absl::Milliseconds(4999);
    CHECK(peer.Next().empty());
    peer.now += absl::Milliseconds(1);
    CHECK(peer.Next() == "CDS#8[]-[old]");
    CHECK(peer.Next() == "EDS#9[]-[old]");
  }
  WHEN(
      "the routes are rejected, the client keeps the clusters of its old ones until newer routes "
      "are accepted") {
    peer.Answer(Type::kRoutes, "7", "no");
    peer.now += absl::Hours(1);
    CHECK(peer.Next().empty());
    CHECK_FALSE(peer.Settled());
    peer.world.With(Type::kRoutes, {{"r", "3"}});
    CHECK(peer.Next() == "RDS#8[r=3]");
    CHECK(peer.Next().empty());
    peer.Answer(Type::kRoutes, "8");
    CHECK(peer.Next() == "CDS#9[]-[old]");
  }
  WHEN("the old cluster comes back before it was removed") {
    peer.world.With(Type::kCluster, {{"new", "1"}, {"old", "1"}})
        .With(Type::kEndpoints, {{"new", "1"}, {"old", "1"}});
    CHECK(peer.Next().empty());
    CHECK_FALSE(peer.stream.HoldingBack());
  }
}

SCENARIO("a stream bounds what it remembers") {
  DeltaPeer peer({.max_names = 3, .max_types = 2});
  const auto ask = [&](const std::string& url, std::vector<std::string> names) {
    return peer.stream
        .OnRequest({.type_url = url,
                    .answer = {},
                    .subscribe = std::move(names),
                    .unsubscribe = {},
                    .initial_versions = {}},
                   peer.world.view, peer.now)
        .code();
  };
  CHECK(ask("", {}) == absl::StatusCode::kInvalidArgument);
  CHECK(ask("type.googleapis.com/envoy.Unknown", {"a", "b"}) == absl::StatusCode::kOk);
  CHECK(peer.Next() == "Unknown#1[]-[a b]");
  CHECK(ask("type.googleapis.com/envoy.Unknown", {"c", "d"}) ==
        absl::StatusCode::kResourceExhausted);
  CHECK(ask("b", {}) == absl::StatusCode::kOk);
  CHECK(ask("c", {}) == absl::StatusCode::kResourceExhausted);
}

SCENARIO("sotw: a wildcard client gets the whole set whenever one of it changed") {
  SotwPeer peer;
  peer.world.With(Type::kCluster, {{"a", "1"}, {"b", "1"}});
  peer.Send(Type::kCluster, {});
  CHECK(peer.Next() == "CDS#1[a=1 b=1]");
  peer.Send(Type::kCluster, {}, "1");
  CHECK(peer.Next().empty());
  peer.world.With(Type::kCluster, {{"a", "1"}, {"b", "2"}});
  CHECK(peer.Next() == "CDS#2[a=1 b=2]");
  peer.Send(Type::kCluster, {}, "2");
  peer.world.With(Type::kCluster, {{"b", "2"}});
  CHECK(peer.Next() == "CDS#3[b=2]");
  peer.world.With(Type::kCluster, {});
  CHECK(peer.Next() == "CDS#4[]");
}

SCENARIO("sotw: a request with an old nonce is ignored, whatever it says") {
  SotwPeer peer;
  peer.world.With(Type::kEndpoints, {{"a", "1"}, {"b", "1"}});
  peer.Send(Type::kEndpoints, {"a"});
  CHECK(peer.Next() == "EDS#1[a=1]");
  peer.world.With(Type::kEndpoints, {{"a", "2"}, {"b", "1"}});
  CHECK(peer.Next() == "EDS#2[a=2]");
  peer.Send(Type::kEndpoints, {"a", "b"}, "1");
  CHECK(peer.Next().empty());
  CHECK(peer.stream.counters().stale == 1);
  peer.Send(Type::kEndpoints, {"a", "b"}, "2");
  CHECK(peer.Next() == "EDS#3[b=1]");
  peer.Send(Type::kEndpoints, {"a", "b"}, "nonsense");
  CHECK(peer.Next().empty());
}

SCENARIO("sotw: an empty list means everything only for LDS and CDS, and only before any name") {
  SotwPeer peer;
  peer.world.With(Type::kCluster, {{"a", "1"}, {"b", "1"}}).With(Type::kRoutes, {{"r", "1"}});
  SECTION("names, then none: unsubscribed from all") {
    peer.Send(Type::kCluster, {"a"});
    CHECK(peer.Next() == "CDS#1[a=1]");
    peer.Send(Type::kCluster, {}, "1");
    CHECK(peer.Next().empty());
    peer.world.With(Type::kCluster, {{"a", "2"}});
    CHECK(peer.Next().empty());
  }
  SECTION("everything, then a name: the wildcard ends") {
    peer.Send(Type::kCluster, {});
    CHECK(peer.Next() == "CDS#1[a=1 b=1]");
    peer.Send(Type::kCluster, {"a"}, "1");
    CHECK(peer.Next() == "CDS#2[a=1]");
    peer.world.With(Type::kCluster, {{"a", "1"}, {"b", "2"}});
    CHECK(peer.Next().empty());
  }
  SECTION("* beside names keeps everything") {
    peer.Send(Type::kCluster, {"*"});
    CHECK(peer.Next() == "CDS#1[a=1 b=1]");
    peer.Send(Type::kCluster, {"*", "a"}, "1");
    CHECK(peer.Next() == "CDS#2[a=1 b=1]");
    peer.Send(Type::kCluster, {"a"}, "2");
    CHECK(peer.Next().empty());
    peer.Send(Type::kCluster, {"a", "b"}, "2");
    CHECK(peer.Next() == "CDS#3[a=1 b=1]");
  }
  SECTION("routes: none is none") {
    peer.Send(Type::kRoutes, {});
    CHECK(peer.Next().empty());
  }
}

SCENARIO(
    "sotw: only the added names of endpoints and routes are sent, and missing ones when they "
    "appear") {
  SotwPeer peer;
  peer.world.With(Type::kEndpoints, {{"a", "1"}, {"b", "1"}});
  peer.Send(Type::kEndpoints, {"a", "x"});
  CHECK(peer.Next() == "EDS#1[a=1]");
  peer.Send(Type::kEndpoints, {"a", "b", "x"}, "1");
  CHECK(peer.Next() == "EDS#2[b=1]");
  peer.Send(Type::kEndpoints, {"a", "b", "x"}, "2");
  CHECK(peer.Next().empty());
  peer.world.With(Type::kEndpoints, {{"a", "1"}, {"b", "1"}, {"x", "1"}});
  CHECK(peer.Next() == "EDS#3[x=1]");
  THEN("one that goes is not mentioned and is sent again when it returns, though it is the same") {
    peer.Send(Type::kEndpoints, {"a", "b", "x"}, "3");
    peer.world.With(Type::kEndpoints, {{"a", "1"}, {"b", "1"}});
    CHECK(peer.Next().empty());
    CHECK(peer.Settled());
    peer.world.With(Type::kEndpoints, {{"a", "1"}, {"b", "1"}, {"x", "1"}});
    CHECK(peer.Next() == "EDS#4[x=1]");
  }
}

SCENARIO("sotw: a named cluster that does not exist is answered by its absence") {
  SotwPeer peer;
  peer.Send(Type::kCluster, {"x"});
  CHECK(peer.Next() == "CDS#1[]");
  peer.world.With(Type::kCluster, {{"x", "1"}, {"y", "1"}});
  CHECK(peer.Next() == "CDS#2[x=1]");
}

SCENARIO("sotw: a reconnecting client is sent everything although its version is the same") {
  SotwPeer peer;
  peer.world.With(Type::kRoutes, {{"r", "1"}});
  peer.Send(Type::kRoutes, {"r"});
  CHECK(peer.Next() == "RDS#1[r=1]");
  peer.Send(Type::kRoutes, {"r"}, "");
  CHECK(peer.Next() == "RDS#2[r=1]");
  SotwPeer again;
  again.world = peer.world;
  again.Send(Type::kRoutes, {"r"}, "7");
  CHECK(again.Next() == "RDS#1[r=1]");
}

SCENARIO("sotw: a rejection does not start a loop") {
  SotwPeer peer;
  peer.world.With(Type::kListener, {{"l", "1"}});
  peer.Send(Type::kListener, {});
  CHECK(peer.Next() == "LDS#1[l=1]");
  peer.Send(Type::kListener, {}, "1", "address: in use");
  CHECK(peer.Next().empty());
  peer.Send(Type::kListener, {}, "1", "address: in use");
  CHECK(peer.Next().empty());
  CHECK(peer.stream.counters().nacks == 1);
  CHECK(peer.stream.Rejecting());
  peer.world.With(Type::kListener, {{"other", "1"}});
  CHECK(peer.Next() == "LDS#2[other=1]");
  peer.Send(Type::kListener, {}, "2");
  CHECK_FALSE(peer.stream.Rejecting());
}

SCENARIO("sotw: the trace of a gRPC client that moves to another cluster") {
  SotwPeer peer;
  peer.world.With(Type::kListener, {{"target", "1"}})
      .With(Type::kRoutes, {{"rc", "1"}})
      .With(Type::kCluster, {{"c1", "1"}, {"c2", "1"}})
      .With(Type::kEndpoints, {{"c1", "1"}, {"c2", "1"}});
  peer.Send(Type::kListener, {"target"});
  CHECK(peer.Next() == "LDS#1[target=1]");
  peer.Send(Type::kListener, {"target"}, "1");
  peer.Send(Type::kRoutes, {"rc"});
  CHECK(peer.Next() == "RDS#2[rc=1]");
  peer.Send(Type::kRoutes, {"rc"}, "2");
  peer.Send(Type::kCluster, {"c1"});
  CHECK(peer.Next() == "CDS#3[c1=1]");
  peer.Send(Type::kCluster, {"c1"}, "3");
  peer.Send(Type::kEndpoints, {"c1"});
  CHECK(peer.Next() == "EDS#4[c1=1]");
  peer.Send(Type::kEndpoints, {"c1"}, "4");
  CHECK(peer.Next().empty());
  CHECK(peer.Settled());

  peer.world.With(Type::kRoutes, {{"rc", "2"}});
  CHECK(peer.Next() == "RDS#5[rc=2]");
  peer.Send(Type::kRoutes, {"rc"}, "5");
  peer.Send(Type::kCluster, {"c1", "c2"}, "3");
  CHECK(peer.Next() == "CDS#6[c1=1 c2=1]");
  CHECK(peer.Next().empty());
  peer.Send(Type::kCluster, {"c1", "c2"}, "6");
  peer.Send(Type::kEndpoints, {"c1", "c2"}, "4");
  CHECK(peer.Next() == "EDS#7[c2=1]");
  peer.Send(Type::kCluster, {}, "6");
  CHECK(peer.Next().empty());
}

SCENARIO("sotw: clusters that go are repeated until the new routes are acknowledged") {
  SotwPeer peer;
  peer.world.With(Type::kCluster, {{"old", "1"}})
      .With(Type::kEndpoints, {{"old", "1"}})
      .With(Type::kRoutes, {{"r", "1"}});
  peer.Send(Type::kCluster, {});
  CHECK(peer.Next() == "CDS#1[old=1]");
  peer.Send(Type::kEndpoints, {"old"});
  CHECK(peer.Next() == "EDS#2[old=1]");
  peer.Send(Type::kRoutes, {"r"});
  CHECK(peer.Next() == "RDS#3[r=1]");
  peer.Send(Type::kRoutes, {"r"}, "3");

  peer.world.With(Type::kCluster, {{"new", "1"}})
      .With(Type::kEndpoints, {{"new", "1"}})
      .With(Type::kRoutes, {{"r", "2"}});
  CHECK(peer.Next() == "CDS#4[new=1 old=1]");
  CHECK(peer.Next() == "RDS#5[r=2]");
  CHECK(peer.Next().empty());
  peer.Send(Type::kEndpoints, {"new", "old"}, "2");
  CHECK(peer.Next() == "EDS#6[new=1]");
  peer.Send(Type::kRoutes, {"r"}, "5");
  CHECK(peer.Next() == "CDS#7[new=1]");
  CHECK(peer.Next().empty());
}

}  // namespace heddle::serve
