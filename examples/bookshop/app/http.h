// Plain HTTP/1.1 for the bookshop's services: a server on a few threads (libevent), a blocking
// client (libcurl). The services know nothing of the mesh beyond the address they call through.
#pragma once

#include <functional>
#include <map>
#include <string>

namespace bookshop {

using Headers = std::map<std::string, std::string>;  // lower-case names

struct Request {
  std::string method, path, query;
  Headers headers;
};

struct Response {
  int status = 200;
  std::string body;
  std::string error;  // client side: transport failure; status is 0 then
};

using Handler = std::function<Response(const Request&)>;

// Serves until the process ends; returns false (with a line on stderr) when the address cannot be
// bound.
bool Serve(const std::string& ip, int port, int threads, const Handler& handler);

// `url` says where to connect; `host` is the Host header (the service's name). Keeps connections
// for each thread.
Response Get(const std::string& url, const std::string& host, const Headers& headers,
             int timeout_ms);

// The headers that make a trace: copied from each request to the calls it causes.
Headers TraceOf(const Headers& headers);

}  // namespace bookshop
