#include "control_plane/kube/reflector.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "control_plane/kube/answer.h"
#include "test/support/fake_clock.h"

namespace heddle::kube {
namespace {

using Kind = Reflector::Ask::Kind;

// Writes down what it is told.
class Copy : public Sink {
 public:
  void Put(const ObjectKey& key, const nlohmann::json& object) override {
    objects[key] = object.value("/metadata/resourceVersion"_json_pointer, "");
    ++puts;
  }
  void Remove(const ObjectKey& key) override { objects.erase(key); }
  void Listed() override { ++listed; }

  std::set<std::string> Names() const {
    std::set<std::string> out;
    for (const auto& [key, version] : objects) out.insert(key.name);
    return out;
  }

  std::map<ObjectKey, std::string> objects;
  int puts = 0, listed = 0;
};

std::string Object(const std::string& name, int version) {
  return absl::StrCat(R"({"metadata":{"namespace":"shop","name":")", name,
                      R"(","resourceVersion":")", version, R"("}})");
}

std::string Page(const std::vector<std::string>& objects, int version,
                 const std::string& next = "") {
  std::string items;
  for (const std::string& one : objects) absl::StrAppend(&items, items.empty() ? "" : ",", one);
  return absl::StrCat(R"({"kind":"PodList","metadata":{"resourceVersion":")", version,
                      R"(","continue":")", next, R"("},"items":[)", items, "]}");
}

std::string Line(const std::string& type, const std::string& object) {
  return absl::StrCat(R"({"type":")", type, R"(","object":)", object, "}\n");
}

struct World {
  test::FakeClock clock;
  base::Random random{7};
  Copy copy;
  Reflector reflector{{.path = "/api/v1/pods"}, copy, clock, random};

  void List(const std::vector<std::string>& objects, int version) {
    REQUIRE(reflector.Next().kind == Kind::kList);
    reflector.OnPage(Page(objects, version));
  }
  void Wait() {
    REQUIRE(reflector.Next().kind == Kind::kWait);
    reflector.OnWaited();
  }
};

SCENARIO("a list comes in pages, then a watch goes on from where the list was") {
  World t;
  REQUIRE(t.reflector.Next().path == "/api/v1/pods?limit=500");
  t.reflector.OnPage(Page({Object("a", 1)}, 9, "to ken"));
  REQUIRE(t.reflector.Next().path == "/api/v1/pods?limit=500&continue=to%20ken");
  REQUIRE_FALSE(t.reflector.synced());
  t.reflector.OnPage(Page({Object("b", 2)}, 9));
  REQUIRE(t.reflector.synced());
  REQUIRE(t.copy.listed == 1);
  REQUIRE(t.copy.Names() == std::set<std::string>{"a", "b"});
  REQUIRE(t.reflector.Next().kind == Kind::kWatch);
  REQUIRE(absl::StrContains(t.reflector.Next().path,
                            "?watch=1&allowWatchBookmarks=true&resourceVersion=9&timeoutSeconds="));
}

SCENARIO("a watch's events come whole however the network cuts them") {
  const std::string bytes = Line("ADDED", Object("c", 10)) + Line("MODIFIED", Object("a", 11)) +
                            Line("DELETED", Object("b", 12)) +
                            Line("BOOKMARK", R"({"metadata":{"resourceVersion":"20"}})");
  for (const size_t cut : {size_t{1}, size_t{2}, size_t{3}, size_t{7}, size_t{4096}}) {
    World t;
    t.List({Object("a", 1), Object("b", 2)}, 9);
    for (size_t at = 0; at < bytes.size(); at += cut)
      REQUIRE(t.reflector.OnBytes(absl::string_view(bytes).substr(at, cut)).ok());
    REQUIRE(t.copy.objects ==
            std::map<ObjectKey, std::string>{{{"shop", "a"}, "11"}, {{"shop", "c"}, "10"}});
    REQUIRE(t.reflector.resource_version() == "20");
    t.reflector.OnEnd(absl::OkStatus());
    REQUIRE(absl::StrContains(t.reflector.Next().path, "resourceVersion=20&"));
  }
}

