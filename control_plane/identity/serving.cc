#include "control_plane/identity/serving.h"

#include "control_plane/identity/files.h"
#include "source/base/log.h"
#include "source/base/status.h"

namespace heddle::identity {

WorkloadId ServingCertificate::id() const {
  return {.trust_domain = ca_.options().trust_domain,
          .ns = "heddle-system",
          .service_account = "heddle-control"};
}

absl::Status ServingCertificate::Refresh(absl::Time now) {
  const std::string root = ca_.Roots().front().name;
  if (now < renew_at_ && root == root_name_) return absl::OkStatus();
  HEDDLE_ASSIGN_OR_RETURN(const KeyAndCertificate made, ca_.Issue(id(), names_, now));
  // The watcher reads the pair again when it does not match, so the order matters to nobody.
  HEDDLE_RETURN_IF_ERROR(ReplaceFile(key_path(), made.key_pem, 0600));
  HEDDLE_RETURN_IF_ERROR(ReplaceFile(cert_path(), made.certificate.pem, 0644));
  root_name_ = root;
  not_after_ = made.certificate.not_after;
  renew_at_ = now + (not_after_ - now) / 2;
  HEDDLE_LOG(kInfo, "identity") << "serving certificate " << made.certificate.serial_hex
                                << " until " << absl::FormatTime(not_after_, absl::UTCTimeZone());
  return absl::OkStatus();
}

}  // namespace heddle::identity
