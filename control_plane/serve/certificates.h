// IstioCertificateService.CreateCertificate: the caller's public key, signed for the caller's
// authenticated identity. Thread-safe.
#pragma once

#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "control_plane/identity/ca.h"
#include "control_plane/serve/auth.h"
#include "control_plane/serve/hub.h"

namespace heddle::serve {

class CertificateService {
 public:
  // All outlive it.
  CertificateService(const identity::CertificateAuthority& ca, Hub& hub) : ca_(ca), hub_(hub) {}

  // Bytes of IstioCertificateRequest to bytes of IstioCertificateResponse: the leaf, then the trust
  // bundle.
  absl::StatusOr<std::string> Create(const Peer& peer, absl::string_view request);

 private:
  // At most this many signatures per second and identity, sustained; bursts of ten times as many (a
  // service account may have many replicas, all told to renew at once).
  static constexpr double kPerSecond = 20;
  bool Allowed(const std::string& uri, absl::Time now);
  absl::StatusOr<std::string> Sign(const Peer& peer, absl::string_view request);

  struct Bucket {
    double tokens;
    absl::Time at;
  };
  const identity::CertificateAuthority& ca_;
  Hub& hub_;
  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, Bucket> buckets_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace heddle::serve
