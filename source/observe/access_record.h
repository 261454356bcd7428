// Everything known about one request (or one TCP session) when it is over. Filled in by proxy/ as
// things happen; stats, access log and trace are all written from it, so they cannot disagree.
#pragma once

#include <cstdint>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "source/base/clock.h"
#include "source/http/headers.h"
#include "source/net/address.h"
#include "source/net/transport.h"

namespace heddle::observe {

// Envoy's %RESPONSE_FLAGS%; several may be set. Texts in fault.cc (short and long names,
// proxy_semantics.md 2.7).
enum class Flag : uint32_t {
  kFailedLocalHealthCheck = 1u << 0,    // LH
  kNoHealthyUpstream = 1u << 1,         // UH
  kUpstreamTimeout = 1u << 2,           // UT
  kLocalReset = 1u << 3,                // LR
  kUpstreamRemoteReset = 1u << 4,       // UR
  kUpstreamConnectFailure = 1u << 5,    // UF
  kUpstreamTermination = 1u << 6,       // UC
  kUpstreamOverflow = 1u << 7,          // UO
  kNoRoute = 1u << 8,                   // NR
  kDelayInjected = 1u << 9,             // DI
  kFaultInjected = 1u << 10,            // FI
  kRateLimited = 1u << 11,              // RL
  kUnauthorizedExternal = 1u << 12,     // UAEX
  kDownstreamTermination = 1u << 13,    // DC
  kRetryLimit = 1u << 14,               // URX
  kStreamIdleTimeout = 1u << 15,        // SI
  kDownstreamProtocolError = 1u << 16,  // DPE
  kUpstreamProtocolError = 1u << 17,    // UPE
  kMaxStreamDuration = 1u << 18,        // UMSDR
  kNoCluster = 1u << 19,                // NC
  kOverloadManager = 1u << 20,          // OM
  kDurationTimeout = 1u << 21,          // DT
  kDownstreamReset = 1u << 22,          // DR
};

// Whose fault a failure on the request path was; see HOUSE_STYLE 9.
enum class Culprit : uint8_t { kNone, kClient, kUpstream, kUs };

struct AccessRecord {
  // Request. The heads point at the stream's own (valid while the record is being written).
  const http::RequestHead* request =
      nullptr;  // as it came, after connection-manager mutations; null for TCP
  const http::ResponseHead* response = nullptr;  // as sent; null when none was
  const http::Trailers* response_trailers = nullptr;
  http::Protocol protocol = http::Protocol::kHttp11;
  int status = 0;        // 0: none sent
  int grpc_status = -1;  // from head or trailers; -1: none
  uint32_t flags = 0;    // Flag bits
  Culprit culprit = Culprit::kNone;
  std::string details;  // %RESPONSE_CODE_DETAILS%, e.g. "via_upstream", "route_not_found"
  std::string termination_details;    // %CONNECTION_TERMINATION_DETAILS%
  std::string upstream_failure;       // %UPSTREAM_TRANSPORT_FAILURE_REASON%
  absl::Time start;                   // wall clock
  base::Micros started = 0;           // monotonic, as are all below; 0 = did not happen
  base::Micros request_received = 0;  // last byte from the client
  base::Micros upstream_sent_first = 0, upstream_sent_last = 0;
  base::Micros upstream_head = 0, upstream_last = 0;  // first and last byte from the upstream
  base::Micros response_sent_first = 0, response_sent_last = 0, finished = 0;
  uint64_t bytes_received = 0, bytes_sent = 0;  // bodies
  uint64_t upstream_wire_bytes_sent = 0, upstream_wire_bytes_received = 0;
  uint32_t attempts = 0;  // upstream requests made
  bool health_check = false;
  // Names: views into configuration that the stream pins.
  absl::string_view route, virtual_host, cluster, filter_chain, listener;
  // Connections.
  net::Address downstream_remote, downstream_direct_remote, downstream_local;
  net::Address upstream_remote, upstream_local;
  const net::PeerInfo* downstream_tls = nullptr;  // null: plain text
  net::PeerInfo const* upstream_tls = nullptr;
  uint64_t connection_id = 0;
  // Trace (set when the request is traced or carries a context).
  std::string trace_id, span_id;  // hex
  // %DYNAMIC_METADATA(ns:key)%: what filters left.
  absl::flat_hash_map<std::string, absl::flat_hash_map<std::string, std::string>> metadata;

  void Set(Flag flag) { flags |= static_cast<uint32_t>(flag); }
  bool Has(Flag flag) const { return (flags & static_cast<uint32_t>(flag)) != 0; }
};

// "URX,UF", or "-" when none. In Envoy's order.
std::string FlagsText(uint32_t flags);

}  // namespace heddle::observe
