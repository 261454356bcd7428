// The parts of a route table that have files of their own. Inside source/decode only.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "google/protobuf/any.pb.h"
#include "google/protobuf/map.h"
#include "source/base/path.h"
#include "source/config/route.h"
#include "source/decode/context.h"

namespace heddle::decode {

using base::Path;
using RouteFilterMap = google::protobuf::Map<std::string, google::protobuf::Any>;

// typed_per_filter_config of a table, host, route or weighted cluster.
absl::StatusOr<config::FilterConfigs> DecodeRouteFilters(const RouteFilterMap& in, const Path& at,
                                                         Context& context);

absl::StatusOr<config::RouteMatch> DecodeRouteMatch(const envoy::config::route::v3::RouteMatch& in,
                                                    const Path& at);

absl::Status DecodeForward(const envoy::config::route::v3::RouteAction& in, const Path& at,
                           Context& context, config::RouteAction* out);
absl::Status DecodeRedirect(const envoy::config::route::v3::RedirectAction& in, const Path& at,
                            config::RedirectAction* out);
absl::Status DecodeDirect(const envoy::config::route::v3::DirectResponseAction& in, const Path& at,
                          uint32_t max_body, config::DirectResponse* out);

}  // namespace heddle::decode
