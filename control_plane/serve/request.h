// Discovery requests and responses as plain values: what the stream logic sees instead of protobuf
// and gRPC.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "control_plane/translate/translate.h"

namespace heddle::serve {

// In push order. kOther is any type URL that nothing is served of.
enum class Type { kCluster, kEndpoints, kListener, kRoutes, kSecret, kOther };
inline constexpr size_t kServedTypes = 5;

absl::string_view TypeUrl(Type type);  // empty for kOther
Type TypeOf(absl::string_view url);
// "CDS", "EDS", "LDS", "RDS", "SDS", else the URL's last part: for people.
absl::string_view ShortName(absl::string_view url);
// Whether an empty list of names may mean everything (LDS, CDS).
inline bool HasWildcard(Type type) { return type == Type::kCluster || type == Type::kListener; }

struct Acknowledgement {
  std::string nonce;  // empty: not an answer
  bool rejected = false;
  std::string error;  // of a rejection, shortened to 4 KiB
};

struct DeltaRequest {
  std::string type_url;
  Acknowledgement answer;
  std::vector<std::string> subscribe, unsubscribe;
  std::vector<std::pair<std::string, std::string>> initial_versions;  // name, version
};

struct SotwRequest {
  std::string type_url;
  Acknowledgement answer;
  std::vector<std::string> names;
};

struct Response {
  std::string type_url;
  std::string version;  // of the whole type: version_info, system_version_info
  std::string nonce;
  std::vector<translate::ResourceRef> resources;
  std::vector<std::string> removed;  // delta only
};

}  // namespace heddle::serve
