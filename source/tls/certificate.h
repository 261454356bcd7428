// Certificates as values: PEM text in, plain facts out. No OpenSSL type shows here.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace heddle::tls {

// A certificate chain, leaf first, with the leaf's private key. Never printed, never logged.
struct Certificate {
  std::string chain_pem;
  std::string key_pem;
  friend bool operator==(const Certificate&, const Certificate&) = default;
};

// What an X.509 certificate says.
struct CertificateInfo {
  std::string subject;  // RFC 2253, "CN=web,O=bookshop"; often empty for workloads
  std::string issuer;
  std::string serial;  // lower-case hex
  absl::Time not_before;
  absl::Time not_after;
  std::vector<std::string> uri_sans;
  std::vector<std::string> dns_sans;
  std::vector<std::string> email_sans;
  std::vector<std::string> ip_sans;  // as text
  std::string sha256;                // lower-case hex of the DER
  std::string spki_sha256;           // base64 of the public key's hash, as pins are written
  bool is_ca = false;
};

// Every certificate of the text, in order; an error when there is none or one is broken. Other PEM
// blocks are skipped.
absl::StatusOr<std::vector<CertificateInfo>> ParseCertificates(absl::string_view pem);

// The leaf of `certificate`, after checking that the chain parses and the key is the leaf's. Does
// not look at the clock.
absl::StatusOr<CertificateInfo> CheckCertificate(const Certificate& certificate);

}  // namespace heddle::tls
