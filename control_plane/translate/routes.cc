#include "control_plane/translate/routes.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "control_plane/translate/cluster.h"
#include "control_plane/translate/encode.h"
#include "envoy/config/route/v3/route.pb.h"

namespace heddle::translate {
namespace {

namespace route = ::envoy::config::route::v3;
using model::Service;
using model::ServicePort;

void AddServiceHost(const model::MeshConfig& mesh, const Service& service, const ServicePort& port,
                    const OutboundRoutes& in, std::set<std::string>* taken,
                    route::RouteConfiguration* out) {
  route::VirtualHost host;
  host.set_name(model::ClusterName(service.key, port.port));
  host.set_include_request_attempt_count(true);
  const bool alone = in.port != 0 || service.DefaultHttpPort() == &port;
  for (std::string& domain : HostNames(mesh, service, port.port, in.client_ns, alone))
    if (taken->insert(domain).second) host.add_domains(std::move(domain));
  if (host.domains().empty()) return;

  const std::vector<const model::Route*> routes = RoutesFor(service, port.port, in.client_ns);
  std::vector<RuleMatch> matches;
  for (const model::Route* one : routes)
    for (size_t i = 0; i < one->rules.size(); ++i)
      for (const model::RouteMatch& match : one->rules[i].matches)
        matches.push_back({.route = one,
                           .rule_index = i,
                           .rule = &one->rules[i],
                           .match = &match,
                           .intercepted = in.intercepted()});
  std::stable_sort(matches.begin(), matches.end(), Before);
  for (const RuleMatch& one : matches) AddRoutes(service, port, one, &host);
  if (routes.empty()) {
    model::RouteRule implicit;
    implicit.matches.emplace_back();
    implicit.backends.emplace_back().service = service.key;
    implicit.backends[0].sticky = service.sticky;
    AddRoutes(service, port,
              {.route = nullptr,
               .rule_index = 0,
               .rule = &implicit,
               .match = &implicit.matches[0],
               .intercepted = in.intercepted()},
              &host);
  }
  *out->add_virtual_hosts() = std::move(host);
}

void AddUnlisted(OutboundRoutes::Unlisted unlisted, route::RouteConfiguration* out) {
  if (unlisted == OutboundRoutes::Unlisted::kNotFound) return;
  const bool pass = unlisted == OutboundRoutes::Unlisted::kPassthrough;
  route::VirtualHost* const host = out->add_virtual_hosts();
  host->set_name(pass ? "allow_any" : "block_all");
  host->add_domains("*");
  route::Route* const to = host->add_routes();
  to->set_name(host->name());
  to->mutable_match()->set_prefix("/");
  if (pass) {
    to->mutable_route()->set_cluster(kPassthroughCluster);
    to->mutable_route()->mutable_timeout();
  } else {
    to->mutable_direct_response()->set_status(502);
    to->mutable_direct_response()->mutable_body()->set_inline_string(
        "not among the services that this workload may call\n");
  }
}

}  // namespace

std::vector<const model::Route*> RoutesFor(const Service& service, uint16_t port,
                                           const std::string& client_ns) {
  std::vector<const model::Route*> producer, consumer;
  for (const std::shared_ptr<const model::Route>& one : service.routes) {
    const bool holds = std::any_of(
        one->parents.begin(), one->parents.end(), [&](const model::RouteParent& parent) {
          return parent.service == service.key && (parent.port == 0 || parent.port == port);
        });
    if (!holds) continue;
    if (one->key.ns == service.key.ns) {
      producer.push_back(one.get());
    } else if (one->key.ns == client_ns) {
      consumer.push_back(one.get());
    }
  }
  return consumer.empty() ? producer : consumer;
}

std::vector<std::string> HostNames(const model::MeshConfig& mesh, const Service& service,
                                   uint16_t port, const std::string& client_ns, bool alone) {
  std::vector<std::string> names;
  const std::string full = absl::StrCat(service.key.name, ".", service.key.ns);
  if (service.key.ns == client_ns) names.push_back(service.key.name);
  names.push_back(full);
  names.push_back(absl::StrCat(full, ".svc"));
  names.push_back(absl::StrCat(full, ".svc.", mesh.cluster_domain));
  for (const std::string& ip : service.cluster_ips)
    names.push_back(ip.find(':') == std::string::npos ? ip : absl::StrCat("[", ip, "]"));
  std::vector<std::string> out;
  for (const std::string& name : names) {
    if (alone) out.push_back(name);
    out.push_back(absl::StrCat(name, ":", port));
  }
  return out;
}

route::RouteConfiguration OutboundRouteConfiguration(const model::MeshConfig& mesh,
                                                     const OutboundRoutes& in) {
  route::RouteConfiguration out;
  out.set_name(in.name);
  std::set<std::string> taken;
  for (const Service* service : in.services)
    for (const ServicePort& port : service->ports)
      if (model::IsHttp(port.protocol) && (in.port == 0 || in.port == port.port))
        AddServiceHost(mesh, *service, port, in, &taken, &out);
  AddUnlisted(in.unlisted, &out);
  return out;
}

route::RouteConfiguration InboundRouteConfiguration(uint16_t port) {
  route::RouteConfiguration out;
  out.set_name(InboundClusterName(port));
  route::VirtualHost* const host = out.add_virtual_hosts();
  host->set_name("inbound");
  host->add_domains("*");
  route::Route* const to = host->add_routes();
  to->set_name("inbound");
  to->mutable_match()->set_prefix("/");
  to->mutable_route()->set_cluster(InboundClusterName(port));
  to->mutable_route()->mutable_timeout();  // none
  route::RetryPolicy* const retry = to->mutable_route()->mutable_retry_policy();
  retry->set_retry_on("reset-before-request,connect-failure");
  retry->mutable_num_retries()->set_value(1);
  return out;
}

}  // namespace heddle::translate
