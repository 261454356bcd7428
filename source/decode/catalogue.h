// What filters exist, handed to the decoders from above: source/filter holds the one table of
// {type, decode} and passes it in, so that decode/ (floor 5) never includes a filter (floor 6).
//
// A decode function reads the packed configuration of its own message type and answers a value;
// errors carry the path. `unknown` collects nothing for filters that guard access: there an unknown
// field is an error (see decode/unknown.h).
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "google/protobuf/any.pb.h"
#include "source/base/path.h"
#include "source/config/http.h"
#include "source/config/listener.h"

namespace heddle::decode {

class Context;

struct HttpFilterEntry {
  absl::string_view message;  // "envoy.extensions.filters.http.rbac.v3.RBAC"
  absl::string_view type;     // "envoy.filters.http.rbac", for HttpFilterSpec::type
  bool terminal = false;      // the router
  // Fills HttpFilterSpec::make. `name` is the instance's name in the chain (key of per-route
  // configuration).
  absl::Status (*decode)(const google::protobuf::Any& config, const base::Path& at,
                         Context& context, config::HttpFilterSpec* spec) = nullptr;
  absl::string_view route_message;  // "...rbac.v3.RBACPerRoute"; empty: none allowed
  absl::StatusOr<std::shared_ptr<const void>> (*decode_route)(const google::protobuf::Any& config,
                                                              const base::Path& at,
                                                              Context& context) = nullptr;
};

// A network filter that decides and does not terminate (RBAC). HTTP connection manager and TCP
// proxy are decode/'s own.
struct NetworkFilterEntry {
  absl::string_view message;  // "envoy.extensions.filters.network.rbac.v3.RBAC"
  // The shared_ptr<const void> was made from std::shared_ptr<const filter::NetworkPolicy>.
  absl::StatusOr<config::NetworkPolicy> (*decode)(const google::protobuf::Any& config,
                                                  const base::Path& at, Context& context) = nullptr;
};

struct Catalogue {
  absl::Span<const HttpFilterEntry> http;
  absl::Span<const NetworkFilterEntry> network;
};

}  // namespace heddle::decode
