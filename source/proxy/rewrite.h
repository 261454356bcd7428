// What a route does to a request on its way: host and path rewrites, and the URL of a redirect.
// Pure functions. Source: Envoy, source/common/router/config_impl.cc.
#pragma once

#include <string>

#include "source/config/route.h"
#include "source/http/headers.h"

namespace heddle::proxy {

// Rewrites head.authority and head.path; x-envoy-original-path and x-forwarded-host are written
// when asked for. `upstream_host`: for auto_host_rewrite; empty before a host is chosen.
void RewriteRequest(const config::Route& route, http::RequestHead& head);
void RewriteHostTo(const config::RouteAction& action, absl::string_view host,
                   http::RequestHead& head);

// Location of a redirect.
std::string RedirectUrl(const config::Route& route, const http::RequestHead& head);

}  // namespace heddle::proxy
