// Route tables: virtual hosts and their routes. What a route matches and does: route_match.cc,
// route_action.cc.
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "source/decode/decode.h"
#include "source/decode/match.h"
#include "source/decode/parts.h"
#include "source/decode/route_parts.h"

namespace heddle::decode {
namespace {

namespace route = envoy::config::route::v3;

// What a table hands down to what is in it.
struct Table {
  Context& context;
  uint32_t max_direct_response_bytes;
};

absl::Status OneFilterConfig(const std::string& name, const google::protobuf::Any& any,
                             const Path& at, Context& context, config::FilterConfigs* out) {
  for (const HttpFilterEntry& entry : context.catalogue().http) {
    if (entry.route_message.empty() || entry.route_message != TypeOf(any)) continue;
    HEDDLE_ASSIGN_OR_RETURN((*out)[name], entry.decode_route(any, at, context));
    return absl::OkStatus();
  }
  return at.Error(
      absl::StrCat("found type \"", TypeOf(any), "\", which no filter takes on a route"));
}

absl::Status DecodeAction(const route::Route& in, const Path& at, const Table& table,
                          config::Route* out) {
  using Kind = config::Route::Kind;
  switch (in.action_case()) {
    case route::Route::kRoute:
      out->kind = Kind::kForward;
      return DecodeForward(in.route(), at.Field("route"), table.context, &out->forward);
    case route::Route::kRedirect:
      out->kind = Kind::kRedirect;
      return DecodeRedirect(in.redirect(), at.Field("redirect"), &out->redirect);
    case route::Route::kDirectResponse:
      out->kind = Kind::kDirect;
      return DecodeDirect(in.direct_response(), at.Field("direct_response"),
                          table.max_direct_response_bytes, &out->direct);
    case route::Route::kNonForwardingAction:
      out->kind = Kind::kNonForwarding;
      return absl::OkStatus();
    case route::Route::ACTION_NOT_SET:
      break;
  }
  return at.Error(
      "found nothing to do, allowed one of route, redirect, direct_response, "
      "non_forwarding_action");
}

absl::StatusOr<config::Route> DecodeRoute(const route::Route& in, const Path& at,
                                          const Table& table) {
  config::Route out;
  out.name = in.name();
  HEDDLE_RETURN_IF_ERROR(Required(in.has_match(), at.Field("match")));
  HEDDLE_ASSIGN_OR_RETURN(out.match, DecodeRouteMatch(in.match(), at.Field("match")));
  HEDDLE_RETURN_IF_ERROR(DecodeAction(in, at, table, &out));
  HEDDLE_RETURN_IF_ERROR(DecodeOwnSettings(in, at, table.context, &out));
  if (in.has_decorator()) {
    const Path here = at.Field("decorator");
    out.decorator = in.decorator().operation();
    if (out.decorator.empty()) return here.Field("operation").Error("required");
    if (!IsHeaderValue(out.decorator)) return here.Field("operation").Error("holds CR, LF or NUL");
  }
  if (in.tracing().has_random_sampling()) {
    const Path here = at.Field("tracing");
    NotHonoured(true, here.Field("random_sampling"), table.context);
    HEDDLE_ASSIGN_OR_RETURN(out.trace_sampling, DecodeFraction(in.tracing().random_sampling(),
                                                               here.Field("random_sampling")));
  }
  out.metadata = DecodeMetadata(in.metadata());
  return out;
}

// Lower case; '*' alone, or at one end.
absl::StatusOr<std::string> DecodeDomain(absl::string_view in, const Path& at) {
  std::string out = absl::AsciiStrToLower(in);
  const size_t star = out.find('*');
  const bool ok =
      star == std::string::npos || out == "*" ||
      (out.find('*', star + 1) == std::string::npos && (star == 0 || star == out.size() - 1));
  if (out.empty() || !ok || !IsHeaderValue(out) || out.find(' ') != std::string::npos) {
    return at.Error(absl::StrCat("found \"", in,
                                 "\", allowed a host name, \"*\", or one with \"*\" at one end"));
  }
  return out;
}

absl::StatusOr<config::VirtualHost> DecodeVirtualHost(const route::VirtualHost& in, const Path& at,
                                                      const Table& table) {
  using Tls = config::VirtualHost::Tls;
  config::VirtualHost out;
  out.name = in.name();
  if (out.name.empty()) return at.Field("name").Error("required");
  const Path domains = at.Field("domains"), routes = at.Field("routes");
  if (in.domains().empty()) return domains.Error("found none, allowed 1 or more");
  for (int i = 0; i < in.domains_size(); ++i) {
    HEDDLE_ASSIGN_OR_RETURN(std::string domain,
                            DecodeDomain(in.domains(i), domains.Index(static_cast<size_t>(i))));
    out.domains.push_back(std::move(domain));
  }
  for (int i = 0; i < in.routes_size(); ++i) {
    HEDDLE_ASSIGN_OR_RETURN(config::Route one,
                            DecodeRoute(in.routes(i), routes.Index(static_cast<size_t>(i)), table));
    out.routes.push_back(std::move(one));
  }
  HEDDLE_RETURN_IF_ERROR(DecodeOwnSettings(in, at, table.context, &out));
  switch (in.require_tls()) {
    case route::VirtualHost::NONE:
      out.require_tls = Tls::kNone;
      break;
    case route::VirtualHost::EXTERNAL_ONLY:
      out.require_tls = Tls::kExternalOnly;
      break;
    case route::VirtualHost::ALL:
      out.require_tls = Tls::kAll;
      break;
    default:
      return BadEnum(route::VirtualHost::TlsRequirementType_descriptor(), in.require_tls(),
                     at.Field("require_tls"), "NONE, EXTERNAL_ONLY, ALL");
  }
  out.include_attempt_count_request = in.include_request_attempt_count();
  out.include_attempt_count_response = in.include_attempt_count_in_response();
  if (in.has_retry_policy()) {
    HEDDLE_ASSIGN_OR_RETURN(
        config::RetryPolicy retry,
        DecodeRetry(in.retry_policy(), at.Field("retry_policy"), table.context));
    out.retry = std::make_shared<const config::RetryPolicy>(std::move(retry));
    for (config::Route& one : out.routes) {
      if (one.forward.retry == nullptr) one.forward.retry = out.retry;
    }
  }
  return out;
}

}  // namespace

absl::StatusOr<config::FilterConfigs> DecodeRouteFilters(const RouteFilterMap& in, const Path& at,
                                                         Context& context) {
  config::FilterConfigs out;
  for (const auto& [name, any] : in) {
    const Path here = at.Key(name);
    if (!Is<route::FilterConfig>(any)) {
      HEDDLE_RETURN_IF_ERROR(OneFilterConfig(name, any, here, context, &out));
      continue;
    }
    route::FilterConfig wrapper;
    HEDDLE_RETURN_IF_ERROR(Unpack(any, here, context, &wrapper));
    if (wrapper.disabled()) return here.Field("disabled").Error("found true, allowed false");
    HEDDLE_RETURN_IF_ERROR(Required(wrapper.has_config(), here.Field("config")));
    absl::Status status =
        OneFilterConfig(name, wrapper.config(), here.Field("config"), context, &out);
    if (!status.ok() && !wrapper.is_optional()) return status;
    if (!status.ok()) Warn(here, "optional, and left out: nothing takes it", context);
  }
  return out;
}

absl::StatusOr<std::shared_ptr<const config::RouteConfiguration>> DecodeRoutes(
    const route::RouteConfiguration& in, const Path& at, Context& context) {
  HEDDLE_RETURN_IF_ERROR(NoteUnknown(in, at, context));
  return DecodeTable(in, at, context);
}

absl::StatusOr<std::shared_ptr<const config::RouteConfiguration>> DecodeTable(
    const route::RouteConfiguration& in, const Path& at, Context& context) {
  auto out = std::make_shared<config::RouteConfiguration>();
  out->name = in.name();
  HEDDLE_RETURN_IF_ERROR(Uint(in.has_max_direct_response_body_size_bytes(),
                              in.max_direct_response_body_size_bytes(),
                              at.Field("max_direct_response_body_size_bytes"), 0, 64 << 20,
                              &out->max_direct_response_bytes));
  HEDDLE_RETURN_IF_ERROR(DecodeOwnSettings(in, at, context, out.get()));
  out->most_specific_header_mutations_wins = in.most_specific_header_mutations_wins();
  out->ignore_port_in_host = in.ignore_port_in_host_matching();
  if (in.has_validate_clusters()) out->validate_clusters = in.validate_clusters().value();

  const Table table{context, out->max_direct_response_bytes};
  const Path hosts = at.Field("virtual_hosts");
  absl::flat_hash_set<std::string> names;
  absl::flat_hash_map<std::string, std::string> domains;
  for (int i = 0; i < in.virtual_hosts_size(); ++i) {
    const Path here = hosts.Index(static_cast<size_t>(i));
    HEDDLE_ASSIGN_OR_RETURN(config::VirtualHost host,
                            DecodeVirtualHost(in.virtual_hosts(i), here, table));
    if (!names.insert(host.name).second)
      return here.Field("name").Error(absl::StrCat("duplicate \"", host.name, "\""));
    for (const std::string& domain : host.domains) {
      const auto [found, added] = domains.emplace(domain, host.name);
      if (!added) {
        return here.Field("domains").Error(
            absl::StrCat("\"", domain, "\" is in virtual host \"", found->second, "\" already"));
      }
    }
    out->virtual_hosts.push_back(std::move(host));
  }
  return std::shared_ptr<const config::RouteConfiguration>(std::move(out));
}

}  // namespace heddle::decode
