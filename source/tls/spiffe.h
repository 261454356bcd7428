// SPIFFE identities: spiffe://<trust domain>/<path>.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace heddle::tls {

struct SpiffeId {
  std::string trust_domain;  // "cluster.local"
  std::string path;          // "/ns/bookshop/sa/web"; empty for the domain itself

  // Strict: SPIFFE-ID specification, section 2 (characters, no empty or dot segments, at most 2048
  // bytes).
  static absl::StatusOr<SpiffeId> Parse(absl::string_view uri);
  // "spiffe://<domain>/ns/<namespace>/sa/<service account>".
  static SpiffeId Workload(absl::string_view trust_domain, absl::string_view ns,
                           absl::string_view service_account);

  std::string ToString() const;
  // Of a workload's id; empty when the path has another form.
  std::string ns() const;
  std::string service_account() const;
  friend bool operator==(const SpiffeId&, const SpiffeId&) = default;
};

}  // namespace heddle::tls
