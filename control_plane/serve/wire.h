// Between protobuf bytes and the plain values of the stream logic. Resources are never encoded
// here: a response is a list of pieces, of which the resource bodies are the very bytes that
// translation made once.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "control_plane/serve/request.h"

namespace heddle::serve {

// What a proxy says about itself on its first request. Never proof of anything.
struct Node {
  std::string id;  // "<namespace>/<workload>"; empty: the message carried no node
  std::string agent;
  std::string agent_version;
  bool intercept = false;
};

absl::StatusOr<DeltaRequest> DecodeDelta(absl::string_view bytes, Node* node);
absl::StatusOr<SotwRequest> DecodeSotw(absl::string_view bytes, Node* node);

// Bytes of a message, in order: either own text or a resource's shared body.
struct Piece {
  std::string own;
  translate::ResourceRef shared;  // not null: its body instead of `own`
};
std::vector<Piece> EncodeDelta(const Response& response);
std::vector<Piece> EncodeSotw(const Response& response);

// For tests and tools: the pieces in one string.
std::string Join(const std::vector<Piece>& pieces);

}  // namespace heddle::serve
