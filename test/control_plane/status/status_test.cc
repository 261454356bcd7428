// heddle-control's pages: escapes, states of proxies, what is where.
#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "control_plane/status/admin.h"
#include "control_plane/status/http_server.h"
#include "control_plane/status/json.h"
#include "control_plane/status/pages.h"

namespace heddle::status {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

std::string Quoted(absl::string_view text) { return JsonWriter().String(text).Take(); }

struct Fixture {
  serve::HubCounters counters;
  Overview overview;
  trace::Store traces{{}};
  std::string rotated = "not";

  Fixture() {
    overview.now = overview.started = kNow;
    overview.version = "1.2.3";
    overview.trust_domain = "cluster.local";
    overview.counters = &counters;
    overview.serving_not_after = kNow;
    auto world = std::make_shared<model::World>();
    for (const char* name : {"a", "b", "c", "d", "e", "plain"}) {
      model::Workload workload;
      workload.key = {.ns = "shop", .name = name};
      workload.service_account = name;
      workload.sidecar = std::string(name) != "plain";
      world->workloads.Put(workload);
    }
    overview.world = world;
    Add("shop/a", 3, 3, false);
    Add("shop/b", 3, 2, false);
    Add("shop/c", 3, 3, true);
    Add("shop/gone", 1, 1, false).connected = false;
    overview.hub.departed = {overview.hub.sessions.back()};
    overview.hub.sessions.pop_back();
  }
  serve::SessionReport& Add(const std::string& node, uint64_t generation, uint64_t settled,
                            bool rejecting) {
    serve::SessionReport report;
    report.node_id = node;
    report.generation = generation;
    report.settled_generation = settled;
    report.rejecting = rejecting;
    serve::TypeReport type;
    type.type_url = std::string(serve::TypeUrl(serve::Type::kRoutes));
    type.rejecting = rejecting;
    if (rejecting) {
      type.rejected_version = "v2";
      type.rejected_why = "<script>\n\"no\"";
    }
    report.types = {type};
    overview.hub.sessions.push_back(report);
    return overview.hub.sessions.back();
  }
  HttpReply Ask(const std::string& method, const std::string& path,
                std::map<std::string, std::string> query = {}, bool guarded = false,
                const std::string& peer = "127.0.0.1") {
    AdminSource source;
    source.overview = [this] { return overview; };
    source.traces = &traces;
    source.rotate = [this](const std::string& step) -> absl::StatusOr<std::string> {
      rotated = step;
      return std::string("done");
    };
    return AnswerAdmin(source, {.method = method,
                                .path = path,
                                .query = std::move(query),
                                .guarded = guarded,
                                .peer_address = peer});
  }
};

}  // namespace

SCENARIO("JSON strings are escaped and always UTF-8") {
  CHECK(Quoted("plain") == "\"plain\"");
  CHECK(Quoted("a\"b\\c\n\x01<") == "\"a\\\"b\\\\c\\n\\u0001\\u003c\"");
  CHECK(Quoted("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80") ==
        "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
  for (const char* bad :
       {"\xff", "\xc0\x80", "\xed\xa0\x80", "\xe2\x82", "\xf5\x80\x80\x80", "\x80"}) {
    CHECK_THAT(Quoted(bad), Catch::StartsWith("\"\\ufffd"));
  }
  JsonWriter out;
  out.BeginObject()
      .Key("a")
      .BeginArray()
      .Number(int64_t{1})
      .Number(2.5)
      .EndArray()
      .Key("b")
      .Bool(false);
  out.Key("c").Time(absl::InfinitePast()).Key("d").BeginObject().EndObject().EndObject();
  CHECK(out.Take() == R"({"a":[1,2.5],"b":false,"c":null,"d":{}})");
}

SCENARIO("each workload with a sidecar is shown in its state, also when it was never seen") {
  Fixture fixture;
  std::map<std::string, std::string> states;
  for (const ProxyLine& line : ProxyLines(fixture.overview))
    states[line.node_id] = StateName(line.state);
  CHECK(states == std::map<std::string, std::string>{{"shop/a", "synced"},
                                                     {"shop/b", "pending"},
                                                     {"shop/c", "rejecting"},
                                                     {"shop/d", "never seen"},
                                                     {"shop/e", "never seen"},
                                                     {"shop/gone", "disconnected"}});
}

SCENARIO("pages hold no markup of others") {
  Fixture fixture;
  const HttpReply page = fixture.Ask("GET", "/");
  CHECK(page.body.find("<script>") == std::string::npos);
  CHECK_THAT(page.body, Catch::Contains("&lt;script&gt;"));
  CHECK_THAT(fixture.Ask("GET", "/status").body, Catch::Contains("\\u003cscript>\\n\\\"no\\\""));
  CHECK_THAT(fixture.Ask("GET", "/metrics").body,
             Catch::Contains("heddle_control_proxies{state=\"rejecting\"} 1\n"));
}

SCENARIO("what is not there, or not so, is said") {
  Fixture fixture;
  CHECK(fixture.Ask("GET", "/none").code == 404);
  CHECK(fixture.Ask("POST", "/status").code == 405);
  CHECK(fixture.Ask("GET", "/rotate").code == 405);
  CHECK(fixture.Ask("GET", "/ready").code == 200);
  fixture.overview.world = nullptr;
  CHECK(fixture.Ask("GET", "/ready").code == 503);
  CHECK(fixture.Ask("GET", "/debug/proxy", {{"workload", "shop/a"}}).code == 503);
  CHECK(fixture.Ask("GET", "/debug/proxy", {{"workload", "a"}}).code == 400);
  CHECK(fixture.Ask("GET", "/traces", {{"limit", "x"}}).code == 400);
}

SCENARIO("a rotation wants the header that no web page can send, from this machine") {
  Fixture fixture;
  CHECK(fixture.Ask("POST", "/rotate").code == 403);
  CHECK(fixture.Ask("POST", "/rotate", {}, true, "192.0.2.1").code == 403);
  CHECK(fixture.rotated == "not");
  CHECK(fixture.Ask("POST", "/rotate", {{"root", "prepare"}}, true).code == 200);
  CHECK(fixture.rotated == "prepare");
}

SCENARIO("HOST:PORT is read strictly") {
  std::string host;
  int port = 0;
  CHECK(SplitHostPort("127.0.0.1:80", &host, &port).ok());
  CHECK((host == "127.0.0.1" && port == 80));
  CHECK(SplitHostPort("[::1]:0", &host, &port).ok());
  CHECK((host == "::1" && port == 0));
  for (const char* bad : {"", ":", ":80", "host", "host:", "host:x", "host:65536", "host:-1"})
    CHECK_FALSE(SplitHostPort(bad, &host, &port).ok());
}

}  // namespace heddle::status
