// YAML and JSON into messages: what is taken, and the one line that each mistake gives.
#include "source/yaml/yaml.h"

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/wrappers.pb.h>

#include <catch2/catch.hpp>

#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/core/v3/http_uri.pb.h"
#include "envoy/config/rbac/v3/rbac.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/http/rbac/v3/rbac.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "envoy/type/v3/range.pb.h"
#include "source/yaml/unknown.h"

namespace {

using heddle::yaml::Decode;
using heddle::yaml::Options;
using heddle::yaml::Parse;
using heddle::yaml::ToJson;
namespace core = envoy::config::core::v3;

template <typename M>
std::string Read(const std::string& text, Options options = {.file = "f"}) {
  M message;
  const absl::Status status = Decode(text, &message, options);
  return status.ok() ? ToJson(message) : std::string(status.message());
}

TEST_CASE("each kind of value is read as proto3 JSON says") {
  CHECK(Read<core::SocketAddress>("{address: 127.0.0.1, port_value: 80}") ==
        R"({"address":"127.0.0.1","port_value":80})");
  CHECK(Read<core::SocketAddress>("address: ::1\nportValue: \"80\"\nprotocol: UDP\n") ==
        R"({"protocol":"UDP","address":"::1","port_value":80})");
  CHECK(Read<core::SocketAddress>("protocol: 1") == R"({"protocol":"UDP"})");
  CHECK(Read<core::SocketAddress>("port_value: 8e1") == R"({"port_value":80})");
  CHECK(Read<core::SocketAddress>("address: null\nport_value: ~\n") == "{}");
  CHECK(Read<envoy::type::v3::Int64Range>(
            "start: -9223372036854775808\nend: \"9223372036854775807\"") ==
        R"({"start":"-9223372036854775808","end":"9223372036854775807"})");
  CHECK(Read<envoy::type::v3::Percent>("value: 12.5") == R"({"value":12.5})");
  CHECK(Read<envoy::type::v3::Percent>("value: 0.1") == R"({"value":0.1})");
  CHECK(Read<core::DataSource>("inline_bytes: aGVk_w==") == R"({"inline_bytes":"aGVk/w=="})");
  CHECK(Read<core::DataSource>("inline_string: |\n  a\n  b\n") == R"({"inline_string":"a\nb\n"})");
  CHECK(Read<core::HeaderValueOption>("append: false") == R"({"append":false})");
  CHECK(Read<core::HttpUri>("timeout: 1.500s") == R"({"timeout":"1.500s"})");
  CHECK(Read<google::protobuf::Duration>("-0.000000001s") == R"("-0.000000001s")");
  CHECK(Read<google::protobuf::Timestamp>("\"2026-01-31T12:00:00.5+01:00\"") ==
        R"("2026-01-31T11:00:00.500Z")");
  CHECK(Read<google::protobuf::UInt32Value>("7") == "7");
  CHECK(Read<core::Node>("metadata: {a: 1, b: [true, null, 'x'], c: {d: 1.5}}") ==
        R"({"metadata":{"a":1,"b":[true,null,"x"],"c":{"d":1.5}}})");
  CHECK(Read<envoy::service::discovery::v3::DeltaDiscoveryRequest>(
            "initial_resource_versions: {b: '1', a: '2'}") ==
        R"({"initial_resource_versions":{"a":"2","b":"1"}})");
  CHECK(
      Read<core::TransportSocket>(
          "name: x\ntyped_config:\n  \"@type\": "
          "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret\n  name: n\n") ==
      R"({"name":"x","typed_config":{"@type":"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",)"
      R"("name":"n"}})");
  CHECK(
      Read<core::TransportSocket>(
          R"({"typed_config": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1s"}})") ==
      R"({"typed_config":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1s"}})");
}

