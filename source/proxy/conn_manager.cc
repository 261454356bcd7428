#include "source/proxy/conn_manager.h"

#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "source/base/ids.h"
#include "source/proxy/path.h"

namespace heddle::proxy {
namespace {

using config::ClientCert;
using config::HttpConnectionManager;
using http::HeaderId;

static_assert(static_cast<int>(HeaderId::kCount) <= 64, "ids are bits of a mask");
constexpr uint64_t Bit(HeaderId id) { return 1ull << static_cast<int>(id); }

constexpr uint64_t kHopByHop = Bit(HeaderId::kConnection) | Bit(HeaderId::kKeepAlive) |
                               Bit(HeaderId::kUpgrade) | Bit(HeaderId::kProxyConnection) |
                               Bit(HeaderId::kTransferEncoding) | Bit(HeaderId::kHttp2Settings);
// What only a trusted client may say.
constexpr uint64_t kInternalOnly =
    Bit(HeaderId::kXEnvoyRetriableStatusCodes) | Bit(HeaderId::kXEnvoyRetriableHeaderNames) |
    Bit(HeaderId::kXEnvoyRetryOn) | Bit(HeaderId::kXEnvoyRetryGrpcOn) |
    Bit(HeaderId::kXEnvoyMaxRetries) | Bit(HeaderId::kXEnvoyUpstreamRqTimeoutMs) |
    Bit(HeaderId::kXEnvoyUpstreamRqPerTryTimeoutMs) |
    Bit(HeaderId::kXEnvoyUpstreamRqTimeoutAltResponse) | Bit(HeaderId::kXEnvoyExpectedRqTimeoutMs) |
    Bit(HeaderId::kXEnvoyHedgeOnPerTryTimeout);
constexpr absl::string_view kInternalOnlyNames[] = {"x-envoy-force-trace", "x-envoy-ip-tags",
                                                    "x-envoy-original-url",
                                                    "x-envoy-upstream-alt-stat-name"};
constexpr absl::string_view kEdgeOnlyNames[] = {"x-envoy-downstream-service-cluster",
                                                "x-envoy-downstream-service-node"};
constexpr uint64_t kEdgeOnly = Bit(HeaderId::kXEnvoyDecoratorOperation) |
                               Bit(HeaderId::kXEnvoyOriginalHost) |
                               Bit(HeaderId::kXEnvoyOriginalPath);

// Which of these fields a message has at all: one pass instead of a search for each.
uint64_t Present(const http::Headers& headers) {
  uint64_t present = 0;
  for (const auto& entry : headers.entries()) present |= Bit(entry.id);
  return present;
}

void RemoveMask(http::Headers& headers, uint64_t mask) {
  auto& entries = headers.mutable_entries();
  entries.erase(std::remove_if(entries.begin(), entries.end(),
                               [mask](const auto& e) { return (Bit(e.id) & mask) != 0; }),
                entries.end());
}

template <size_t N>
bool Listed(const absl::string_view (&names)[N], absl::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

void RemoveUntrusted(http::Headers& headers, bool edge) {
  auto& entries = headers.mutable_entries();
  const uint64_t mask = kInternalOnly | (edge ? kEdgeOnly : 0);
  const auto untrusted = [edge, mask](const http::Headers::Entry& e) {
    if ((Bit(e.id) & mask) != 0) return true;
    if (e.id != HeaderId::kOther || !absl::StartsWith(e.name, "x-envoy-")) return false;
    return Listed(kInternalOnlyNames, e.name) || (edge && Listed(kEdgeOnlyNames, e.name));
  };
  entries.erase(std::remove_if(entries.begin(), entries.end(), untrusted), entries.end());
}

// The address `from_right` entries from the right of x-forwarded-for (0 = last); none when there
// are fewer.
struct ForwardedFor {
  std::optional<net::Address> address;
  bool single = false;
};

ForwardedFor LastForwardedFor(const http::Headers& headers, uint32_t from_right) {
  const auto first = headers.Get(HeaderId::kXForwardedFor);
  if (!first) return {};
  const std::string all = headers.GetAll("x-forwarded-for");
  const std::vector<absl::string_view> entries = absl::StrSplit(all, ',');
  if (entries.size() <= from_right) return {};
  const absl::string_view text =
      absl::StripAsciiWhitespace(entries[entries.size() - 1 - from_right]);
  auto address = net::Address::FromIp(text, 0);
  if (!address.ok()) return {};
  return {*address, entries.size() == 1};
}

void AppendField(http::Headers& headers, HeaderId id, absl::string_view value,
                 absl::string_view separator) {
  const auto before = headers.Get(id);
  if (!before) return headers.Add(id, value);
  headers.Set(id, absl::StrCat(headers.GetAll(http::NameOf(id)), separator, value));
}

// Returns whether the request comes from inside; see kInternalOnly.
bool Forwarded(const HttpConnectionManager& config, const ClientFacts& client, uint64_t present,
               http::RequestHead& head, observe::AccessRecord& record) {
  http::Headers& headers = head.headers;
  const bool has_xff = (present & Bit(HeaderId::kXForwardedFor)) != 0;
  const bool has_proto = (present & Bit(HeaderId::kXForwardedProto)) != 0;
  const absl::string_view proto = client.secure ? "https" : "http";
  bool internal = false;
  if (config.use_remote_address) {
    std::optional<net::Address> trusted;
    if (has_xff && config.xff_num_trusted_hops > 0) {
      trusted = LastForwardedFor(headers, config.xff_num_trusted_hops - 1).address;
    }
    internal = !has_xff && client.internal;
    record.downstream_remote = trusted ? *trusted : client.remote;
    if (!config.skip_xff_append && !client.remote_ip.empty()) {
      AppendField(headers, HeaderId::kXForwardedFor, client.remote_ip, ",");
    }
    if (config.xff_num_trusted_hops == 0 || !has_proto)
      headers.Set(HeaderId::kXForwardedProto, proto);
  } else {
    if (has_xff) {
      const ForwardedFor last = LastForwardedFor(headers, config.xff_num_trusted_hops);
      if (last.address) record.downstream_remote = *last.address;
      internal = last.single && last.address && InternalAddress(config.internal, *last.address);
    }
    if (!has_proto) headers.Add(HeaderId::kXForwardedProto, proto);
  }
  return internal;
}

void ClientCertHeader(const HttpConnectionManager& config, const ClientFacts& client, bool present,
                      http::Headers& headers) {
  if (config.client_cert == ClientCert::kAlwaysForwardOnly) return;
  if (config.client_cert == ClientCert::kSanitize || !client.client_certificate) {
    if (present) headers.Remove(HeaderId::kXForwardedClientCert);
    return;
  }
  if (config.client_cert == ClientCert::kForwardOnly) return;
  if (config.client_cert == ClientCert::kAppendForward) {
    AppendField(headers, HeaderId::kXForwardedClientCert, client.xfcc, ",");
  } else {
    headers.Set(HeaderId::kXForwardedClientCert, client.xfcc);
  }
}

std::unique_ptr<filter::Reply> Refusal(int status, absl::string_view details) {
  auto reply = std::make_unique<filter::Reply>();
  reply->status = status;
  reply->details = std::string(details);
  return reply;
}

std::unique_ptr<filter::Reply> BadRequest(absl::string_view details) {
  return Refusal(400, details);
}

std::unique_ptr<filter::Reply> CheckTarget(const HttpConnectionManager& config,
                                           http::RequestHead& head) {
  if (head.authority.empty()) return BadRequest("missing_host_header");
  if (head.path.empty())
    return head.method == "CONNECT" ? nullptr : BadRequest("missing_path_rejected");
  if (head.path[0] != '/') return Refusal(404, "absolute_path_rejected");
  if (head.path.find('#') != absl::string_view::npos)
    return BadRequest("path_normalization_failed");
  if (!config.normalize_path && !config.merge_slashes &&
      config.escaped_slashes == HttpConnectionManager::EscapedSlashes::kKeep) {
    return nullptr;
  }
  PathOutcome outcome = NormalizePath(config, head.path);
  switch (outcome.kind) {
    case PathOutcome::Kind::kUnchanged:
      return nullptr;
    case PathOutcome::Kind::kChanged:
      head.SetPath(outcome.path);
      return nullptr;
    case PathOutcome::Kind::kRejected:
      if (!outcome.path.empty()) head.SetPath(outcome.path);
      return BadRequest("path_normalization_failed");
    case PathOutcome::Kind::kRedirect: {
      auto reply = Refusal(307, "path_normalization_failed");
      reply->headers.emplace_back("location", outcome.path);
      head.SetPath(outcome.path);
      return reply;
    }
  }
  return nullptr;
}

void StripPort(const HttpConnectionManager& config, uint16_t local_port, http::RequestHead& head) {
  if (!config.strip_any_host_port && !config.strip_matching_host_port) return;
  const size_t colon = head.authority.rfind(':');
  if (colon == absl::string_view::npos || absl::EndsWith(head.authority, "]")) return;
  uint32_t port = 0;
  if (!absl::SimpleAtoi(head.authority.substr(colon + 1), &port)) return;
  if (config.strip_any_host_port || port == local_port)
    head.authority = head.authority.substr(0, colon);
}

void RequestId(const HttpConnectionManager& config, bool edge, bool present, base::Random& random,
               http::Headers& headers) {
  if (!config.generate_request_id) return;
  if (present && (!edge || config.preserve_external_request_id)) return;
  char id[base::kUuidChars];
  base::WriteUuid(random, id);
  headers.Set(HeaderId::kXRequestId, absl::string_view(id, sizeof(id)));
}

}  // namespace

bool InternalAddress(const config::InternalAddresses& internal, const net::Address& address) {
  if (!address.is_ip()) return internal.unix_sockets;
  return std::any_of(internal.ranges.begin(), internal.ranges.end(),
                     [&](const net::Cidr& range) { return range.Contains(address); });
}

std::string ClientCertElement(const HttpConnectionManager& config, const net::PeerInfo& peer) {
  std::vector<std::string> parts;
  parts.reserve(peer.local_uri_sans.size());
  for (const std::string& uri : peer.local_uri_sans) parts.push_back("By=" + uri);
  if (!peer.certificate_sha256.empty()) parts.push_back("Hash=" + peer.certificate_sha256);
  if (config.cert_subject) parts.push_back(absl::StrCat("Subject=\"", peer.subject, "\""));
  if (config.cert_uri) {
    for (const std::string& uri : peer.uri_sans) parts.push_back("URI=" + uri);
    if (peer.uri_sans.empty()) parts.push_back("URI=");
  }
  if (config.cert_dns) {
    for (const std::string& dns : peer.dns_sans) parts.push_back("DNS=" + dns);
  }
  return absl::StrJoin(parts, ";");
}

ClientFacts::ClientFacts(const HttpConnectionManager& config, const net::Address& from,
                         const net::PeerInfo& peer)
    : remote(from),
      remote_ip(from.is_ip() ? from.ip() : ""),
      secure(peer.tls),
      internal(InternalAddress(config.internal, from)),
      client_certificate(peer.certificate_verified) {
  const bool wanted = config.client_cert == ClientCert::kAppendForward ||
                      config.client_cert == ClientCert::kSanitizeSet;
  if (wanted && client_certificate) xfcc = ClientCertElement(config, peer);
}

void StripHopByHop(http::Headers& headers) {
  if ((Present(headers) & kHopByHop) != 0) RemoveMask(headers, kHopByHop);
}

std::unique_ptr<filter::Reply> PrepareRequest(const HttpConnectionManager& config,
                                              const ClientFacts& client, base::Random& random,
                                              http::RequestHead& head,
                                              observe::AccessRecord& record) {
  StripHopByHop(head.headers);
  const uint64_t present = Present(head.headers);
  if (head.scheme.empty()) head.scheme = client.secure ? "https" : "http";
  if (auto reply = CheckTarget(config, head)) return reply;
  StripPort(config, record.downstream_local.port(), head);
  if ((present & Bit(HeaderId::kXEnvoyInternal)) != 0)
    head.headers.Remove(HeaderId::kXEnvoyInternal);
  const bool internal = Forwarded(config, client, present, head, record);
  const bool edge = !internal && config.use_remote_address;
  if (internal) {
    head.headers.Add(HeaderId::kXEnvoyInternal, "true");
  } else {
    RemoveUntrusted(head.headers, edge);
    if (edge && record.downstream_remote.is_ip()) {
      head.headers.Set("x-envoy-external-address", record.downstream_remote.ip());
    }
  }
  RequestId(config, edge, (present & Bit(HeaderId::kXRequestId)) != 0, random, head.headers);
  ClientCertHeader(config, client, (present & Bit(HeaderId::kXForwardedClientCert)) != 0,
                   head.headers);
  if (!config.via.empty()) AppendField(head.headers, HeaderId::kVia, config.via, ", ");
  return nullptr;
}

void PrepareResponse(const HttpConnectionManager& config, const http::RequestHead& request,
                     absl::string_view date, http::ResponseHead& head) {
  using ServerHeader = HttpConnectionManager::ServerHeader;
  http::Headers& headers = head.headers;
  const uint64_t present = Present(headers);
  // What is accepted by a 101 stays: the codec makes its upgrade field of it.
  const uint64_t hop_by_hop = head.status == 101 ? kHopByHop & ~Bit(HeaderId::kUpgrade) : kHopByHop;
  if ((present & hop_by_hop) != 0) RemoveMask(headers, hop_by_hop);
  if ((present & Bit(HeaderId::kDate)) == 0) headers.Add(HeaderId::kDate, date);
  const bool has_server = (present & Bit(HeaderId::kServer)) != 0;
  if (config.server_header == ServerHeader::kOverwrite) {
    if (has_server) {
      headers.Set(HeaderId::kServer, config.server_name);
    } else {
      headers.Add(HeaderId::kServer, config.server_name);
    }
  } else if (config.server_header == ServerHeader::kAppendIfAbsent && !has_server) {
    headers.Add(HeaderId::kServer, config.server_name);
  }
  if (!config.via.empty()) AppendField(headers, HeaderId::kVia, config.via, ", ");
  if (config.always_set_request_id_in_response) {
    const auto id = request.headers.Get(HeaderId::kXRequestId);
    if (id) headers.Set(HeaderId::kXRequestId, *id);
  }
}

}  // namespace heddle::proxy
