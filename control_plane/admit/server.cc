#include "control_plane/admit/server.h"

#include <utility>

#include "control_plane/status/http_server.h"
#include "source/base/status.h"

namespace heddle::admit {

absl::StatusOr<std::unique_ptr<Server>> Server::Start(ServerOptions options) {
  HEDDLE_ASSIGN_OR_RETURN(std::unique_ptr<TlsDoor> door,
                          TlsDoor::Create(options.certificate, options.limits));
  auto out = std::unique_ptr<Server>(
      new Server(std::move(door), std::move(options.settings), std::move(options.source)));
  Server* const server = out.get();
  status::HttpOptions http;
  http.listen = options.listen;
  http.max_body = options.max_body;
  http.timeout = options.limits.longest;
  http.keep_alive = false;
  http.make_connection = [server](event_base* base) { return server->door_->Make(base); };
  http.every_200_ms = [server] { server->door_->Sweep(); };
  HEDDLE_ASSIGN_OR_RETURN(
      out->http_,
      status::HttpServer::Start(
          std::move(http), [server](const status::HttpRequest& request) -> status::HttpReply {
            if (request.method != "POST")
              return {.code = 405, .content_type = "text/plain", .body = "want POST\n"};
            Answer answer =
                server->reviewer_.Review(request.path, request.content_type, request.body);
            return {.code = answer.code,
                    .content_type = answer.code == 200 ? "application/json" : "text/plain",
                    .body = std::move(answer.body)};
          }));
  return out;
}

Server::Server(std::unique_ptr<TlsDoor> door, inject::Settings settings, ReviewSource source)
    : door_(std::move(door)), reviewer_(std::move(settings), std::move(source)) {}

Server::~Server() { http_.reset(); }

int Server::port() const { return http_->port(); }

}  // namespace heddle::admit
