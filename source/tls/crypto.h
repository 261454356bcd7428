// What the files of this folder share about BoringSSL. Private to source/tls.
#pragma once

#include <openssl/err.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "source/tls/certificate.h"

namespace heddle::tls {

// Equal certificates are held once in the process, however many connections saw them.
CRYPTO_BUFFER_POOL* BufferPool();

// What BoringSSL's error queue says, oldest first, and empties it. Never contains key material.
std::string TakeErrors();

// The DER of each "CERTIFICATE" block.
absl::StatusOr<std::vector<bssl::UniquePtr<CRYPTO_BUFFER>>> ReadCertificates(absl::string_view pem);
absl::StatusOr<bssl::UniquePtr<EVP_PKEY>> ReadPrivateKey(absl::string_view pem);

CertificateInfo Describe(X509* certificate, absl::string_view der);

inline absl::string_view Der(const CRYPTO_BUFFER* buffer) {
  return {reinterpret_cast<const char*>(CRYPTO_BUFFER_data(buffer)), CRYPTO_BUFFER_len(buffer)};
}
std::string Sha256(absl::string_view bytes);  // 32 raw bytes

}  // namespace heddle::tls
