// The five resource types that the proxy asks for, in the order in which they are asked for and
// applied: a route must not come before its cluster (make before break, xds_protocol "Ordering").
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace heddle::xds {

enum class Type : uint8_t { kCluster, kEndpoint, kListener, kRoute, kSecret };

inline constexpr std::array<Type, 5> kTypes = {Type::kCluster, Type::kEndpoint, Type::kListener,
                                               Type::kRoute, Type::kSecret};

absl::string_view TypeUrl(Type type);    // "type.googleapis.com/envoy.config.cluster.v3.Cluster"
absl::string_view ShortName(Type type);  // "CDS"
std::optional<Type> TypeOf(absl::string_view type_url);
// Listeners and clusters are asked for all at once ("*"); the others by name.
inline bool Wildcard(Type type) { return type == Type::kCluster || type == Type::kListener; }

struct Resource {
  std::string name;
  std::string version;
  std::string bytes;  // the resource's own message, encoded
};

// One response of the control plane, freed from its envelope.
struct Update {
  Type type = Type::kCluster;
  std::string version, nonce;
  std::vector<Resource> resources;
  std::vector<std::string> removed;  // delta only
  bool full = false;                 // state of the world, wildcard: what is absent is gone
};

}  // namespace heddle::xds
