// An HTTPRoute, checked and with its references resolved.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "control_plane/model/digest.h"
#include "control_plane/model/types.h"

namespace heddle::model {

enum class PathKind { kExact, kRegex, kPrefix };

struct ValueMatch {
  std::string name;  // of a header (lower case) or query parameter
  std::string value;
  bool regex = false;
};

struct RouteMatch {
  PathKind path_kind = PathKind::kPrefix;
  std::string path = "/";
  std::string method;  // empty: any
  std::vector<ValueMatch> headers;
  std::vector<ValueMatch> query;
};

struct HeaderChanges {
  std::vector<std::pair<std::string, std::string>> set;
  std::vector<std::pair<std::string, std::string>> add;
  std::vector<std::string> remove;
  bool empty() const { return set.empty() && add.empty() && remove.empty(); }
};

// At most one of the two.
struct PathChange {
  std::optional<std::string> full;
  std::optional<std::string> prefix;
};

struct Redirect {
  std::string scheme, hostname;  // empty: the request's
  PathChange path;
  uint16_t port = 0;  // 0: not changed
  int status = 302;
};

struct Rewrite {
  std::string hostname;
  PathChange path;
};

struct RouteBackend {
  Key service;
  uint16_t port = 0;  // 0: the parent's port that the request came for
  uint32_t weight = 1;
  HeaderChanges request_headers, response_headers;
  // Not empty: it names something that is not a Service, and what of it says so.
  std::string other_group, other_kind;
  // Not a Service, not there, or it may not be named: its share is answered 500.
  bool invalid = false;
  bool sticky = false;  // its Service says sessionAffinity: ClientIP
};

struct RouteRetry {
  std::vector<uint32_t> codes = {500, 502, 503, 504};
  uint32_t attempts = 2;
  absl::Duration backoff = absl::Milliseconds(25);
};

struct RouteRule {
  std::string name;
  std::vector<RouteMatch> matches;  // at least one
  HeaderChanges request_headers, response_headers;
  std::optional<Redirect> redirect;
  std::optional<Rewrite> rewrite;
  std::vector<RouteBackend> backends;
  std::optional<absl::Duration> request_timeout;  // 0: none
  std::optional<absl::Duration> backend_request_timeout;
  std::optional<RouteRetry> retry;
};

struct RouteParent {
  Key service;
  uint16_t port = 0;  // 0: every HTTP port
};

struct Route {
  Key key;
  bool grpc = false;  // a GRPCRoute: on a Service that has one, others do not hold
  absl::Time created = absl::InfiniteFuture();
  std::vector<RouteParent> parents;
  std::vector<RouteRule> rules;
  Digest digest;
};

}  // namespace heddle::model
