// Who a workload is: spiffe://<trust domain>/ns/<namespace>/sa/<service account>. A value; it is
// made only from a verified certificate, a verified token, or a person's command line, never from
// what a proxy says about itself.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace heddle::identity {

struct WorkloadId {
  std::string trust_domain;
  std::string ns;
  std::string service_account;

  std::string Uri() const;
  // Subject of a join token, in the form Kubernetes uses: "system:serviceaccount:<ns>:<sa>".
  std::string Subject() const;

  // Exactly the form above; anything else (more or fewer segments, empty ones, bad characters) is
  // InvalidArgument.
  static absl::StatusOr<WorkloadId> FromUri(absl::string_view uri);
  static absl::StatusOr<WorkloadId> FromSubject(absl::string_view trust_domain,
                                                absl::string_view subject);

  friend bool operator==(const WorkloadId& a, const WorkloadId& b) {
    return a.trust_domain == b.trust_domain && a.ns == b.ns &&
           a.service_account == b.service_account;
  }
};

// A namespace or service account: RFC 1123 subdomain (lower case, digits, '-', '.'), 1 to 253
// bytes.
absl::Status ValidateName(absl::string_view what, absl::string_view name);
// A SPIFFE trust domain: lower case, digits, '-', '.', '_', 1 to 255 bytes.
absl::Status ValidateTrustDomain(absl::string_view name);

}  // namespace heddle::identity
