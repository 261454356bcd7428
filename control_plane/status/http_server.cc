#include "control_plane/status/http_server.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <string.h>
#include <sys/socket.h>

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "source/base/status.h"

namespace heddle::status {
namespace {

constexpr int kMaxHeaders = 16 * 1024;

std::map<std::string, std::string> QueryOf(const char* query) {
  std::map<std::string, std::string> out;
  evkeyvalq pairs;
  if (query == nullptr || evhttp_parse_query_str(query, &pairs) != 0) return out;
  for (evkeyval* pair = pairs.tqh_first; pair != nullptr; pair = pair->next.tqe_next)
    out[pair->key] = pair->value;
  evhttp_clear_headers(&pairs);
  return out;
}

const char* Reason(int code) {
  switch (code) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 415:
      return "Unsupported Media Type";
    case 503:
      return "Service Unavailable";
  }
  return "Status";
}

}  // namespace

absl::Status SplitHostPort(const std::string& text, std::string* host, int* port) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || !absl::SimpleAtoi(text.substr(colon + 1), port) || *port < 0 ||
      *port > 65535)
    return absl::InvalidArgumentError(absl::StrCat("\"", text, "\": want HOST:PORT"));
  *host = text.substr(0, colon);
  if (host->size() > 2 && host->front() == '[' && host->back() == ']')
    *host = host->substr(1, host->size() - 2);
  if (host->empty())
    return absl::InvalidArgumentError(absl::StrCat("\"", text, "\": want HOST:PORT"));
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const std::string& listen,
                                                              Handler handler) {
  HttpOptions options;
  options.listen = listen;
  return Start(std::move(options), std::move(handler));
}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(HttpOptions options,
                                                              Handler handler) {
  const std::string listen = options.listen;
  std::string host;
  int port = 0;
  HEDDLE_RETURN_IF_ERROR(SplitHostPort(listen, &host, &port));
  auto out = std::unique_ptr<HttpServer>(new HttpServer(std::move(options), std::move(handler)));
  out->http_ = evhttp_new(out->loop_.raw());
  evhttp_set_timeout(out->http_, static_cast<int>(absl::ToInt64Seconds(out->options_.timeout)));
  evhttp_set_max_headers_size(out->http_, kMaxHeaders);
  evhttp_set_max_body_size(out->http_, static_cast<ev_ssize_t>(out->options_.max_body));
  if (out->options_.make_connection) evhttp_set_bevcb(out->http_, &OnConnection, out.get());
  if (out->options_.every_200_ms) out->Tick();
  evhttp_set_allowed_methods(out->http_, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST);
  evhttp_set_gencb(out->http_, &HttpServer::OnRequest, out.get());
  evhttp_bound_socket* const bound =
      evhttp_bind_socket_with_handle(out->http_, host.c_str(), static_cast<ev_uint16_t>(port));
  if (bound == nullptr)
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", listen, ": ", ::strerror(errno)));
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  ::getsockname(evhttp_bound_socket_get_fd(bound), reinterpret_cast<sockaddr*>(&address), &size);
  out->port_ =
      ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&address)->sin6_port
                                          : reinterpret_cast<sockaddr_in*>(&address)->sin_port);
  out->thread_ = std::thread([server = out.get()] { server->loop_.Run(); });
  return out;
}

HttpServer::~HttpServer() {
  if (thread_.joinable()) {
    loop_.Stop();
    thread_.join();
  }
  if (http_ != nullptr) evhttp_free(http_);
}

bufferevent* HttpServer::OnConnection(event_base* base, void* self) {
  return static_cast<HttpServer*>(self)->options_.make_connection(base);
}

void HttpServer::Tick() {
  options_.every_200_ms();
  tick_.Start(absl::Milliseconds(200));
}

void HttpServer::OnRequest(evhttp_request* request, void* self) {
  HttpRequest in;
  in.method = evhttp_request_get_command(request) == EVHTTP_REQ_POST ? "POST" : "GET";
  const evhttp_uri* uri = evhttp_request_get_evhttp_uri(request);
  if (const char* path = evhttp_uri_get_path(uri)) in.path = path;
  in.query = QueryOf(evhttp_uri_get_query(uri));
  const evkeyvalq* sent = evhttp_request_get_input_headers(request);
  const char* guard = evhttp_find_header(sent, "x-heddle-admin");
  in.guarded = guard != nullptr && ::strcmp(guard, "1") == 0;
  if (const char* type = evhttp_find_header(sent, "content-type")) in.content_type = type;
  evbuffer* const received = evhttp_request_get_input_buffer(request);
  in.body.resize(evbuffer_get_length(received));
  evbuffer_remove(received, in.body.data(), in.body.size());
  char* address = nullptr;
  ev_uint16_t port = 0;
  if (evhttp_connection* connection = evhttp_request_get_connection(request))
    evhttp_connection_get_peer(connection, &address, &port);
  if (address != nullptr) in.peer_address = address;

  const HttpServer& server = *static_cast<HttpServer*>(self);
  const HttpReply reply = server.handler_(in);
  evkeyvalq* headers = evhttp_request_get_output_headers(request);
  evhttp_add_header(headers, "content-type", reply.content_type.c_str());
  if (!server.options_.keep_alive) evhttp_add_header(headers, "connection", "close");
  evhttp_add_header(headers, "cache-control", "no-store");
  evhttp_add_header(headers, "x-content-type-options", "nosniff");
  evhttp_add_header(headers, "content-security-policy",
                    "default-src 'none'; style-src 'unsafe-inline'");
  evbuffer* body = evbuffer_new();
  evbuffer_add(body, reply.body.data(), reply.body.size());
  evhttp_send_reply(request, reply.code, Reason(reply.code), body);
  evbuffer_free(body);
}

}  // namespace heddle::status
