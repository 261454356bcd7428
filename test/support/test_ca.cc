#include "test/support/test_ca.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "source/base/status.h"

namespace heddle::test {
namespace {

bssl::UniquePtr<EVP_PKEY> NewKey(bool rsa) {
  bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
  if (rsa) {
    bssl::UniquePtr<RSA> made(RSA_new());
    bssl::UniquePtr<BIGNUM> e(BN_new());
    BN_set_word(e.get(), RSA_F4);
    HEDDLE_CHECK(RSA_generate_key_ex(made.get(), 2048, e.get(), nullptr));
    EVP_PKEY_set1_RSA(key.get(), made.get());
  } else {
    bssl::UniquePtr<EC_KEY> made(EC_KEY_new_by_curve_name(NID_X9_62_prime256v1));
    HEDDLE_CHECK(EC_KEY_generate_key(made.get()));
    EVP_PKEY_set1_EC_KEY(key.get(), made.get());
  }
  return key;
}

std::string Text(BIO* bio) {
  const uint8_t* data;
  size_t size;
  HEDDLE_CHECK(BIO_mem_contents(bio, &data, &size));
  return std::string(reinterpret_cast<const char*>(data), size);
}

std::string ToPem(X509* certificate) {
  bssl::UniquePtr<BIO> out(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(out.get(), certificate);
  return Text(out.get());
}

std::string ToPem(EVP_PKEY* key) {
  bssl::UniquePtr<BIO> out(BIO_new(BIO_s_mem()));
  PEM_write_bio_PKCS8PrivateKey(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return Text(out.get());
}

bssl::UniquePtr<X509> FromPem(const std::string& pem) {
  bssl::UniquePtr<BIO> in(BIO_new_mem_buf(pem.data(), static_cast<ossl_ssize_t>(pem.size())));
  return bssl::UniquePtr<X509>(PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr));
}

void AddExtension(X509* certificate, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  bssl::UniquePtr<X509_EXTENSION> extension(
      X509V3_EXT_nconf_nid(nullptr, &context, nid, value.c_str()));
  HEDDLE_CHECK(extension != nullptr) << value;
  X509_add_ext(certificate, extension.get(), -1);
}

void SetName(X509* certificate, const std::string& common_name) {
  if (common_name.empty()) return;
  X509_NAME_add_entry_by_NID(X509_get_subject_name(certificate), NID_commonName, MBSTRING_UTF8,
                             reinterpret_cast<const uint8_t*>(common_name.data()),
                             static_cast<ossl_ssize_t>(common_name.size()), -1, 0);
}

bssl::UniquePtr<X509> NewCertificate(EVP_PKEY* key, absl::Time from, absl::Time to) {
  bssl::UniquePtr<X509> certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  uint64_t serial;
  RAND_bytes(reinterpret_cast<uint8_t*>(&serial), sizeof(serial));
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate.get()), serial >> 1);
  ASN1_TIME_set_posix(X509_getm_notBefore(certificate.get()), absl::ToUnixSeconds(from));
  ASN1_TIME_set_posix(X509_getm_notAfter(certificate.get()), absl::ToUnixSeconds(to));
  X509_set_pubkey(certificate.get(), key);
  return certificate;
}

}  // namespace

struct TestCa::Keys {
  bssl::UniquePtr<EVP_PKEY> key;
  bssl::UniquePtr<X509> certificate;

  void SignInto(X509* certificate_to_sign) const {
    X509_set_issuer_name(certificate_to_sign, X509_get_subject_name(certificate.get()));
    HEDDLE_CHECK(X509_sign(certificate_to_sign, key.get(), EVP_sha256()));
  }
};

TestCa::TestCa(const std::string& name) : TestCa(name, nullptr) {}

