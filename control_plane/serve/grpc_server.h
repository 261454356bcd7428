// The one gRPC port: ADS in both variants, certificate signing, trace export. Thin: bytes and peers
// in and out; what is said is decided by Hub, CertificateService and the trace store. TLS with
// heddle-control's own certificate, reloaded from its files; a client certificate is asked for,
// verified when given, not required.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "control_plane/serve/auth.h"
#include "control_plane/serve/hub.h"

namespace heddle::serve {

struct GrpcServerOptions {
  std::string listen;  // "host:port"; port 0: any
  std::string key_path, cert_path, roots_path;
  int max_message_bytes = 4 << 20;
  // Connections are asked to come again after about this long (gRPC jitters it), so that load
  // spreads and a peer proves itself again.
  absl::Duration max_connection_age = absl::Minutes(30);
};

class GrpcServer {
 public:
  // Request bytes to response bytes, on the transport's threads.
  using Unary =
      std::function<absl::StatusOr<std::string>(const Peer& peer, const std::string& request)>;
  struct Handlers {
    Unary create_certificate;
    Unary export_traces;
  };

  // `hub` and `authenticator` outlive it.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(const GrpcServerOptions& options,
                                                           Hub& hub,
                                                           const Authenticator& authenticator,
                                                           Handlers handlers);
  ~GrpcServer();
  int port() const { return port_; }
  // Call after Hub::Shutdown. Returns when every call has ended, cut short after `patience`.
  void Shutdown(absl::Duration patience);

 private:
  struct Service;
  GrpcServer() = default;
  std::unique_ptr<Service> service_;
  int port_ = 0;
};

}  // namespace heddle::serve
