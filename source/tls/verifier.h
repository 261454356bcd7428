// Decides whether a peer's certificate chain is acceptable, and says who the peer is. Private to
// source/tls.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "source/base/clock.h"
#include "source/tls/context.h"
#include "source/tls/crypto.h"

namespace heddle::tls {

struct PeerCertificate {
  CertificateInfo leaf;
  bool verified = false;   // by the trusted CAs and everything else the validation asks for
  absl::Time valid_until;  // the first end of validity in the chain
};

struct PeerVerdict {
  enum class Cause : uint8_t { kNone, kCa, kSan, kHash };
  std::shared_ptr<const PeerCertificate> peer{};  // null when refused
  Cause cause = Cause::kNone;
  uint8_t alert = 0;
  std::string error{};  // what was seen and what is allowed
};

// Any thread. Remembers chains it accepted, so that a peer that comes back costs no signature
// check.
class Verifier {
 public:
  // `peer_is_client`: the chain must be fit for client authentication, else for a server.
  // `validation` may be null.
  static absl::StatusOr<std::unique_ptr<Verifier>> Create(const Validation* validation,
                                                          bool peer_is_client,
                                                          const base::Clock& clock);
  // `chain`: leaf first, not empty. `sans`: who it may be, empty for anybody; Validation::sans is
  // not looked at.
  PeerVerdict Verify(const STACK_OF(CRYPTO_BUFFER) * chain,
                     const std::vector<SanMatcher>& sans) const;
  // Whether there is a CA: names prove nothing without one.
  bool trusts() const { return store_ != nullptr; }
  // Names of the trusted CAs, DER: what a server tells clients.
  const std::vector<std::string>& ca_names() const { return ca_names_; }

 private:
  static constexpr size_t kMaxRemembered = 1024;

  Verifier(Validation validation, bool peer_is_client, const base::Clock& clock)
      : validation_(std::move(validation)), peer_is_client_(peer_is_client), clock_(clock) {}
  absl::Status LoadTrust();
  absl::Status LoadCrl();
  absl::Status CheckOptions() const;
  PeerVerdict VerifyAnybody(const STACK_OF(CRYPTO_BUFFER) * chain) const;
  PeerVerdict VerifyFresh(const STACK_OF(CRYPTO_BUFFER) * chain) const;
  bool VerifyChain(X509* leaf, STACK_OF(X509) * others, const CertificateInfo& info,
                   PeerVerdict* verdict) const;
  bool VerifySpiffe(const CertificateInfo& info, PeerVerdict* verdict) const;
  bool VerifyPins(const CertificateInfo& info, PeerVerdict* verdict) const;

  Validation validation_;
  const bool peer_is_client_;
  const base::Clock& clock_;
  bssl::UniquePtr<X509_STORE> store_;  // null: no CA given
  std::vector<std::string> ca_names_;
  std::string ca_subjects_;  // for errors
  mutable absl::Mutex mutex_;
  // By the hash of the whole chain.
  mutable absl::flat_hash_map<std::string, std::shared_ptr<const PeerCertificate>> accepted_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace heddle::tls
