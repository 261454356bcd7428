// YAML or JSON to protobuf, strictly: every document an operator or a bootstrap file holds comes in
// through here. The mapping is proto3 JSON (Duration "1.5s", Any with "@type", enums by name);
// fields go by either of their names. Anything unexpected is an error of one line that says where:
//
//   routes.yaml:12: spec.rules[0].from[1].namespces: unknown field; did you mean "namespaces"?
//   envoy.yaml:7: admin.address.socket_address.port_value: found "http", allowed 0 to 4294967295
//
//   yaml::Options options{.file = "routes.yaml"};
//   HEDDLE_ASSIGN_OR_RETURN(std::vector<yaml::Document> documents, yaml::Parse(text, options));
//   for (const yaml::Document& document : documents)
//     if (document.Text("kind") == "HTTPRoute") HEDDLE_RETURN_IF_ERROR(document.Decode(&route,
//     options));
//
// Input is hostile: its size, nodes (aliases counted as often as they are used) and depth are
// bounded.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace google::protobuf {
class Message;
}

namespace heddle::yaml {

struct Node;

enum class UnknownFields {
  kError,
  // Collected in Options::warnings, except inside messages that guard access
  // (source/yaml/unknown.h): an error there.
  kWarn,
};

struct Options {
  std::string file;  // in messages only
  UnknownFields unknown_fields = UnknownFields::kError;
  std::vector<std::string>* warnings = nullptr;  // one line each; at most 1000 are kept
  size_t max_bytes = 16 << 20;
  size_t max_nodes = 1 << 20;
  int max_depth = 100;
};

// One document of a file. Cheap to copy; immutable.
class Document {
 public:
  explicit Document(std::shared_ptr<const Node> root) : root_(std::move(root)) {}

  // The text of a top-level scalar ("kind"), or empty.
  absl::string_view Text(absl::string_view field) const;
  // The text of a scalar at a path such as "metadata.name", or empty.
  absl::string_view TextAt(absl::string_view path) const;
  // First line of the document, from 1.
  int line() const;
  // Line of the value at a path as printed in errors ("spec.rules[2].timeouts"), or of the nearest
  // value around it. Both names of a field find it.
  int Line(absl::string_view path) const;

  // Clears `out` and fills it. InvalidArgument with one line when anything does not fit.
  absl::Status Decode(google::protobuf::Message* out, const Options& options) const;

 private:
  std::shared_ptr<const Node> root_;
};

// All documents of the text; empty ones are left out.
absl::StatusOr<std::vector<Document>> Parse(absl::string_view text, const Options& options);

// Text that must hold exactly one document.
absl::Status Decode(absl::string_view text, google::protobuf::Message* out, const Options& options);

struct JsonOptions {
  bool pretty = false;
  // Private keys, passwords and authorization headers come out as "[redacted]".
  bool redact = true;
  // "lowerCamelCase" rather than the names in the protos.
  bool camel_case = false;
};

// proto3 JSON with sorted maps. An Any of a type this program does not link is {"@type", "value":
// base64}.
std::string ToJson(const google::protobuf::Message& message, const JsonOptions& options = {});

}  // namespace heddle::yaml
