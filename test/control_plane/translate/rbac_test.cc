#include "control_plane/translate/rbac.h"

#include <catch2/catch.hpp>

#include "envoy/config/rbac/v3/rbac.pb.h"
#include "envoy/extensions/filters/http/rbac/v3/rbac.pb.h"
#include "envoy/extensions/filters/network/rbac/v3/rbac.pb.h"
#include "test/control_plane/translate/snapshots.h"

namespace heddle::translate {
namespace {

namespace rbac = ::envoy::config::rbac::v3;
using Action = model::AuthorizationPolicy::Action;

// Rules as text: "and(a, or(b, c))".
std::string Text(const ::envoy::type::matcher::v3::StringMatcher& in) {
  if (in.has_exact()) return "=" + in.exact();
  if (in.has_prefix()) return "^" + in.prefix();
  if (in.has_suffix()) return "$" + in.suffix();
  return "~" + in.safe_regex().regex();
}

std::string Text(const ::envoy::config::route::v3::HeaderMatcher& in) {
  return in.name() + (in.has_present_match() ? " present" : Text(in.string_match()));
}

std::string Text(const ::envoy::config::core::v3::CidrRange& in) {
  return in.address_prefix() + "/" + std::to_string(in.prefix_len().value());
}

std::string Text(const rbac::Principal& in);
std::string Text(const rbac::Permission& in);

template <typename List>
std::string Join(const char* name, const List& list) {
  std::string out;
  for (const auto& one : list) out += (out.empty() ? "" : ", ") + Text(one);
  return std::string(name) + "(" + out + ")";
}

std::string Text(const rbac::Principal& in) {
  switch (in.identifier_case()) {
    case rbac::Principal::kAndIds:
      return Join("and", in.and_ids().ids());
    case rbac::Principal::kOrIds:
      return Join("or", in.or_ids().ids());
    case rbac::Principal::kAny:
      return "any";
    case rbac::Principal::kAuthenticated:
      return Text(in.authenticated().principal_name());
    case rbac::Principal::kDirectRemoteIp:
      return Text(in.direct_remote_ip());
    case rbac::Principal::kNotId:
      return "not " + Text(in.not_id());
    default:
      return "?";
  }
}

std::string Text(const rbac::Permission& in) {
  switch (in.rule_case()) {
    case rbac::Permission::kAndRules:
      return Join("and", in.and_rules().rules());
    case rbac::Permission::kOrRules:
      return Join("or", in.or_rules().rules());
    case rbac::Permission::kAny:
      return "any";
    case rbac::Permission::kHeader:
      return Text(in.header());
    case rbac::Permission::kUrlPath:
      return "path" + Text(in.url_path().path());
    case rbac::Permission::kDestinationPort:
      return "port " + std::to_string(in.destination_port());
    case rbac::Permission::kNotRule:
      return "not " + Text(in.not_rule());
    default:
      return "?";
  }
}

std::string Text(const rbac::RBAC& in) {
  std::string out = rbac::RBAC::Action_Name(in.action());
  std::map<std::string, rbac::Policy> sorted(in.policies().begin(), in.policies().end());
  for (const auto& [name, policy] : sorted)
    out += "\n" + name + ": " + Join("to", policy.permissions()) + " " +
           Join("from", policy.principals());
  return out;
}

std::string Document(const std::string& spec, const std::string& name = "p",
                     const std::string& ns = "bookshop") {
  return "---\napiVersion: heddle.dev/v1\nkind: AuthorizationPolicy\nmetadata: {name: " + name +
         ", namespace: " + ns + "}\nspec: " + spec + "\n";
}

// One rule's policy, without its name.
std::string Rule(const std::string& rule, Layer layer = Layer::kHttp,
                 Action action = Action::kAllow) {
  const auto world =
      WorldOf(Document(std::string("{action: ") + (action == Action::kAllow ? "ALLOW" : "DENY") +
                       ", rules: [" + rule + "]}"));
  const Policies policies = PoliciesFor(*world, "bookshop", {});
  const std::string all = Text(RulesOf(world->mesh, policies, action, layer));
  const size_t at = all.find("rule[0]: ");
  return at == std::string::npos ? "never" : all.substr(at + 9);
}

SCENARIO("callers are told by certificate, namespace, account and address") {
  const std::pair<const char*, const char*> cases[] = {
      {"{}", "to(any) from(any)"},
      {"{from: [{principals: [cluster.local/ns/bookshop/sa/web, 'spiffe://other/*']}]}",
       "to(any) from(and(or(=spiffe://cluster.local/ns/bookshop/sa/web, ^spiffe://other/)))"},
      {"{from: [{principals: ['*']}]}", "to(any) from(and(or(^spiffe://)))"},
      {"{from: [{principals: ['*/sa/web']}]}", "to(any) from(and(or($/sa/web)))"},
      {"{from: [{notPrincipals: [a/b]}]}", "to(any) from(and(not or(=spiffe://a/b)))"},
      {"{from: [{namespaces: [bookshop]}]}",
       "to(any) from(and(or(^spiffe://cluster.local/ns/bookshop/sa/)))"},
      {"{from: [{namespaces: ['*']}]}", "to(any) from(and(or(^spiffe://cluster.local/ns/)))"},
      {"{from: [{namespaces: ['prod-*']}]}",
       "to(any) from(and(or(^spiffe://cluster.local/ns/prod-)))"},
      {"{from: [{notNamespaces: ['*-prod']}]}",
       "to(any) from(and(not or(~spiffe\\:\\/\\/cluster\\.local\\/ns\\/[^/]*\\-prod/sa/.*)))"},
      {"{from: [{serviceAccounts: [web, other/x]}]}",
       "to(any) from(and(or(=spiffe://cluster.local/ns/bookshop/sa/web, "
       "=spiffe://cluster.local/ns/other/sa/x)))"},
      {"{from: [{ipBlocks: [10.0.0.0/8], notIpBlocks: ['10.1.0.1']}]}",
       "to(any) from(and(or(10.0.0.0/8), not or(10.1.0.1/32)))"},
      {"{from: [{namespaces: [a], ipBlocks: ['::/0']}, {principals: [b]}]}",
       "to(any) from(and(or(^spiffe://cluster.local/ns/a/sa/), or(::/0)), and(or(=spiffe://b)))"},
  };
  for (const auto& [rule, expect] : cases) {
    CAPTURE(rule);
    REQUIRE(Rule(rule) == expect);
  }
}

SCENARIO("requests are told by port, host, method, path and headers") {
  const std::pair<const char*, const char*> cases[] = {
      {"{to: [{ports: [80, 81], notPorts: [82]}]}",
       "to(and(or(port 80, port 81), not or(port 82))) from(any)"},
      {"{to: [{methods: [GET, 'P*'], notMethods: ['*']}]}",
       "to(and(or(:method=GET, :method^P), not or(:method present))) from(any)"},
      {"{to: [{paths: [/a, '/b/*', '*.png', '*'], notPaths: [/c]}]}",
       "to(and(or(path=/a, path^/b/, path$.png, path^/), not or(path=/c))) from(any)"},
      {"{to: [{hosts: [a.b, '*.c', 'd.*', 'e:80', '*'], notHosts: [f]}]}",
       "to(and(or(:authority~(?i)a\\.b(:[0-9]+)?, :authority~(?i).*\\.c(:[0-9]+)?, "
       ":authority~(?i)d\\..*, "
       ":authority~(?i)e\\:80, :authority present), not or(:authority~(?i)f(:[0-9]+)?))) "
       "from(any)"},
      {"{to: [{headers: [{name: X-A, values: [a, 'b*'], notValues: [bc]}, {name: X-B}]}]}",
       "to(and(or(x-a=a, x-a^b), not or(x-a=bc), x-b present)) from(any)"},
      {"{to: [{methods: [GET]}, {ports: [80]}]}",
       "to(and(or(:method=GET)), and(or(port 80))) from(any)"},
  };
  for (const auto& [rule, expect] : cases) {
    CAPTURE(rule);
    REQUIRE(Rule(rule) == expect);
  }
}

SCENARIO("on TCP, rules about HTTP stop whatever they were meant to stop") {
  const char* const kHttpOnly = "{to: [{methods: [GET]}], from: [{principals: [a]}]}";
  const char* const kMixed = "{to: [{methods: [GET], ports: [80]}, {ports: [81]}]}";
  REQUIRE(Rule(kHttpOnly, Layer::kTcp, Action::kAllow) == "never");
  REQUIRE(Rule(kMixed, Layer::kTcp, Action::kAllow) == "to(and(or(port 81))) from(any)");
  REQUIRE(Rule(kHttpOnly, Layer::kTcp, Action::kDeny) == "to(any) from(and(or(=spiffe://a)))");
  REQUIRE(Rule(kMixed, Layer::kTcp, Action::kDeny) ==
          "to(and(or(port 80)), and(or(port 81))) from(any)");
}

std::string HttpFilters(const std::string& more, const std::string& workload,
                        const std::string& listener) {
  const auto in = Get<Listener>(*SnapshotOf(more, workload), ResourceType::kListener, listener);
  std::string out;
  for (const auto& chain : in.filter_chains()) {
    const HttpConnectionManager manager = ManagerOf(chain);
    for (const auto& filter : manager.http_filters()) {
      ::envoy::extensions::filters::http::rbac::v3::RBAC config;
      if (filter.typed_config().UnpackTo(&config)) {
        REQUIRE(config.has_rules());
        out += Text(config.rules()) + "\n";
      } else {
        out += filter.name().substr(19) + "\n";
      }
    }
  }
  return out;
}

const std::string kStrict =
    "apiVersion: heddle.dev/v1\nkind: WorkloadPolicy\nmetadata: {name: s, namespace: bookshop}\n"
    "spec: {mtls: {mode: STRICT}}\n";

SCENARIO("DENY stands before ALLOW, both before the router, and other workloads have neither") {
  const std::string more =
      kStrict +
      Document(
          "{action: ALLOW, selector: {matchLabels: {app: stock}}, rules: [{from: "
          "[{serviceAccounts: [catalog]}]}]}",
          "allow") +
      Document(
          "{action: DENY, selector: {matchLabels: {app: stock}}, rules: [{from: [{serviceAccounts: "
          "[web]}]}]}",
          "deny");
  REQUIRE(HttpFilters(more, "stock-a", "inbound_9090") ==
          "DENY\nns[bookshop]-policy[deny]-rule[0]: to(any) "
          "from(and(or(=spiffe://cluster.local/ns/bookshop/sa/web)))\n"
          "ALLOW\nns[bookshop]-policy[allow]-rule[0]: to(any) "
          "from(and(or(=spiffe://cluster.local/ns/bookshop/sa/catalog)))\nrouter\n");
  REQUIRE(HttpFilters(more, "web-a", "inbound_9000") == "router\n");
}

SCENARIO("an ALLOW policy without rules refuses everything") {
  REQUIRE(HttpFilters(kStrict + Document("{}"), "web-a", "inbound_9000") == "ALLOW\nrouter\n");
}

SCENARIO("a policy of the root namespace holds in every namespace") {
  const std::string deny = "{action: DENY, rules: [{}]}";
  REQUIRE(HttpFilters(kStrict + Document(deny, "p", "heddle-system"), "web-a", "inbound_9000") ==
          "DENY\nns[heddle-system]-policy[p]-rule[0]: to(any) from(any)\nrouter\n");
  REQUIRE(HttpFilters(kStrict + Document(deny, "p", "other"), "web-a", "inbound_9000") ==
          "router\n");
}

SCENARIO("in permissive mode both ways in are guarded") {
  REQUIRE(HttpFilters(Document("{}"), "web-a", "inbound_9000") == "ALLOW\nrouter\nALLOW\nrouter\n");
}

SCENARIO("a TCP port is guarded before its bytes go on") {
  const auto in = Get<Listener>(
      *SnapshotOf(kStrict + Document("{rules: [{from: [{serviceAccounts: [catalog]}]}]}"),
                  "redis-a"),
      ResourceType::kListener, "inbound_6379");
  const auto& filters = in.filter_chains(0).filters();
  REQUIRE(filters.size() == 2);
  REQUIRE(filters[1].name() == "envoy.filters.network.tcp_proxy");
  ::envoy::extensions::filters::network::rbac::v3::RBAC config;
  REQUIRE(filters[0].typed_config().UnpackTo(&config));
  REQUIRE(Text(config.rules()) ==
          "ALLOW\nns[bookshop]-policy[p]-rule[0]: to(any) "
          "from(and(or(=spiffe://cluster.local/ns/bookshop/sa/catalog)))");
  REQUIRE_FALSE(config.stat_prefix().empty());
}

SCENARIO("rules about paths see through doubled slashes") {
  const auto manager = [](const std::string& more) {
    return ManagerOf(
        Get<Listener>(*SnapshotOf(kStrict + more, "web-a"), ResourceType::kListener, "inbound_9000")
            .filter_chains(0));
  };
  REQUIRE(manager(Document("{}")).merge_slashes());
  REQUIRE_FALSE(manager("").merge_slashes());
}

}  // namespace
}  // namespace heddle::translate
