// A fresh key and the request that asks a CA to certify it: what a workload's identity is renewed
// with.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace heddle::tls {

struct KeyAndCsr {
  std::string key_pem;  // PKCS #8, ECDSA P-256. Secret: stays in this process
  std::string csr_pem;  // PKCS #10
};

struct CsrOptions {
  std::vector<std::string> uri_sans{};  // usually the one SPIFFE id
  std::vector<std::string> dns_sans{};
  std::string common_name{};  // usually empty
};

absl::StatusOr<KeyAndCsr> MakeKeyAndCsr(const CsrOptions& options);

}  // namespace heddle::tls
