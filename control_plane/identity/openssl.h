// Owners for OpenSSL's objects, and the few calls on keys and PEM that the CA and the tokens share.
// Included only by the .cc files of this folder.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace heddle::identity {

template <auto free_function>
struct OpenSslFree {
  template <typename T>
  void operator()(T* object) const {
    free_function(object);
  }
};

using KeyPtr = std::unique_ptr<EVP_PKEY, OpenSslFree<EVP_PKEY_free>>;
using CertPtr = std::unique_ptr<X509, OpenSslFree<X509_free>>;
using RequestPtr = std::unique_ptr<X509_REQ, OpenSslFree<X509_REQ_free>>;
using BioPtr = std::unique_ptr<BIO, OpenSslFree<BIO_free_all>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, OpenSslFree<X509_EXTENSION_free>>;
using BigNumberPtr = std::unique_ptr<BIGNUM, OpenSslFree<BN_free>>;

// "<doing>: <the first error of this thread's OpenSSL queue>"; empties the queue.
absl::Status OpenSslError(absl::string_view doing);

KeyPtr MakeP256Key();
bool IsP256(const EVP_PKEY* key);
// PKCS #8, unencrypted.
absl::StatusOr<std::string> KeyToPem(EVP_PKEY* key);
// Never asks a terminal for a passphrase: an encrypted key is an error.
absl::StatusOr<KeyPtr> KeyFromPem(absl::string_view pem, const std::string& path);
std::string CertToPem(X509* cert);
// The key of `path` (ReadPrivateFile's rules), made there first when it is missing. P-256 only.
absl::StatusOr<KeyPtr> LoadOrCreateKey(const std::string& path);

}  // namespace heddle::identity
