// What stands between a Connection and its descriptor: plain bytes here, TLS in source/tls.
// A transport never closes the descriptor and never waits.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "source/base/buffer.h"

namespace heddle::net {

// What the handshake told about the peer. Empty strings where there is no TLS.
struct PeerInfo {
  bool tls = false;
  std::string sni;          // server side: name the client asked for
  std::string alpn;         // negotiated protocol
  std::string tls_version;  // "TLSv1.3"
  std::string cipher;
  bool certificate_verified = false;  // presented and accepted by the validation context
  std::vector<std::string> uri_sans;  // of the peer's leaf certificate
  std::vector<std::string> dns_sans;
  std::string subject;                      // RFC 2253
  std::string certificate_sha256;           // hex of the DER, for x-forwarded-client-cert
  std::vector<std::string> local_uri_sans;  // of our own certificate
};

enum class IoOutcome {
  kProgress,    // moved `bytes` bytes, perhaps 0 in a handshake; try again when ready
  kWouldBlock,  // nothing more to do until the descriptor is ready; `bytes` may have moved (a short
                // write)
  kEof,         // the peer closed its side cleanly
  kError,       // reset, broken TLS, refused certificate: `error()` of the transport says what
};

struct IoResult {
  IoOutcome outcome = IoOutcome::kProgress;
  size_t bytes = 0;
  bool drained = false;  // read: a short read, so the kernel holds nothing more now
  int system_error =
      0;  // kError: errno of the call that failed, 0 when the transport itself refused
};

class Transport {
 public:
  virtual ~Transport() = default;
  // Reads at most about `max` bytes of plain text behind `in`.
  virtual IoResult Read(int fd, base::Buffer& in, size_t max) = 0;
  // Writes from the front of `out` and consumes what was taken.
  virtual IoResult Write(int fd, base::Buffer& out) = 0;
  // True once bytes may flow: at once for plain, after the handshake for TLS. Handshake progress is
  // made by Read and Write (called with an empty buffer too).
  virtual bool ready() const = 0;
  // Sends close_notify or nothing; best effort.
  virtual void Shutdown(int fd) = 0;
  // Bytes that Write took from `out` and could not send yet (TLS records). Write is called again
  // for them with an empty `out`.
  virtual bool write_pending() const { return false; }
  // Valid once ready().
  virtual const PeerInfo& peer() const = 0;
  // One line for logs and %UPSTREAM_TRANSPORT_FAILURE_REASON%; empty when nothing failed.
  virtual absl::string_view error() const = 0;
};

std::unique_ptr<Transport> MakePlainTransport();

// Makes a Transport for a new connection: one for each cluster or filter chain; immutable, any
// thread.
class TransportFactory {
 public:
  virtual ~TransportFactory() = default;
  struct Options {
    std::string sni;                // client side; empty = what the context says
    std::vector<std::string> alpn;  // client side; empty = what the context says
    std::string peer;  // client side: whose sessions may be resumed, "ip:port"; empty = any
  };
  virtual std::unique_ptr<Transport> Create(const Options& options) const = 0;
  // True when connections made by it are protected by TLS.
  virtual bool secure() const = 0;
};

// The factory of plain transports; one for the process.
std::shared_ptr<const TransportFactory> PlainTransports();

}  // namespace heddle::net
