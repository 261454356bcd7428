#include "source/tls/csr.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "absl/strings/str_cat.h"
#include "source/tls/crypto.h"

namespace heddle::tls {
namespace {

std::string Contents(BIO* bio) {
  const uint8_t* data;
  size_t size;
  if (!BIO_mem_contents(bio, &data, &size)) return "";
  return std::string(reinterpret_cast<const char*>(data), size);
}

bool AddName(GENERAL_NAMES* names, int type, const std::string& text) {
  bssl::UniquePtr<GENERAL_NAME> name(GENERAL_NAME_new());
  bssl::UniquePtr<ASN1_IA5STRING> value(ASN1_IA5STRING_new());
  if (name == nullptr || value == nullptr ||
      !ASN1_STRING_set(value.get(), text.data(), static_cast<ossl_ssize_t>(text.size()))) {
    return false;
  }
  GENERAL_NAME_set0_value(name.get(), type, value.release());
  return bssl::PushToStack(names, std::move(name));
}

bool AddSans(X509_REQ* request, const CsrOptions& options) {
  const bssl::UniquePtr<GENERAL_NAMES> names(GENERAL_NAMES_new());
  for (const std::string& uri : options.uri_sans) {
    if (!AddName(names.get(), GEN_URI, uri)) return false;
  }
  for (const std::string& dns : options.dns_sans) {
    if (!AddName(names.get(), GEN_DNS, dns)) return false;
  }
  if (sk_GENERAL_NAME_num(names.get()) == 0) return true;
  // Critical when there is no subject: RFC 5280, section 4.2.1.6.
  const int critical = options.common_name.empty() ? 1 : 0;
  bssl::UniquePtr<X509_EXTENSION> extension(
      X509V3_EXT_i2d(NID_subject_alt_name, critical, names.get()));
  const bssl::UniquePtr<STACK_OF(X509_EXTENSION)> extensions(sk_X509_EXTENSION_new_null());
  return extension != nullptr && bssl::PushToStack(extensions.get(), std::move(extension)) &&
         X509_REQ_add_extensions(request, extensions.get());
}

}  // namespace

absl::StatusOr<KeyAndCsr> MakeKeyAndCsr(const CsrOptions& options) {
  const bssl::UniquePtr<EC_KEY> ec(EC_KEY_new_by_curve_name(NID_X9_62_prime256v1));
  const bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
  const bssl::UniquePtr<X509_REQ> request(X509_REQ_new());
  const bssl::UniquePtr<BIO> key_out(BIO_new(BIO_s_mem())), csr_out(BIO_new(BIO_s_mem()));
  bool ok = EC_KEY_generate_key(ec.get()) && EVP_PKEY_set1_EC_KEY(key.get(), ec.get()) &&
            X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) &&
            X509_REQ_set_pubkey(request.get(), key.get());
  if (ok && !options.common_name.empty()) {
    ok = X509_NAME_add_entry_by_NID(X509_REQ_get_subject_name(request.get()), NID_commonName,
                                    MBSTRING_UTF8,
                                    reinterpret_cast<const uint8_t*>(options.common_name.data()),
                                    static_cast<ossl_ssize_t>(options.common_name.size()), -1, 0);
  }
  ok = ok && AddSans(request.get(), options) &&
       X509_REQ_sign(request.get(), key.get(), EVP_sha256()) &&
       PEM_write_bio_PKCS8PrivateKey(key_out.get(), key.get(), nullptr, nullptr, 0, nullptr,
                                     nullptr) &&
       PEM_write_bio_X509_REQ(csr_out.get(), request.get());
  if (!ok) return absl::InternalError(absl::StrCat("certificate request: ", TakeErrors()));
  return KeyAndCsr{Contents(key_out.get()), Contents(csr_out.get())};
}

}  // namespace heddle::tls
