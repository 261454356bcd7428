// The CA's files in a Secret, so that all replicas of heddle-control sign with one key: the state
// directory is a copy of it.
//
//   ca.key  ca.crt  ca.next.key (while a root is prepared)  renew.epoch
//
// The first replica makes the key and creates the Secret; who comes second finds it there, also
// when both begin at once. Blocking; one thread at a time.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "control_plane/kube/client.h"

namespace heddle::identity {

struct CaSecretOptions {
  std::string ns = "heddle-system";
  std::string name = "heddle-ca";
  std::string dir;  // the state directory
  std::string trust_domain;
};

class CaSecret {
 public:
  // `client` outlives it.
  CaSecret(kube::Client& client, CaSecretOptions options)
      : client_(client), options_(std::move(options)) {}

  // Before CertificateAuthority::Open: the state directory has what the Secret has, which is made
  // when there is none.
  absl::Status Adopt(absl::Time now);
  // Reads the Secret again. True: the files changed.
  absl::StatusOr<bool> Pull();
  // After a step of a rotation: the Secret has what the directory has. Aborted when somebody
  // changed it since; Pull then.
  absl::Status Push();

 private:
  std::string Path() const;
  std::string Body(bool create) const;
  absl::StatusOr<bool> Write(const std::string& secret);

  kube::Client& client_;
  const CaSecretOptions options_;
  std::string version_;
};

}  // namespace heddle::identity
