// One HTTP request to 127.0.0.1, for tests: the whole answer, head and body, as text.
#pragma once

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace heddle::test {

inline std::string HttpExchange(int port, const std::string& request) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string out;
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 &&
      ::send(fd, request.data(), request.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(request.size())) {
    char chunk[4096];
    for (ssize_t n; (n = ::recv(fd, chunk, sizeof(chunk), 0)) > 0;)
      out.append(chunk, static_cast<size_t>(n));
  }
  ::close(fd);
  return out;
}

inline std::string HttpGet(int port, const std::string& path) {
  return HttpExchange(port, absl::StrCat("GET ", path, " HTTP/1.0\r\n\r\n"));
}

inline std::string HttpPost(int port, const std::string& path, bool guarded) {
  return HttpExchange(port, absl::StrCat("POST ", path, " HTTP/1.0\r\ncontent-length: 0\r\n",
                                         guarded ? "x-heddle-admin: 1\r\n" : "", "\r\n"));
}

}  // namespace heddle::test
