// Normal forms of a request path (HttpConnectionManager.normalize_path, merge_slashes,
// path_with_escaped_slashes_action). Source: Envoy, source/common/http/path_utility.cc; RFC 3986
// section 5.2.4 and 6.2.2.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "source/config/http.h"

namespace heddle::proxy {

struct PathOutcome {
  enum class Kind : uint8_t { kUnchanged, kChanged, kRejected, kRedirect };
  Kind kind = Kind::kUnchanged;
  // New path with query for kChanged and kRedirect; for kRejected what it would have been, where
  // that is known.
  std::string path;
};

// Applies what `config` asks for to `path` (with query). Allocates only when something changes.
PathOutcome NormalizePath(const config::HttpConnectionManager& config, absl::string_view path);

}  // namespace heddle::proxy
