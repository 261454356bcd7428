// A small HTTP/1.1 server for pages, over libevent's evhttp, on a thread of its own. Not for
// traffic: one request at a time, bounded in size and time.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "source/event/loop.h"

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
};

struct HttpReply {
  int code = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

class HttpServer {
 public:
  using Handler = std::function<HttpReply(const HttpRequest&)>;  // on the server's thread

  // "host:port" with a numeric host; port 0: any.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const std::string& listen,
                                                           Handler handler);
  ~HttpServer();
  int port() const { return port_; }

 private:
  explicit HttpServer(Handler handler) : handler_(std::move(handler)) {}
  static void OnRequest(evhttp_request* request, void* self);

  const Handler handler_;
  event::Loop loop_;
  evhttp* http_ = nullptr;
  int port_ = 0;
  std::thread thread_;
};

// "127.0.0.1:80" or "[::1]:80" in two.
absl::Status SplitHostPort(const std::string& text, std::string* host, int* port);

}  // namespace heddle::status
