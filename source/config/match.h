// Header and query matchers against a request: the one place that knows pseudo-headers and repeated
// fields.
#pragma once

#include "source/config/types.h"
#include "source/http/headers.h"

namespace heddle::config {

// A request's field by name, ":method", ":path", ":authority" (or "host") and ":scheme" included.
// Fields that stand several times are joined with ","; `joined` is room for that. None when absent.
std::optional<absl::string_view> FieldOf(const http::RequestHead& head, absl::string_view name,
                                         std::string* joined);

bool Matches(const HeaderMatcher& matcher, const http::RequestHead& head);
// The same for headers without a request line: pseudo-headers are absent.
bool Matches(const HeaderMatcher& matcher, const http::Headers& headers);

}  // namespace heddle::config
