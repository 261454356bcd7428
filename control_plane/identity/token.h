// Join tokens: how a workload outside Kubernetes proves its service account once, before it has a
// certificate. A JWT signed ES256 with token.key of heddle-control's state directory, made by
// `heddlectl token`, short-lived, bound to one namespace and service account.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "control_plane/identity/spiffe.h"

namespace heddle::identity {

constexpr char kTokenAudience[] = "heddle-control";
constexpr absl::Duration kMaxTokenLifetime = absl::Hours(24 * 7);
constexpr absl::Duration kTokenClockSkew = absl::Seconds(60);

class TokenKey {
 public:
  // Loads token.key of `dir`, made there first when missing (mode 0600; refused when others can
  // read it).
  static absl::StatusOr<TokenKey> Open(const std::string& dir);
  TokenKey(TokenKey&&) noexcept;
  ~TokenKey();

  // InvalidArgument when the lifetime is not within (0, kMaxTokenLifetime].
  absl::StatusOr<std::string> Make(const WorkloadId& id, absl::Duration lifetime,
                                   absl::Time now) const;

  struct Claims {
    WorkloadId id;
    absl::Time expires;
    std::string token_id;
  };
  // Unauthenticated with the reason, unless the token is signed by this key with ES256, for
  // kTokenAudience, issued by `trust_domain`, neither expired nor from the future (kTokenClockSkew
  // allowed), and no longer-lived than allowed.
  absl::StatusOr<Claims> Verify(absl::string_view token, absl::string_view trust_domain,
                                absl::Time now) const;

 private:
  struct Key;
  explicit TokenKey(std::unique_ptr<Key> key);
  std::unique_ptr<Key> key_;
};

}  // namespace heddle::identity
