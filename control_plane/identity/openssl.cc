#include "control_plane/identity/openssl.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <openssl/pem.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "control_plane/identity/files.h"
#include "source/base/log.h"
#include "source/base/status.h"

namespace heddle::identity {

absl::Status OpenSslError(absl::string_view doing) {
  char text[256] = "unknown error";
  if (const unsigned long error = ERR_get_error(); error != 0)
    ERR_error_string_n(error, text, sizeof(text));
  ERR_clear_error();
  return absl::InvalidArgumentError(absl::StrCat(doing, ": ", text));
}

KeyPtr MakeP256Key() {
  KeyPtr key(EVP_EC_gen("P-256"));
  HEDDLE_CHECK(key != nullptr) << "OpenSSL cannot make a P-256 key";
  return key;
}

bool IsP256(const EVP_PKEY* key) {
  if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC) return false;
  char group[32] = "";
  return EVP_PKEY_get_group_name(key, group, sizeof(group), nullptr) == 1 &&
         absl::string_view(group) == SN_X9_62_prime256v1;
}

absl::StatusOr<std::string> KeyToPem(EVP_PKEY* key) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return OpenSslError("write private key");
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

absl::StatusOr<KeyPtr> KeyFromPem(absl::string_view pem, const std::string& path) {
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const auto no_passphrase = [](char*, int, int, void*) { return -1; };
  KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
  if (key == nullptr) return OpenSslError(absl::StrCat(path, ": not a PEM private key"));
  return key;
}

std::string CertToPem(X509* cert) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  HEDDLE_CHECK(PEM_write_bio_X509(bio.get(), cert) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

absl::StatusOr<KeyPtr> LoadOrCreateKey(const std::string& path) {
  absl::StatusOr<std::string> pem = ReadPrivateFile(path);
  if (absl::IsNotFound(pem.status())) {
    const KeyPtr fresh = MakeP256Key();
    HEDDLE_ASSIGN_OR_RETURN(const std::string text, KeyToPem(fresh.get()));
    HEDDLE_RETURN_IF_ERROR(CreatePrivateFile(path, text));
    HEDDLE_LOG(kInfo, "identity") << "made a new key: " << path;
    pem = ReadPrivateFile(path);
  }
  HEDDLE_RETURN_IF_ERROR(pem.status());
  HEDDLE_ASSIGN_OR_RETURN(KeyPtr key, KeyFromPem(*pem, path));
  if (!IsP256(key.get()))
    return absl::InvalidArgumentError(absl::StrCat(path, ": not an ECDSA P-256 key"));
  return key;
}

}  // namespace heddle::identity