SCENARIO("an object that is told again at the same version is not news") {
  World t;
  t.List({Object("a", 1)}, 9);
  REQUIRE(t.reflector.OnBytes(Line("ADDED", Object("a", 1))).ok());
  REQUIRE(t.copy.puts == 1);
}

SCENARIO("pages that are too large are asked for smaller") {
  World t;
  for (const int size : {250, 125, 62}) {
    t.reflector.OnPage(absl::ResourceExhaustedError("the answer is larger than 67108864 bytes"));
    t.Wait();
    REQUIRE(t.reflector.Next().path == absl::StrCat("/api/v1/pods?limit=", size));
  }
  for (int i = 0; i < 10; ++i) {
    t.reflector.OnPage(absl::ResourceExhaustedError("too large"));
    t.Wait();
  }
  REQUIRE(t.reflector.Next().path == "/api/v1/pods?limit=1");
  t.List({Object("a", 1)}, 9);
  REQUIRE(t.reflector.synced());
}

SCENARIO("410 lists again, and what vanished meanwhile is removed") {
  const std::string gone =
      R"({"kind":"Status","code":410,"reason":"Expired","message":"too old resource version"})";
  const bool inside = GENERATE(true, false);  // as an ERROR event, or as the watch's own answer
  World t;
  t.List({Object("a", 1), Object("b", 2)}, 9);
  if (inside) {
    const absl::Status status = t.reflector.OnBytes(Line("ERROR", gone));
    REQUIRE(absl::IsOutOfRange(status));
    t.reflector.OnEnd(status);
  } else {
    t.reflector.OnEnd(StatusOf("GET /api/v1/pods", 410, gone, absl::ZeroDuration()));
  }
  t.List({Object("b", 2), Object("c", 30)}, 31);
  REQUIRE(t.copy.Names() == std::set<std::string>{"b", "c"});
  REQUIRE(t.copy.puts == 3);
  REQUIRE(t.reflector.counters().expired == 1);
  AND_THEN("a server that says so each time is not hammered") {
    t.reflector.OnEnd(absl::OutOfRangeError("again"));
    t.List({}, 32);
    t.reflector.OnEnd(absl::OutOfRangeError("again"));
    REQUIRE(t.reflector.Next().kind == Kind::kList);
  }
}

SCENARIO("a continue token that expired begins the list anew, and forgets nothing") {
  World t;
  t.reflector.OnPage(Page({Object("a", 1)}, 9, "next"));
  t.reflector.OnPage(absl::OutOfRangeError("expired"));
  t.Wait();
  REQUIRE(t.reflector.Next().path == "/api/v1/pods?limit=500");
  t.List({Object("a", 1), Object("b", 2)}, 10);
  REQUIRE(t.copy.Names() == std::set<std::string>{"a", "b"});
}

SCENARIO("while the server is away the waits grow, with chance, and the copy stays") {
  World t;
  t.List({Object("a", 1)}, 9);
  t.clock.Advance(absl::Seconds(60));
  absl::Duration longest;
  for (int i = 0; i < 20; ++i) {
    if (t.reflector.Next().kind == Kind::kList) {
      t.reflector.OnPage(absl::UnavailableError("connection refused"));
    } else {
      t.reflector.OnEnd(absl::UnavailableError("connection refused"));
    }
    REQUIRE(t.reflector.Next().kind == Kind::kWait);
    REQUIRE(t.reflector.Next().wait <= absl::Seconds(30));
    longest = std::max(longest, t.reflector.Next().wait);
    t.reflector.OnWaited();
  }
  REQUIRE(longest >= absl::Seconds(15));
  REQUIRE(t.copy.Names() == std::set<std::string>{"a"});
  REQUIRE(t.reflector.synced());
}

SCENARIO("the server's Retry-After is kept to") {
  World t;
  t.reflector.OnPage(StatusOf("LIST", 429, "{}", absl::Seconds(12)));
  REQUIRE(t.reflector.Next().wait == absl::Seconds(12));
}

