#include "source/filter/catalogue/catalogue.h"

#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "source/base/status.h"
#include "source/decode/unknown.h"
#include "source/filter/fault/fault.h"
#include "source/filter/rbac/decode.h"

namespace heddle::filter {
namespace {

// The router is the end of the chain, not a filter: proxy::Forwarder. Only its configuration is
// read here.
absl::Status DecodeRouter(const google::protobuf::Any& any, const base::Path& at, decode::Context&,
                          config::HttpFilterSpec* spec) {
  envoy::extensions::filters::http::router::v3::Router in;
  if (!any.UnpackTo(&in))
    return at.Error("cannot be read as envoy.extensions.filters.http.router.v3.Router");
  spec->terminal = true;
  spec->suppress_envoy_headers = in.suppress_envoy_headers();
  return absl::OkStatus();
}

decode::HttpFilterEntry Router() {
  return {.message = "envoy.extensions.filters.http.router.v3.Router",
          .type = "envoy.filters.http.router",
          .terminal = true,
          .decode = DecodeRouter,
          .route_message = {},
          .decode_route = nullptr};
}

}  // namespace

const decode::Catalogue& AllFilters() {
  static const decode::HttpFilterEntry kHttp[] = {rbac::HttpEntry(), fault::HttpEntry(), Router()};
  static const decode::NetworkFilterEntry kNetwork[] = {rbac::NetworkEntry()};
  static const decode::Catalogue kAll{.http = kHttp, .network = kNetwork};
  return kAll;
}

}  // namespace heddle::filter
