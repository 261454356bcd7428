// TLS for connections: an immutable context made from plain options, which makes one net::Transport
// per connection. A changed certificate or CA is a new context; connections and tickets of the old
// one stay with the old one.
//
//   ServerOptions options;
//   options.common.certificates = {{chain_pem, key_pem}};
//   HEDDLE_ASSIGN_OR_RETURN(auto context, ServerContext::Make(options));
//   auto connection = net::Connection::Accepted(loop, fd, context->Create({}), peer, {}, events);
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "source/base/clock.h"
#include "source/net/transport.h"
#include "source/tls/certificate.h"

namespace heddle::tls {

enum class Version : uint8_t { kAuto, k10, k11, k12, k13 };
enum class SanType : uint8_t { kUri, kDns, kEmail, kIp };

// One way for a peer's subject alternative name to be acceptable.
struct SanMatcher {
  SanType type = SanType::kUri;
  // The name itself. For kDns a certificate's "*.example.com" is the same as any one label there.
  std::string exact{};
  // When set, decides instead of `exact`; called from any thread.
  std::function<bool(absl::string_view)> matches{};
  // How an error names a matcher that is a function: "prefix spiffe://cluster.local/".
  std::string shown{};
};

// What makes a peer's certificate acceptable.
struct Validation {
  std::string trusted_ca_pem;  // several concatenated, each a trust anchor; empty: the chain is not
                               // verified
  std::vector<SanMatcher> sans;  // one must match; empty: chain only. Wants trusted_ca_pem
  std::vector<std::string>
      spki_sha256;  // base64. One of these or of the next must match, when there are any
  std::vector<std::string> certificate_sha256;  // hex, with or without colons
  // Not empty: exactly one URI SAN, a SPIFFE id of one of these domains.
  std::vector<std::string> spiffe_trust_domains;
  std::string crl_pem;  // then every certificate of the chain needs a list that does not name it
  uint32_t max_verify_depth = 100;
  bool allow_expired = false;
  bool accept_untrusted =
      false;  // verify, but let everybody in: the verdict is PeerInfo::certificate_verified
};

struct CommonOptions {
  Version min_version = Version::kAuto;  // TLS 1.2
  Version max_version = Version::kAuto;  // TLS 1.3
  std::vector<std::string>
      cipher_suites;  // of TLS 1.2; "[A|B]" is equal preference. Empty: Envoy's default
  std::vector<std::string>
      curves;  // "X25519MLKEM768", "X25519", "P-256", "P-384"; empty: see context.cc
  std::vector<std::string> alpn;
  std::vector<Certificate> certificates;
  std::optional<Validation> validation;
};

struct ServerOptions {
  // Certificates are chosen by the client's SNI: a name that is equal, then a wildcard for one
  // label, then the first.
  CommonOptions common;
  bool require_client_certificate =
      false;  // else a certificate is asked for when there is a `validation`
  bool session_tickets =
      true;  // sealed with keys of this context alone, which rotate by themselves
  absl::Duration session_timeout = absl::Hours(1);
};

struct ClientOptions {
  CommonOptions common;
  std::string sni;
  uint32_t max_session_keys =
      1;  // sessions remembered for each (SNI, peer); 0 turns resumption off
};

// Totals of one context, over all workers. Reads are relaxed.
struct ContextStats {
  uint64_t handshakes = 0;
  uint64_t resumed = 0;
  uint64_t failed = 0;          // any failed handshake
  uint64_t no_certificate = 0;  // the peer gave none though it must
  uint64_t verify_ca = 0;       // chain refused: unknown CA, expired, revoked
  uint64_t verify_san = 0;
  uint64_t verify_hash = 0;
};

class Core;
struct Expected;

class ServerContext final : public net::TransportFactory {
 public:
  // The error names the certificate, matcher or list that is wrong.
  static absl::StatusOr<std::shared_ptr<const ServerContext>> Make(
      const ServerOptions& options, const base::Clock& clock = base::SystemClock());
  ~ServerContext() override;
  std::unique_ptr<net::Transport> Create(const Options& options) const override;
  bool secure() const override { return true; }
  ContextStats stats() const;
  // Of the leaf certificates, for admin pages and expiry gauges.
  const std::vector<CertificateInfo>& certificates() const;

 private:
  ServerContext(std::shared_ptr<Core> core, std::shared_ptr<const Expected> expected);
  std::shared_ptr<Core> core_;
  std::shared_ptr<const Expected> expected_;
};

class ClientContext final : public net::TransportFactory {
 public:
  static absl::StatusOr<std::shared_ptr<const ClientContext>> Make(
      const ClientOptions& options, const base::Clock& clock = base::SystemClock());
  // A context that expects another server and shares the rest with this one: certificates, trust,
  // remembered sessions and totals. A mesh has one for each service; this way each costs some
  // hundred bytes instead of some ten thousand.
  absl::StatusOr<std::shared_ptr<const ClientContext>> For(std::string sni,
                                                           std::vector<SanMatcher> sans) const;
  ~ClientContext() override;
  std::unique_ptr<net::Transport> Create(const Options& options) const override;
  bool secure() const override { return true; }
  ContextStats stats() const;
  const std::vector<CertificateInfo>& certificates() const;

 private:
  ClientContext(std::shared_ptr<Core> core, std::shared_ptr<const Expected> expected);
  std::shared_ptr<Core> core_;
  std::shared_ptr<const Expected> expected_;
};

}  // namespace heddle::tls
