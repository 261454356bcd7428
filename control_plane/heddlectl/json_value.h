// Reads JSON of our own pages and of Jaeger. What is missing reads as empty, so that a newer or
// older server still shows what it has.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace google::protobuf {
class Value;
}

namespace heddle::heddlectl {

// A view into a parsed document; cheap to copy, keeps the document alive.
class Json {
 public:
  static absl::StatusOr<Json> Parse(const std::string& text);

  Json operator[](absl::string_view key) const;              // of an object; absent: null
  std::vector<Json> Items() const;                           // of an array; else none
  std::vector<std::pair<std::string, Json>> Fields() const;  // of an object, by key; else none
  std::string Text() const;  // string; numbers and booleans as text; else ""
  double Number() const;     // number, or text that is one; else 0
  bool True() const;

 private:
  Json(std::shared_ptr<const google::protobuf::Value> root, const google::protobuf::Value* at)
      : root_(std::move(root)), at_(at) {}

  std::shared_ptr<const google::protobuf::Value> root_;
  const google::protobuf::Value* at_;  // null: absent
};

}  // namespace heddle::heddlectl
