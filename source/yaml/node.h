// What YAML and JSON text become before any message is known: a tree with line numbers. Private to
// this folder.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace heddle::yaml {

struct Options;

struct Node {
  enum class Kind { kNull, kScalar, kSequence, kMap };
  struct Member {
    std::string key;
    int line = 0;
    std::shared_ptr<const Node> value;
  };

  Kind kind = Kind::kNull;
  int line = 0;         // from 1
  bool quoted = false;  // kScalar: a string whatever it looks like
  std::string text;     // kScalar
  std::vector<std::shared_ptr<const Node>> items;
  std::vector<Member> members;  // in file order; keys are unique
  size_t weight = 1;  // nodes below and including this one, aliases counted as often as used
};

using NodePtr = std::shared_ptr<const Node>;

// "file:line: message", or "line N: message" without a file.
absl::Status ErrorAt(const Options& options, int line, absl::string_view message);

// RFC 8259. NotFound when the text does not begin like JSON; otherwise the document or an error.
absl::StatusOr<NodePtr> ParseJson(absl::string_view text, const Options& options);
// YAML 1.2 as yaml-cpp reads it.
absl::StatusOr<std::vector<NodePtr>> ParseYaml(absl::string_view text, const Options& options);

}  // namespace heddle::yaml
