// Secrets served over SDS, by name:
//   "ROOTCA"        the trust bundle (validation_context), for everybody
//   "default"       certificate and key of the authenticated identity, made here; for peers without
//   a CSR of their own "heddle:renew"  a generic secret that holds the renewal epoch. heddle-proxy
//   subscribes to it; when its content
//                   changes the proxy makes a new key and sends a new CSR at once. It remembers the
//                   content it started with, so connecting again renews nothing.
// The epoch is kept in the state directory: a restart of heddle-control renews nothing either.
//
// Thread-safe.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "control_plane/identity/ca.h"
#include "control_plane/translate/translate.h"

namespace heddle::serve {

inline constexpr char kRootSecret[] = "ROOTCA";
inline constexpr char kIdentitySecret[] = "default";
inline constexpr char kRenewSecret[] = "heddle:renew";

class Secrets {
 public:
  // `ca` outlives it.
  static absl::StatusOr<std::unique_ptr<Secrets>> Open(const identity::CertificateAuthority& ca,
                                                       absl::Time now);

  struct Shared {
    translate::ResourceRef root;
    translate::ResourceRef renew;
    std::string epoch;
  };
  std::shared_ptr<const Shared> Current() const;

  // Reads the epoch's file again, and the CA's bundle: another replica may have written them.
  absl::Status Reload();
  // Reads the CA's bundle again, after a step of its rotation.
  void RefreshBundle();
  // A new epoch: the whole mesh makes new keys and certificates now.
  absl::Status RenewAll(absl::Time now);

  struct Identity {
    translate::ResourceRef secret;
    absl::Time not_after;
    absl::Time renew_at;
    std::string epoch;  // under which it was made
  };
  absl::StatusOr<Identity> Issue(const identity::WorkloadId& id, absl::Time now) const;

 private:
  explicit Secrets(const identity::CertificateAuthority& ca) : ca_(ca) {}
  void Publish(std::string epoch);
  std::string epoch_path() const { return ca_.options().dir + "/renew.epoch"; }

  const identity::CertificateAuthority& ca_;
  mutable absl::Mutex mutex_;
  std::shared_ptr<const Shared> shared_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace heddle::serve
