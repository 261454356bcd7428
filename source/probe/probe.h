// One probe of the application, as a Kubernetes pod declares it, and the map of them that the
// environment variable HEDDLE_APP_PROBES holds.
//
//   HEDDLE_ASSIGN_OR_RETURN(Probes probes, DecodeProbes(getenv(kProbesVariable)));
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace heddle::probe {

inline constexpr char kProbesVariable[] = "HEDDLE_APP_PROBES";

struct Probe {
  enum class Kind : uint8_t { kHttp, kTcp, kGrpc };
  Kind kind = Kind::kTcp;
  uint16_t port = 0;
  absl::Duration timeout = absl::Seconds(1);
  // kHttp
  std::string path = "/";  // with query
  bool tls = false;
  std::string host;                                          // empty: the pod's address and port
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  // kGrpc
  std::string service;
};

using Probes = std::map<std::string, Probe>;  // by path on the health port

// Empty text: none. InvalidArgument names the place in the variable, what was found and what is
// allowed.
absl::StatusOr<Probes> DecodeProbes(absl::string_view text);

}  // namespace heddle::probe
