#include "control_plane/translate/tls.h"

#include "absl/strings/str_cat.h"
#include "control_plane/translate/encode.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/core/v3/config_source.pb.h"
#include "envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"

namespace heddle::translate {
namespace {

namespace core = ::envoy::config::core::v3;
namespace tls = ::envoy::extensions::transport_sockets::tls::v3;

// What both sides have in common; returns the place for what the peer's certificate must say.
tls::CertificateValidationContext* SetCommon(const std::vector<std::string>& alpn,
                                             tls::CommonTlsContext* out) {
  tls::TlsParameters* const params = out->mutable_tls_params();
  params->set_tls_minimum_protocol_version(tls::TlsParameters::TLSv1_3);
  params->set_tls_maximum_protocol_version(tls::TlsParameters::TLSv1_3);
  tls::SdsSecretConfig* const certificate = out->add_tls_certificate_sds_secret_configs();
  certificate->set_name("default");
  SetAds(certificate->mutable_sds_config());
  auto* const validation = out->mutable_combined_validation_context();
  tls::SdsSecretConfig* const roots = validation->mutable_validation_context_sds_secret_config();
  roots->set_name("ROOTCA");
  SetAds(roots->mutable_sds_config());
  for (const std::string& one : alpn) out->add_alpn_protocols(one);
  return validation->mutable_default_validation_context();
}

::envoy::type::matcher::v3::StringMatcher* AddUri(tls::CertificateValidationContext* out) {
  tls::SubjectAltNameMatcher* const san = out->add_match_typed_subject_alt_names();
  san->set_san_type(tls::SubjectAltNameMatcher::URI);
  return san->mutable_matcher();
}

void SetSocket(const google::protobuf::Message& context, core::TransportSocket* out) {
  out->set_name("envoy.transport_sockets.tls");
  Pack(context, out->mutable_typed_config());
}

}  // namespace

void SetAds(core::ConfigSource* out) {
  out->mutable_ads();
  out->set_resource_api_version(core::V3);
}

std::string SpiffeId(const model::MeshConfig& mesh, const std::string& ns,
                     const std::string& service_account) {
  return absl::StrCat("spiffe://", mesh.trust_domain, "/ns/", ns, "/sa/", service_account);
}

void SetClientTls(const ClientTls& in, core::TransportSocket* out) {
  tls::UpstreamTlsContext context;
  tls::CertificateValidationContext* const peer =
      SetCommon(in.alpn, context.mutable_common_tls_context());
  for (const std::string& one : in.sans) AddUri(peer)->set_exact(one);
  if (!in.san_prefix.empty()) AddUri(peer)->set_prefix(in.san_prefix);
  context.set_sni(in.sni);
  SetSocket(context, out);
}

void SetServerTls(const model::MeshConfig& mesh, const std::vector<std::string>& alpn,
                  core::TransportSocket* out) {
  tls::DownstreamTlsContext context;
  tls::CertificateValidationContext* const peer =
      SetCommon(alpn, context.mutable_common_tls_context());
  AddUri(peer)->set_prefix(absl::StrCat("spiffe://", mesh.trust_domain, "/"));
  context.mutable_require_client_certificate()->set_value(true);
  SetSocket(context, out);
}

void SetPlain(core::TransportSocket* out) {
  out->set_name("envoy.transport_sockets.raw_buffer");
  Pack(::envoy::extensions::transport_sockets::raw_buffer::v3::RawBuffer(),
       out->mutable_typed_config());
}

}  // namespace heddle::translate
