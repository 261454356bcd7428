// From the text of one file to objects: YAML (or JSON) documents, each decoded strictly into the
// kind it names.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "control_plane/model/build.h"

namespace heddle::ingest {

struct ParsedFile {
  std::string name;
  std::vector<model::Object> objects;
  std::vector<model::Problem> problems;  // not empty: the file is not to be used at all
};

// `name` is how the file is called in problems. Never fails: what is wrong is in `problems`.
ParsedFile ParseFile(absl::string_view name, absl::string_view text);

}  // namespace heddle::ingest
