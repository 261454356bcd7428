// heddle-control's own certificate, as files that gRPC's certificate watcher reads: server.key
// (0600) and server.crt in the state directory. Renewed at half its life and whenever the root
// changes; new handshakes use the new one.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "control_plane/identity/ca.h"

namespace heddle::identity {

class ServingCertificate {
 public:
  // `ca` outlives it.
  ServingCertificate(const CertificateAuthority& ca, ServerNames names)
      : ca_(ca), names_(std::move(names)) {}

  // Writes a new pair when none was written by this object yet, half the life is over, or the
  // signing root changed. Cheap otherwise; called by the ticker. On error the old pair stays.
  absl::Status Refresh(absl::Time now);

  std::string key_path() const { return ca_.options().dir + "/server.key"; }
  std::string cert_path() const { return ca_.options().dir + "/server.crt"; }
  absl::Time not_after() const { return not_after_; }
  WorkloadId id() const;

 private:
  const CertificateAuthority& ca_;
  const ServerNames names_;
  std::string root_name_;
  absl::Time renew_at_ = absl::InfinitePast();
  absl::Time not_after_ = absl::InfinitePast();
};

}  // namespace heddle::identity
