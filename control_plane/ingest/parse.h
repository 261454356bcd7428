// From the text of one file to objects: YAML (or JSON) documents, each decoded strictly into the
// kind it names.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "control_plane/model/build.h"

namespace heddle::ingest {

struct ParsedFile {
  std::string name;
  std::vector<model::Object> objects;
  std::vector<model::Problem> problems;  // not empty: the file is not to be used at all
  // Of an object in a cluster: whose it is, and what of it was read. Empty: of a directory.
  std::string uid, text;
  // What stands in its place while it is not valid and nothing is known that it said before: it
  // refuses all that the file may have meant to refuse. Null: nothing does.
  std::shared_ptr<const ParsedFile> closed = nullptr;
};

// A file that is not valid now, and what it said when it was.
struct Kept {
  std::string name, uid, text;
  friend bool operator==(const Kept&, const Kept&) = default;
};

// `name` is how the file is called in problems. Never fails: what is wrong is in `problems`.
ParsedFile ParseFile(absl::string_view name, absl::string_view text);

}  // namespace heddle::ingest
