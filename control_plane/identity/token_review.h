// Who a service account token speaks for, as the API server says (TokenReview). The token must have
// been made for the audience "heddle-control"; namespace, account and pod come from the answer and
// from nowhere else.
#pragma once

#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "control_plane/identity/spiffe.h"
#include "control_plane/kube/client.h"

namespace heddle::identity {

struct ReviewedToken {
  WorkloadId id;
  std::string pod;     // the one the token is bound to; empty: none
  absl::Time expires;  // of the token
};

// The answer to a review of `token`, read; pure. Unauthenticated with the reason unless it vouches
// for a service account and our audience.
absl::StatusOr<ReviewedToken> ReadTokenReview(absl::string_view review, absl::string_view token,
                                              absl::string_view trust_domain, absl::Time now);

class TokenReviewer {
 public:
  // `client` outlives it.
  TokenReviewer(kube::Client& client, std::string trust_domain)
      : client_(client), trust_domain_(std::move(trust_domain)) {}

  // Waits for the API server, 5 s at most; Unavailable then, and when too many wait already. What
  // was vouched for is remembered for 10 s, by the token's SHA-256. Any thread.
  absl::StatusOr<ReviewedToken> Review(absl::string_view token, absl::Time now);

 private:
  struct Known {
    ReviewedToken token;
    absl::Time until;
  };
  kube::Client& client_;
  const std::string trust_domain_;
  absl::Mutex mutex_;
  std::map<std::string, Known> known_ ABSL_GUARDED_BY(mutex_);
  int waiting_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace heddle::identity
