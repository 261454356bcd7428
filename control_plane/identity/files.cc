#include "control_plane/identity/files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "source/base/status.h"

namespace heddle::identity {
namespace {

constexpr size_t kMaxFile = 1 << 20;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

absl::Status FromErrno(absl::string_view doing, const std::string& path) {
  const int error = errno;
  const std::string text = absl::StrCat(doing, " ", path, ": ", ::strerror(error));
  if (error == ENOENT) return absl::NotFoundError(text);
  if (error == EEXIST) return absl::AlreadyExistsError(text);
  if (error == EACCES || error == EPERM) return absl::PermissionDeniedError(text);
  return absl::UnavailableError(text);
}

absl::StatusOr<std::string> ReadAll(int fd, const std::string& path) {
  std::string out;
  char chunk[16384];
  for (;;) {
    const ssize_t n = ::read(fd, chunk, sizeof(chunk));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return FromErrno("read", path);
    if (n == 0) return out;
    out.append(chunk, static_cast<size_t>(n));
    if (out.size() > kMaxFile)
      return absl::ResourceExhaustedError(absl::StrCat(path, ": larger than 1 MiB"));
  }
}

// A file beside `path` with these bytes, synced; its name is what comes back.
absl::StatusOr<std::string> WriteBeside(const std::string& path, absl::string_view contents,
                                        int mode) {
  const std::string temporary = absl::StrCat(path, ".tmp.", ::getpid());
  ::unlink(temporary.c_str());
  Descriptor fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                       static_cast<mode_t>(mode)));
  if (fd.get() < 0) return FromErrno("create", temporary);
  if (::fchmod(fd.get(), static_cast<mode_t>(mode)) != 0) return FromErrno("chmod", temporary);
  while (!contents.empty()) {
    const ssize_t n = ::write(fd.get(), contents.data(), contents.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const absl::Status status = FromErrno("write", temporary);
      ::unlink(temporary.c_str());
      return status;
    }
    contents.remove_prefix(static_cast<size_t>(n));
  }
  if (::fsync(fd.get()) != 0) return FromErrno("sync", temporary);
  return temporary;
}

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return FromErrno("open", path);
  return ReadAll(fd.get(), path);
}

absl::StatusOr<std::string> ReadPrivateFile(const std::string& path) {
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (fd.get() < 0) return FromErrno("open", path);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return FromErrno("stat", path);
  if (!S_ISREG(info.st_mode))
    return absl::FailedPreconditionError(absl::StrCat(path, ": not a regular file"));
  if (info.st_uid != ::geteuid())
    return absl::FailedPreconditionError(
        absl::StrFormat("%s: belongs to user %d, this process runs as user %d; run as its owner or "
                        "`chown %d %s`",
                        path, info.st_uid, ::geteuid(), ::geteuid(), path));
  if ((info.st_mode & 077) != 0)
    return absl::FailedPreconditionError(absl::StrFormat(
        "%s: mode %04o lets others at a private key; `chmod 600 %s` (and make a new "
        "key if somebody may have read it)",
        path, info.st_mode & 07777, path));
  return ReadAll(fd.get(), path);
}

absl::Status CreatePrivateFile(const std::string& path, absl::string_view contents) {
  HEDDLE_ASSIGN_OR_RETURN(const std::string temporary, WriteBeside(path, contents, 0600));
  absl::Status status;
  // link(2), unlike rename(2), never replaces: what O_EXCL promises, for a file that is complete
  // when it appears.
  if (::link(temporary.c_str(), path.c_str()) != 0) status = FromErrno("create", path);
  ::unlink(temporary.c_str());
  return status;
}

absl::Status ReplaceFile(const std::string& path, absl::string_view contents, int mode) {
  HEDDLE_ASSIGN_OR_RETURN(const std::string temporary, WriteBeside(path, contents, mode));
  if (::rename(temporary.c_str(), path.c_str()) == 0) return absl::OkStatus();
  absl::Status status = FromErrno("replace", path);
  ::unlink(temporary.c_str());
  return status;
}

absl::Status PrepareStateDir(const std::string& dir) {
  if (::mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST) return FromErrno("make directory", dir);
  struct stat info {};
  if (::stat(dir.c_str(), &info) != 0) return FromErrno("stat", dir);
  if (!S_ISDIR(info.st_mode))
    return absl::FailedPreconditionError(absl::StrCat(dir, ": not a directory"));
  if ((info.st_mode & 022) != 0)
    return absl::FailedPreconditionError(
        absl::StrFormat("%s: mode %04o lets others replace the keys in it; `chmod go-w %s`", dir,
                        info.st_mode & 07777, dir));
  return absl::OkStatus();
}

absl::StatusOr<DirectoryLock> DirectoryLock::Take(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return FromErrno("open", path);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    ::close(fd);
    return absl::FailedPreconditionError(
        absl::StrCat(path,
                     ": another heddle-control uses this state directory; stop it or give "
                     "--state-dir another one"));
  }
  return DirectoryLock(fd);
}

DirectoryLock::~DirectoryLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace heddle::identity