TEST_CASE("JSON is read with its escapes") {
  CHECK(Read<core::DataSource>(R"({"inline_string": "\u00e9\ud83d\ude00\/\n"})") ==
        "{\"inline_string\":\"\xc3\xa9\xf0\x9f\x98\x80/\\n\"}");
  CHECK(Read<core::DataSource>("\n\t{\"inlineString\":\t\"x\"}\n") == R"({"inline_string":"x"})");
}

TEST_CASE("a mistake is one line with its place") {
  struct Case {
    std::string text, message;
  };
  const Case cases[] = {
      {"address: x\nport_valeu: 1",
       R"(f:2: port_valeu: unknown field; did you mean "port_value"?)"},
      {"zzz: 1", "f:1: zzz: unknown field; allowed: protocol, address, portValue"},
      {"port_value: http", R"(f:1: port_value: found http, allowed 0 to 4294967295)"},
      {"port_value: 4294967296", "f:1: port_value: found 4294967296, allowed 0 to 4294967295"},
      {"port_value: -1", "f:1: port_value: found -1, allowed 0 to 4294967295"},
      {"port_value: 1.5", "f:1: port_value: found 1.5, allowed 0 to 4294967295"},
      {"port_value: 0x10", "f:1: port_value: found 0x10, allowed 0 to 4294967295"},
      {"port_value: [1]", "f:1: port_value: found a list of 1, allowed 0 to 4294967295"},
      {"port_value: {a: 1}", "f:1: port_value: found a map, allowed 0 to 4294967295"},
      {"address: 12", R"(f:1: address: found 12, allowed a string; write "12" with quotes)"},
      {"address: true", R"(f:1: address: found true, allowed a string; write "true" with quotes)"},
      {"address: [a]", "f:1: address: found a list of 1, allowed a string"},
      {"protocol: tcp", "f:1: protocol: found tcp, allowed TCP, UDP; did you mean TCP?"},
      {"protocol: 9", "f:1: protocol: found 9, allowed TCP, UDP"},
      {"address: a\naddress: b", R"(f:2: not YAML: duplicate key "address")"},
      {"port_value: 1\nportValue: 1", "f:2: portValue: given twice, under both of its names"},
      {"[1, 2]", "f:1: found a list of 2, allowed a map"},
      {"x", "f:1: found x, allowed a map"},
      {"", "f:1: found 0 documents, allowed 1"},
      {"a: 1\n---\nb: 2\n", "f:3: found 2 documents, allowed 1"},
      {"address: \"\xff\"", "f:1: address: is not UTF-8"},
      {"? [a]\n: b", "f:1: not YAML: a key must be text"},
      {"address: !!binary x", "f:1: not YAML: tags are not supported"},
      {"address: 'x", "f:1: not YAML: "},
      {"{\"address\": \"\\ud800\"}", "f:1: not JSON: half of a surrogate pair in a string"},
      {"{\"address\": \"a\", \"address\": \"b\"}", "f:1: not JSON: duplicate key \"address\""},
  };
  CHECK(Read<core::HeaderValueOption>("keep_empty_value: yes") ==
        "f:1: keep_empty_value: found yes, allowed true or false");
  CHECK(Read<core::HeaderValueOption>("keep_empty_value: \"true\"") ==
        "f:1: keep_empty_value: found \"true\", allowed true or false");
  for (const Case& c : cases) {
    INFO(c.text);
    const std::string found = Read<core::SocketAddress>(c.text);
    CHECK(found.substr(0, c.message.size()) == c.message);
    CHECK(found.find('\n') == std::string::npos);
  }
}