SCENARIO("a watch that is cut each second goes on from its last event without a list") {
  World t;
  t.List({}, 9);
  for (int i = 0; i < 10; ++i) {
    REQUIRE(t.reflector.Next().kind == Kind::kWatch);
    REQUIRE(t.reflector.OnBytes(Line("ADDED", Object(absl::StrCat("n", i), 10 + i))).ok());
    t.clock.Advance(absl::Seconds(1));
    t.reflector.OnEnd(absl::UnavailableError("reset by peer"));
    t.Wait();
    REQUIRE(
        absl::StrContains(t.reflector.Next().path, absl::StrCat("resourceVersion=", 10 + i, "&")));
  }
  REQUIRE(t.reflector.counters().lists == 1);
  REQUIRE(t.copy.objects.size() == 10);
}

SCENARIO("a kind that is not served is empty, and looked for again") {
  World t;
  for (int i = 0; i < 2; ++i) {
    t.reflector.OnPage(absl::NotFoundError("the server could not find the requested resource"));
    REQUIRE_FALSE(t.reflector.synced());
    t.Wait();
  }
  t.reflector.OnPage(absl::NotFoundError("the server could not find the requested resource"));
  REQUIRE(t.reflector.synced());
  REQUIRE(t.reflector.missing());
  REQUIRE(t.reflector.Next().wait == absl::Seconds(5));
  t.reflector.OnWaited();
  t.List({Object("a", 1)}, 9);
  REQUIRE_FALSE(t.reflector.missing());
  REQUIRE(t.copy.Names() == std::set<std::string>{"a"});
}

SCENARIO("what is no answer of an API server is a failure, not the end of the copy") {
  const std::string body = GENERATE(
      as<std::string>{}, "", "[]", "{", "{\"items\":[{}]}", "<html>",
      R"({"metadata":{"resourceVersion":"1"},"items":[{"metadata":{}}]})", R"({"metadata":7})");
  World t;
  t.reflector.OnPage(body);
  REQUIRE(t.reflector.Next().kind == Kind::kWait);
  REQUIRE(t.reflector.counters().failures == 1);
}

SCENARIO("a watch that says nonsense is given up and everything listed") {
  const std::string bytes =
      GENERATE(as<std::string>{}, "nonsense\n", "{}\n",
               R"({"type":"ADDED"})"
               "\n",
               R"({"type":"EATEN","object":{}})"
               "\n",
               R"({"type":"ADDED","object":{}})"
               "\n",
               R"({"type":"ADDED","object":{"metadata":{"resourceVersion":"3"}}})"
               "\n");
  World t;
  t.List({}, 9);
  const absl::Status status = t.reflector.OnBytes(bytes);
  REQUIRE_FALSE(status.ok());
  t.reflector.OnEnd(status);
  t.Wait();
  REQUIRE(t.reflector.Next().kind == Kind::kList);
}

SCENARIO("a line without an end is bounded") {
  WatchDecoder decoder(100);
  const auto ignore = [](const WatchEvent&) { return absl::OkStatus(); };
  REQUIRE(decoder.Feed(std::string(100, 'x'), ignore).ok());
  REQUIRE(absl::IsResourceExhausted(decoder.Feed("x", ignore)));
}

SCENARIO("selectors go into every question") {
  Copy copy;
  test::FakeClock clock;
  base::Random random(1);
  Reflector reflector({.path = "/api/v1/pods", .label_selector = "a=b,c in (d)", .page_size = 2},
                      copy, clock, random);
  REQUIRE(reflector.Next().path == "/api/v1/pods?limit=2&labelSelector=a%3db%2cc%20in%20%28d%29");
  reflector.OnPage(Page({}, 5));
  REQUIRE(absl::EndsWith(reflector.Next().path, "&labelSelector=a%3db%2cc%20in%20%28d%29"));
}

}  // namespace
}  // namespace heddle::kube
