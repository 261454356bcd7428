// Header and query matchers against a request: the one place that knows pseudo-headers and repeated
// fields.
#pragma once

#include "source/config/types.h"
#include "source/http/headers.h"

namespace heddle::config {

// Names include ":method", ":path", ":authority" (or "host") and ":scheme". Of a field that stands
// several times one value has to match (Envoy since 1.39); inverted, none may.
bool Matches(const HeaderMatcher& matcher, const http::RequestHead& head);
// The same for headers without a request line: pseudo-headers are absent.
bool Matches(const HeaderMatcher& matcher, const http::Headers& headers);

}  // namespace heddle::config