TestCa::TestCa(const std::string& name, const TestCa* issuer) : keys_(std::make_shared<Keys>()) {
  keys_->key = NewKey(false);
  keys_->certificate = NewCertificate(keys_->key.get(), absl::Now() - absl::Hours(24),
                                      absl::Now() + absl::Hours(24 * 365));
  X509* certificate = keys_->certificate.get();
  SetName(certificate, name);
  AddExtension(certificate, NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(certificate, NID_key_usage, "critical,keyCertSign,cRLSign");
  AddExtension(certificate, NID_subject_key_identifier, "hash");
  (issuer != nullptr ? *issuer->keys_ : *keys_).SignInto(certificate);
  pem_ = ToPem(certificate);
  if (issuer != nullptr) chain_below_root_ = pem_ + issuer->chain_below_root_;
}

TestCa::~TestCa() = default;

TestCa TestCa::Intermediate(const std::string& name) const { return TestCa(name, this); }

tls::Certificate TestCa::Issue(const LeafOptions& options) const {
  const bssl::UniquePtr<EVP_PKEY> key = NewKey(options.rsa);
  const bssl::UniquePtr<X509> leaf =
      NewCertificate(key.get(), options.not_before, options.not_after);
  SetName(leaf.get(), options.common_name);
  std::vector<std::string> sans;
  for (const std::string& uri : options.uri_sans) sans.push_back(absl::StrCat("URI:", uri));
  for (const std::string& dns : options.dns_sans) sans.push_back(absl::StrCat("DNS:", dns));
  if (!sans.empty()) AddExtension(leaf.get(), NID_subject_alt_name, absl::StrJoin(sans, ","));
  AddExtension(leaf.get(), NID_key_usage, "critical,digitalSignature");
  AddExtension(leaf.get(), NID_ext_key_usage, "serverAuth,clientAuth");
  keys_->SignInto(leaf.get());
  return {ToPem(leaf.get()) + chain_below_root_, ToPem(key.get())};
}

std::string TestCa::Sign(const std::string& csr_pem) const {
  bssl::UniquePtr<BIO> in(
      BIO_new_mem_buf(csr_pem.data(), static_cast<ossl_ssize_t>(csr_pem.size())));
  bssl::UniquePtr<X509_REQ> request(PEM_read_bio_X509_REQ(in.get(), nullptr, nullptr, nullptr));
  HEDDLE_CHECK(request != nullptr);
  bssl::UniquePtr<EVP_PKEY> key(X509_REQ_get_pubkey(request.get()));
  HEDDLE_CHECK(X509_REQ_verify(request.get(), key.get()) == 1);
  const bssl::UniquePtr<X509> leaf =
      NewCertificate(key.get(), absl::Now() - absl::Hours(1), absl::Now() + absl::Hours(1));
  X509_set_subject_name(leaf.get(), X509_REQ_get_subject_name(request.get()));
  bssl::UniquePtr<STACK_OF(X509_EXTENSION)> extensions(X509_REQ_get_extensions(request.get()));
  for (size_t i = 0; i < sk_X509_EXTENSION_num(extensions.get()); ++i) {
    X509_add_ext(leaf.get(), sk_X509_EXTENSION_value(extensions.get(), i), -1);
  }
  keys_->SignInto(leaf.get());
  return ToPem(leaf.get()) + chain_below_root_;
}

std::string TestCa::Revoke(const std::vector<tls::Certificate>& leaves) const {
  bssl::UniquePtr<X509_CRL> crl(X509_CRL_new());
  X509_CRL_set_version(crl.get(), X509_CRL_VERSION_2);
  X509_CRL_set_issuer_name(crl.get(), X509_get_subject_name(keys_->certificate.get()));
  bssl::UniquePtr<ASN1_TIME> from(
      ASN1_TIME_set_posix(nullptr, absl::ToUnixSeconds(absl::Now() - absl::Hours(1))));
  bssl::UniquePtr<ASN1_TIME> to(
      ASN1_TIME_set_posix(nullptr, absl::ToUnixSeconds(absl::Now() + absl::Hours(1))));
  X509_CRL_set1_lastUpdate(crl.get(), from.get());
  X509_CRL_set1_nextUpdate(crl.get(), to.get());
  for (const tls::Certificate& leaf : leaves) {
    const bssl::UniquePtr<X509> parsed = FromPem(leaf.chain_pem);
    bssl::UniquePtr<X509_REVOKED> revoked(X509_REVOKED_new());
    X509_REVOKED_set_serialNumber(revoked.get(), X509_get0_serialNumber(parsed.get()));
    X509_REVOKED_set_revocationDate(revoked.get(), from.get());
    X509_CRL_add0_revoked(crl.get(), revoked.release());
  }
  HEDDLE_CHECK(X509_CRL_sign(crl.get(), keys_->key.get(), EVP_sha256()));
  bssl::UniquePtr<BIO> out(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509_CRL(out.get(), crl.get());
  return Text(out.get());
}

}  // namespace heddle::test
