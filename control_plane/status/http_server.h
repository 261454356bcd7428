// A small HTTP/1.1 server for pages and webhooks, over libevent's evhttp, on a thread of its own.
// Not for traffic: one request at a time, bounded in size and time.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "source/event/loop.h"

struct bufferevent;
struct event_base;
struct evhttp;
struct evhttp_request;

namespace heddle::status {

struct HttpRequest {
  std::string method;  // "GET" (also for HEAD) or "POST"
  std::string path;    // as sent, without the query
  std::map<std::string, std::string> query;
  bool guarded =
      false;  // has the header "x-heddle-admin: 1", which no page of another site can add
  std::string peer_address;
  std::string content_type = {};  // as sent
  std::string body = {};
};

struct HttpReply {
  int code = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

struct HttpOptions {
  std::string listen;  // "host:port" with a numeric host; port 0: any
  size_t max_body = 64 * 1024;
  absl::Duration timeout = absl::Seconds(10);  // of a connection without a byte
  bool keep_alive = true;
  // Makes what a new connection is read and written by, such as TLS; unset: plain TCP. On the
  // server's thread, as everything here; the connection is closed by freeing it.
  std::function<bufferevent*(event_base*)> make_connection;
  std::function<void()> every_200_ms;
};

class HttpServer {
 public:
  using Handler = std::function<HttpReply(const HttpRequest&)>;  // on the server's thread

  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(HttpOptions options, Handler handler);
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const std::string& listen,
                                                           Handler handler);
  ~HttpServer();
  int port() const { return port_; }

 private:
  HttpServer(HttpOptions options, Handler handler)
      : options_(std::move(options)), handler_(std::move(handler)) {}
  static void OnRequest(evhttp_request* request, void* self);
  static bufferevent* OnConnection(event_base* base, void* self);
  void Tick();

  const HttpOptions options_;
  const Handler handler_;
  event::Loop loop_;
  event::Timer tick_{loop_, [this] { Tick(); }};
  evhttp* http_ = nullptr;
  int port_ = 0;
  std::thread thread_;
};

// "127.0.0.1:80" or "[::1]:80" in two.
absl::Status SplitHostPort(const std::string& text, std::string* host, int* port);

}  // namespace heddle::status
