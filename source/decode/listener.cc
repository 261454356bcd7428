// Listeners, filter chains, TCP proxies.
#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/filters/listener/http_inspector/v3/http_inspector.pb.h"
#include "envoy/extensions/filters/listener/original_dst/v3/original_dst.pb.h"
#include "envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "source/decode/decode.h"
#include "source/decode/parts.h"

namespace heddle::decode {
namespace {

namespace core = envoy::config::core::v3;
namespace listener = envoy::config::listener::v3;
namespace inspectors = envoy::extensions::filters::listener;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
using envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;

absl::Status DecodeRanges(const google::protobuf::RepeatedPtrField<core::CidrRange>& in,
                          const Path& at, std::vector<net::Cidr>* out) {
  for (int i = 0; i < in.size(); ++i) {
    HEDDLE_ASSIGN_OR_RETURN(net::Cidr range, DecodeCidr(in[i], at.Index(static_cast<size_t>(i))));
    out->push_back(range);
  }
  return absl::OkStatus();
}

// SNI: a host name, or "*." and one.
absl::StatusOr<std::string> DecodeServerName(absl::string_view in, const Path& at) {
  std::string out = absl::AsciiStrToLower(in);
  const absl::string_view plain =
      absl::StartsWith(out, "*.") ? absl::string_view(out).substr(2) : out;
  if (plain.empty() || plain.find('*') != absl::string_view::npos || out.size() > 255) {
    return at.Error(absl::StrCat("found \"", in, "\", allowed \"host\" or \"*.suffix\""));
  }
  return out;
}

absl::StatusOr<config::FilterChainMatch> DecodeMatch(const listener::FilterChainMatch& in,
                                                     const Path& at) {
  using SourceType = config::FilterChainMatch::SourceType;
  config::FilterChainMatch out;
  if (in.has_destination_port()) {
    uint32_t port = 0;
    HEDDLE_RETURN_IF_ERROR(
        Uint(true, in.destination_port(), at.Field("destination_port"), 1, 65535, &port));
    out.destination_port = static_cast<uint16_t>(port);
  }
  HEDDLE_RETURN_IF_ERROR(
      DecodeRanges(in.prefix_ranges(), at.Field("prefix_ranges"), &out.destinations));
  HEDDLE_RETURN_IF_ERROR(DecodeRanges(in.direct_source_prefix_ranges(),
                                      at.Field("direct_source_prefix_ranges"),
                                      &out.direct_sources));
  HEDDLE_RETURN_IF_ERROR(
      DecodeRanges(in.source_prefix_ranges(), at.Field("source_prefix_ranges"), &out.sources));
  const Path names = at.Field("server_names"), ports = at.Field("source_ports"),
             alpn = at.Field("application_protocols");
  for (int i = 0; i < in.server_names_size(); ++i) {
    HEDDLE_ASSIGN_OR_RETURN(
        std::string name,
        DecodeServerName(in.server_names(i), names.Index(static_cast<size_t>(i))));
    out.server_names.push_back(std::move(name));
  }
  for (int i = 0; i < in.source_ports_size(); ++i) {
    if (in.source_ports(i) < 1 || in.source_ports(i) > 65535) {
      return ports.Index(static_cast<size_t>(i))
          .Error(absl::StrCat("found ", in.source_ports(i), ", allowed 1 to 65535"));
    }
    out.source_ports.push_back(static_cast<uint16_t>(in.source_ports(i)));
  }
  for (int i = 0; i < in.application_protocols_size(); ++i) {
    if (in.application_protocols(i).empty())
      return alpn.Index(static_cast<size_t>(i)).Error("must not be empty");
    out.application_protocols.push_back(in.application_protocols(i));
  }
  out.transport_protocol = in.transport_protocol();
  if (!out.transport_protocol.empty() && out.transport_protocol != "tls" &&
      out.transport_protocol != "raw_buffer") {
    return at.Field("transport_protocol")
        .Error(absl::StrCat("found \"", out.transport_protocol, "\", allowed tls, raw_buffer"));
  }
  switch (in.source_type()) {
    case listener::FilterChainMatch::ANY:
      out.source_type = SourceType::kAny;
      return out;
    case listener::FilterChainMatch::SAME_IP_OR_LOOPBACK:
      out.source_type = SourceType::kSameIpOrLoopback;
      return out;
    case listener::FilterChainMatch::EXTERNAL:
      out.source_type = SourceType::kExternal;
      return out;
    default:
      return BadEnum(listener::FilterChainMatch::ConnectionSourceType_descriptor(),
                     in.source_type(), at.Field("source_type"),
                     "ANY, SAME_IP_OR_LOOPBACK, EXTERNAL");
  }
}

absl::StatusOr<std::shared_ptr<const config::TcpProxy>> DecodeTcpProxy(
    const google::protobuf::Any& any, const Path& at, Context& context) {
  TcpProxy in;
  HEDDLE_RETURN_IF_ERROR(Unpack(any, at, context, &in));
  auto out = std::make_shared<config::TcpProxy>();
  out->stat_prefix = in.stat_prefix();
  if (out->stat_prefix.empty()) return at.Field("stat_prefix").Error("required");
  switch (in.cluster_specifier_case()) {
    case TcpProxy::kCluster:
      out->cluster = in.cluster();
      if (out->cluster.empty()) return at.Field("cluster").Error("must not be empty");
      break;
    case TcpProxy::kWeightedClusters: {
      const Path weighted = at.Field("weighted_clusters");
      const Path list = weighted.Field("clusters");
      if (in.weighted_clusters().clusters().empty())
        return list.Error("found none, allowed 1 or more");
      for (int i = 0; i < in.weighted_clusters().clusters_size(); ++i) {
        const auto& cluster = in.weighted_clusters().clusters(i);
        const Path here = list.Index(static_cast<size_t>(i));
        if (cluster.name().empty()) return here.Field("name").Error("required");
        if (cluster.weight() < 1) return here.Field("weight").Error("found 0, allowed 1 or more");
        out->weighted.push_back({cluster.name(), cluster.weight()});
      }
      break;
    }
    case TcpProxy::CLUSTER_SPECIFIER_NOT_SET:
      return at.Error("found nothing, allowed one of cluster, weighted_clusters");
  }
  HEDDLE_RETURN_IF_ERROR(Duration(in.has_idle_timeout(), in.idle_timeout(),
                                  at.Field("idle_timeout"), &out->idle_timeout));
  HEDDLE_RETURN_IF_ERROR(PositiveDuration(
      in.has_max_downstream_connection_duration(), in.max_downstream_connection_duration(),
      at.Field("max_downstream_connection_duration"), &out->max_connection_duration));
  HEDDLE_RETURN_IF_ERROR(Uint(in.has_max_connect_attempts(), in.max_connect_attempts(),
                              at.Field("max_connect_attempts"), 1, 1000,
                              &out->max_connect_attempts));
  HEDDLE_ASSIGN_OR_RETURN(out->access_logs,
                          DecodeAccessLogs(in.access_log(), at.Field("access_log"), context));
  return std::shared_ptr<const config::TcpProxy>(std::move(out));
}

absl::Status DecodePolicy(const listener::Filter& in, const Path& at, Context& context,
                          config::FilterChain* out) {
  std::string known;
  for (const NetworkFilterEntry& entry : context.catalogue().network) {
    if (entry.message == TypeOf(in.typed_config())) {
      HEDDLE_ASSIGN_OR_RETURN(config::NetworkPolicy policy,
                              entry.decode(in.typed_config(), at, context));
      policy.name = in.name();
      out->policies.push_back(std::move(policy));
      return absl::OkStatus();
    }
    absl::StrAppend(&known, ", ", entry.message);
  }
  return at.Error(absl::StrCat("found type \"", TypeOf(in.typed_config()), "\", allowed ",
                               HttpConnectionManager::descriptor()->full_name(), ", ",
                               TcpProxy::descriptor()->full_name(), known));
}

absl::Status DecodeFilters(const listener::FilterChain& in, const Path& at, Context& context,
                           config::FilterChain* out) {
  if (in.filters().empty()) return at.Error("found none, allowed 1 or more");
  for (int i = 0; i < in.filters_size(); ++i) {
    const listener::Filter& filter = in.filters(i);
    const Path place = at.Index(static_cast<size_t>(i));
    const Path here = place.Field("typed_config");
    if (filter.name().empty()) return place.Field("name").Error("required");
    HEDDLE_RETURN_IF_ERROR(Required(filter.has_typed_config(), here));
    const bool http = Is<HttpConnectionManager>(filter.typed_config());
    const bool tcp = Is<TcpProxy>(filter.typed_config());
    const bool last = i == in.filters_size() - 1;
    if ((http || tcp) && !last) return place.Error("ends the chain, and must be the last filter");
    if (http) {
      HEDDLE_ASSIGN_OR_RETURN(out->terminal,
                              DecodeHttpConnectionManager(filter.typed_config(), here, context));
    } else if (tcp) {
      HEDDLE_ASSIGN_OR_RETURN(out->terminal, DecodeTcpProxy(filter.typed_config(), here, context));
    } else {
      HEDDLE_RETURN_IF_ERROR(DecodePolicy(filter, here, context, out));
      if (last)
        return place.Error("the last filter must be an HTTP connection manager or a TCP proxy");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<config::FilterChain> DecodeChain(const listener::FilterChain& in, const Path& at,
                                                Context& context) {
  config::FilterChain out;
  out.name = in.name();
  HEDDLE_ASSIGN_OR_RETURN(out.match,
                          DecodeMatch(in.filter_chain_match(), at.Field("filter_chain_match")));
  if (in.has_transport_socket()) {
    HEDDLE_ASSIGN_OR_RETURN(
        out.transport,
        DecodeDownstreamTransport(in.transport_socket(), at.Field("transport_socket"), context));
  }
  HEDDLE_RETURN_IF_ERROR(
      Duration(in.has_transport_socket_connect_timeout(), in.transport_socket_connect_timeout(),
               at.Field("transport_socket_connect_timeout"), &out.transport_connect_timeout));
  HEDDLE_RETURN_IF_ERROR(DecodeFilters(in, at.Field("filters"), context, &out));
  return out;
}

absl::Status DecodeListenerFilters(const listener::Listener& in, const Path& at, Context& context,
                                   config::Listener* out) {
  for (int i = 0; i < in.listener_filters_size(); ++i) {
    const listener::ListenerFilter& filter = in.listener_filters(i);
    const Path place = at.Index(static_cast<size_t>(i));
    const Path here = place.Field("typed_config");
    HEDDLE_RETURN_IF_ERROR(Required(filter.has_typed_config(), here));
    const google::protobuf::Any& any = filter.typed_config();
    if (Is<inspectors::tls_inspector::v3::TlsInspector>(any)) {
      inspectors::tls_inspector::v3::TlsInspector message;
      HEDDLE_RETURN_IF_ERROR(Unpack(any, here, context, &message));
      uint32_t ignored = 0;
      HEDDLE_RETURN_IF_ERROR(Uint(message.has_initial_read_buffer_size(),
                                  message.initial_read_buffer_size(),
                                  here.Field("initial_read_buffer_size"), 256, 65536, &ignored));
      out->tls_inspector = true;
    } else if (Is<inspectors::original_dst::v3::OriginalDst>(any)) {
      inspectors::original_dst::v3::OriginalDst message;
      HEDDLE_RETURN_IF_ERROR(Unpack(any, here, context, &message));
      out->original_dst = true;
    } else if (Is<inspectors::http_inspector::v3::HttpInspector>(any)) {
      inspectors::http_inspector::v3::HttpInspector message;
      HEDDLE_RETURN_IF_ERROR(Unpack(any, here, context, &message));
      out->http_inspector = true;
    } else {
      return here.Error(absl::StrCat("found type \"", TypeOf(any),
                                     "\", allowed OriginalDst, TlsInspector, HttpInspector"));
    }
  }
  return absl::OkStatus();
}

// Two chains that match the same connections are a mistake: which one is meant cannot be told.
absl::Status DecodeChains(const listener::Listener& in, const Path& at, Context& context,
                          config::Listener* out) {
  absl::flat_hash_set<std::string> names;
  absl::flat_hash_map<uint64_t, int> matches;
  bool inspects = false;
  for (int i = 0; i < in.filter_chains_size(); ++i) {
    const Path here = at.Index(static_cast<size_t>(i));
    HEDDLE_ASSIGN_OR_RETURN(config::FilterChain chain,
                            DecodeChain(in.filter_chains(i), here, context));
    if (!chain.name.empty() && !names.insert(chain.name).second) {
      return here.Field("name").Error(absl::StrCat("duplicate \"", chain.name, "\""));
    }
    const auto [found, added] =
        matches.emplace(HashOf(in.filter_chains(i).filter_chain_match()), i);
    if (!added) {
      return here.Field("filter_chain_match")
          .Error(absl::StrCat("the same as that of filter_chains[", found->second, "]"));
    }
    const config::FilterChainMatch& m = chain.match;
    inspects = inspects || !m.server_names.empty() || !m.transport_protocol.empty() ||
               !m.application_protocols.empty();
    out->chains.push_back(std::move(chain));
  }
  if (inspects && !out->tls_inspector) {
    out->tls_inspector = true;
    Warn(at, "match on what tls_inspector finds, so it was added to listener_filters", context);
  }
  return absl::OkStatus();
}

absl::Status DecodeSocket(const listener::Listener& in, const Path& at, config::Listener* out) {
  HEDDLE_ASSIGN_OR_RETURN(
      out->address, DecodeAddress(in.address(), at.Field("address"), {.allow_any_port = true}));
  out->use_original_dst = in.use_original_dst().value();
  if (in.has_bind_to_port()) out->bind_to_port = in.bind_to_port().value();
  if (in.has_enable_reuse_port()) out->reuse_port = in.enable_reuse_port().value();
  out->transparent = in.transparent().value();
  HEDDLE_RETURN_IF_ERROR(
      Uint(in.has_per_connection_buffer_limit_bytes(), in.per_connection_buffer_limit_bytes(),
           at.Field("per_connection_buffer_limit_bytes"), 1, 1 << 30, &out->buffer_limit));
  return Uint(in.has_tcp_backlog_size(), in.tcp_backlog_size(), at.Field("tcp_backlog_size"), 1,
              1 << 20, &out->backlog);
}

absl::Status DecodeDirection(const listener::Listener& in, const Path& at, config::Listener* out) {
  using Direction = config::Listener::Direction;
  switch (in.traffic_direction()) {
    case core::UNSPECIFIED:
      out->direction = Direction::kUnspecified;
      return absl::OkStatus();
    case core::INBOUND:
      out->direction = Direction::kInbound;
      return absl::OkStatus();
    case core::OUTBOUND:
      out->direction = Direction::kOutbound;
      return absl::OkStatus();
    default:
      return BadEnum(core::TrafficDirection_descriptor(), in.traffic_direction(),
                     at.Field("traffic_direction"), "UNSPECIFIED, INBOUND, OUTBOUND");
  }
}

}  // namespace

absl::StatusOr<std::shared_ptr<const config::Listener>> DecodeListener(const listener::Listener& in,
                                                                       const Path& at,
                                                                       Context& context) {
  HEDDLE_RETURN_IF_ERROR(NoteUnknown(in, at, context));
  auto out = std::make_shared<config::Listener>();
  out->name = in.name();
  if (out->name.empty()) return at.Field("name").Error("required");
  HEDDLE_RETURN_IF_ERROR(Required(in.has_address(), at.Field("address")));
  HEDDLE_RETURN_IF_ERROR(DecodeSocket(in, at, out.get()));
  HEDDLE_RETURN_IF_ERROR(DecodeDirection(in, at, out.get()));
  HEDDLE_RETURN_IF_ERROR(
      DecodeListenerFilters(in, at.Field("listener_filters"), context, out.get()));
  HEDDLE_RETURN_IF_ERROR(DecodeChains(in, at.Field("filter_chains"), context, out.get()));
  if (in.has_default_filter_chain()) {
    HEDDLE_ASSIGN_OR_RETURN(
        out->default_chain,
        DecodeChain(in.default_filter_chain(), at.Field("default_filter_chain"), context));
  }
  if (out->chains.empty() && !out->default_chain)
    return at.Field("filter_chains").Error("found none, allowed 1 or more");
  HEDDLE_RETURN_IF_ERROR(Duration(in.has_listener_filters_timeout(), in.listener_filters_timeout(),
                                  at.Field("listener_filters_timeout"),
                                  &out->listener_filters_timeout));
  out->continue_on_timeout = in.continue_on_listener_filters_timeout();
  HEDDLE_ASSIGN_OR_RETURN(out->access_logs,
                          DecodeAccessLogs(in.access_log(), at.Field("access_log"), context));
  out->hash = HashOf(in);
  return std::shared_ptr<const config::Listener>(std::move(out));
}

}  // namespace heddle::decode
