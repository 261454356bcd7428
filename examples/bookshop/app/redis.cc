#include "examples/bookshop/app/redis.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

namespace bookshop {
namespace {

class Connection {
 public:
  ~Connection() { Close(); }

  bool Open(const std::string& ip, int port) {
    if (fd_ >= 0) return true;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    if (inet_pton(AF_INET, ip.c_str(), &address.sin_addr) != 1) return false;
    fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval limit{.tv_sec = 2, .tv_usec = 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) return true;
    Close();
    return false;
  }

  // ":<number>\r\n"
  std::optional<int64_t> Ask(const std::string& command) {
    if (send(fd_, command.data(), command.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(command.size()))
      return Fail();
    std::string reply;
    char chunk[64];
    while (reply.find("\r\n") == std::string::npos) {
      const ssize_t n = recv(fd_, chunk, sizeof(chunk), 0);
      if (n <= 0 || reply.size() > 1024) return Fail();
      reply.append(chunk, static_cast<size_t>(n));
    }
    if (reply[0] != ':') return Fail();
    return std::strtoll(reply.c_str() + 1, nullptr, 10);
  }

 private:
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  std::optional<int64_t> Fail() {
    Close();
    return std::nullopt;
  }
  int fd_ = -1;
};

}  // namespace

std::optional<int64_t> Increment(const std::string& ip, int port, const std::string& key) {
  thread_local Connection connection;
  const std::string command =
      "*2\r\n$4\r\nINCR\r\n$" + std::to_string(key.size()) + "\r\n" + key + "\r\n";
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (!connection.Open(ip, port)) continue;
    if (const auto value = connection.Ask(command)) return value;
  }
  return std::nullopt;
}

}  // namespace bookshop
