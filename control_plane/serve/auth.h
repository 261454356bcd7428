// Who is calling: the identity of a verified client certificate, else of a token. What the
// message says about its sender is never looked at here.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "control_plane/identity/spiffe.h"
#include "control_plane/identity/token.h"

namespace heddle::serve {

// As the transport saw them.
struct Credentials {
  std::vector<std::string>
      uris;  // URI SANs of a client certificate whose chain was verified; empty: no certificate
  std::string certificate_pem;
  std::string authorization;  // metadata of that name
  std::string address;        // of the peer, for logs
};

struct Peer {
  identity::WorkloadId id;
  enum class Proof { kCertificate, kToken } proof = Proof::kToken;
  absl::Time expires;      // of the proof
  std::string serial_hex;  // of the certificate; empty with a token
  std::string address;
};

class Authenticator {
 public:
  // What a token proves besides: asked instead of the join tokens' key. May wait for a server.
  struct TokenProof {
    identity::WorkloadId id;
    absl::Time expires;
  };
  using Review = std::function<absl::StatusOr<TokenProof>(absl::string_view token, absl::Time now)>;

  // `tokens` outlives it.
  Authenticator(const identity::TokenKey& tokens, std::string trust_domain, Review review = {})
      : tokens_(tokens), trust_domain_(std::move(trust_domain)), review_(std::move(review)) {}

  // Unauthenticated with the reason when nothing proves an identity of this trust domain.
  absl::StatusOr<Peer> Authenticate(const Credentials& credentials, absl::Time now) const;

 private:
  const identity::TokenKey& tokens_;
  const std::string trust_domain_;
  const Review review_;  // empty: join tokens
};

}  // namespace heddle::serve
