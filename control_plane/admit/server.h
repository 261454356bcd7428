// heddle-control's admission webhooks: an HTTPS server on a thread of its own.
//
//   HEDDLE_ASSIGN_OR_RETURN(auto server, admit::Server::Start({
//       .listen = "0.0.0.0:15017",
//       .certificate = {.chain = chain_pem, .key = key_pem},
//       .settings = settings,
//       .source = {.namespace_labels = ..., .on_injection = ..., .objects = ...}}));
//   server->SetCertificate(renewed);  // at any time, from any thread, as SetSettings
//
// One review for each connection, which is then closed: the API server's client does not repeat a
// POST on a kept connection that ends under it, and a pod would be refused for that.
//
// The process must ignore SIGPIPE: OpenSSL writes to connections that the other side may have left.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "control_plane/admit/review.h"
#include "control_plane/admit/tls_door.h"
#include "control_plane/inject/settings.h"

namespace heddle::status {
class HttpServer;
}

namespace heddle::admit {

struct ServerOptions {
  std::string listen = {};  // HOST:PORT, the host numeric; port 0: any
  Certificate certificate = {};
  inject::Settings settings = {};
  ReviewSource source = {};
  TlsDoorOptions limits = {};
  size_t max_body = 4 << 20;
};

class Server {
 public:
  // Listens when it returns.
  static absl::StatusOr<std::unique_ptr<Server>> Start(ServerOptions options);
  ~Server();

  int port() const;
  absl::Status SetCertificate(const Certificate& certificate) {
    return door_->SetCertificate(certificate);
  }
  void SetSettings(inject::Settings settings) { reviewer_.SetSettings(std::move(settings)); }
  std::string Metrics() const { return reviewer_.Metrics(); }

 private:
  Server(std::unique_ptr<TlsDoor> door, inject::Settings settings, ReviewSource source);

  const std::unique_ptr<TlsDoor> door_;  // outlives the connections of http_
  Reviewer reviewer_;
  std::unique_ptr<status::HttpServer> http_;
};

}  // namespace heddle::admit
