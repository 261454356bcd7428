// What the files of a directory say, and which of them changed since the last look. One thread.
#pragma once

#include <sys/stat.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "control_plane/ingest/file_source.h"
#include "control_plane/ingest/merge.h"
#include "control_plane/model/digest.h"

namespace heddle::ingest {

class Directory {
 public:
  explicit Directory(const FileSourceOptions& options) : options_(options) {}

  // Reads what changed and hands it to `merge`. Files named in `unfinished` are left for later.
  // Fails, and changes nothing, when the directory cannot be listed.
  absl::Status Look(const std::set<std::string>& unfinished, Merge* merge);

  // Folders whose events matter: the directory, and where its symbolic links lead.
  const std::set<std::string>& folders() const { return folders_; }

 private:
  struct Stamp {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    int64_t modified_ns = 0;
    bool operator==(const Stamp&) const = default;
  };
  struct Known {
    Stamp stamp;
    model::Digest content;
    bool readable = true;
  };

  absl::StatusOr<std::vector<std::string>> List() const;
  void LookAt(const std::string& name, Merge* merge);
  void Unreadable(const std::string& name, absl::string_view why, Known* known, Merge* merge);
  void AddFolderOf(const std::string& path);

  const FileSourceOptions& options_;
  std::map<std::string, Known> known_;
  std::set<std::string> folders_;
};

}  // namespace heddle::ingest
