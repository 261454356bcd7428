// The characters of a host[:port], as both protocols must agree on them.
#pragma once

#include "absl/strings/string_view.h"

namespace heddle::http {

// RFC 3986 unreserved, sub-delims, percent-encoding, port and IP literal, at least one; no
// userinfo.
bool ValidAuthority(absl::string_view text);

}  // namespace heddle::http
