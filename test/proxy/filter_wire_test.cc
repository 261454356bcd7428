// The filter lanes through a real proxy on loopback.
#include <catch2/catch.hpp>

#include "test/proxy/wire_fixture.h"

namespace heddle::test {
namespace {

using filter::HttpFilter;
using filter::Verdict;
using http::Protocol;

// What a test filter does, shared by its instances.
struct Script {
  std::string trail;  // which hooks ran
  size_t gather = 0;
  std::function<Verdict(http::RequestHead&, filter::StreamContext&)> request;
  std::function<Verdict(base::Buffer&, bool, filter::StreamContext&)> request_body;
  std::function<Verdict(http::ResponseHead&, filter::StreamContext&)> response;
  std::function<Verdict(base::Buffer&, bool, filter::StreamContext&)> response_body;
};

class Scripted final : public HttpFilter {
 public:
  Scripted(Script& script, std::string name) : script_(script), name_(std::move(name)) {}
  size_t GatherRequestBody() const override { return script_.gather; }
  Verdict OnRequestHead(http::RequestHead& head, filter::StreamContext& s) override {
    script_.trail += name_ + ">";
    return script_.request ? script_.request(head, s) : Verdict::Next();
  }
  Verdict OnRequestBody(base::Buffer& data, bool end, filter::StreamContext& s) override {
    if (end) script_.trail += name_ + "b>";
    return script_.request_body ? script_.request_body(data, end, s) : Verdict::Next();
  }
  Verdict OnResponseHead(http::ResponseHead& head, filter::StreamContext& s) override {
    script_.trail += "<" + name_;
    return script_.response ? script_.response(head, s) : Verdict::Next();
  }
  Verdict OnResponseBody(base::Buffer& data, bool end, filter::StreamContext& s) override {
    if (end) script_.trail += "<b" + name_;
    return script_.response_body ? script_.response_body(data, end, s) : Verdict::Next();
  }
  void OnDone(const observe::AccessRecord&) override { script_.trail += "!"; }