TEST_CASE("mistakes deep inside name their path") {
  CHECK(Read<envoy::config::bootstrap::v3::Bootstrap>(
            "static_resources:\n  listeners:\n  - name: a\n  - name: b\n"
            "    address: {socket_address: {port_value: x}}\n") ==
        "f:5: static_resources.listeners[1].address.socket_address.port_value: found x, allowed 0 "
        "to 4294967295");
  CHECK(Read<core::Metadata>("filter_metadata: {a.b: 1}") ==
        "f:1: filter_metadata[\"a.b\"]: found 1, allowed a map");
  CHECK(Read<envoy::config::route::v3::RouteConfiguration>("virtual_hosts: {a: b}") ==
        "f:1: virtual_hosts: found a map, allowed a list");
  CHECK(
      Read<envoy::config::route::v3::RouteConfiguration>("virtual_hosts:\n- domains: [a, null]") ==
      "f:2: virtual_hosts[0].domains[1]: must not be null");
  CHECK(Read<envoy::config::route::v3::RouteMatch>("prefix: /\npath: /a") ==
        "f:2: path: only one of prefix and path is allowed");
  CHECK(Read<core::HttpUri>("timeout: 5") ==
        "f:1: timeout: found 5, allowed seconds such as \"1.5s\"");
  CHECK(Read<core::HttpUri>("timeout: 5ms") ==
        "f:1: timeout: found 5ms, allowed seconds such as \"1.5s\"");
  CHECK(Read<core::HttpUri>("timeout: 1.0000000001s") ==
        "f:1: timeout: found 1.0000000001s, allowed seconds such as \"1.5s\"");
  CHECK(Read<core::HttpUri>("timeout: 315576000001s") ==
        "f:1: timeout: found 315576000001s, allowed seconds such as \"1.5s\"");
  CHECK(Read<google::protobuf::Timestamp>("yesterday") ==
        "f:1: found yesterday, allowed a time such as \"2026-01-31T12:00:00Z\"");
  CHECK(Read<core::DataSource>("inline_bytes: '*'") ==
        "f:1: inline_bytes: found \"*\", allowed base64");
  CHECK(Read<envoy::type::v3::Percent>("value: half") ==
        "f:1: value: found half, allowed a number");
  CHECK(Read<core::TransportSocket>("typed_config: {a: b}") ==
        "f:1: typed_config: \"@type\" is required");
  CHECK(Read<core::TransportSocket>("typed_config: {\"@type\": x/y.Z}") ==
        "f:1: typed_config.@type: unknown type \"x/y.Z\"");
  CHECK(Read<core::TransportSocket>(
            "typed_config: {\"@type\": type.googleapis.com/google.protobuf.Duration, v: 1s}") ==
        "f:1: typed_config.v: unknown field; allowed: value");
}

TEST_CASE(
    "an unknown field is a warning where nothing is guarded, and an error where something is") {
  std::vector<std::string> warnings;
  Options options{
      .file = "f", .unknown_fields = heddle::yaml::UnknownFields::kWarn, .warnings = &warnings};
  CHECK(Read<envoy::config::bootstrap::v3::Bootstrap>("node: {id: a}\noverload_manager: {}\n",
                                                      options) == R"({"node":{"id":"a"}})");
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0].substr(0, 36) == "f:2: overload_manager: unknown field");

  warnings.clear();
  CHECK(Read<core::TransportSocket>("typed_config: {\"@type\": x/y.Z, a: b}", options) ==
        R"({"typed_config":{"@type":"x/y.Z","value":""}})");
  CHECK(warnings.size() == 1);

  CHECK(Read<envoy::extensions::filters::http::rbac::v3::RBAC>("rules: {polices: {}}", options) ==
        R"(f:1: rules.polices: unknown field; did you mean "policies"?)");
  // Guarded by what it is in, though a header matcher alone guards nothing.
  CHECK(Read<envoy::config::rbac::v3::Permission>("header: {name: a, exact: b}", options)
            .substr(0, 31) == "f:1: header.exact: unknown fiel");
  CHECK(Read<core::TransportSocket>(
            "typed_config: {\"@type\": t/envoy.extensions.transport_sockets.tls.v3.Secret, nam: a}",
            options) == "f:1: typed_config.nam: unknown field; did you mean \"name\"?");
}

