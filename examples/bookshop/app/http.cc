#include "examples/bookshop/app/http.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <netinet/in.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

namespace bookshop {
namespace {

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return text;
}

int Bind(const std::string& ip, int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  if (inet_pton(AF_INET, ip.c_str(), &address.sin_addr) != 1) return -1;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(fd, 512) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

Request Read(evhttp_request* in) {
  Request out;
  out.method = evhttp_request_get_command(in) == EVHTTP_REQ_POST ? "POST" : "GET";
  const evhttp_uri* uri = evhttp_request_get_evhttp_uri(in);
  if (const char* path = evhttp_uri_get_path(uri)) out.path = path;
  if (const char* query = evhttp_uri_get_query(uri)) out.query = query;
  const evkeyvalq* headers = evhttp_request_get_input_headers(in);
  for (const evkeyval* h = headers->tqh_first; h != nullptr; h = h->next.tqe_next)
    out.headers[Lower(h->key)] = h->value;
  return out;
}

void OnRequest(evhttp_request* in, void* argument) {
  const Response out = (*static_cast<const Handler*>(argument))(Read(in));
  evkeyvalq* headers = evhttp_request_get_output_headers(in);
  evhttp_add_header(headers, "content-type", "application/json");
  evbuffer* body = evbuffer_new();
  evbuffer_add(body, out.body.data(), out.body.size());
  evhttp_send_reply(in, out.status, nullptr, body);
  evbuffer_free(body);
}

void RunServer(int fd, const Handler* handler) {
  event_base* base = event_base_new();
  evhttp* http = evhttp_new(base);
  evhttp_set_allowed_methods(http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD);
  evhttp_set_timeout(http, 3600);
  evhttp_set_gencb(http, OnRequest, const_cast<Handler*>(handler));
  evhttp_accept_socket(http, fd);
  event_base_dispatch(base);
}

size_t Collect(char* data, size_t size, size_t count, void* to) {
  static_cast<std::string*>(to)->append(data, size * count);
  return size * count;
}

}  // namespace

bool Serve(const std::string& ip, int port, int threads, const Handler& handler) {
  std::vector<int> fds;
  for (int i = 0; i < threads; ++i) {
    const int fd = Bind(ip, port);
    if (fd < 0) {
      std::fprintf(stderr, "bookshop: cannot listen on %s:%d: %s\n", ip.c_str(), port,
                   std::strerror(errno));
      return false;
    }
    fds.push_back(fd);
  }
  std::vector<std::thread> running;
  running.reserve(fds.size());
  for (const int fd : fds) running.emplace_back(RunServer, fd, &handler);
  for (std::thread& thread : running) thread.join();
  return true;
}

Response Get(const std::string& url, const std::string& host, const Headers& headers,
             int timeout_ms) {
  thread_local std::unique_ptr<CURL, void (*)(CURL*)> curl(curl_easy_init(), curl_easy_cleanup);
  Response out;
  curl_slist* lines = curl_slist_append(nullptr, ("Host: " + host).c_str());
  for (const auto& [name, value] : headers)
    lines = curl_slist_append(lines, std::string(name).append(": ").append(value).c_str());
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, lines);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, Collect);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &out.body);
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT_MS, static_cast<long>(timeout_ms));
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_PROXY, "");
  const CURLcode code = curl_easy_perform(curl.get());
  curl_slist_free_all(lines);
  if (code != CURLE_OK) {
    out.status = 0;
    out.error = curl_easy_strerror(code);
    return out;
  }
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  out.status = static_cast<int>(status);
  return out;
}

Headers TraceOf(const Headers& headers) {
  Headers out;
  for (const char* name : {"traceparent", "tracestate", "x-request-id", "x-envoy-force-trace"}) {
    const auto it = headers.find(name);
    if (it != headers.end()) out.insert(*it);
  }
  return out;
}

}  // namespace bookshop