 private:
  Script& script_;
  std::string name_;
};

void Add(Wire& wire, Script& script, const std::string& name) {
  wire.hcm->filters.push_back(
      Filter([&script, name] { return std::make_unique<Scripted>(script, name); }));
}

SCENARIO("filters see the request in order and the response in reverse") {
  Wire wire;
  Script script;
  Add(wire, script, "a");
  Add(wire, script, "b");
  wire.Start();
  CHECK(wire.Do({.method = "POST"}, "x").status == 200);
  CHECK(script.trail == "a>b>ab>bb><b<a<bb<ba!!");
}

SCENARIO("an answer passes the filters before the one that gave it") {
  Wire wire;
  Script first, second;
  Add(wire, first, "a");
  Add(wire, second, "b");
  second.request = [](http::RequestHead&, filter::StreamContext&) {
    return Verdict::Answer({.status = 403,
                            .body = "RBAC: access denied",
                            .details = "rbac_access_denied_matched_policy[none]"});
  };
  first.response = [](http::ResponseHead& head, filter::StreamContext&) {
    head.headers.Add("x-first", "saw");
    return Verdict::Next();
  };
  wire.Start();
  Call& call = wire.Do({.method = "POST"}, "body");
  CHECK(call.status == 403);
  CHECK(call.body == "RBAC: access denied");
  CHECK(call.Field("x-first") == "saw");
  CHECK(first.trail == "a><a<ba!");
  CHECK(second.trail == "b>!");
  CHECK(wire.upstream().exchanges.empty());
  CHECK(wire.records.at(0).details == "rbac_access_denied_matched_policy[none]");
  CHECK(wire.Do({.method = "POST"}, "again").status == 403);  // the connection goes on
}

SCENARIO("a held request waits with its body, and goes on or is answered") {
  for (const Protocol down : {Protocol::kHttp11, Protocol::kHttp2}) {
    Wire wire({.downstream = down});
    Script script;
    filter::StreamContext* held = nullptr;
    script.request = [&](http::RequestHead&, filter::StreamContext& s) {
      held = &s;
      return Verdict::Hold();
    };
    Add(wire, script, "a");
    wire.upstream().handle = [](Exchange& x) {
      if (x.ended) x.Reply(200, x.body);
    };
    wire.Start();
    Client& client = wire.NewClient();
    Call& call = client.Send({.method = "POST"}, "held body");
    REQUIRE(wire.Run([&] { return held != nullptr; }));
    wire.Idle(absl::Milliseconds(20));
    CHECK(wire.upstream().exchanges.empty());
    std::exchange(held, nullptr)->Resume();
    REQUIRE(wire.Run([&] { return call.done(); }));
    CHECK(call.body == "held body");
    Call& other = client.Send({.method = "POST"}, "held body");
    REQUIRE(wire.Run([&] { return held != nullptr; }));
    auto reply = std::make_unique<filter::Reply>();
    reply->status = 429;
    held->Resume(std::move(reply));
    REQUIRE(wire.Run([&] { return other.done(); }));
    CHECK(other.status == 429);
  }
}

SCENARIO("a held body piece waits, what follows waits behind it") {
  Wire wire;
  Script script;
  filter::StreamContext* held = nullptr;
  script.request_body = [&](base::Buffer&, bool, filter::StreamContext& s) {
    if (held != nullptr) return Verdict::Next();
    held = &s;
    return Verdict::Hold();
  };
  Add(wire, script, "a");
  wire.upstream().handle = [](Exchange& x) {
    if (x.ended) x.Reply(200, x.body);
  };
  wire.Start();
  Client& client = wire.NewClient();
  Call& call = client.Send({.method = "POST", .fields = {{"content-length", "6"}}}, "one", false);
  REQUIRE(wire.Run([&] { return held != nullptr; }));
  call.Send("two", true);
  wire.Idle(absl::Milliseconds(20));
  CHECK(wire.upstream().exchanges.back()->body.empty());
  held->Resume();
  REQUIRE(wire.Run([&] { return call.done(); }));
  CHECK(call.body == "onetwo");
}

SCENARIO("a held response waits") {
  Wire wire;
  Script script;
  filter::StreamContext* held = nullptr;
  script.response = [&](http::ResponseHead&, filter::StreamContext& s) {
    held = &s;
    return Verdict::Hold();
  };
  Add(wire, script, "a");
  wire.Start();
  Client& client = wire.NewClient();
  Call& call = client.Send({});
  REQUIRE(wire.Run([&] { return held != nullptr; }));
  wire.Idle(absl::Milliseconds(20));
  CHECK(call.status == 0);
  held->Resume();
  REQUIRE(wire.Run([&] { return call.done(); }));
  CHECK(call.status == 200);
  CHECK(call.body == "ok");
}

SCENARIO("a gathered body comes whole before the head goes on; too much of it is 413") {
  Wire wire;
  Script script;
  script.gather = 100;
  Add(wire, script, "a");
  wire.upstream().handle = [](Exchange& x) {
    if (x.ended) x.Reply(200, x.body);
  };
  wire.Start();
  CHECK(wire.Do({.method = "POST"}, "small").body == "small");
  CHECK(script.trail == "a>ab><a<ba!");
  Call& large = wire.Do({.method = "POST"}, std::string(101, 'x'));
  CHECK(large.status == 413);
  CHECK(large.body == "Payload Too Large");
  CHECK(wire.upstream().exchanges.size() == 1);
}

SCENARIO("filters change heads and bodies") {
  Wire wire;
  Script script;
  script.request = [](http::RequestHead& head, filter::StreamContext& s) {
    CHECK(s.route() != nullptr);
    head.SetPath("/changed");
    s.ClearRoute();
    return Verdict::Next();
  };
  script.response_body = [](base::Buffer& data, bool end, filter::StreamContext&) {
    if (end) data.Append("!");
    return Verdict::Next();
  };
  script.response = [](http::ResponseHead& head, filter::StreamContext&) {
    head.headers.Remove("content-length");
    return Verdict::Next();
  };
  Add(wire, script, "a");
  auto changed = ForwardTo("c", "/changed");
  changed.response.add = {{.name = "x-route", .value = "changed"}};
  auto& routes = wire.routes->virtual_hosts[0].routes;
  routes.insert(routes.begin(), changed);
  wire.upstream().handle = [](Exchange& x) { x.Reply(200, std::string(x.head.path)); };
  wire.Start();
  Call& call = wire.Do();
  CHECK(call.body == "/changed!");
  CHECK(call.Field("x-route") == "changed");
}

}  // namespace
}  // namespace heddle::test
