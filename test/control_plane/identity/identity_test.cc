// The certificate authority, its files and the join tokens: what is signed, what is refused, and
// that keys stay private.
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "control_plane/identity/ca.h"
#include "control_plane/identity/files.h"
#include "control_plane/identity/serving.h"
#include "control_plane/identity/spiffe.h"
#include "control_plane/identity/token.h"

namespace heddle::identity {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);
const WorkloadId kReviews{
    .trust_domain = "cluster.local", .ns = "bookshop", .service_account = "reviews"};

std::string TempDir() {
  const char* root = ::getenv("TEST_TMPDIR");
  std::string pattern = absl::StrCat(root != nullptr ? root : "/tmp", "/identity.XXXXXX");
  REQUIRE(::mkdtemp(pattern.data()) != nullptr);
  return pattern;
}

std::unique_ptr<CertificateAuthority> OpenCa(const std::string& dir) {
  auto ca = CertificateAuthority::Open({.dir = dir}, kNow);
  INFO(ca.status());
  REQUIRE(ca.ok());
  return *std::move(ca);
}

// A PEM request for `key`, whose subject and SAN claim somebody else's identity.
std::string Csr(EVP_PKEY* key, bool break_signature = false) {
  X509_REQ* request = X509_REQ_new();
  X509_REQ_set_version(request, 0);
  X509_REQ_set_pubkey(request, key);
  X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(request), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("admin"), -1, -1, 0);
  STACK_OF(X509_EXTENSION)* extensions = sk_X509_EXTENSION_new_null();
  sk_X509_EXTENSION_push(extensions,
                         X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name,
                                             "URI:spiffe://cluster.local/ns/kube-system/sa/admin"));
  X509_REQ_add_extensions(request, extensions);
  sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
  X509_REQ_sign(request, key, EVP_sha256());
  if (break_signature) {
    EVP_PKEY* other = EVP_EC_gen("P-256");
    X509_REQ_set_pubkey(request, other);
    EVP_PKEY_free(other);
  }
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509_REQ(bio, request);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string out(data, static_cast<size_t>(size));
  BIO_free(bio);
  X509_REQ_free(request);
  return out;
}

std::string CsrOf(EVP_PKEY* key, bool break_signature = false) {
  std::string out = Csr(key, break_signature);
  EVP_PKEY_free(key);
  return out;
}

}  // namespace

SCENARIO("a SPIFFE identity is read strictly") {
  REQUIRE(*WorkloadId::FromUri(kReviews.Uri()) == kReviews);
  REQUIRE(*WorkloadId::FromSubject("cluster.local", kReviews.Subject()) == kReviews);
  for (const char* bad :
       {"", "spiffe://", "spiffe://td/ns/a/sa", "spiffe://td/ns/a/sa/", "spiffe://td/ns//sa/b",
        "spiffe://td/ns/a/sa/b/c", "spiffe:///ns/a/sa/b", "spiffe://TD/ns/a/sa/b",
        "spiffe://td/ns/A/sa/b", "spiffe://td/sa/a/ns/b", "http://td/ns/a/sa/b",
        "spiffe://td/ns/a%2f/sa/b", "spiffe://td/ns/a,URI:x/sa/b", "spiffe://td/ns/-a/sa/b"}) {
    INFO(bad);
    CHECK_FALSE(WorkloadId::FromUri(bad).ok());
  }
  for (const char* bad : {"", "system:serviceaccount:a", "system:serviceaccount:a:b:c",
                          "user:serviceaccount:a:b", "system:serviceaccount::b"}) {
    INFO(bad);
    CHECK_FALSE(WorkloadId::FromSubject("cluster.local", bad).ok());
  }
}

