#include "control_plane/ingest/directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace heddle::ingest {
namespace {

bool IsConfigName(absl::string_view name) {
  if (name.empty() || name.front() == '.') return false;
  return absl::EndsWith(name, ".yaml") || absl::EndsWith(name, ".yml") ||
         absl::EndsWith(name, ".json");
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

// Up to `limit` bytes; nullopt with errno set.
std::optional<std::string> ReadAll(int fd, size_t limit) {
  std::string text;
  char buffer[64 * 1024];
  while (true) {
    const ssize_t got = read(fd, buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::nullopt;
    if (got == 0) return text;
    text.append(buffer, static_cast<size_t>(got));
    if (text.size() > limit) {
      errno = EFBIG;
      return std::nullopt;
    }
  }
}

}  // namespace

absl::StatusOr<std::vector<std::string>> Directory::List() const {
  DIR* const dir = opendir(options_.directory.c_str());
  if (dir == nullptr)
    return absl::NotFoundError(absl::StrCat(options_.directory, ": ", strerror(errno)));
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = readdir(dir))
    if (IsConfigName(entry->d_name)) names.emplace_back(entry->d_name);
  const int error = errno;
  closedir(dir);
  if (error != 0)
    return absl::UnavailableError(absl::StrCat(options_.directory, ": ", strerror(error)));
  std::sort(names.begin(), names.end());
  if (names.size() > options_.max_files)
    return absl::ResourceExhaustedError(
        absl::StrCat(options_.directory, ": more than ", options_.max_files, " files"));
  return names;
}

void Directory::AddFolderOf(const std::string& path) {
  char resolved[PATH_MAX];
  if (realpath(path.c_str(), resolved) == nullptr) return;
  const absl::string_view whole(resolved);
  folders_.insert(std::string(whole.substr(0, std::max<size_t>(whole.rfind('/'), 1))));
}

void Directory::Unreadable(const std::string& name, absl::string_view why, Known* known,
                           Merge* merge) {
  known->readable = false;
  known->stamp = {};
  known->content = {};
  ParsedFile file;
  file.name = name;
  model::Problem& problem = file.problems.emplace_back();
  problem.file = name;
  problem.message = absl::StrCat("cannot be read: ", why);
  merge->Put(std::move(file));
}

void Directory::LookAt(const std::string& name, Merge* merge) {
  const std::string path = absl::StrCat(options_.directory, "/", name);
  AddFolderOf(path);
  Known& known = known_[name];
  const Descriptor fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat before;
  if (fd.get() < 0 || fstat(fd.get(), &before) != 0)
    return Unreadable(name, strerror(errno), &known, merge);
  if (!S_ISREG(before.st_mode)) return Unreadable(name, "not a file", &known, merge);
  const auto stamp_of = [](const struct stat& s) {
    return Stamp{s.st_dev, s.st_ino, s.st_size, s.st_mtim.tv_sec * 1000000000 + s.st_mtim.tv_nsec};
  };
  if (known.readable && known.stamp == stamp_of(before)) return;
  const std::optional<std::string> text = ReadAll(fd.get(), options_.max_file_bytes);
  if (!text.has_value()) return Unreadable(name, strerror(errno), &known, merge);
  struct stat after;
  // Written to meanwhile: what was read may be half of it. The next look reads it again.
  if (fstat(fd.get(), &after) != 0 || !(stamp_of(after) == stamp_of(before))) return;
  const model::Digest content = model::Digest::Of(*text);
  const bool same = known.readable && known.content == content && known.stamp.inode != 0;
  known = {.stamp = stamp_of(before), .content = content, .readable = true};
  if (!same) merge->Put(ParseFile(name, *text));
}

absl::Status Directory::Look(const std::set<std::string>& unfinished, Merge* merge) {
  const absl::StatusOr<std::vector<std::string>> names = List();
  if (!names.ok()) return names.status();
  folders_ = {options_.directory};
  for (const std::string& name : *names) {
    if (!unfinished.contains(name)) {
      LookAt(name, merge);
    } else {
      AddFolderOf(absl::StrCat(options_.directory, "/", name));
    }
  }
  for (auto it = known_.begin(); it != known_.end();) {
    if (std::binary_search(names->begin(), names->end(), it->first)) {
      ++it;
      continue;
    }
    merge->Remove(it->first);
    it = known_.erase(it);
  }
  return absl::OkStatus();
}

}  // namespace heddle::ingest
