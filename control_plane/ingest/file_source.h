// A directory of YAML: each *.yaml, *.yml and *.json in it (not below it, nor what begins with a
// dot). Edits in place, renames over a file, and symbolic links that are swapped (Kubernetes
// ConfigMaps) are all seen, by inotify, and by a look at the files once a second where that tells
// nothing.
//
// Changes are gathered until 10 ms passed without another, 100 ms at most. A file that is being
// written is read when it is closed. A bad edit keeps what that file said before.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "control_plane/ingest/source.h"
#include "control_plane/model/build.h"

namespace heddle::ingest {

struct FileSourceOptions {
  std::string directory;
  model::WorldOptions world;
  absl::Duration quiet = absl::Milliseconds(10);
  absl::Duration longest_wait = absl::Milliseconds(100);
  absl::Duration look_anyway = absl::Seconds(1);
  size_t max_file_bytes = 16 << 20;
  size_t max_files = 10000;
};

std::unique_ptr<Source> MakeFileSource(FileSourceOptions options);

// Reads a directory once, as `heddlectl validate` does. World null only when the directory cannot
// be read.
Update LoadDirectory(const FileSourceOptions& options);

}  // namespace heddle::ingest
