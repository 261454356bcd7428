// TLS as configuration: envoy.extensions.transport_sockets.tls.v3.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "source/config/types.h"

namespace heddle::config {

// A certificate chain with its key, PEM text. Never printed: config dumps show the name and
// "[redacted]".
struct Certificate {
  std::string chain_pem;
  std::string key_pem;
  friend bool operator==(const Certificate&, const Certificate&) = default;
};

struct SanMatcher {  // SubjectAltNameMatcher
  enum class Type : uint8_t { kUri, kDns, kEmail, kIp };
  Type type = Type::kUri;
  StringMatcher matcher;
};

struct Validation {                             // CertificateValidationContext
  std::string trusted_ca_pem;                   // several concatenated; empty = do not verify
  std::vector<SanMatcher> sans;                 // any may match; empty = chain only
  std::vector<std::string> spki_sha256;         // base64
  std::vector<std::string> certificate_sha256;  // hex
  std::string crl_pem;
  uint32_t max_verify_depth = 100;
  bool allow_expired = false;
  bool accept_untrusted = false;  // trust_chain_verification: ACCEPT_UNTRUSTED
};

// envoy.extensions.transport_sockets.tls.v3.Secret
struct Secret {
  std::string name;
  std::optional<Certificate> certificate;
  std::optional<Validation> validation;
  std::optional<std::string> generic;  // generic_secret
};

enum class TlsVersion : uint8_t { kAuto, k10, k11, k12, k13 };

// A secret that comes by SDS.
struct SecretSource {  // SdsSecretConfig
  std::string name;    // empty: none
  // After so long what needs it goes on without: its TLS connections fail. 0 = never.
  absl::Duration fetch_timeout = absl::Seconds(15);
};

struct CommonTls {
  TlsVersion min_version = TlsVersion::kAuto;  // kAuto: TLS 1.2
  TlsVersion max_version = TlsVersion::kAuto;  // kAuto: 1.3 for servers and clients of Heddle
                                               // (Envoy's client stops at 1.2)
  std::vector<std::string> cipher_suites;
  std::vector<std::string> curves;
  std::vector<std::string> alpn;
  std::vector<Certificate> certificates;      // inline
  std::vector<SecretSource> certificate_sds;  // several for RSA + ECDSA
  std::optional<Validation> validation;  // inline, or the default of combined_validation_context
  SecretSource validation_sds;           // without a name when inline; overlays `validation`
};

struct DownstreamTls {
  CommonTls common;
  bool require_client_certificate = false;
  bool session_tickets = true;
  absl::Duration session_timeout = absl::Hours(1);
  bool full_scan_certs_on_sni_mismatch = false;
};

struct UpstreamTls {
  CommonTls common;
  std::string sni;
  bool auto_host_sni = false;
  uint32_t max_session_keys = 1;  // 0 turns resumption off
};

// envoy.config.core.v3.TransportSocket; neither set = plain text.
struct TransportSocket {
  std::shared_ptr<const DownstreamTls> downstream_tls;
  std::shared_ptr<const UpstreamTls> upstream_tls;
};

}  // namespace heddle::config