SCENARIO("the CA makes its key once, private, and refuses one that others can read") {
  const std::string dir = TempDir() + "/state";
  const std::string first = OpenCa(dir)->Bundle();
  struct stat info {};
  REQUIRE(::stat((dir + "/ca.key").c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == 0600);
  CHECK(OpenCa(dir)->Bundle() == first);

  WHEN("the key's mode is looser") {
    ::chmod((dir + "/ca.key").c_str(), 0640);
    const auto refused = CertificateAuthority::Open({.dir = dir}, kNow);
    REQUIRE_FALSE(refused.ok());
    CHECK_THAT(std::string(refused.status().message()), Catch::Contains("chmod 600"));
  }
  WHEN("the key is a symbolic link") {
    REQUIRE(::rename((dir + "/ca.key").c_str(), (dir + "/real").c_str()) == 0);
    REQUIRE(::symlink((dir + "/real").c_str(), (dir + "/ca.key").c_str()) == 0);
    CHECK_FALSE(CertificateAuthority::Open({.dir = dir}, kNow).ok());
  }
  WHEN("the trust domain is another one") {
    const auto refused =
        CertificateAuthority::Open({.dir = dir, .trust_domain = "other.org"}, kNow);
    CHECK_THAT(std::string(refused.status().message()), Catch::Contains("--trust-domain"));
  }
  WHEN("the root has expired") {
    CHECK_FALSE(CertificateAuthority::Open({.dir = dir}, kNow + absl::Hours(24 * 3651)).ok());
  }
  WHEN("the key belongs to another root") {
    ::remove((dir + "/ca.key").c_str());
    const auto refused = CertificateAuthority::Open({.dir = dir}, kNow);
    CHECK_THAT(std::string(refused.status().message()), Catch::Contains("belongs"));
  }
  WHEN("the certificate is lost and made again from the same key") {
    const auto ca = OpenCa(dir);
    const auto leaf = ca->Issue(kReviews, {}, kNow);
    ::remove((dir + "/ca.crt").c_str());
    const auto again = OpenCa(dir);
    THEN("holders of either root accept what the other signed") {
      CHECK(VerifyChain(leaf->certificate.pem, again->Bundle(), kNow).ok());
      CHECK(VerifyChain(again->Issue(kReviews, {}, kNow)->certificate.pem, first, kNow).ok());
    }
  }
  WHEN("the directory can be written by others") {
    ::chmod(dir.c_str(), 0777);
    CHECK_FALSE(CertificateAuthority::Open({.dir = dir}, kNow).ok());
  }
}

SCENARIO("a file is never overwritten by CreatePrivateFile") {
  const std::string path = TempDir() + "/key";
  REQUIRE(CreatePrivateFile(path, "one").ok());
  CHECK(absl::IsAlreadyExists(CreatePrivateFile(path, "two")));
  CHECK(*ReadPrivateFile(path) == "one");
}

SCENARIO("one state directory serves one process") {
  const std::string path = TempDir() + "/lock";
  {
    const auto first = DirectoryLock::Take(path);
    REQUIRE(first.ok());
    CHECK_FALSE(DirectoryLock::Take(path).ok());
  }
  CHECK(DirectoryLock::Take(path).ok());
}

SCENARIO("a CSR gives its public key and nothing else") {
  const auto ca = OpenCa(TempDir());
  EVP_PKEY* key = EVP_EC_gen("P-256");
  const auto cert = ca->SignCsr(Csr(key), kReviews, absl::ZeroDuration(), kNow);
  INFO(cert.status());
  REQUIRE(cert.ok());

  const auto facts = ReadCertificate(cert->pem);
  CHECK(facts->uri == "spiffe://cluster.local/ns/bookshop/sa/reviews");
  CHECK(facts->not_after == kNow + absl::Hours(24));
  CHECK(facts->not_before == kNow - absl::Minutes(5));
  CHECK(facts->serial_hex.size() == 34);
  CHECK(VerifyChain(cert->pem, ca->Bundle(), kNow).ok());
  CHECK_FALSE(VerifyChain(cert->pem, ca->Bundle(), kNow + absl::Hours(25)).ok());
  CHECK_FALSE(VerifyChain(cert->pem, OpenCa(TempDir())->Bundle(), kNow).ok());

  BIO* bio = BIO_new_mem_buf(cert->pem.data(), static_cast<int>(cert->pem.size()));
  X509* x509 = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  CHECK(EVP_PKEY_eq(X509_get0_pubkey(x509), key) == 1);
  CHECK(X509_NAME_entry_count(X509_get_subject_name(x509)) == 0);
  CHECK(X509_check_ca(x509) == 0);
  CHECK(X509_get_key_usage(x509) == KU_DIGITAL_SIGNATURE);
  CHECK(X509_get_extended_key_usage(x509) == (XKU_SSL_SERVER | XKU_SSL_CLIENT));
  const int san = X509_get_ext_by_NID(x509, NID_subject_alt_name, -1);
  CHECK(X509_EXTENSION_get_critical(X509_get_ext(x509, san)) == 1);
  X509_free(x509);
  BIO_free(bio);
  EVP_PKEY_free(key);
}

SCENARIO("the lifetime asked for is kept within bounds") {
  const auto ca = OpenCa(TempDir());
  const std::string csr = CsrOf(EVP_EC_gen("P-256"));
  struct {
    absl::Duration asked, got;
  } table[] = {{absl::ZeroDuration(), absl::Hours(24)},
               {absl::Hours(-1), absl::Hours(24)},
               {absl::Hours(1), absl::Hours(1)},
               {absl::Seconds(1), absl::Minutes(1)},
               {absl::Hours(24 * 365), absl::Hours(24)}};
  for (const auto& row : table)
    CHECK(ca->SignCsr(csr, kReviews, row.asked, kNow)->not_after == kNow + row.got);
  const absl::Time late = kNow + absl::Hours(24 * 3650) - absl::Hours(1);
  CHECK(ca->SignCsr(csr, kReviews, {}, late)->not_after == late + absl::Hours(1));
}

SCENARIO("a CSR that proves nothing, or holds another kind of key, is refused with the reason") {
  const auto ca = OpenCa(TempDir());
  struct {
    std::string csr;
    const char* why;
  } table[] = {
      {"", "not a PEM"},
      {"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "csr"},
      {std::string(20000, 'x'), "16 KiB"},
      {CsrOf(EVP_RSA_gen(2048)), "only ECDSA P-256"},
      {CsrOf(EVP_EC_gen("P-384")), "only ECDSA P-256"},
      {CsrOf(EVP_EC_gen("P-256"), true), "signature"}};
  for (const auto& row : table) {
    const auto refused = ca->SignCsr(row.csr, kReviews, {}, kNow);
    REQUIRE_FALSE(refused.ok());
    CHECK_THAT(std::string(refused.status().message()), Catch::Contains(row.why));
  }
  const WorkloadId foreign{.trust_domain = "other.org", .ns = "a", .service_account = "b"};
  CHECK(absl::IsPermissionDenied(
      ca->SignCsr(CsrOf(EVP_EC_gen("P-256")), foreign, {}, kNow).status()));
}

SCENARIO("two roots overlap while the CA is rotated") {
  const std::string dir = TempDir();
  auto ca = OpenCa(dir);
  const std::string old_bundle = ca->Bundle();
  const auto old_leaf = ca->Issue(kReviews, {}, kNow);
  CHECK_FALSE(ca->ActivateRoot().ok());
  CHECK_FALSE(ca->RetireRoots().ok());

  REQUIRE(ca->PrepareRoot(kNow).ok());
  CHECK_FALSE(ca->PrepareRoot(kNow).ok());
  CHECK_FALSE(ca->RetireRoots().ok());
  CHECK(ca->Roots().size() == 2);
  CHECK(VerifyChain(ca->Issue(kReviews, {}, kNow)->certificate.pem, old_bundle, kNow).ok());

  REQUIRE(ca->ActivateRoot().ok());
  const auto new_leaf = ca->Issue(kReviews, {}, kNow);
  CHECK_FALSE(VerifyChain(new_leaf->certificate.pem, old_bundle, kNow).ok());
  CHECK(VerifyChain(new_leaf->certificate.pem, ca->Bundle(), kNow).ok());
  CHECK(VerifyChain(old_leaf->certificate.pem, ca->Bundle(), kNow).ok());
  THEN("a restart in the middle signs with the new root and trusts both") {
    ca = OpenCa(dir);
    CHECK(ca->Roots().size() == 2);
    CHECK(VerifyChain(ca->Issue(kReviews, {}, kNow)->certificate.pem, old_bundle, kNow).code() ==
          absl::StatusCode::kUnauthenticated);
  }
  REQUIRE(ca->RetireRoots().ok());
  CHECK(ca->Roots().size() == 1);
  CHECK_FALSE(VerifyChain(old_leaf->certificate.pem, ca->Bundle(), kNow).ok());
  CHECK(VerifyChain(new_leaf->certificate.pem, OpenCa(dir)->Bundle(), kNow).ok());
}

SCENARIO("the serving certificate renews itself at half its life and when the root changes") {
  const auto ca = OpenCa(TempDir());
  ServingCertificate serving(*ca, {.dns = {"localhost"}, .ip = {"127.0.0.1"}});
  REQUIRE(serving.Refresh(kNow).ok());
  const std::string first = *ReadFile(serving.cert_path());
  CHECK(ReadCertificate(first)->uri == "spiffe://cluster.local/ns/heddle-system/sa/heddle-control");
  REQUIRE(serving.Refresh(kNow + absl::Hours(11)).ok());
  CHECK(*ReadFile(serving.cert_path()) == first);
  REQUIRE(serving.Refresh(kNow + absl::Hours(12)).ok());
  const std::string second = *ReadFile(serving.cert_path());
  CHECK(second != first);
  REQUIRE(ca->PrepareRoot(kNow).ok());
  REQUIRE(ca->ActivateRoot().ok());
  REQUIRE(serving.Refresh(kNow + absl::Hours(12)).ok());
  CHECK(*ReadFile(serving.cert_path()) != second);
}

SCENARIO("a join token proves one service account for a short time") {
  const std::string dir = TempDir();
  const auto key = TokenKey::Open(dir);
  REQUIRE(key.ok());
  const std::string token = *key->Make(kReviews, absl::Hours(1), kNow);
  const auto claims = key->Verify(token, "cluster.local", kNow);
  INFO(claims.status());
  REQUIRE(claims.ok());
  CHECK(claims->id == kReviews);
  CHECK(claims->expires == kNow + absl::Hours(1));
  CHECK(TokenKey::Open(dir)->Verify(token, "cluster.local", kNow).ok());

  CHECK(key->Verify(token, "cluster.local", kNow + absl::Minutes(60) + absl::Seconds(59)).ok());
  CHECK_FALSE(key->Verify(token, "cluster.local", kNow + absl::Minutes(61)).ok());
  CHECK(key->Verify(token, "cluster.local", kNow - absl::Seconds(60)).ok());
  CHECK_FALSE(key->Verify(token, "cluster.local", kNow - absl::Seconds(61)).ok());
  CHECK_FALSE(key->Verify(token, "other.org", kNow).ok());
  CHECK_FALSE(TokenKey::Open(TempDir())->Verify(token, "cluster.local", kNow).ok());
  CHECK_FALSE(key->Make(kReviews, absl::ZeroDuration(), kNow).ok());
  CHECK_FALSE(key->Make(kReviews, absl::Hours(24 * 8), kNow).ok());
}

SCENARIO("a join token that was touched anywhere is refused") {
  const auto key = TokenKey::Open(TempDir());
  const std::string token = *key->Make(kReviews, absl::Hours(1), kNow);
  const auto refused = [&](const std::string& bad) {
    return !key->Verify(bad, "cluster.local", kNow).ok();
  };
  for (size_t i = 0; i < token.size(); ++i) {
    std::string bad = token;
    // The last character of a base64 part may carry unused bits: flip its top bit's letter instead
    // of a neighbour.
    bad[i] = bad[i] == 'A' ? 'z' : 'A';
    INFO(i);
    CHECK(refused(bad));
  }
  const std::vector<std::string> parts = absl::StrSplit(token, '.');
  const std::string none = absl::WebSafeBase64Escape(R"({"alg":"none"})");
  const std::string hs = absl::WebSafeBase64Escape(R"({"alg":"HS256","typ":"JWT"})");
  for (const std::string& bad :
       {std::string(), std::string("."), std::string(".."), std::string("a.b.c"),
        parts[0] + "." + parts[1], parts[0] + "." + parts[1] + ".", none + "." + parts[1] + ".",
        hs + "." + parts[1] + "." + parts[2], token + ".x", token + "A", std::string(5000, 'a')}) {
    INFO(bad);
    CHECK(refused(bad));
  }
}

}  // namespace heddle::identity
