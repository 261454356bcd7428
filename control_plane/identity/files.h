// Small files of the state directory: keys that only their owner may read, and certificates
// replaced whole. Blocking; called at start-up and on the rare rotation, never on a push.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace heddle::identity {

// At most 1 MiB. NotFound when there is no such file.
absl::StatusOr<std::string> ReadFile(const std::string& path);

// As ReadFile, and refuses (FailedPrecondition, with the command that mends it) a file that is not
// regular, belongs to another user, or that group or others may touch. Checked on the open
// descriptor, symbolic links are not followed.
absl::StatusOr<std::string> ReadPrivateFile(const std::string& path);

// Makes `path` with mode 0600, complete or not at all (written beside, synced, then linked).
// AlreadyExists when there is one: nothing is ever overwritten.
absl::Status CreatePrivateFile(const std::string& path, absl::string_view contents);

// Replaces `path` atomically; readers see the old bytes or the new.
absl::Status ReplaceFile(const std::string& path, absl::string_view contents, int mode);

// Makes `dir` with mode 0700 when it is missing, and refuses one that others may write to.
absl::Status PrepareStateDir(const std::string& dir);

// Holds `path` locked while it lives, so that two processes never share one state directory. The
// kernel lets go when the process dies, however it dies.
class DirectoryLock {
 public:
  static absl::StatusOr<DirectoryLock> Take(const std::string& path);
  DirectoryLock(DirectoryLock&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  DirectoryLock& operator=(DirectoryLock&&) = delete;
  ~DirectoryLock();

 private:
  explicit DirectoryLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace heddle::identity
