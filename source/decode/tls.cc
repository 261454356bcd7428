// TLS contexts and secrets. Everything here guards access: what is not understood is refused.
#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "source/decode/decode.h"
#include "source/decode/parts.h"

namespace heddle::decode {
namespace {

namespace core = envoy::config::core::v3;
namespace tls = envoy::extensions::transport_sockets::tls::v3;
using envoy::extensions::transport_sockets::raw_buffer::v3::RawBuffer;

// What BoringSSL knows for TLS 1.2 and what it calls groups; those of 1.3 cannot be chosen.
constexpr absl::string_view kCiphers[] = {
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES256-SHA",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-SHA",
    "AES256-SHA",
};
constexpr absl::string_view kCurves[] = {"X25519MLKEM768", "X25519", "P-256", "P-384", "P-521"};
constexpr int kMaxListed = 64;

enum class Side { kDownstream, kUpstream };

bool HoldsPem(absl::string_view text, absl::string_view what) {
  return absl::StrContains(text, "-----BEGIN ") &&
         absl::StrContains(text, absl::StrCat(what, "-----"));
}

absl::StatusOr<config::Certificate> DecodeCertificate(const tls::TlsCertificate& in,
                                                      const Path& at) {
  config::Certificate out;
  const Path chain = at.Field("certificate_chain"), key = at.Field("private_key");
  HEDDLE_RETURN_IF_ERROR(Required(in.has_certificate_chain(), chain));
  HEDDLE_RETURN_IF_ERROR(Required(in.has_private_key(), key));
  HEDDLE_ASSIGN_OR_RETURN(out.chain_pem, DecodeData(in.certificate_chain(), chain));
  HEDDLE_ASSIGN_OR_RETURN(out.key_pem, DecodeData(in.private_key(), key));
  if (!HoldsPem(out.chain_pem, "CERTIFICATE")) return chain.Error("holds no PEM certificate");
  if (!HoldsPem(out.key_pem, "PRIVATE KEY")) return key.Error("holds no PEM private key");
  if (absl::StrContains(out.key_pem, "ENCRYPTED"))
    return key.Error("found an encrypted key, allowed a plain one");
  return out;
}

absl::StatusOr<config::SanMatcher> DecodeSan(const tls::SubjectAltNameMatcher& in, const Path& at) {
  config::SanMatcher out;
  switch (in.san_type()) {
    case tls::SubjectAltNameMatcher::URI:
      out.type = config::SanMatcher::Type::kUri;
      break;
    case tls::SubjectAltNameMatcher::DNS:
      out.type = config::SanMatcher::Type::kDns;
      break;
    case tls::SubjectAltNameMatcher::EMAIL:
      out.type = config::SanMatcher::Type::kEmail;
      break;
    case tls::SubjectAltNameMatcher::IP_ADDRESS:
      out.type = config::SanMatcher::Type::kIp;
      break;
    default:
      return BadEnum(tls::SubjectAltNameMatcher::SanType_descriptor(), in.san_type(),
                     at.Field("san_type"), "URI, DNS, EMAIL, IP_ADDRESS");
  }
  HEDDLE_RETURN_IF_ERROR(Required(in.has_matcher(), at.Field("matcher")));
  HEDDLE_ASSIGN_OR_RETURN(out.matcher, DecodeString(in.matcher(), at.Field("matcher")));
  return out;
}

absl::Status DecodePins(const tls::CertificateValidationContext& in, const Path& at,
                        config::Validation* out) {
  for (int i = 0; i < in.verify_certificate_spki_size(); ++i) {
    std::string raw;
    if (!absl::Base64Unescape(in.verify_certificate_spki(i), &raw) || raw.size() != 32) {
      const Path list = at.Field("verify_certificate_spki");
      return list.Index(static_cast<size_t>(i)).Error("allowed 32 bytes in base64");
    }
    out->spki_sha256.push_back(in.verify_certificate_spki(i));
  }
  for (int i = 0; i < in.verify_certificate_hash_size(); ++i) {
    std::string hex =
        absl::AsciiStrToLower(absl::StrReplaceAll(in.verify_certificate_hash(i), {{":", ""}}));
    if (hex.size() != 64 || hex.find_first_not_of("0123456789abcdef") != std::string::npos) {
      const Path list = at.Field("verify_certificate_hash");
      return list.Index(static_cast<size_t>(i))
          .Error("allowed 32 bytes in hexadecimal, with or without colons");
    }
    out->certificate_sha256.push_back(std::move(hex));
  }
  return absl::OkStatus();
}

// `ca_elsewhere`: the trusted CA comes from the secret that is merged over this.
absl::StatusOr<config::Validation> DecodeValidation(const tls::CertificateValidationContext& in,
                                                    const Path& at, bool ca_elsewhere) {
  config::Validation out;
  if (in.has_trusted_ca()) {
    const Path ca = at.Field("trusted_ca");
    HEDDLE_ASSIGN_OR_RETURN(out.trusted_ca_pem, DecodeData(in.trusted_ca(), ca));
    if (!HoldsPem(out.trusted_ca_pem, "CERTIFICATE")) return ca.Error("holds no PEM certificate");
  }
  const Path sans = at.Field("match_typed_subject_alt_names");
  if (in.match_typed_subject_alt_names_size() > 0 && out.trusted_ca_pem.empty() && !ca_elsewhere) {
    return sans.Error("needs trusted_ca: without it anybody can make a certificate with that name");
  }
  for (int i = 0; i < in.match_typed_subject_alt_names_size(); ++i) {
    HEDDLE_ASSIGN_OR_RETURN(config::SanMatcher san, DecodeSan(in.match_typed_subject_alt_names(i),
                                                              sans.Index(static_cast<size_t>(i))));
    out.sans.push_back(std::move(san));
  }
  HEDDLE_RETURN_IF_ERROR(DecodePins(in, at, &out));
  if (in.has_crl()) {
    const Path crl = at.Field("crl");
    if (out.trusted_ca_pem.empty() && !ca_elsewhere) return crl.Error("needs trusted_ca");
    HEDDLE_ASSIGN_OR_RETURN(out.crl_pem, DecodeData(in.crl(), crl));
    if (!HoldsPem(out.crl_pem, "X509 CRL")) return crl.Error("holds no PEM revocation list");
  }
  out.allow_expired = in.allow_expired_certificate();
  switch (in.trust_chain_verification()) {
    case tls::CertificateValidationContext::VERIFY_TRUST_CHAIN:
      break;
    case tls::CertificateValidationContext::ACCEPT_UNTRUSTED:
      out.accept_untrusted = true;
      break;
    default:
      return BadEnum(tls::CertificateValidationContext::TrustChainVerification_descriptor(),
                     in.trust_chain_verification(), at.Field("trust_chain_verification"),
                     "VERIFY_TRUST_CHAIN, ACCEPT_UNTRUSTED");
  }
  HEDDLE_RETURN_IF_ERROR(Uint(in.has_max_verify_depth(), in.max_verify_depth(),
                              at.Field("max_verify_depth"), 0, 100, &out.max_verify_depth));
  return out;
}

absl::StatusOr<config::TlsVersion> DecodeVersion(tls::TlsParameters::TlsProtocol in,
                                                 const Path& at) {
  switch (in) {
    case tls::TlsParameters::TLS_AUTO:
      return config::TlsVersion::kAuto;
    case tls::TlsParameters::TLSv1_2:
      return config::TlsVersion::k12;
    case tls::TlsParameters::TLSv1_3:
      return config::TlsVersion::k13;
    default:
      return BadEnum(tls::TlsParameters::TlsProtocol_descriptor(), in, at,
                     "TLS_AUTO, TLSv1_2, TLSv1_3");
  }
}

absl::Status CheckListed(absl::string_view name, absl::Span<const absl::string_view> known,
                         const Path& at) {
  if (std::find(known.begin(), known.end(), name) != known.end()) return absl::OkStatus();
  return at.Error(absl::StrCat("found \"", name, "\", allowed ", absl::StrJoin(known, ", ")));
}

absl::Status DecodeParameters(const tls::TlsParameters& in, const Path& at,
                              config::CommonTls* out) {
  HEDDLE_ASSIGN_OR_RETURN(
      out->min_version,
      DecodeVersion(in.tls_minimum_protocol_version(), at.Field("tls_minimum_protocol_version")));
  HEDDLE_ASSIGN_OR_RETURN(
      out->max_version,
      DecodeVersion(in.tls_maximum_protocol_version(), at.Field("tls_maximum_protocol_version")));
  if (out->min_version == config::TlsVersion::k13 && out->max_version == config::TlsVersion::k12) {
    return at.Field("tls_minimum_protocol_version").Error("is above tls_maximum_protocol_version");
  }
  const Path ciphers = at.Field("cipher_suites"), curves = at.Field("ecdh_curves");
  for (int i = 0; i < in.cipher_suites_size() && i < kMaxListed; ++i) {
    // "[A|B]" is a group of equal rank.
    const std::string plain = absl::StrReplaceAll(in.cipher_suites(i), {{"[", ""}, {"]", ""}});
    for (const absl::string_view name : absl::StrSplit(plain, '|')) {
      HEDDLE_RETURN_IF_ERROR(CheckListed(name, kCiphers, ciphers.Index(static_cast<size_t>(i))));
    }
    out->cipher_suites.push_back(in.cipher_suites(i));
  }
  for (int i = 0; i < in.ecdh_curves_size() && i < kMaxListed; ++i) {
    HEDDLE_RETURN_IF_ERROR(
        CheckListed(in.ecdh_curves(i), kCurves, curves.Index(static_cast<size_t>(i))));
    out->curves.push_back(in.ecdh_curves(i));
  }
  return absl::OkStatus();
}

absl::StatusOr<config::SecretSource> DecodeSds(const tls::SdsSecretConfig& in, const Path& at) {
  config::SecretSource out;
  out.name = in.name();
  if (out.name.empty()) return at.Field("name").Error("required");
  if (in.has_sds_config()) {
    HEDDLE_RETURN_IF_ERROR(
        DecodeSource(in.sds_config(), at.Field("sds_config"), &out.fetch_timeout));
  }
  return out;
}

absl::Status DecodeTrust(const tls::CommonTlsContext& in, const Path& at, config::CommonTls* out) {
  switch (in.validation_context_type_case()) {
    case tls::CommonTlsContext::kValidationContext: {
      HEDDLE_ASSIGN_OR_RETURN(
          out->validation,
          DecodeValidation(in.validation_context(), at.Field("validation_context"), false));
      break;
    }
    case tls::CommonTlsContext::kValidationContextSdsSecretConfig: {
      HEDDLE_ASSIGN_OR_RETURN(out->validation_sds,
                              DecodeSds(in.validation_context_sds_secret_config(),
                                        at.Field("validation_context_sds_secret_config")));
      break;
    }
    case tls::CommonTlsContext::kCombinedValidationContext: {
      const Path here = at.Field("combined_validation_context");
      const auto& combined = in.combined_validation_context();
      const Path inline_at = here.Field("default_validation_context");
      const Path sds_at = here.Field("validation_context_sds_secret_config");
      HEDDLE_RETURN_IF_ERROR(Required(combined.has_default_validation_context(), inline_at));
      HEDDLE_RETURN_IF_ERROR(Required(combined.has_validation_context_sds_secret_config(), sds_at));
      HEDDLE_ASSIGN_OR_RETURN(
          out->validation,
          DecodeValidation(combined.default_validation_context(), inline_at, true));
      HEDDLE_ASSIGN_OR_RETURN(out->validation_sds,
                              DecodeSds(combined.validation_context_sds_secret_config(), sds_at));
      break;
    }
    case tls::CommonTlsContext::VALIDATION_CONTEXT_TYPE_NOT_SET:
      break;
  }
  return absl::OkStatus();
}

absl::StatusOr<config::CommonTls> DecodeCommon(const tls::CommonTlsContext& in, const Path& at,
                                               Side side) {
  config::CommonTls out;
  HEDDLE_RETURN_IF_ERROR(DecodeParameters(in.tls_params(), at.Field("tls_params"), &out));
  const Path inline_at = at.Field("tls_certificates"),
             sds_at = at.Field("tls_certificate_sds_secret_configs");
  if (in.tls_certificates_size() > 0 && in.tls_certificate_sds_secret_configs_size() > 0) {
    return sds_at.Error(
        "only one of tls_certificates and tls_certificate_sds_secret_configs is allowed");
  }
  const int most = side == Side::kUpstream ? 1 : 8;
  const int count = in.tls_certificates_size() + in.tls_certificate_sds_secret_configs_size();
  if (count > most) return at.Error(absl::StrCat("found ", count, " certificates, allowed ", most));
  for (int i = 0; i < in.tls_certificates_size(); ++i) {
    HEDDLE_ASSIGN_OR_RETURN(
        config::Certificate certificate,
        DecodeCertificate(in.tls_certificates(i), inline_at.Index(static_cast<size_t>(i))));
    out.certificates.push_back(std::move(certificate));
  }
  for (int i = 0; i < in.tls_certificate_sds_secret_configs_size(); ++i) {
    HEDDLE_ASSIGN_OR_RETURN(
        config::SecretSource source,
        DecodeSds(in.tls_certificate_sds_secret_configs(i), sds_at.Index(static_cast<size_t>(i))));
    out.certificate_sds.push_back(std::move(source));
  }
  if (side == Side::kDownstream && count == 0) return at.Error("a server needs a certificate");
  HEDDLE_RETURN_IF_ERROR(DecodeTrust(in, at, &out));
  const Path alpn = at.Field("alpn_protocols");
  for (int i = 0; i < in.alpn_protocols_size(); ++i) {
    const std::string& name = in.alpn_protocols(i);
    if (name.empty() || name.size() > 255 || i >= kMaxListed) {
      return alpn.Index(static_cast<size_t>(i))
          .Error(absl::StrCat("found ", name.size(), " bytes, allowed 1 to 255, and at most ",
                              kMaxListed, " names"));
    }
    out.alpn.push_back(name);
  }
  return out;
}

bool Verifies(const config::CommonTls& common) {
  return common.validation.has_value() || !common.validation_sds.name.empty();
}

absl::StatusOr<config::TransportSocket> Downstream(const tls::DownstreamTlsContext& in,
                                                   const Path& at, Context& context) {
  auto out = std::make_shared<config::DownstreamTls>();
  const Path common = at.Field("common_tls_context");
  HEDDLE_RETURN_IF_ERROR(Required(in.has_common_tls_context(), common));
  HEDDLE_ASSIGN_OR_RETURN(out->common,
                          DecodeCommon(in.common_tls_context(), common, Side::kDownstream));
  out->require_client_certificate = in.require_client_certificate().value();
  if (out->require_client_certificate && !Verifies(out->common)) {
    Warn(at.Field("require_client_certificate"),
         "any certificate is accepted: there is no validation context", context);
  }
  out->session_tickets = !in.disable_stateless_session_resumption();
  const Path timeout = at.Field("session_timeout");
  HEDDLE_RETURN_IF_ERROR(
      Duration(in.has_session_timeout(), in.session_timeout(), timeout, &out->session_timeout));
  if (out->session_timeout >= absl::Seconds(int64_t{1} << 32)) {
    return timeout.Error("found 2^32 seconds or more, allowed less");
  }
  config::TransportSocket socket;
  socket.downstream_tls = std::move(out);
  return socket;
}

absl::StatusOr<config::TransportSocket> Upstream(const tls::UpstreamTlsContext& in, const Path& at,
                                                 Context& context) {
  auto out = std::make_shared<config::UpstreamTls>();
  const Path common = at.Field("common_tls_context");
  HEDDLE_RETURN_IF_ERROR(Required(in.has_common_tls_context(), common));
  HEDDLE_ASSIGN_OR_RETURN(out->common,
                          DecodeCommon(in.common_tls_context(), common, Side::kUpstream));
  if (!Verifies(out->common))
    Warn(at, "the server's certificate is not verified: no validation context", context);
  out->sni = in.sni();
  if (out->sni.size() > 255)
    return at.Field("sni").Error(absl::StrCat("found ", out->sni.size(), " bytes, allowed 255"));
  HEDDLE_RETURN_IF_ERROR(Uint(in.has_max_session_keys(), in.max_session_keys(),
                              at.Field("max_session_keys"), 0, 1024, &out->max_session_keys));
  config::TransportSocket socket;
  socket.upstream_tls = std::move(out);
  return socket;
}

// Raw buffers, and sockets with nothing but the name of one. False when it is something else.
absl::StatusOr<bool> IsPlain(const core::TransportSocket& in, const Path& at, Context& context) {
  if (!in.has_typed_config()) {
    if (in.name() == "envoy.transport_sockets.raw_buffer" || in.name() == "raw_buffer") return true;
    return at.Field("typed_config").Error("required");
  }
  if (!Is<RawBuffer>(in.typed_config())) return false;
  RawBuffer plain;
  HEDDLE_RETURN_IF_ERROR(Unpack(in.typed_config(), at.Field("typed_config"), context, &plain));
  return true;
}

}  // namespace

absl::StatusOr<config::TransportSocket> DecodeDownstreamTransport(const core::TransportSocket& in,
                                                                  const Path& at,
                                                                  Context& context) {
  HEDDLE_ASSIGN_OR_RETURN(const bool plain, IsPlain(in, at, context));
  if (plain) return config::TransportSocket{};
  const Path here = at.Field("typed_config");
  tls::DownstreamTlsContext message;
  HEDDLE_RETURN_IF_ERROR(Unpack(in.typed_config(), here, context, &message));
  return Downstream(message, here, context);
}

absl::StatusOr<config::TransportSocket> DecodeUpstreamTransport(const core::TransportSocket& in,
                                                                const Path& at, Context& context) {
  HEDDLE_ASSIGN_OR_RETURN(const bool plain, IsPlain(in, at, context));
  if (plain) return config::TransportSocket{};
  const Path here = at.Field("typed_config");
  tls::UpstreamTlsContext message;
  HEDDLE_RETURN_IF_ERROR(Unpack(in.typed_config(), here, context, &message));
  return Upstream(message, here, context);
}

absl::StatusOr<std::shared_ptr<const config::Secret>> DecodeSecret(const tls::Secret& in,
                                                                   const Path& at,
                                                                   Context& context) {
  HEDDLE_RETURN_IF_ERROR(NoteUnknown(in, at, context));
  auto out = std::make_shared<config::Secret>();
  out->name = in.name();
  if (out->name.empty()) return at.Field("name").Error("required");
  switch (in.type_case()) {
    case tls::Secret::kTlsCertificate: {
      HEDDLE_ASSIGN_OR_RETURN(out->certificate,
                              DecodeCertificate(in.tls_certificate(), at.Field("tls_certificate")));
      break;
    }
    case tls::Secret::kValidationContext: {
      const Path here = at.Field("validation_context");
      HEDDLE_ASSIGN_OR_RETURN(out->validation,
                              DecodeValidation(in.validation_context(), here, false));
      break;
    }
    case tls::Secret::kGenericSecret: {
      const Path here = at.Field("generic_secret");
      HEDDLE_ASSIGN_OR_RETURN(out->generic,
                              DecodeData(in.generic_secret().secret(), here.Field("secret")));
      break;
    }
    case tls::Secret::TYPE_NOT_SET:
      return at.Error(
          "found nothing, allowed one of tls_certificate, validation_context, generic_secret");
  }
  return std::shared_ptr<const config::Secret>(std::move(out));
}

}  // namespace heddle::decode
