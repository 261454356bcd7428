#include "control_plane/serve/auth.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "control_plane/identity/ca.h"
#include "source/base/status.h"

namespace heddle::serve {

absl::StatusOr<Peer> Authenticator::Authenticate(const Credentials& credentials,
                                                 absl::Time now) const {
  Peer peer;
  peer.address = credentials.address;
  if (!credentials.certificate_pem.empty()) {
    // Two URI names would leave it to the reader who this is (X.509-SVID section 2: exactly one).
    if (credentials.uris.size() != 1)
      return absl::UnauthenticatedError(
          "client certificate: want exactly one URI subject alternative name");
    auto id = identity::WorkloadId::FromUri(credentials.uris.front());
    if (!id.ok())
      return absl::UnauthenticatedError(
          absl::StrCat("client certificate: ", id.status().message()));
    if (id->trust_domain != trust_domain_)
      return absl::UnauthenticatedError(absl::StrCat("client certificate: ", id->Uri(),
                                                     " is not of trust domain ", trust_domain_));
    HEDDLE_ASSIGN_OR_RETURN(const identity::CertificateFacts facts,
                            identity::ReadCertificate(credentials.certificate_pem));
    peer.id = *std::move(id);
    peer.proof = Peer::Proof::kCertificate;
    peer.expires = facts.not_after;
    peer.serial_hex = facts.serial_hex;
    return peer;
  }
  absl::string_view token = credentials.authorization;
  if (!absl::ConsumePrefix(&token, "Bearer ") && !absl::ConsumePrefix(&token, "bearer "))
    return absl::UnauthenticatedError(
        review_ ? "no client certificate and no \"authorization: Bearer <service account token>\""
                : "no client certificate and no \"authorization: Bearer <join token>\"; make a "
                  "token with `heddlectl token`");
  if (review_) {
    HEDDLE_ASSIGN_OR_RETURN(const TokenProof proof, review_(token, now));
    peer.id = proof.id;
    peer.expires = proof.expires;
    return peer;
  }
  HEDDLE_ASSIGN_OR_RETURN(const identity::TokenKey::Claims claims,
                          tokens_.Verify(token, trust_domain_, now));
  peer.id = claims.id;
  peer.expires = claims.expires;
  return peer;
}

}  // namespace heddle::serve
