// What a route does to a request on its way: host and path rewrites, and the URL of a redirect.
// Pure functions. Source: Envoy, source/common/router/config_impl.cc.
#pragma once

#include <string>

#include "source/config/route.h"
#include "source/http/headers.h"

namespace heddle::proxy {

// Rewrites head.authority and head.path. What they were goes to x-envoy-original-host and
// x-envoy-original-path if it is to be kept, and to x-forwarded-host where the route says so.
void RewriteRequest(const config::Route& route, bool keep_original, http::RequestHead& head);
void RewriteHostTo(const config::RouteAction& action, absl::string_view host, bool keep_original,
                   http::RequestHead& head);

// Location of a redirect.
std::string RedirectUrl(const config::Route& route, const http::RequestHead& head);

}  // namespace heddle::proxy
