// A config::RouteConfiguration compiled for matching: virtual host by host name, then its routes in
// order. Immutable; shared by all workers. A match allocates nothing.
//
//   auto table = RouteTable::Create(config);
//   RouteTable::Match m = table->Find(head, context.random().Next());
//   if (m.route == nullptr) -> 404, details "route_not_found"
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "source/config/route.h"
#include "source/http/headers.h"
#include "source/proxy/header_mutation.h"

namespace heddle::proxy {

// What belongs to one weighted cluster of a route beside its configuration.
struct WeightedSpec {
  HeaderMutation request, response;
};

struct RouteSpec {
  const config::Route* config = nullptr;
  HeaderMutation request, response;    // the route's own
  std::vector<WeightedSpec> weighted;  // as forward.weighted
};

struct VirtualHostSpec {
  const config::VirtualHost* config = nullptr;
  HeaderMutation request, response;
  std::vector<RouteSpec> routes;
};

class RouteTable {
 public:
  struct Match {
    const VirtualHostSpec* host = nullptr;  // null: no virtual host for the authority
    const RouteSpec* route = nullptr;       // null: no route matched
    // The authority asked for TLS and the request came without (VirtualHost.require_tls): redirect
    // to https.
    bool tls_required = false;
  };

  static std::shared_ptr<const RouteTable> Create(
      std::shared_ptr<const config::RouteConfiguration> config);

  // `random` decides runtime fractions.
  Match Find(const http::RequestHead& head, uint64_t random) const;
  const VirtualHostSpec* FindHost(absl::string_view authority) const;

  const config::RouteConfiguration& config() const { return *config_; }
  const HeaderMutation& request() const { return request_; }
  const HeaderMutation& response() const { return response_; }
  // Per-route configuration of filter instance `name`: weighted cluster (index, or -1), route,
  // virtual host, table.
  const void* FilterConfig(const Match& match, int weighted, absl::string_view name) const;

 private:
  explicit RouteTable(std::shared_ptr<const config::RouteConfiguration> config);
  std::shared_ptr<const config::RouteConfiguration> config_;
  std::vector<VirtualHostSpec> hosts_;
  HeaderMutation request_, response_;
  absl::flat_hash_map<std::string, const VirtualHostSpec*> exact_;
  // Wildcards by their fixed part, with the lengths that occur, longest first.
  absl::flat_hash_map<std::string, const VirtualHostSpec*> suffix_, prefix_;
  std::vector<size_t> suffix_lengths_, prefix_lengths_;
  const VirtualHostSpec* any_ = nullptr;
};

// One route's matchers against a request; `random` for its runtime fraction.
bool RouteMatches(const config::RouteMatch& match, const http::RequestHead& head, uint64_t random);

// Index into action.weighted, by `random`. Only for actions with weighted clusters.
size_t ChooseWeighted(const config::RouteAction& action, uint64_t random);

}  // namespace heddle::proxy
