#include "source/proxy/conn_manager.h"

#include <catch2/catch.hpp>

namespace heddle::proxy {
namespace {

using config::ClientCert;
using config::HttpConnectionManager;
using http::HeaderId;

const net::PeerInfo kPlain;

net::PeerInfo Mutual() {
  net::PeerInfo peer;
  peer.tls = peer.certificate_verified = true;
  peer.certificate_sha256 = "ab12";
  peer.subject = "CN=web";
  peer.uri_sans = {"spiffe://td/ns/shop/sa/web"};
  peer.dns_sans = {"web.shop"};
  peer.local_uri_sans = {"spiffe://td/ns/shop/sa/reviews"};
  return peer;
}

struct Result {
  http::RequestHead head;
  observe::AccessRecord record;
  std::unique_ptr<filter::Reply> reply;
  std::string Field(absl::string_view name) const {
    return std::string(head.headers.Get(name).value_or("-"));
  }
};

Result Prepare(const HttpConnectionManager& config,
               std::vector<std::pair<const char*, const char*>> fields = {},
               const char* remote = "10.0.0.9", const net::PeerInfo& peer = kPlain,
               absl::string_view path = "/") {
  Result r;
  r.head.method = "GET";
  r.head.SetPath(path);
  r.head.SetAuthority("shop:8080");
  for (const auto& [name, value] : fields) r.head.headers.Add(name, value);
  const net::Address from = *net::Address::FromIp(remote, 4000);
  r.record.downstream_remote = from;
  r.record.downstream_local = *net::Address::FromIp("10.0.0.1", 8080);
  base::Random random(3);
  r.reply = PrepareRequest(config, ClientFacts(config, from, peer), random, r.head, r.record);
  return r;
}

SCENARIO("every request has an id, a protocol and no hop-by-hop fields") {
  const auto r = Prepare({}, {{"connection", "close"},
                              {"keep-alive", "1"},
                              {"proxy-connection", "x"},
                              {"upgrade", "h2c"},
                              {"x-kept", "1"}});
  CHECK(r.reply == nullptr);
  CHECK(r.Field("x-request-id").size() == 36);
  CHECK(r.Field("x-forwarded-proto") == "http");
  CHECK(r.Field("x-kept") == "1");
  for (const char* gone : {"connection", "keep-alive", "proxy-connection", "upgrade"})
    CHECK(r.Field(gone) == "-");
  CHECK(r.head.scheme == "http");
}

SCENARIO("an id that came is kept inside and replaced at the edge") {
  HttpConnectionManager config;
  CHECK(Prepare(config, {{"x-request-id", "mine"}}).Field("x-request-id") == "mine");
  config.use_remote_address = true;
  CHECK(Prepare(config, {{"x-request-id", "mine"}}, "8.8.8.8").Field("x-request-id") != "mine");
  config.internal.ranges = {*net::Cidr::Parse("10.0.0.0/8")};
  CHECK(Prepare(config, {{"x-request-id", "mine"}}, "10.0.0.9").Field("x-request-id") == "mine");
  config.preserve_external_request_id = true;
  CHECK(Prepare(config, {{"x-request-id", "mine"}}, "8.8.8.8").Field("x-request-id") == "mine");
  config.generate_request_id = false;
  CHECK(Prepare(config).Field("x-request-id") == "-");
}

SCENARIO("x-forwarded-for at the edge: the peer is appended and trusted") {
  HttpConnectionManager config;
  config.use_remote_address = true;
  auto r =
      Prepare(config, {{"x-forwarded-for", "1.2.3.4"}, {"x-forwarded-proto", "https"}}, "8.8.8.8");
  CHECK(r.Field("x-forwarded-for") == "1.2.3.4,8.8.8.8");
  CHECK(r.Field("x-forwarded-proto") == "http");
  CHECK(r.record.downstream_remote.ip() == "8.8.8.8");
  CHECK(r.Field("x-envoy-external-address") == "8.8.8.8");
  config.xff_num_trusted_hops = 1;
  r = Prepare(config, {{"x-forwarded-for", "1.2.3.4"}, {"x-forwarded-proto", "https"}}, "8.8.8.8");
  CHECK(r.record.downstream_remote.ip() == "1.2.3.4");
  CHECK(r.Field("x-forwarded-proto") == "https");
  config.skip_xff_append = true;
  CHECK(Prepare(config, {}, "8.8.8.8").Field("x-forwarded-for") == "-");
}

SCENARIO("x-forwarded-for inside: the last entry is the client") {
  const auto r =
      Prepare({}, {{"x-forwarded-for", "1.2.3.4, 5.6.7.8"}, {"x-forwarded-proto", "https"}});
  CHECK(r.Field("x-forwarded-for") == "1.2.3.4, 5.6.7.8");
  CHECK(r.Field("x-forwarded-proto") == "https");
  CHECK(r.record.downstream_remote.ip() == "5.6.7.8");
  CHECK(Prepare({}, {{"x-forwarded-for", "nonsense"}}).record.downstream_remote.ip() == "10.0.0.9");
}

SCENARIO("nobody is inside unless listed") {
  config::InternalAddresses internal;
  const auto inside = [&](const char* ip) {
    return InternalAddress(internal, *net::Address::FromIp(ip, 1));
  };
  for (const char* ip : {"127.0.0.1", "10.0.0.9", "192.168.0.1", "::1", "fd00::1", "8.8.8.8"})
    CHECK_FALSE(inside(ip));
  const net::Address socket = *net::Address::FromPath("/tmp/heddle");
  CHECK_FALSE(InternalAddress(internal, socket));
  internal.unix_sockets = true;
  CHECK(InternalAddress(internal, socket));
  internal.ranges = {*net::Cidr::Parse("10.0.0.0/8"), *net::Cidr::Parse("fd00::/8")};
  CHECK(inside("10.0.0.9"));
  CHECK(inside("fd00::1"));
  CHECK_FALSE(inside("11.0.0.9"));
  CHECK_FALSE(inside("::1"));
}

SCENARIO("without use_remote_address a single x-forwarded-for tells who is inside") {
  HttpConnectionManager config;
  config.internal.ranges = {*net::Cidr::Parse("10.0.0.0/8")};
  const auto internal = [&](const char* forwarded) {
    return Prepare(config, {{"x-forwarded-for", forwarded}}, "8.8.8.8").Field("x-envoy-internal");
  };
  CHECK(internal("10.0.0.5") == "true");
  CHECK(internal("8.8.8.8") == "-");
  CHECK(internal("10.0.0.5, 10.0.0.6") == "-");
  CHECK(Prepare(config).Field("x-envoy-internal") == "-");
}

SCENARIO("only an internal client may steer retries and timeouts") {
  HttpConnectionManager config;
  config.use_remote_address = true;
  config.internal.ranges = {*net::Cidr::Parse("10.0.0.0/8")};
  const std::vector<std::pair<const char*, const char*>> wishes = {
      {"x-envoy-retry-on", "5xx"},    {"x-envoy-upstream-rq-timeout-ms", "1"},
      {"x-envoy-force-trace", "1"},   {"x-envoy-original-path", "/x"},
      {"x-envoy-original-host", "x"}, {"x-envoy-decorator-operation", "x"}};
  const auto inside = Prepare(config, wishes, "10.0.0.9");
  CHECK(inside.Field("x-envoy-internal") == "true");
  CHECK(inside.Field("x-envoy-retry-on") == "5xx");
  CHECK(inside.Field("x-envoy-force-trace") == "1");
  const auto outside = Prepare(config, wishes, "8.8.8.8");
  for (const auto& [name, value] : wishes) CHECK(outside.Field(name) == "-");
  CHECK(outside.Field("x-envoy-internal") == "-");
  CHECK(Prepare(config, {{"x-envoy-internal", "true"}}, "8.8.8.8").Field("x-envoy-internal") ==
        "-");
}

SCENARIO("the client certificate header in each mode") {
  HttpConnectionManager config;
  config.cert_uri = true;
  const std::string element =
      "By=spiffe://td/ns/shop/sa/reviews;Hash=ab12;URI=spiffe://td/ns/shop/sa/web";
  const auto field = [&](ClientCert mode, const net::PeerInfo& peer) {
    config.client_cert = mode;
    return Prepare(config, {{"x-forwarded-client-cert", "Hash=old"}}, "10.0.0.9", peer)
        .Field("x-forwarded-client-cert");
  };
  const net::PeerInfo mutual = Mutual();
  CHECK(field(ClientCert::kSanitize, mutual) == "-");
  CHECK(field(ClientCert::kForwardOnly, mutual) == "Hash=old");
  CHECK(field(ClientCert::kAppendForward, mutual) == "Hash=old," + element);
  CHECK(field(ClientCert::kSanitizeSet, mutual) == element);
  CHECK(field(ClientCert::kAlwaysForwardOnly, mutual) == "Hash=old");
  for (const ClientCert mode : {ClientCert::kSanitize, ClientCert::kForwardOnly,
                                ClientCert::kAppendForward, ClientCert::kSanitizeSet}) {
    CHECK(field(mode, kPlain) == "-");
  }
  CHECK(field(ClientCert::kAlwaysForwardOnly, kPlain) == "Hash=old");
  config.cert_subject = config.cert_dns = true;
  CHECK(ClientCertElement(config, mutual) ==
        "By=spiffe://td/ns/shop/sa/reviews;Hash=ab12;Subject=\"CN=web\";URI=spiffe://td/ns/shop/sa/"
        "web;DNS=web.shop");
}

SCENARIO("paths that are refused or changed") {
  HttpConnectionManager config;
  config.normalize_path = true;
  CHECK(Prepare(config, {}, "10.0.0.9", kPlain, "/a/../b").head.path == "/b");
  CHECK(Prepare(config, {}, "10.0.0.9", kPlain, "/..").reply->details ==
        "path_normalization_failed");
  CHECK(Prepare(config, {}, "10.0.0.9", kPlain, "/a#b").reply->status == 400);
  CHECK(Prepare(config, {}, "10.0.0.9", kPlain, "").reply->details == "missing_path_rejected");
  CHECK(Prepare(config, {}, "10.0.0.9", kPlain, "*").reply->status == 404);
  CHECK(Prepare(config, {}, "10.0.0.9", kPlain, "*").reply->details == "absolute_path_rejected");
  config.escaped_slashes = HttpConnectionManager::EscapedSlashes::kReject;
  const auto escaped = Prepare(config, {}, "10.0.0.9", kPlain, "/a%2fb?c");
  CHECK(escaped.reply->status == 400);
  CHECK(escaped.head.path == "/a/b?c");  // as the log says it
}

SCENARIO("ports are stripped from the host when asked for") {
  HttpConnectionManager config;
  CHECK(Prepare(config).head.authority == "shop:8080");
  config.strip_matching_host_port = true;
  CHECK(Prepare(config).head.authority == "shop");
}

SCENARIO("via is appended both ways; server and date are ours") {
  HttpConnectionManager config;
  config.via = "heddle";
  CHECK(Prepare(config, {{"via", "1.1 a"}}).Field("via") == "1.1 a, heddle");
  http::RequestHead request;
  request.headers.Add(HeaderId::kXRequestId, "id");
  http::ResponseHead response;
  response.status = 200;
  response.headers.Add(HeaderId::kServer, "app");
  response.headers.Add(HeaderId::kConnection, "close");
  config.always_set_request_id_in_response = true;
  PrepareResponse(config, request, "today", response);
  CHECK(*response.headers.Get(HeaderId::kServer) == "envoy");
  CHECK(*response.headers.Get(HeaderId::kDate) == "today");
  CHECK(*response.headers.Get(HeaderId::kVia) == "heddle");
  CHECK(*response.headers.Get(HeaderId::kXRequestId) == "id");
  CHECK_FALSE(response.headers.Has(HeaderId::kConnection));
  config.server_header = HttpConnectionManager::ServerHeader::kPassThrough;
  http::ResponseHead passed;
  passed.headers.Add(HeaderId::kServer, "app");
  PrepareResponse(config, request, "today", passed);
  CHECK(*passed.headers.Get(HeaderId::kServer) == "app");
}

}  // namespace
}  // namespace heddle::proxy