TEST_CASE("messages that came as bytes follow the same rule") {
  heddle::base::Path root("reviews");
  std::vector<std::string> warnings;
  envoy::config::route::v3::RouteConfiguration routes;
  auto* host = routes.add_virtual_hosts();
  host->GetReflection()->MutableUnknownFields(host)->AddVarint(900, 1);
  CHECK(heddle::yaml::CheckUnknownFields(routes, root, &warnings).ok());
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0] ==
        "reviews.virtual_hosts[0]: unknown field number 900 in envoy.config.route.v3.VirtualHost");

  envoy::config::rbac::v3::RBAC rbac;
  auto* header = (*rbac.mutable_policies())["p"].add_permissions()->mutable_header();
  header->GetReflection()->MutableUnknownFields(header)->AddVarint(900, 1);
  const absl::Status status = heddle::yaml::CheckUnknownFields(rbac, root, &warnings);
  CHECK(status.message() ==
        "reviews.policies[0].value.permissions[0].header: unknown field number 900 in "
        "envoy.config.route.v3."
        "HeaderMatcher");
}

TEST_CASE("aliases are counted as often as they are used") {
  std::string bomb = "a0: &a0 {x: y}\n";
  for (int i = 1; i < 30; ++i) {
    const std::string last = std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [*a" + last + ", *a" + last +
            "]\n";
  }
  CHECK(Read<google::protobuf::Struct>(bomb).find("too many values when aliases are expanded") !=
        std::string::npos);
  CHECK(Read<google::protobuf::Struct>("a: &x [*x]").find("alias") != std::string::npos);
  CHECK(Read<google::protobuf::Struct>("a: &x {b: 1}\nc: *x") == R"({"a":{"b":1},"c":{"b":1}})");
}

TEST_CASE("depth and size are bounded") {
  const std::string deep(5000, '[');
  CHECK(Read<google::protobuf::Value>(deep).find("deep") != std::string::npos);
  std::string json;
  for (int i = 0; i < 5000; ++i) json += "{\"a\":";
  CHECK(Read<google::protobuf::Struct>(json).find("nested more than 100 deep") !=
        std::string::npos);
  CHECK(Read<google::protobuf::Struct>("a: bcd", {.file = "f", .max_bytes = 3}) ==
        "f:1: found 6 bytes, allowed 3");
  CHECK(Read<google::protobuf::Struct>("{\"a\": [1, 2, 3]}", {.file = "f", .max_nodes = 3}) ==
        "f:1: not JSON: too many values in one file");
}

TEST_CASE("several documents are told apart by kind and keep their lines") {
  const Options options{.file = "f"};
  auto documents =
      Parse("# first\nkind: A\nmetadata: {name: x}\n---\n---\nkind: B\nspec:\n  rules:\n  - a: 1\n",
            options);
  REQUIRE(documents.ok());
  REQUIRE(documents->size() == 2);
  CHECK((*documents)[0].Text("kind") == "A");
  CHECK((*documents)[0].TextAt("metadata.name") == "x");
  CHECK((*documents)[1].line() == 6);
  CHECK((*documents)[1].Line("spec.rules[0].a") == 9);
  CHECK((*documents)[1].Line("spec.rules[0].b") == 9);
  CHECK((*documents)[1].Line("spec.nothing") == 7);
  CHECK((*documents)[1].Text("spec").empty());
}

TEST_CASE("secrets are not printed") {
  envoy::extensions::transport_sockets::tls::v3::Secret secret;
  secret.mutable_tls_certificate()->mutable_private_key()->set_inline_string("KEY");
  secret.mutable_tls_certificate()->mutable_certificate_chain()->set_inline_string("CERT");
  CHECK(
      ToJson(secret) ==
      R"({"tls_certificate":{"certificate_chain":{"inline_string":"CERT"},"private_key":"[redacted]"}})");
  core::HeaderValue header;
  header.set_key("Authorization");
  header.set_value("Bearer x");
  CHECK(ToJson(header) == R"({"key":"Authorization","value":"[redacted]"})");
  CHECK(ToJson(header, {.pretty = true, .redact = false}) ==
        "{\n \"key\": \"Authorization\",\n \"value\": \"Bearer x\"\n}");
}

}  // namespace
