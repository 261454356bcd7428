// TLS contexts and secrets: what is taken, and what each bad value says.
#include <catch2/catch.hpp>

#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "test/decode/decode_helper.h"

namespace heddle::test {
namespace {

const std::string kCa = std::string("{inline_string: \"") + kCertificate + "\"}";
const std::string kPair = std::string("{certificate_chain: {inline_string: \"") + kCertificate +
                          "\"}, private_key: {inline_string: \"" + kKey + "\"}}";
const std::string kEds = "name: c\ntype: EDS\neds_cluster_config: {eds_config: {ads: {}}}\n";

// A cluster with this TLS, and a listener with this TLS.
std::string Up(const std::string& text) {
  return kEds +
         "transport_socket: {name: tls, typed_config: {\"@type\": "
         "t/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, " +
         text + "}}\n";
}
std::string Down(const std::string& text) {
  return "name: l\naddress: {pipe: {path: /x}}\nfilter_chains: [{filters: [{name: t, typed_config: "
         "{\"@type\": "
         "t/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: t, cluster: c}}], "
         "transport_socket: {"
         "name: tls, typed_config: {\"@type\": "
         "t/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext, " +
         text + "}}}]\n";
}
std::string Trust(const std::string& text) {
  return Up("common_tls_context: {validation_context: {trusted_ca: " + kCa + ", " + text + "}}");
}

constexpr char kUp[] = "transport_socket.typed_config";
constexpr char kDown[] = "filter_chains[0].transport_socket.typed_config";

TEST_CASE("an upstream context is read") {
  const config::Cluster c = GoodCluster(
      Up("sni: s, max_session_keys: 0, common_tls_context: {alpn_protocols: [h2], tls_params: "
         "{tls_minimum_protocol_version: "
         "TLSv1_3, ecdh_curves: [X25519]}, tls_certificate_sds_secret_configs: [{name: default, "
         "sds_config: {ads: {}, "
         "initial_fetch_timeout: 0s, resource_api_version: V3}}], combined_validation_context: "
         "{default_validation_context: "
         "{match_typed_subject_alt_names: [{san_type: URI, matcher: {exact: spiffe://a}}]}, "
         "validation_context_sds_secret_config: {name: ROOTCA, sds_config: {ads: {}}}}}"));
  REQUIRE(c.transport.upstream_tls != nullptr);
  const config::UpstreamTls& tls = *c.transport.upstream_tls;
  CHECK(tls.sni == "s");
  CHECK(tls.max_session_keys == 0);
  CHECK(tls.common.min_version == config::TlsVersion::k13);
  REQUIRE(tls.common.certificate_sds.size() == 1);
  CHECK(tls.common.certificate_sds[0].name == "default");
  CHECK(tls.common.certificate_sds[0].fetch_timeout == absl::ZeroDuration());
  CHECK(tls.common.validation_sds.name == "ROOTCA");
  CHECK(tls.common.validation_sds.fetch_timeout == absl::Seconds(15));
  CHECK(tls.common.validation->sans.at(0).matcher.text == "spiffe://a");
  CHECK(LastWarnings().empty());
}

TEST_CASE("a downstream context is read") {
  const config::Listener l = GoodListener(Down(
      "require_client_certificate: true, disable_stateless_session_resumption: true, "
      "session_timeout: "
      "60s, common_tls_context: {tls_certificates: [" +
      kPair + "], validation_context: {trusted_ca: " + kCa +
      ", verify_certificate_hash: ['AB:" + std::string(62, '0') + "'], max_verify_depth: 3}}"));
  const config::DownstreamTls& tls = *l.chains.at(0).transport.downstream_tls;
  CHECK(tls.require_client_certificate);
  CHECK_FALSE(tls.session_tickets);
  CHECK(tls.session_timeout == absl::Minutes(1));
  CHECK(tls.common.certificates.size() == 1);
  CHECK(tls.common.validation->certificate_sha256.at(0) == "ab" + std::string(62, '0'));
  CHECK(tls.common.validation->max_verify_depth == 3);
}

TEST_CASE("raw buffers are plain") {
  CHECK(GoodCluster(kEds + "transport_socket: {name: envoy.transport_sockets.raw_buffer}")
            .transport.upstream_tls == nullptr);
  CHECK(GoodCluster(kEds + "transport_socket: {name: x, typed_config: {\"@type\": "
                           "t/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer}}")
            .transport.upstream_tls == nullptr);
}

TEST_CASE("what verifies nothing is warned about") {
  CHECK(ClusterError(Up("common_tls_context: {}")) == "ok");
  REQUIRE(LastWarnings().size() == 1);
  CHECK(ListenerError(
            Down("require_client_certificate: true, common_tls_context: {tls_certificates: [" +
                 kPair + "]}")) == "ok");
  REQUIRE(LastWarnings().size() == 1);
}

TEST_CASE("bad values of TLS are named") {
  const std::string up = kUp, common = up + ".common_tls_context",
                    trust = common + ".validation_context";
  const Case clusters[] = {
      {Up(""), common + ": required"},
      {kEds + "transport_socket: {name: x, typed_config: {\"@type\": "
              "t/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext}}",
       up + ": found type \"envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext\", "
            "allowed "
            "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"},
      {Up("common_tls_context: {}, sni: " + std::string(256, 'a')),
       up + ".sni: found 256 bytes, allowed 255"},
      {Up("common_tls_context: {}, max_session_keys: 1025"),
       up + ".max_session_keys: found 1025, allowed 0 to 1024"},
      {Up("common_tls_context: {tls_params: {tls_minimum_protocol_version: TLSv1_1}}"),
       common + ".tls_params.tls_minimum_protocol_version: found TLSv1_1, allowed TLS_AUTO, "
                "TLSv1_2, TLSv1_3"},
      {Up("common_tls_context: {tls_params: {tls_minimum_protocol_version: TLSv1_3, "
          "tls_maximum_protocol_version: "
          "TLSv1_2}}"),
       common + ".tls_params.tls_minimum_protocol_version: is above tls_maximum_protocol_version"},
      {Up("common_tls_context: {tls_params: {ecdh_curves: [P-111]}}"),
       common + ".tls_params.ecdh_curves[0]: found \"P-111\", allowed X25519MLKEM768, X25519, "
                "P-256, P-384, P-521"},
      {Up("common_tls_context: {alpn_protocols: ['']}"),
       common + ".alpn_protocols[0]: found 0 bytes, allowed 1 to 255, and at most 64 names"},
      {Up("common_tls_context: {tls_certificates: [{}]}"),
       common + ".tls_certificates[0].certificate_chain: required"},
      {Up("common_tls_context: {tls_certificates: [{certificate_chain: " + kCa + "}]}"),
       common + ".tls_certificates[0].private_key: required"},
      {Up("common_tls_context: {tls_certificates: [{certificate_chain: {inline_string: x}, "
          "private_key: {inline_string: "
          "x}}]}"),
       common + ".tls_certificates[0].certificate_chain: holds no PEM certificate"},
      {Up("common_tls_context: {tls_certificates: [{certificate_chain: " + kCa +
          ", private_key: " + kCa + "}]}"),
       common + ".tls_certificates[0].private_key: holds no PEM private key"},
      {Up("common_tls_context: {tls_certificates: [{certificate_chain: {}, private_key: {}}]}"),
       common + ".tls_certificates[0].certificate_chain: found nothing, allowed one of filename, "
                "inline_bytes, "
                "inline_string, environment_variable"},
      {Up("common_tls_context: {tls_certificates: [{certificate_chain: {filename: /}, private_key: "
          "{}}]}"),
       common + ".tls_certificates[0].certificate_chain.filename: \"/\" is not a regular file"},
      {Up("common_tls_context: {tls_certificates: [{certificate_chain: {environment_variable: "
          "HEDDLE_NO_SUCH}, "
          "private_key: {}}]}"),
       common + ".tls_certificates[0].certificate_chain.environment_variable: HEDDLE_NO_SUCH is "
                "not set"},
      {Up("common_tls_context: {tls_certificates: [{certificate_chain: {inline_string: ''}, "
          "private_key: {}}]}"),
       common + ".tls_certificates[0].certificate_chain.inline_string: is empty"},
      {Up("common_tls_context: {tls_certificates: [" + kPair + ", " + kPair + "]}"),
       common + ": found 2 certificates, allowed 1"},
      {Up("common_tls_context: {tls_certificates: [" + kPair +
          "], tls_certificate_sds_secret_configs: [{name: a}]}"),
       common + ".tls_certificate_sds_secret_configs: only one of tls_certificates and "
                "tls_certificate_sds_secret_configs is allowed"},
      {Up("common_tls_context: {tls_certificate_sds_secret_configs: [{}]}"),
       common + ".tls_certificate_sds_secret_configs[0].name: required"},
      {Up("common_tls_context: {tls_certificate_sds_secret_configs: [{name: a, sds_config: "
          "{api_config_source: {}}}]}"),
       common + ".tls_certificate_sds_secret_configs[0].sds_config: found api_config_source, "
                "allowed ads or self"},
      {Up("common_tls_context: {validation_context: {match_typed_subject_alt_names: [{san_type: "
          "URI, matcher: {exact: "
          "a}}]}}"),
       trust + ".match_typed_subject_alt_names: needs trusted_ca: without it anybody can make a "
               "certificate with that "
               "name"},
      {Up("common_tls_context: {validation_context: {trusted_ca: {inline_string: x}}}"),
       trust + ".trusted_ca: holds no PEM certificate"},
      {Trust("match_typed_subject_alt_names: [{matcher: {exact: a}}]"),
       trust + ".match_typed_subject_alt_names[0].san_type: found SAN_TYPE_UNSPECIFIED, allowed "
               "URI, DNS, EMAIL, "
               "IP_ADDRESS"},
      {Trust("match_typed_subject_alt_names: [{san_type: URI}]"),
       trust + ".match_typed_subject_alt_names[0].matcher: required"},
      {Trust("verify_certificate_spki: [x]"),
       trust + ".verify_certificate_spki[0]: allowed 32 bytes in base64"},
      {Trust("verify_certificate_hash: [x]"),
       trust +
           ".verify_certificate_hash[0]: allowed 32 bytes in hexadecimal, with or without colons"},
      {Trust("crl: {inline_string: x}"), trust + ".crl: holds no PEM revocation list"},
      {Trust("max_verify_depth: 101"), trust + ".max_verify_depth: found 101, allowed 0 to 100"},
      {Up("common_tls_context: {combined_validation_context: {}}"),
       common + ".combined_validation_context.default_validation_context: required"},
      {Up("common_tls_context: {combined_validation_context: {default_validation_context: {}}}"),
       common + ".combined_validation_context.validation_context_sds_secret_config: required"},
  };
  for (const Case& c : clusters) {
    INFO(c.yaml);
    CHECK(ClusterError(c.yaml) == c.error);
  }
  CHECK(ClusterError(Up("common_tls_context: {tls_params: {cipher_suites: "
                        "['[ECDHE-RSA-AES128-GCM-SHA256|RC4]']}}"))
            .find(common + ".tls_params.cipher_suites[0]: found \"RC4\", allowed ECDHE-") == 0);

  const std::string down = kDown;
  const Case listeners[] = {
      {Down("common_tls_context: {}"), down + ".common_tls_context: a server needs a certificate"},
      {Down("session_timeout: 4294967296s, common_tls_context: {tls_certificates: [" + kPair +
            "]}"),
       down + ".session_timeout: found 2^32 seconds or more, allowed less"},
  };
  for (const Case& c : listeners) {
    INFO(c.yaml);
    CHECK(ListenerError(c.yaml) == c.error);
  }
}

TEST_CASE("secrets are read, and bad ones named") {
  CHECK(SecretError("name: a\ntls_certificate: " + kPair) == "ok");
  CHECK(SecretError("name: a\nvalidation_context: {trusted_ca: " + kCa + "}") == "ok");
  CHECK(SecretError("tls_certificate: " + kPair) == "name: required");
  CHECK(SecretError("name: a") ==
        "found nothing, allowed one of tls_certificate, validation_context, generic_secret");
  CHECK(SecretError("name: a\ntls_certificate: {}") ==
        "tls_certificate.certificate_chain: required");
}

TEST_CASE("an unknown field in a TLS context refuses the resource") {
  envoy::extensions::transport_sockets::tls::v3::Secret secret;
  secret.set_name("a");
  secret.mutable_tls_certificate()
      ->GetReflection()
      ->MutableUnknownFields(secret.mutable_tls_certificate())
      ->AddVarint(77, 1);
  decode::Context context(FakeCatalogue());
  const auto out = decode::SecretFromBytes(secret.SerializeAsString(), context);
  CHECK(out.status().message() ==
        "a.tls_certificate: unknown field number 77 in "
        "envoy.extensions.transport_sockets.tls.v3.TlsCertificate");
}

}  // namespace
}  // namespace heddle::test
