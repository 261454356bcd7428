#include "source/tls/certificate.h"

#include <catch2/catch.hpp>
#include <string>

#include "source/tls/csr.h"
#include "test/support/test_ca.h"

namespace heddle::tls {
namespace {

using test::TestCa;

SCENARIO("a certificate tells its facts") {
  const TestCa ca("root");
  const TestCa below = ca.Intermediate("below");
  const absl::Time end = absl::FromUnixSeconds(absl::ToUnixSeconds(absl::Now() + absl::Hours(5)));
  const Certificate web = below.Issue({.uri_sans = {"spiffe://td/ns/a/sa/b"},
                                       .dns_sans = {"web", "*.web"},
                                       .common_name = "w",
                                       .not_after = end});
  const auto infos = ParseCertificates(web.chain_pem);
  REQUIRE(infos.ok());
  REQUIRE(infos->size() == 2);
  const CertificateInfo& leaf = (*infos)[0];
  CHECK(leaf.subject == "CN=w");
  CHECK(leaf.issuer == "CN=below");
  CHECK(leaf.not_after == end);
  CHECK(leaf.uri_sans == std::vector<std::string>{"spiffe://td/ns/a/sa/b"});
  CHECK(leaf.dns_sans == std::vector<std::string>{"web", "*.web"});
  CHECK(leaf.sha256.size() == 64);
  CHECK(leaf.spki_sha256.size() == 44);
  CHECK_FALSE(leaf.serial.empty());
  CHECK_FALSE(leaf.is_ca);
  CHECK((*infos)[1].is_ca);
  CHECK(CheckCertificate(web).ok());
}

SCENARIO("broken or mismatched PEM is refused with the cause and without the key") {
  const TestCa ca("root");
  const Certificate a = ca.Issue({}), b = ca.Issue({});
  const auto mismatch = CheckCertificate({a.chain_pem, b.key_pem});
  REQUIRE_FALSE(mismatch.ok());
  CHECK(std::string(mismatch.status().message()).find("does not belong") != std::string::npos);

  CHECK_FALSE(ParseCertificates("").ok());
  CHECK_FALSE(ParseCertificates("no pem").ok());
  CHECK_FALSE(ParseCertificates(a.key_pem).ok());
  std::string cut = a.chain_pem;
  cut.resize(cut.size() / 2);
  CHECK_FALSE(ParseCertificates(cut).ok());
  std::string flipped = a.chain_pem;
  flipped[60] = flipped[60] == 'A' ? 'B' : 'A';
  const auto broken = CheckCertificate({flipped, a.key_pem});
  CHECK_FALSE(broken.ok());
  const auto no_key = CheckCertificate(
      {a.chain_pem, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"});
  REQUIRE_FALSE(no_key.ok());
  CHECK(std::string(no_key.status().message()).find("AAAA") == std::string::npos);
  // Text around the blocks is allowed, and what came before an error does not leak into the next
  // call.
  CHECK(ParseCertificates("# comment\n" + a.chain_pem + "trailer").ok());
}

SCENARIO("a request carries the identity and its key fits what the CA returns") {
  const TestCa ca("root");
  const auto made = MakeKeyAndCsr({.uri_sans = {"spiffe://td/ns/a/sa/b"}});
  REQUIRE(made.ok());
  const std::string leaf = ca.Sign(made->csr_pem);
  const auto info = CheckCertificate({leaf, made->key_pem});
  REQUIRE(info.ok());
  CHECK(info->uri_sans == std::vector<std::string>{"spiffe://td/ns/a/sa/b"});
  CHECK(info->subject.empty());
  const auto again = MakeKeyAndCsr({.dns_sans = {"x"}, .common_name = "x"});
  REQUIRE(again.ok());
  CHECK(again->key_pem != made->key_pem);
}

}  // namespace
}  // namespace heddle::tls
