#include "source/proxy/route_table.h"

#include <catch2/catch.hpp>

#include "source/proxy/forwarder_head.h"

namespace heddle::proxy {
namespace {

using Kind = config::RouteMatch::Kind;

http::RequestHead Request(absl::string_view authority, absl::string_view path,
                          absl::string_view method = "GET") {
  http::RequestHead head;
  head.SetMethod(method);
  head.SetScheme("http");
  head.SetAuthority(authority);
  head.SetPath(path);
  return head;
}

config::Route RouteOf(const char* name, Kind kind, const char* text) {
  config::Route route;
  route.name = name;
  route.match.kind = kind;
  route.match.text = text;
  return route;
}

std::string HostOf(const RouteTable& table, absl::string_view authority) {
  const VirtualHostSpec* host = table.FindHost(authority);
  return host == nullptr ? "" : host->config->name;
}

std::shared_ptr<const RouteTable> Hosts(std::vector<std::vector<std::string>> domains,
                                        bool ignore_port = false) {
  auto config = std::make_shared<config::RouteConfiguration>();
  config->ignore_port_in_host = ignore_port;
  for (size_t i = 0; i < domains.size(); ++i) {
    auto& host = config->virtual_hosts.emplace_back();
    host.name = std::to_string(i);
    host.domains = domains[i];
  }
  return RouteTable::Create(config);
}

SCENARIO("virtual hosts: exact, longest suffix wildcard, longest prefix wildcard, any") {
  const auto table = Hosts({{"a.b.c"}, {"*.b.c"}, {"*.x.b.c"}, {"a.*"}, {"a.b.*"}, {"*"}});
  const std::pair<const char*, const char*> cases[] = {
      {"a.b.c", "0"}, {"A.B.C", "0"}, {"z.b.c", "1"},    {"z.x.b.c", "2"}, {"a.z", "3"},
      {"a.b.z", "4"}, {"b.c", "5"},   {"a.b.c:80", "4"}, {"", "5"}};
  for (const auto& [authority, host] : cases) {
    CAPTURE(authority);
    CHECK(HostOf(*table, authority) == host);
  }
  CHECK(Hosts({{"a"}})->FindHost("b") == nullptr);
  CHECK(HostOf(*Hosts({{"a"}}, true), "a:8080") == "0");
  CHECK(HostOf(*Hosts({{"[::1]"}}, true), "[::1]:8080") == "0");
}

SCENARIO("routes match in order by path, method, header and query") {
  auto config = std::make_shared<config::RouteConfiguration>();
  auto& host = config->virtual_hosts.emplace_back();
  host.domains = {"*"};
  auto exact = RouteOf("exact", Kind::kPath, "/one");
  auto regex = RouteOf("regex", Kind::kRegex, "");
  regex.match.regex = std::make_shared<RE2>("/r[0-9]+");
  auto separated = RouteOf("separated", Kind::kSeparatedPrefix, "/sep");
  auto header = RouteOf("header", Kind::kPrefix, "/");
  config::HeaderMatcher canary;
  canary.name = "x-canary";
  canary.kind = config::HeaderMatcher::Kind::kString;
  canary.string.text = "yes";
  header.match.headers = {canary};
  auto post = RouteOf("post", Kind::kPrefix, "/");
  config::HeaderMatcher method;
  method.name = ":method";
  method.kind = config::HeaderMatcher::Kind::kString;
  method.string.text = "POST";
  post.match.headers = {method};
  auto query = RouteOf("query", Kind::kPrefix, "/q");
  query.match.query = {{"v", config::StringMatcher{.text = "2"}}, {"present", std::nullopt}};
  auto folded = RouteOf("folded", Kind::kPrefix, "/case");
  folded.match.case_sensitive = false;
  auto grpc = RouteOf("grpc", Kind::kPrefix, "/");
  grpc.match.grpc_only = true;
  auto connect = RouteOf("connect", Kind::kConnect, "");
  host.routes = {exact, regex,  separated, header,  post,
                 query, folded, grpc,      connect, RouteOf("any", Kind::kPrefix, "/")};
  const auto table = RouteTable::Create(config);
  const auto found = [&](const http::RequestHead& head) -> std::string {
    const auto match = table->Find(head, 0);
    return match.route == nullptr ? "" : match.route->config->name;
  };
  CHECK(found(Request("h", "/one")) == "exact");
  CHECK(found(Request("h", "/one?x=1")) == "exact");
  CHECK(found(Request("h", "/one/")) == "any");
  CHECK(found(Request("h", "/r12")) == "regex");
  CHECK(found(Request("h", "/r12x")) == "any");
  CHECK(found(Request("h", "/sep")) == "separated");
  CHECK(found(Request("h", "/sep/x")) == "separated");
  CHECK(found(Request("h", "/separate")) == "any");
  CHECK(found(Request("h", "/CASE/x")) == "folded");
  CHECK(found(Request("h", "/x", "POST")) == "post");
  CHECK(found(Request("h", "/q?present&v=2")) == "query");
  CHECK(found(Request("h", "/q?v=3&present=")) == "any");
  CHECK(found(Request("h", "", "CONNECT")) == "connect");
  auto with_header = Request("h", "/");
  with_header.headers.Add("x-canary", "yes");
  CHECK(found(with_header) == "header");
  auto with_grpc = Request("h", "/s/m", "GET");
  with_grpc.headers.Add(http::HeaderId::kContentType, "application/grpc+proto");
  CHECK(found(with_grpc) == "grpc");
}

SCENARIO("of a header that stands several times one value has to match; inverted, none may") {
  config::RouteMatch match;
  match.text = "/";
  auto& matcher = match.headers.emplace_back();
  matcher.name = "x-role";
  matcher.kind = config::HeaderMatcher::Kind::kString;
  matcher.string.text = "admin";
  const auto matches = [&](const std::vector<const char*>& values) {
    auto head = Request("h", "/");
    for (const char* value : values) head.headers.Add("x-role", value);
    return RouteMatches(match, head, 0);
  };
  CHECK(matches({"admin"}));
  CHECK(matches({"guest", "admin"}));
  CHECK(matches({"admin", "guest"}));
  CHECK_FALSE(matches({"guest", "other"}));
  CHECK_FALSE(matches({"admin,guest"}));
  CHECK_FALSE(matches({}));
  matcher.invert = true;
  CHECK_FALSE(matches({"guest", "admin"}));
  CHECK(matches({"guest", "other"}));
  CHECK_FALSE(matches({}));  // an absent header matches nothing
  matcher.treat_missing_as_empty = true;
  CHECK(matches({}));
  matcher.invert = matcher.treat_missing_as_empty = false;
  matcher.kind = config::HeaderMatcher::Kind::kRange;
  matcher.range_begin = 10;
  matcher.range_end = 20;
  CHECK(matches({"5", "15"}));
  CHECK_FALSE(matches({"5", "20"}));
}

SCENARIO("a runtime fraction takes its share") {
  config::RouteMatch match;
  match.text = "/";
  match.runtime_fraction = config::Fraction{25, 100};
  const auto head = Request("h", "/");
  int taken = 0;
  for (uint64_t i = 0; i < 1000; ++i) taken += RouteMatches(match, head, i) ? 1 : 0;
  CHECK(taken == 250);
}

SCENARIO("weighted clusters share by their weights") {
  config::RouteAction action;
  for (uint32_t weight : {95u, 0u, 5u}) {
    action.weighted.emplace_back().weight = weight;
    action.total_weight += weight;
  }
  int counts[3] = {};
  for (uint64_t i = 0; i < 1000; ++i) ++counts[ChooseWeighted(action, i)];
  CHECK(counts[0] == 950);
  CHECK(counts[1] == 0);
  CHECK(counts[2] == 50);
}

SCENARIO("TLS can be required of all or only of external requests") {
  auto config = std::make_shared<config::RouteConfiguration>();
  auto& host = config->virtual_hosts.emplace_back();
  host.domains = {"*"};
  host.require_tls = config::VirtualHost::Tls::kExternalOnly;
  const auto table = RouteTable::Create(config);
  auto head = Request("h", "/");
  CHECK(table->Find(head, 0).tls_required);
  head.headers.Set(http::HeaderId::kXEnvoyInternal, "true");
  CHECK_FALSE(table->Find(head, 0).tls_required);
  auto secure = Request("h", "/");
  secure.headers.Set(http::HeaderId::kXForwardedProto, "https");
  CHECK_FALSE(table->Find(secure, 0).tls_required);
}

SCENARIO("header mutations run from the most specific level, or to it") {
  auto config = std::make_shared<config::RouteConfiguration>();
  using Action = config::HeaderOption::Action;
  const auto set = [](const char* value) {
    config::HeaderMutations m;
    m.add = {{.name = "x-level", .value = value, .action = Action::kOverwriteOrAdd}};
    return m;
  };
  config->request = set("table");
  auto& host = config->virtual_hosts.emplace_back();
  host.domains = {"*"};
  host.request = set("host");
  auto& route = host.routes.emplace_back();
  route.match.text = "/";
  route.request = set("route");
  route.request.remove = {"x-gone"};
  route.request.add.push_back(
      {.name = "x-route", .value = "%REQ(:METHOD)%-%%", .action = Action::kAppendOrAdd});
  route.request.add.push_back({.name = "x-there", .value = "new", .action = Action::kAddIfAbsent});
  route.request.add.push_back(
      {.name = "x-missing", .value = "new", .action = Action::kOverwriteIfExists});
  const auto run = [&] {
    const auto table = RouteTable::Create(config);
    auto head = Request("h", "/");
    head.headers.Add("x-gone", "1");
    head.headers.Add("x-there", "old");
    observe::AccessRecord record;
    record.request = &head;
    MutateRequest(*table, table->Find(head, 0), -1, true, record, head);
    CHECK_FALSE(head.headers.Get("x-gone"));
    CHECK(*head.headers.Get("x-route") == "GET-%");
    CHECK(*head.headers.Get("x-there") == "old");
    CHECK_FALSE(head.headers.Get("x-missing"));
    return std::string(*head.headers.Get("x-level"));
  };
  CHECK(run() == "table");
  config->most_specific_header_mutations_wins = true;
  CHECK(run() == "route");
}

SCENARIO("per-route filter configuration: weighted cluster, route, virtual host, table") {
  auto config = std::make_shared<config::RouteConfiguration>();
  const auto value = [](int v) { return std::make_shared<const int>(v); };
  config->filters["f"] = value(1);
  auto& host = config->virtual_hosts.emplace_back();
  host.domains = {"*"};
  auto& route = host.routes.emplace_back();
  route.match.text = "/";
  route.forward.weighted.resize(1);
  const auto look = [&](int weighted) {
    const auto table = RouteTable::Create(config);
    const void* found = table->FilterConfig(table->Find(Request("h", "/"), 0), weighted, "f");
    return found == nullptr ? 0 : *static_cast<const int*>(found);
  };
  CHECK(look(0) == 1);
  host.filters["f"] = value(2);
  CHECK(look(0) == 2);
  route.filters["f"] = value(3);
  CHECK(look(0) == 3);
  route.forward.weighted[0].filters["f"] = value(4);
  CHECK(look(0) == 4);
  CHECK(look(-1) == 3);
}

}  // namespace
}  // namespace heddle::proxy
