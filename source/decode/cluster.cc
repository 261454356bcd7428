// Clusters.
#include "absl/strings/str_cat.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/extensions/load_balancing_policies/least_request/v3/least_request.pb.h"
#include "envoy/extensions/load_balancing_policies/random/v3/random.pb.h"
#include "envoy/extensions/load_balancing_policies/round_robin/v3/round_robin.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"
#include "source/decode/decode.h"
#include "source/decode/endpoint.h"
#include "source/decode/parts.h"

namespace heddle::decode {
namespace {

namespace cluster = envoy::config::cluster::v3;
namespace core = envoy::config::core::v3;
namespace lb = envoy::extensions::load_balancing_policies;
using Pb = cluster::Cluster;
using Out = config::Cluster;
using HttpPb = envoy::extensions::upstreams::http::v3::HttpProtocolOptions;

constexpr absl::string_view kHttpOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

absl::Status DecodeDiscovery(const Pb& in, const Path& at, Out* out) {
  using Discovery = Out::Discovery;
  switch (in.type()) {
    case Pb::STATIC:
      out->discovery = Discovery::kStatic;
      break;
    case Pb::STRICT_DNS:
      out->discovery = Discovery::kStrictDns;
      break;
    case Pb::LOGICAL_DNS:
      out->discovery = Discovery::kLogicalDns;
      break;
    case Pb::EDS:
      out->discovery = Discovery::kEds;
      break;
    case Pb::ORIGINAL_DST:
      out->discovery = Discovery::kOriginalDst;
      break;
    default:
      return BadEnum(Pb::DiscoveryType_descriptor(), in.type(), at.Field("type"),
                     "STATIC, STRICT_DNS, LOGICAL_DNS, EDS, ORIGINAL_DST");
  }
  const bool own = out->discovery != Discovery::kEds && out->discovery != Discovery::kOriginalDst;
  const Path assignment = at.Field("load_assignment"), eds = at.Field("eds_cluster_config");
  if (own && in.has_eds_cluster_config()) return eds.Error("only with type EDS");
  if (!own && in.has_load_assignment())
    return assignment.Error("only with types STATIC, STRICT_DNS, LOGICAL_DNS");
  if (out->discovery == Discovery::kEds) {
    HEDDLE_RETURN_IF_ERROR(Required(in.has_eds_cluster_config(), eds));
    HEDDLE_RETURN_IF_ERROR(DecodeSource(in.eds_cluster_config().eds_config(),
                                        eds.Field("eds_config"), &out->eds_fetch_timeout));
    out->eds_name = in.eds_cluster_config().service_name().empty()
                        ? in.name()
                        : in.eds_cluster_config().service_name();
  }
  if (!own) return absl::OkStatus();
  // STATIC without endpoints is a cluster whose requests get 503, as in Envoy.
  if (out->discovery == Discovery::kStatic && !in.has_load_assignment()) return absl::OkStatus();
  HEDDLE_RETURN_IF_ERROR(Required(in.has_load_assignment(), assignment));
  const Hosts hosts = out->discovery == Discovery::kStatic ? Hosts::kAddresses : Hosts::kNames;
  HEDDLE_ASSIGN_OR_RETURN(out->assignment,
                          DecodeAssignment(in.load_assignment(), assignment, hosts));
  if (out->discovery == Discovery::kLogicalDns) {
    const auto& all = out->assignment.localities;
    if (all.size() != 1 || all[0].endpoints.size() != 1) {
      return assignment.Error("LOGICAL_DNS has exactly one endpoint");
    }
  }
  return absl::OkStatus();
}

// The first policy of the list that we have.
absl::Status DecodePolicies(const cluster::LoadBalancingPolicy& in, const Path& at,
                            Context& context, Out* out) {
  const Path list = at.Field("policies");
  for (int i = 0; i < in.policies_size(); ++i) {
    const Path place = list.Index(static_cast<size_t>(i));
    const Path extension = place.Field("typed_extension_config");
    const Path here = extension.Field("typed_config");
    const google::protobuf::Any& any = in.policies(i).typed_extension_config().typed_config();
    if (Is<lb::round_robin::v3::RoundRobin>(any)) {
      lb::round_robin::v3::RoundRobin message;
      out->balancer = Out::Balancer::kRoundRobin;
      return Unpack(any, here, context, &message);
    }
    if (Is<lb::random::v3::Random>(any)) {
      lb::random::v3::Random message;
      out->balancer = Out::Balancer::kRandom;
      return Unpack(any, here, context, &message);
    }
    if (Is<lb::least_request::v3::LeastRequest>(any)) {
      lb::least_request::v3::LeastRequest message;
      out->balancer = Out::Balancer::kLeastRequest;
      HEDDLE_RETURN_IF_ERROR(Unpack(any, here, context, &message));
      return Uint(message.has_choice_count(), message.choice_count(), here.Field("choice_count"), 2,
                  1000, &out->least_request_choices);
    }
  }
  return list.Error("found none that is known, allowed RoundRobin, LeastRequest, Random");
}

absl::Status DecodeBalancer(const Pb& in, const Path& at, Context& context, Out* out) {
  using Balancer = Out::Balancer;
  const bool original = out->discovery == Out::Discovery::kOriginalDst;
  const Path here = at.Field("lb_policy");
  switch (in.lb_policy()) {
    case Pb::ROUND_ROBIN:
    case Pb::LOAD_BALANCING_POLICY_CONFIG:
      out->balancer = Balancer::kRoundRobin;
      break;
    case Pb::LEAST_REQUEST:
      out->balancer = Balancer::kLeastRequest;
      break;
    case Pb::RANDOM:
      out->balancer = Balancer::kRandom;
      break;
    case Pb::RING_HASH:
      out->balancer = Balancer::kRingHash;
      break;
    case Pb::MAGLEV:
      out->balancer = Balancer::kMaglev;
      break;
    case Pb::CLUSTER_PROVIDED:
      out->balancer = Balancer::kClusterProvided;
      break;
    default:
      return BadEnum(Pb::LbPolicy_descriptor(), in.lb_policy(), here,
                     "ROUND_ROBIN, LEAST_REQUEST, RANDOM, RING_HASH, MAGLEV, CLUSTER_PROVIDED");
  }
  if (original != (out->balancer == Balancer::kClusterProvided)) {
    return here.Error("CLUSTER_PROVIDED goes with type ORIGINAL_DST, and only with it");
  }
  const Path least = at.Field("least_request_lb_config");
  HEDDLE_RETURN_IF_ERROR(Uint(in.least_request_lb_config().has_choice_count(),
                              in.least_request_lb_config().choice_count(),
                              least.Field("choice_count"), 2, 1000, &out->least_request_choices));
  if (in.has_load_balancing_policy()) {
    if (original) return at.Field("load_balancing_policy").Error("not with type ORIGINAL_DST");
    HEDDLE_RETURN_IF_ERROR(DecodePolicies(in.load_balancing_policy(),
                                          at.Field("load_balancing_policy"), context, out));
  } else if (in.lb_policy() == Pb::LOAD_BALANCING_POLICY_CONFIG) {
    return at.Field("load_balancing_policy").Error("required");
  }
  const auto& common = in.common_lb_config();
  if (common.has_healthy_panic_threshold()) {
    const Path config = at.Field("common_lb_config");
    HEDDLE_ASSIGN_OR_RETURN(
        const config::Fraction share,
        DecodePercent(common.healthy_panic_threshold(), config.Field("healthy_panic_threshold")));
    out->panic_percent = share.numerator / 100;
  }
  return absl::OkStatus();
}

absl::Status DecodeThresholds(const cluster::CircuitBreakers::Thresholds& in, const Path& at,
                              Context& context, config::Limits* out) {
  HEDDLE_RETURN_IF_ERROR(Uint(in.has_max_connections(), in.max_connections(),
                              at.Field("max_connections"), 0, kMaxUint, &out->max_connections));
  HEDDLE_RETURN_IF_ERROR(Uint(in.has_max_pending_requests(), in.max_pending_requests(),
                              at.Field("max_pending_requests"), 0, kMaxUint, &out->max_pending));
  HEDDLE_RETURN_IF_ERROR(Uint(in.has_max_requests(), in.max_requests(), at.Field("max_requests"), 0,
                              kMaxUint, &out->max_requests));
  HEDDLE_RETURN_IF_ERROR(Uint(in.has_max_retries(), in.max_retries(), at.Field("max_retries"), 0,
                              kMaxUint, &out->max_retries));
  out->track_remaining = in.track_remaining();
  NotHonoured(in.track_remaining(), at.Field("track_remaining"), context);
  if (!in.has_retry_budget()) return absl::OkStatus();
  const Path here = at.Field("retry_budget");
  config::RetryBudget budget;
  if (in.retry_budget().has_budget_percent()) {
    HEDDLE_RETURN_IF_ERROR(
        DecodePercent(in.retry_budget().budget_percent(), here.Field("budget_percent")).status());
    budget.percent = in.retry_budget().budget_percent().value();
  }
  HEDDLE_RETURN_IF_ERROR(
      Uint(in.retry_budget().has_min_retry_concurrency(), in.retry_budget().min_retry_concurrency(),
           here.Field("min_retry_concurrency"), 0, kMaxUint, &budget.min_concurrency));
  out->budget = budget;
  return absl::OkStatus();
}

absl::Status DecodeLimits(const cluster::CircuitBreakers& in, const Path& at, Context& context,
                          Out* out) {
  const Path list = at.Field("thresholds");
  bool seen[2] = {};
  for (int i = 0; i < in.thresholds_size(); ++i) {
    const auto& one = in.thresholds(i);
    const Path here = list.Index(static_cast<size_t>(i));
    if (one.priority() != core::DEFAULT && one.priority() != core::HIGH) {
      return BadEnum(core::RoutingPriority_descriptor(), one.priority(), here.Field("priority"),
                     "DEFAULT, HIGH");
    }
    const bool high = one.priority() == core::HIGH;
    if (std::exchange(seen[high], true)) {
      return here.Field("priority").Error(absl::StrCat("duplicate ", high ? "HIGH" : "DEFAULT"));
    }
    HEDDLE_RETURN_IF_ERROR(
        DecodeThresholds(one, here, context, high ? &out->high_limits : &out->limits));
  }
  return absl::OkStatus();
}

struct OutlierNumber {
  absl::string_view name;
  bool (cluster::OutlierDetection::*has)() const;
  const google::protobuf::UInt32Value& (cluster::OutlierDetection::*get)() const;
  uint32_t config::OutlierDetection::*out;
  uint32_t max;
};

absl::Status DecodeOutlier(const cluster::OutlierDetection& in, const Path& at,
                           config::OutlierDetection* out) {
  using P = cluster::OutlierDetection;
  using O = config::OutlierDetection;
  static constexpr OutlierNumber kNumbers[] = {
      {"consecutive_5xx", &P::has_consecutive_5xx, &P::consecutive_5xx, &O::consecutive_5xx,
       kMaxUint},
      {"consecutive_gateway_failure", &P::has_consecutive_gateway_failure,
       &P::consecutive_gateway_failure, &O::consecutive_gateway_failure, kMaxUint},
      {"consecutive_local_origin_failure", &P::has_consecutive_local_origin_failure,
       &P::consecutive_local_origin_failure, &O::consecutive_local_origin_failure, kMaxUint},
      {"max_ejection_percent", &P::has_max_ejection_percent, &P::max_ejection_percent,
       &O::max_ejection_percent, 100},
      {"enforcing_consecutive_5xx", &P::has_enforcing_consecutive_5xx,
       &P::enforcing_consecutive_5xx, &O::enforcing_consecutive_5xx, 100},
      {"enforcing_consecutive_gateway_failure", &P::has_enforcing_consecutive_gateway_failure,
       &P::enforcing_consecutive_gateway_failure, &O::enforcing_consecutive_gateway_failure, 100},
      {"enforcing_consecutive_local_origin_failure",
       &P::has_enforcing_consecutive_local_origin_failure,
       &P::enforcing_consecutive_local_origin_failure,
       &O::enforcing_consecutive_local_origin_failure, 100},
      {"enforcing_success_rate", &P::has_enforcing_success_rate, &P::enforcing_success_rate,
       &O::enforcing_success_rate, 100},
      {"enforcing_local_origin_success_rate", &P::has_enforcing_local_origin_success_rate,
       &P::enforcing_local_origin_success_rate, &O::enforcing_local_origin_success_rate, 100},
      {"enforcing_failure_percentage", &P::has_enforcing_failure_percentage,
       &P::enforcing_failure_percentage, &O::enforcing_failure_percentage, 100},
      {"enforcing_failure_percentage_local_origin",
       &P::has_enforcing_failure_percentage_local_origin,
       &P::enforcing_failure_percentage_local_origin, &O::enforcing_failure_percentage_local_origin,
       100},
      {"success_rate_minimum_hosts", &P::has_success_rate_minimum_hosts,
       &P::success_rate_minimum_hosts, &O::success_rate_minimum_hosts, kMaxUint},
      {"success_rate_request_volume", &P::has_success_rate_request_volume,
       &P::success_rate_request_volume, &O::success_rate_request_volume, kMaxUint},
      {"success_rate_stdev_factor", &P::has_success_rate_stdev_factor,
       &P::success_rate_stdev_factor, &O::success_rate_stdev_factor, kMaxUint},
      {"failure_percentage_threshold", &P::has_failure_percentage_threshold,
       &P::failure_percentage_threshold, &O::failure_percentage_threshold, 100},
      {"failure_percentage_minimum_hosts", &P::has_failure_percentage_minimum_hosts,
       &P::failure_percentage_minimum_hosts, &O::failure_percentage_minimum_hosts, kMaxUint},
      {"failure_percentage_request_volume", &P::has_failure_percentage_request_volume,
       &P::failure_percentage_request_volume, &O::failure_percentage_request_volume, kMaxUint},
  };
  for (const OutlierNumber& n : kNumbers) {
    HEDDLE_RETURN_IF_ERROR(
        Uint((in.*n.has)(), (in.*n.get)(), at.Field(n.name), 0, n.max, &(out->*n.out)));
  }
  HEDDLE_RETURN_IF_ERROR(
      PositiveDuration(in.has_interval(), in.interval(), at.Field("interval"), &out->interval));
  HEDDLE_RETURN_IF_ERROR(PositiveDuration(in.has_base_ejection_time(), in.base_ejection_time(),
                                          at.Field("base_ejection_time"),
                                          &out->base_ejection_time));
  out->max_ejection_time = std::max(absl::Seconds(300), out->base_ejection_time);
  HEDDLE_RETURN_IF_ERROR(PositiveDuration(in.has_max_ejection_time(), in.max_ejection_time(),
                                          at.Field("max_ejection_time"), &out->max_ejection_time));
  if (out->max_ejection_time < out->base_ejection_time) {
    return at.Field("max_ejection_time").Error("is less than base_ejection_time");
  }
  HEDDLE_RETURN_IF_ERROR(Duration(in.has_max_ejection_time_jitter(), in.max_ejection_time_jitter(),
                                  at.Field("max_ejection_time_jitter"),
                                  &out->max_ejection_time_jitter));
  out->always_eject_one_host = in.always_eject_one_host().value();
  out->split_external_local_origin_errors = in.split_external_local_origin_errors();
  return absl::OkStatus();
}

absl::Status DecodeProtocols(const core::Http1ProtocolOptions& http1,
                             const core::Http2ProtocolOptions& http2, const Path& at,
                             config::UpstreamHttp* out) {
  HEDDLE_ASSIGN_OR_RETURN(out->http1, DecodeHttp1(http1, at.Field("http_protocol_options")));
  HEDDLE_ASSIGN_OR_RETURN(out->http2, DecodeHttp2(http2, at.Field("http2_protocol_options")));
  return absl::OkStatus();
}

absl::Status DecodeHttpOptions(const HttpPb& in, const Path& at, bool tls,
                               config::UpstreamHttp* out) {
  using Kind = config::UpstreamHttp::Kind;
  switch (in.upstream_protocol_options_case()) {
    case HttpPb::kExplicitHttpConfig: {
      const Path here = at.Field("explicit_http_config");
      const auto& choice = in.explicit_http_config();
      if (!choice.has_http_protocol_options() && !choice.has_http2_protocol_options()) {
        return here.Error(
            "found nothing, allowed one of http_protocol_options, http2_protocol_options");
      }
      out->kind = choice.has_http2_protocol_options() ? Kind::kHttp2 : Kind::kHttp1;
      HEDDLE_RETURN_IF_ERROR(DecodeProtocols(choice.http_protocol_options(),
                                             choice.http2_protocol_options(), here, out));
      break;
    }
    case HttpPb::kUseDownstreamProtocolConfig:
      out->kind = Kind::kDownstream;
      HEDDLE_RETURN_IF_ERROR(
          DecodeProtocols(in.use_downstream_protocol_config().http_protocol_options(),
                          in.use_downstream_protocol_config().http2_protocol_options(),
                          at.Field("use_downstream_protocol_config"), out));
      break;
    case HttpPb::kAutoConfig:
      if (!tls) return at.Field("auto_config").Error("needs a TLS transport_socket: ALPN decides");
      out->kind = Kind::kAuto;
      HEDDLE_RETURN_IF_ERROR(DecodeProtocols(in.auto_config().http_protocol_options(),
                                             in.auto_config().http2_protocol_options(),
                                             at.Field("auto_config"), out));
      break;
    case HttpPb::UPSTREAM_PROTOCOL_OPTIONS_NOT_SET:
      return at.Error(
          "found nothing, allowed one of explicit_http_config, use_downstream_protocol_config, "
          "auto_config");
  }
  HEDDLE_ASSIGN_OR_RETURN(out->common, DecodeCommonHttp(in.common_http_protocol_options(),
                                                        at.Field("common_http_protocol_options")));
  out->auto_sni = in.upstream_http_protocol_options().auto_sni();
  out->auto_san_validation = in.upstream_http_protocol_options().auto_san_validation();
  return absl::OkStatus();
}

absl::Status DecodeHttp(const Pb& in, const Path& at, Context& context, Out* out) {
  const Path map = at.Field("typed_extension_protocol_options");
  const bool tls = out->transport.upstream_tls != nullptr;
  for (const auto& [name, any] : in.typed_extension_protocol_options()) {
    const Path here = map.Key(name);
    if (name != kHttpOptions && !Is<HttpPb>(any)) {
      Warn(here, "unknown, and left out", context);
      continue;
    }
    HttpPb options;
    HEDDLE_RETURN_IF_ERROR(Unpack(any, here, context, &options));
    if (in.has_http2_protocol_options())
      return at.Field("http2_protocol_options").Error("not together with HttpProtocolOptions");
    HEDDLE_RETURN_IF_ERROR(DecodeHttpOptions(options, here, tls, &out->http));
  }
  if (in.has_http2_protocol_options()) {
    out->http.kind = config::UpstreamHttp::Kind::kHttp2;
    HEDDLE_ASSIGN_OR_RETURN(out->http.http2, DecodeHttp2(in.http2_protocol_options(),
                                                         at.Field("http2_protocol_options")));
  }
  const config::UpstreamTls* upstream = out->transport.upstream_tls.get();
  if (out->http.auto_san_validation &&
      (upstream == nullptr ||
       (!upstream->common.validation && upstream->common.validation_sds.name.empty()))) {
    return map.Error("auto_san_validation needs a TLS transport_socket with a validation context");
  }
  return absl::OkStatus();
}

absl::Status DecodeTransports(const Pb& in, const Path& at, Context& context, Out* out) {
  if (in.has_transport_socket()) {
    HEDDLE_ASSIGN_OR_RETURN(
        out->transport,
        DecodeUpstreamTransport(in.transport_socket(), at.Field("transport_socket"), context));
  }
  const Path list = at.Field("transport_socket_matches");
  for (int i = 0; i < in.transport_socket_matches_size(); ++i) {
    const auto& match = in.transport_socket_matches(i);
    const Path here = list.Index(static_cast<size_t>(i));
    config::TransportSocketMatch one;
    one.name = match.name();
    if (one.name.empty()) return here.Field("name").Error("required");
    one.match = Flatten(match.match());
    HEDDLE_ASSIGN_OR_RETURN(
        one.socket,
        DecodeUpstreamTransport(match.transport_socket(), here.Field("transport_socket"), context));
    out->transport_matches.push_back(std::move(one));
  }
  return absl::OkStatus();
}

absl::Status DecodeDns(const Pb& in, const Path& at, Out* out) {
  using Family = Out::DnsFamily;
  HEDDLE_RETURN_IF_ERROR(PositiveDuration(in.has_dns_refresh_rate(), in.dns_refresh_rate(),
                                          at.Field("dns_refresh_rate"), &out->dns_refresh));
  if (out->dns_refresh < absl::Milliseconds(1))
    return at.Field("dns_refresh_rate").Error("found less than 1 ms");
  out->respect_dns_ttl = in.respect_dns_ttl();
  switch (in.dns_lookup_family()) {
    case Pb::AUTO:
      out->dns_family = Family::kAuto;
      return absl::OkStatus();
    case Pb::V4_ONLY:
      out->dns_family = Family::kV4Only;
      return absl::OkStatus();
    case Pb::V6_ONLY:
      out->dns_family = Family::kV6Only;
      return absl::OkStatus();
    case Pb::V4_PREFERRED:
      out->dns_family = Family::kV4Preferred;
      return absl::OkStatus();
    case Pb::ALL:
      out->dns_family = Family::kAll;
      return absl::OkStatus();
    default:
      return BadEnum(Pb::DnsLookupFamily_descriptor(), in.dns_lookup_family(),
                     at.Field("dns_lookup_family"), "AUTO, V4_ONLY, V6_ONLY, V4_PREFERRED, ALL");
  }
}

absl::Status DecodeConnections(const Pb& in, const Path& at, Context& context, Out* out) {
  HEDDLE_RETURN_IF_ERROR(PositiveDuration(in.has_connect_timeout(), in.connect_timeout(),
                                          at.Field("connect_timeout"), &out->connect_timeout));
  HEDDLE_RETURN_IF_ERROR(
      Uint(in.has_per_connection_buffer_limit_bytes(), in.per_connection_buffer_limit_bytes(),
           at.Field("per_connection_buffer_limit_bytes"), 1, 1 << 30, &out->buffer_limit));
  HEDDLE_RETURN_IF_ERROR(PositiveDuration(in.has_cleanup_interval(), in.cleanup_interval(),
                                          at.Field("cleanup_interval"),
                                          &out->original_dst_cleanup));
  if (in.upstream_bind_config().has_source_address()) {
    const Path bind = at.Field("upstream_bind_config");
    core::Address address;
    *address.mutable_socket_address() = in.upstream_bind_config().source_address();
    HEDDLE_ASSIGN_OR_RETURN(out->bind_source, DecodeAddress(address, bind.Field("source_address"),
                                                            {.allow_any_port = true}));
  }
  if (in.upstream_connection_options().has_tcp_keepalive()) {
    const Path options = at.Field("upstream_connection_options");
    const Path here = options.Field("tcp_keepalive");
    const auto& keepalive = in.upstream_connection_options().tcp_keepalive();
    uint32_t seconds = 7200;  // the kernel's default
    HEDDLE_RETURN_IF_ERROR(Uint(keepalive.has_keepalive_time(), keepalive.keepalive_time(),
                                here.Field("keepalive_time"), 1, 32767, &seconds));
    out->keepalive_idle = absl::Seconds(seconds);
  }
  out->close_on_health_failure = in.close_connections_on_host_health_failure();
  out->drain_on_host_removal = in.ignore_health_on_host_removal();
  NotHonoured(out->close_on_health_failure, at.Field("close_connections_on_host_health_failure"),
              context);
  NotHonoured(out->drain_on_host_removal, at.Field("ignore_health_on_host_removal"), context);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Out>> DecodeCluster(const Pb& in, const Path& at,
                                                         Context& context) {
  HEDDLE_RETURN_IF_ERROR(NoteUnknown(in, at, context));
  auto out = std::make_shared<Out>();
  out->name = in.name();
  out->alt_stat_name = in.alt_stat_name();
  if (out->name.empty()) return at.Field("name").Error("required");
  HEDDLE_RETURN_IF_ERROR(DecodeDiscovery(in, at, out.get()));
  HEDDLE_RETURN_IF_ERROR(DecodeBalancer(in, at, context, out.get()));
  HEDDLE_RETURN_IF_ERROR(DecodeConnections(in, at, context, out.get()));
  HEDDLE_RETURN_IF_ERROR(
      DecodeLimits(in.circuit_breakers(), at.Field("circuit_breakers"), context, out.get()));
  if (in.has_outlier_detection()) {
    config::OutlierDetection outlier;
    HEDDLE_RETURN_IF_ERROR(
        DecodeOutlier(in.outlier_detection(), at.Field("outlier_detection"), &outlier));
    out->outlier = outlier;
  }
  HEDDLE_RETURN_IF_ERROR(DecodeTransports(in, at, context, out.get()));
  HEDDLE_RETURN_IF_ERROR(DecodeHttp(in, at, context, out.get()));
  HEDDLE_RETURN_IF_ERROR(DecodeDns(in, at, out.get()));
  out->metadata = DecodeMetadata(in.metadata());
  out->hash = HashOf(in);
  return std::shared_ptr<const Out>(std::move(out));
}

}  // namespace heddle::decode
