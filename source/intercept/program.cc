#include "source/intercept/program.h"

#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "source/base/status.h"
#include "source/net/socket.h"

namespace heddle::intercept {
namespace {

constexpr size_t kMaxOutput = 4 * 1024 * 1024;

absl::StatusOr<std::string> FindProgram(const std::string& name) {
  const char* path = std::getenv("PATH");
  const std::string folders =
      absl::StrCat(path != nullptr ? path : "", ":/usr/sbin:/sbin:/usr/bin:/bin");
  for (const absl::string_view folder : absl::StrSplit(folders, ':', absl::SkipEmpty())) {
    const std::string full = absl::StrCat(folder, "/", name);
    if (access(full.c_str(), X_OK) == 0) return full;
  }
  return absl::NotFoundError(absl::StrCat("there is no program ", name));
}

// Memory that is a file: neither side ever waits for the other to read.
absl::StatusOr<net::Fd> MemoryFile(const std::string& content) {
  net::Fd fd(memfd_create("heddle", MFD_CLOEXEC));
  if (!fd.valid()) return absl::InternalError(absl::StrCat("memfd: ", std::strerror(errno)));
  size_t written = 0;
  while (written < content.size()) {
    const ssize_t n = write(fd.get(), content.data() + written, content.size() - written);
    if (n <= 0) return absl::InternalError(absl::StrCat("memfd: ", std::strerror(errno)));
    written += static_cast<size_t>(n);
  }
  lseek(fd.get(), 0, SEEK_SET);
  return fd;
}

std::string Content(const net::Fd& fd) {
  std::string out;
  char block[64 * 1024];
  while (out.size() < kMaxOutput) {
    const ssize_t n = pread(fd.get(), block, sizeof(block), static_cast<off_t>(out.size()));
    if (n <= 0) break;
    out.append(block, static_cast<size_t>(n));
  }
  return out;
}

}  // namespace

absl::StatusOr<Ended> RunProgram(const std::vector<std::string>& words, const std::string& input) {
  HEDDLE_ASSIGN_OR_RETURN(const std::string program, FindProgram(words.front()));
  HEDDLE_ASSIGN_OR_RETURN(const net::Fd in, MemoryFile(input));
  HEDDLE_ASSIGN_OR_RETURN(const net::Fd out, MemoryFile(""));
  HEDDLE_ASSIGN_OR_RETURN(const net::Fd error, MemoryFile(""));
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, error.get(), STDERR_FILENO);
  pid_t pid = 0;
  const int failed = posix_spawn(&pid, program.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0)
    return absl::InternalError(absl::StrCat("cannot run ", program, ": ", std::strerror(failed)));
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR)
      return absl::InternalError(absl::StrCat("wait for ", program, ": ", std::strerror(errno)));
  }
  return Ended{.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
               .out = Content(out),
               .error = Content(error)};
}

}  // namespace heddle::intercept
