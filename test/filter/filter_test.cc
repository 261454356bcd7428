// The filters, called: RBAC's engine and decoding, faults.
#include "source/filter/filter.h"

#include <catch2/catch.hpp>

#include "google/protobuf/any.pb.h"
#include "source/base/path.h"
#include "source/decode/context.h"
#include "source/filter/catalogue/catalogue.h"
#include "source/filter/network_policy.h"
#include "source/yaml/yaml.h"

namespace heddle::filter {
namespace {

// Ten lines of stream.
class Stream final : public StreamContext {
 public:
  event::Loop& loop() override { return loop_; }
  base::Random& random() override { return random_; }
  observe::AccessRecord& record() override { return record_; }
  const config::Route* route() override { return nullptr; }
  void ClearRoute() override {}
  const void* RouteConfig(absl::string_view) override { return per_route; }
  void Resume(std::unique_ptr<Reply> reply) override {
    resumed = true;
    resume_reply = std::move(reply);
  }
  const void* per_route = nullptr;
  bool resumed = false;
  std::unique_ptr<Reply> resume_reply;

 private:
  event::Loop loop_;
  base::Random random_{1};
  observe::AccessRecord record_;
};

google::protobuf::Any AnyOf(const std::string& yaml) {
  google::protobuf::Any any;
  const absl::Status status = yaml::Decode(yaml, &any, {.file = "test"});
  INFO(status.message());
  REQUIRE(status.ok());
  return any;
}

absl::StatusOr<config::HttpFilterSpec> DecodeHttp(const std::string& yaml) {
  const google::protobuf::Any any = AnyOf(yaml);
  decode::Context context(AllFilters());
  for (const decode::HttpFilterEntry& entry : AllFilters().http) {
    if (any.type_url() != absl::StrCat("type.googleapis.com/", entry.message)) continue;
    config::HttpFilterSpec spec;
    spec.name = "f";
    const absl::Status status = entry.decode(any, base::Path("config"), context, &spec);
    if (!status.ok()) return status;
    return spec;
  }
  return absl::NotFoundError("no such filter");
}

std::string Rbac(const std::string& rules) {
  return "{\"@type\": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC, rules: " +
         rules + "}";
}

struct Case {
  const char* what;
  const char* permission;
  const char* principal;
  bool allowed;
};

TEST_CASE("RBAC conditions") {
  const Case cases[] = {
      {"any", "{any: true}", "{any: true}", true},
      {"path", "{url_path: {path: {prefix: /books}}}", "{any: true}", true},
      {"path without its query", "{url_path: {path: {exact: /books/1}}}", "{any: true}", true},
      {"another path", "{url_path: {path: {prefix: /admin}}}", "{any: true}", false},
      {"method header", "{header: {name: ':method', string_match: {exact: GET}}}", "{any: true}",
       true},
      {"not", "{not_rule: {any: true}}", "{any: true}", false},
      {"and", "{and_rules: {rules: [{any: true}, {not_rule: {any: true}}]}}", "{any: true}", false},
      {"or", "{or_rules: {rules: [{not_rule: {any: true}}, {any: true}]}}", "{any: true}", true},
      {"port", "{destination_port: 9080}", "{any: true}", true},
      {"another port", "{destination_port: 9081}", "{any: true}", false},
      {"port range", "{destination_port_range: {start: 9000, end: 9081}}", "{any: true}", true},
      {"port range is half open", "{destination_port_range: {start: 9000, end: 9080}}",
       "{any: true}", false},
      {"destination", "{destination_ip: {address_prefix: 127.0.1.0, prefix_len: 24}}",
       "{any: true}", true},
      {"identity", "{any: true}",
       "{authenticated: {principal_name: {exact: 'spiffe://td/ns/a/sa/b'}}}", true},
      {"another identity", "{any: true}",
       "{authenticated: {principal_name: {exact: 'spiffe://td/ns/a/sa/c'}}}", false},
      {"any identity", "{any: true}", "{authenticated: {}}", true},
      {"source", "{any: true}", "{direct_remote_ip: {address_prefix: 127.0.1.7, prefix_len: 32}}",
       true},
      {"another source", "{any: true}", "{remote_ip: {address_prefix: 10.0.0.0, prefix_len: 8}}",
       false},
      {"server name", "{requested_server_name: {suffix: .mesh}}", "{any: true}", true},
  };
  for (const Case& row : cases) {
    INFO(row.what);
    for (const char* action : {"ALLOW", "DENY"}) {
      auto spec =
          DecodeHttp(Rbac(absl::StrCat("{action: ", action, ", policies: {\"p 1\": {permissions: [",
                                       row.permission, "], principals: [", row.principal, "]}}}")));
      INFO(spec.status().message());
      REQUIRE(spec.ok());
      Stream stream;
      net::PeerInfo peer;
      peer.tls = peer.certificate_verified = true;
      peer.uri_sans = {"spiffe://td/ns/a/sa/b"};
      peer.sni = "reviews.mesh";
      stream.record().downstream_tls = &peer;
      stream.record().downstream_local = *net::Address::Parse("127.0.1.2:9080");
      stream.record().downstream_remote = stream.record().downstream_direct_remote =
          *net::Address::Parse("127.0.1.7:40000");
      http::RequestHead head;
      head.SetMethod("GET");
      head.SetPath("/books/1?x=/admin");
      Verdict verdict = spec->make()->OnRequestHead(head, stream);
      const bool allowed = row.allowed == (std::string(action) == "ALLOW");
      CHECK((verdict.kind() == Verdict::Kind::kNext) == allowed);
      if (!allowed) {
        CHECK(verdict.reply().status == 403);
        CHECK(verdict.reply().body == "RBAC: access denied");
        CHECK(verdict.reply().details == (std::string(action) == "DENY"
                                              ? "rbac_access_denied_matched_policy[p_1]"
                                              : "rbac_access_denied_matched_policy[none]"));
      }
    }
  }
}

TEST_CASE("an unauthenticated peer has no identity") {
  auto spec = DecodeHttp(
      Rbac("{policies: {p: {permissions: [{any: true}], principals: [{authenticated: {}}]}}}"));
  REQUIRE(spec.ok());
  Stream stream;
  net::PeerInfo peer;
  peer.tls = true;  // TLS, but no certificate was verified
  peer.uri_sans = {"spiffe://td/ns/a/sa/b"};
  stream.record().downstream_tls = &peer;
  http::RequestHead head;
  CHECK(spec->make()->OnRequestHead(head, stream).kind() == Verdict::Kind::kAnswer);
}

TEST_CASE("RBAC that cannot be understood is refused with its place") {
  const std::pair<const char*, const char*> rows[] = {
      {"{policies: {p: {permissions: [], principals: [{any: true}]}}}",
       "config.rules.policies[\"p\"].permissions: must hold at least one"},
      {"{policies: {p: {permissions: [{any: false}], principals: [{any: true}]}}}",
       "config.rules.policies[\"p\"].permissions[0].any: found false, allowed true"},
      {"{policies: {p: {permissions: [{}], principals: [{any: true}]}}}",
       "config.rules.policies[\"p\"].permissions[0]: no rule, or one that is not supported"},
      {"{policies: {p: {permissions: [{destination_port: 70000}], principals: [{any: true}]}}}",
       "config.rules.policies[\"p\"].permissions[0].destination_port: found [70000, 70001), "
       "allowed a non-empty range "
       "within [0, 65536)"},
  };
  for (const auto& [rules, want] : rows) {
    INFO(rules);
    CHECK(DecodeHttp(Rbac(rules)).status().message() == want);
  }
}

TEST_CASE("shadow rules are noted and do not refuse") {
  auto spec = DecodeHttp(
      "{\"@type\": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC, shadow_rules: "
      "{action: DENY, "
      "policies: {p: {permissions: [{any: true}], principals: [{any: true}]}}}}");
  REQUIRE(spec.ok());
  Stream stream;
  http::RequestHead head;
  CHECK(spec->make()->OnRequestHead(head, stream).kind() == Verdict::Kind::kNext);
  CHECK(stream.record().metadata["envoy.filters.http.rbac"]["shadow_engine_result"] == "denied");
}

TEST_CASE("network RBAC decides on connections, where conditions on HTTP never match") {
  const google::protobuf::Any any = AnyOf(
      "{\"@type\": type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC, stat_prefix: "
      "x, rules: {action: "
      "ALLOW, policies: {p: {permissions: [{any: true}], principals: [{authenticated: "
      "{principal_name: {prefix: "
      "'spiffe://td/'}}}]}}}}");
  decode::Context context(AllFilters());
  auto decoded = AllFilters().network[0].decode(any, base::Path("config"), context);
  REQUIRE(decoded.ok());
  const auto policy = std::static_pointer_cast<const NetworkPolicy>(decoded->policy);
  net::PeerInfo peer;
  peer.tls = peer.certificate_verified = true;
  peer.uri_sans = {"spiffe://td/ns/a/sa/b"};
  const net::Address address = *net::Address::Parse("127.0.0.1:1");
  CHECK(
      policy->Decide({.remote = address, .direct_remote = address, .local = address, .peer = peer})
          .allow);
  peer.uri_sans = {"spiffe://other/ns/a/sa/b"};
  const auto refused =
      policy->Decide({.remote = address, .direct_remote = address, .local = address, .peer = peer});
  CHECK_FALSE(refused.allow);
  CHECK(refused.details == "rbac_access_denied_matched_policy[none]");
}

std::string Fault(const std::string& fields) {
  return "{\"@type\": type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault, " +
         fields + "}";
}

TEST_CASE("a fault aborts the share that it was told to") {
  auto spec = DecodeHttp(Fault("abort: {http_status: 418, percentage: {numerator: 30}}"));
  REQUIRE(spec.ok());
  int aborted = 0;
  Stream stream;
  for (int i = 0; i < 2000; ++i) {
    http::RequestHead head;
    Verdict verdict = spec->make()->OnRequestHead(head, stream);
    if (verdict.kind() != Verdict::Kind::kAnswer) continue;
    ++aborted;
    CHECK(verdict.reply().status == 418);
    CHECK(verdict.reply().details == "fault_filter_abort");
    CHECK(verdict.reply().flags == static_cast<uint32_t>(observe::Flag::kFaultInjected));
  }
  CHECK(aborted > 500);
  CHECK(aborted < 700);
}

TEST_CASE("faults by header, and never more than the limit at one time") {
  auto spec = DecodeHttp(
      Fault("abort: {header_abort: {}, percentage: {numerator: 100}}, max_active_faults: 1"));
  REQUIRE(spec.ok());
  Stream stream;
  http::RequestHead head;
  head.headers.Add("x-envoy-fault-abort-request", "503");
  const auto first = spec->make();
  CHECK(first->OnRequestHead(head, stream).kind() == Verdict::Kind::kAnswer);
  CHECK(spec->make()->OnRequestHead(head, stream).kind() == Verdict::Kind::kNext);
  first->OnDone(stream.record());
  CHECK(spec->make()->OnRequestHead(head, stream).kind() == Verdict::Kind::kAnswer);
  http::RequestHead without;
  CHECK(spec->make()->OnRequestHead(without, stream).kind() == Verdict::Kind::kNext);
}

TEST_CASE("wrong faults are refused with their place") {
  const std::pair<const char*, const char*> rows[] = {
      {"abort: {http_status: 99}", "config.abort.http_status: found 99, allowed 200 to 599"},
      {"abort: {grpc_status: 17}", "config.abort.grpc_status: found 17, allowed 0 to 16"},
      {"abort: {}", "config.abort: one of http_status, grpc_status, header_abort is required"},
      {"delay: {fixed_delay: 0s}", "config.delay.fixed_delay: must be more than 0s"},
  };
  for (const auto& [fields, want] : rows) {
    INFO(fields);
    CHECK(DecodeHttp(Fault(fields)).status().message() == want);
  }
}

}  // namespace
}  // namespace heddle::filter
