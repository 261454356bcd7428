#include "control_plane/serve/certificates.h"

#include <algorithm>

#include "istio/v1/auth/ca.pb.h"
#include "source/base/log.h"
#include "source/base/status.h"

namespace heddle::serve {

bool CertificateService::Allowed(const std::string& uri, absl::Time now) {
  absl::MutexLock lock(&mutex_);
  if (buckets_.size() > 10000) buckets_.clear();
  Bucket& bucket = buckets_.try_emplace(uri, Bucket{10 * kPerSecond, now}).first->second;
  bucket.tokens = std::min(10 * kPerSecond,
                           bucket.tokens + kPerSecond * absl::ToDoubleSeconds(now - bucket.at));
  bucket.at = now;
  if (bucket.tokens < 1) return false;
  bucket.tokens -= 1;
  return true;
}

absl::StatusOr<std::string> CertificateService::Sign(const Peer& peer, absl::string_view request) {
  istio::v1::auth::IstioCertificateRequest in;
  if (!in.ParseFromArray(request.data(), static_cast<int>(request.size())))
    return absl::InvalidArgumentError("not an IstioCertificateRequest");
  const absl::Time now = hub_.Now();
  if (!Allowed(peer.id.Uri(), now))
    return absl::ResourceExhaustedError("too many certificates for this identity");
  // Out of range would be undefined in the conversion; anything longer than the limit is the limit
  // anyway.
  const int64_t seconds = std::clamp<int64_t>(in.validity_duration(), 0, int64_t{1} << 32);
  HEDDLE_ASSIGN_OR_RETURN(const identity::SignedCertificate made,
                          ca_.SignCsr(in.csr(), peer.id, absl::Seconds(seconds), now));
  hub_.CountIssued(peer.id, made.serial_hex, made.not_after, now);
  HEDDLE_LOG(kInfo, "ca") << "signed " << made.serial_hex << " for " << peer.id.Uri() << " ("
                          << (peer.proof == Peer::Proof::kCertificate ? "renewal" : "join token")
                          << " from " << peer.address << ") until "
                          << absl::FormatTime(made.not_after, absl::UTCTimeZone());
  istio::v1::auth::IstioCertificateResponse out;
  out.add_cert_chain(made.pem);
  out.add_cert_chain(ca_.Bundle());
  return out.SerializeAsString();
}

absl::StatusOr<std::string> CertificateService::Create(const Peer& peer,
                                                       absl::string_view request) {
  absl::StatusOr<std::string> out = Sign(peer, request);
  if (!out.ok()) {
    hub_.CountRefusedCertificate();
    HEDDLE_LOG(kWarning, "ca") << "refused a certificate for " << peer.id.Uri() << " from "
                               << peer.address << ": " << out.status().ToString();
  }
  return out;
}

}  // namespace heddle::serve
