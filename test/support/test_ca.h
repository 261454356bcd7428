// A certificate authority for tests, made on the spot: nothing in the tree expires.
//
//   TestCa ca("root");
//   tls::Certificate web = ca.Issue({.uri_sans = {"spiffe://cluster.local/ns/bookshop/sa/web"}});
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "source/tls/certificate.h"

namespace heddle::test {

struct LeafOptions {
  std::vector<std::string> uri_sans = {};
  std::vector<std::string> dns_sans = {};
  std::string common_name = {};
  absl::Time not_before = absl::Now() - absl::Hours(1);
  absl::Time not_after = absl::Now() + absl::Hours(24);
  bool rsa = false;  // 2048 bits, slow to make
};

class TestCa {
 public:
  explicit TestCa(const std::string& name);
  ~TestCa();

  const std::string& pem() const { return pem_; }
  tls::Certificate Issue(const LeafOptions& options) const;
  // A CA below this one; what it issues carries its certificate in the chain.
  TestCa Intermediate(const std::string& name) const;
  // Certifies a request with the SANs it asks for; returns the leaf's PEM.
  std::string Sign(const std::string& csr_pem) const;
  // A list that revokes these leaves.
  std::string Revoke(const std::vector<tls::Certificate>& leaves) const;

 private:
  struct Keys;
  TestCa(const std::string& name, const TestCa* issuer);
  std::shared_ptr<Keys> keys_;
  std::string pem_;
  std::string chain_below_root_;
};

}  // namespace heddle::test
