#include "control_plane/translate/listeners.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "control_plane/translate/cluster.h"
#include "control_plane/translate/encode.h"
#include "control_plane/translate/tls.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/filters/listener/original_dst/v3/original_dst.pb.h"
#include "envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.pb.h"

namespace heddle::translate {
namespace {

namespace core = ::envoy::config::core::v3;
namespace listener = ::envoy::config::listener::v3;
using model::MtlsMode;

listener::Listener NewListener(std::string name, const std::string& address, uint16_t port,
                               core::TrafficDirection direction) {
  listener::Listener out;
  out.set_name(std::move(name));
  out.mutable_address()->mutable_socket_address()->set_address(address);
  out.mutable_address()->mutable_socket_address()->set_port_value(port);
  out.set_traffic_direction(direction);
  return out;
}

void AddOriginalDst(listener::Listener* out) {
  listener::ListenerFilter* const filter = out->add_listener_filters();
  filter->set_name("envoy.filters.listener.original_dst");
  Pack(::envoy::extensions::filters::listener::original_dst::v3::OriginalDst(),
       filter->mutable_typed_config());
}

void AddTlsInspector(listener::Listener* out) {
  listener::ListenerFilter* const filter = out->add_listener_filters();
  filter->set_name("envoy.filters.listener.tls_inspector");
  Pack(::envoy::extensions::filters::listener::tls_inspector::v3::TlsInspector(),
       filter->mutable_typed_config());
}

void AddRange(const std::string& ip, listener::FilterChainMatch* out) {
  core::CidrRange* const range = out->add_prefix_ranges();
  range->set_address_prefix(ip);
  range->mutable_prefix_len()->set_value(ip.find(':') == std::string::npos ? 32 : 128);
}

std::string TcpName(const TcpDestination& to) {
  return absl::StrCat("outbound_tcp_", to.service->key.name, ".", to.service->key.ns, "_",
                      to.port->port);
}

void AddTcpDestination(const Reporter& reporter, const TcpDestination& to,
                       listener::FilterChain* out) {
  const std::string name = TcpName(to);
  out->set_name(name);
  AddTcpProxy(reporter, name, model::ClusterName(to.service->key, to.port->port), out);
}

// One way into one port: by mutual TLS or in plain text.
void AddInboundChain(const Reporter& reporter, const InboundPort& in, const Policies& policies,
                     bool tls, listener::FilterChain* out) {
  const bool http = model::IsHttp(in.port.protocol);
  out->set_name(absl::StrCat("inbound_", in.port.port, tls ? "_tls" : "_plain"));
  if (tls) {
    const std::vector<std::string> alpn =
        http ? std::vector<std::string>{"h2", "http/1.1"} : std::vector<std::string>{};
    SetServerTls(reporter.mesh, alpn, out->mutable_transport_socket());
  }
  if (http) return AddInboundHttp(reporter, in.port.port, policies, out);
  AddNetworkRbac(reporter.mesh, policies, out);
  AddTcpProxy(reporter, absl::StrCat("inbound_", in.port.port), InboundClusterName(in.port.port),
              out);
}

}  // namespace

std::string OutboundRoutesName(uint16_t port) {
  return port == 0 ? "outbound" : absl::StrCat("outbound_", port);
}

listener::Listener OutboundListener(const Reporter& reporter, const std::string& address) {
  listener::Listener out = NewListener("outbound", address, kOutboundPort, core::OUTBOUND);
  listener::FilterChain* const chain = out.add_filter_chains();
  chain->set_name("outbound");
  AddOutboundHttp(reporter, OutboundRoutesName(0), chain);
  return out;
}

listener::Listener OutboundTcpListener(const Reporter& reporter, const std::string& address,
                                       const TcpDestination& to) {
  listener::Listener out = NewListener(TcpName(to), address, to.port->port, core::OUTBOUND);
  AddTcpDestination(reporter, to, out.add_filter_chains());
  return out;
}

listener::Listener InterceptedOutboundListener(const Reporter& reporter,
                                               const InterceptedOutbound& in) {
  listener::Listener out = NewListener("outbound", "0.0.0.0", kOutboundPort, core::OUTBOUND);
  out.mutable_use_original_dst()->set_value(true);
  AddOriginalDst(&out);
  for (const TcpDestination& one : in.tcp) {
    listener::FilterChainMatch match;
    for (const std::string& address : one.addresses) AddRange(address, &match);
    match.mutable_destination_port()->set_value(one.port->port);
    listener::FilterChain* const chain = out.add_filter_chains();
    *chain->mutable_filter_chain_match() = std::move(match);
    AddTcpDestination(reporter, one, chain);
  }
  for (const uint16_t port : in.http_ports) {
    listener::FilterChain* const chain = out.add_filter_chains();
    chain->set_name(OutboundRoutesName(port));
    chain->mutable_filter_chain_match()->mutable_destination_port()->set_value(port);
    AddOutboundHttp(reporter, OutboundRoutesName(port), chain);
  }
  const std::string rest = in.allow_unlisted ? kPassthroughCluster : kBlackholeCluster;
  out.mutable_default_filter_chain()->set_name(rest);
  AddTcpProxy(reporter, rest, rest, out.mutable_default_filter_chain());
  return out;
}

listener::Listener InboundListener(const Reporter& reporter, const std::string& address,
                                   const InboundPort& in, const Policies& policies) {
  listener::Listener out =
      NewListener(absl::StrCat("inbound_", in.port.port), address, in.port.port, core::INBOUND);
  if (in.mode != MtlsMode::kPermissive) {
    // The only way in: nothing to inspect, a handshake that fails closes the connection.
    AddInboundChain(reporter, in, policies, in.mode == MtlsMode::kStrict, out.add_filter_chains());
    return out;
  }
  AddTlsInspector(&out);
  for (const bool tls : {true, false}) {
    listener::FilterChain* const chain = out.add_filter_chains();
    chain->mutable_filter_chain_match()->set_transport_protocol(tls ? "tls" : "raw_buffer");
    AddInboundChain(reporter, in, policies, tls, chain);
  }
  return out;
}

listener::Listener InterceptedInboundListener(const Reporter& reporter,
                                              const std::vector<InboundPort>& ports,
                                              const Policies& policies) {
  listener::Listener out = NewListener("inbound", "0.0.0.0", kInboundPort, core::INBOUND);
  AddOriginalDst(&out);
  AddTlsInspector(&out);
  for (const InboundPort& one : ports) {
    for (const bool tls : {true, false}) {
      if (one.mode == (tls ? MtlsMode::kDisable : MtlsMode::kStrict)) continue;
      listener::FilterChain* const chain = out.add_filter_chains();
      listener::FilterChainMatch* const match = chain->mutable_filter_chain_match();
      match->mutable_destination_port()->set_value(one.port.port);
      match->set_transport_protocol(tls ? "tls" : "raw_buffer");
      AddInboundChain(reporter, one, policies, tls, chain);
    }
  }
  return out;
}

}  // namespace heddle::translate
