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
#include "source/base/status.h"
#include "source/config/route.h"
#include "source/decode/context.h"
#include "source/decode/parts.h"

namespace heddle::decode {

using base::Path;
using RouteFilterMap = google::protobuf::Map<std::string, google::protobuf::Any>;

// typed_per_filter_config of a table, host, route or weighted cluster.
absl::StatusOr<config::FilterConfigs> DecodeRouteFilters(const RouteFilterMap& in, const Path& at,
                                                         Context& context);

// What a table, host, route and weighted cluster each may say: of header mutations and of filters.
template <typename In, typename Out>
absl::Status DecodeOwnSettings(const In& in, const Path& at, Context& context, Out* out) {
  HEDDLE_ASSIGN_OR_RETURN(
      out->request,
      DecodeMutations(in.request_headers_to_add(), at.Field("request_headers_to_add"),
                      in.request_headers_to_remove(), at.Field("request_headers_to_remove")));
  HEDDLE_ASSIGN_OR_RETURN(
      out->response,
      DecodeMutations(in.response_headers_to_add(), at.Field("response_headers_to_add"),
                      in.response_headers_to_remove(), at.Field("response_headers_to_remove")));
  HEDDLE_ASSIGN_OR_RETURN(out->filters,
                          DecodeRouteFilters(in.typed_per_filter_config(),
                                             at.Field("typed_per_filter_config"), context));
  return absl::OkStatus();
}

absl::StatusOr<config::RouteMatch> DecodeRouteMatch(const envoy::config::route::v3::RouteMatch& in,
                                                    const Path& at);

absl::Status DecodeForward(const envoy::config::route::v3::RouteAction& in, const Path& at,
                           Context& context, config::RouteAction* out);
absl::Status DecodeRedirect(const envoy::config::route::v3::RedirectAction& in, const Path& at,
                            config::RedirectAction* out);
absl::Status DecodeDirect(const envoy::config::route::v3::DirectResponseAction& in, const Path& at,
                          uint32_t max_body, config::DirectResponse* out);

}  // namespace heddle::decode
