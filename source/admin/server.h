// The admin page: a small HTTP/1.1 server on loopback, on the main thread. Pages are the table in
// pages.cc; what they show comes from a View. Reading is GET; anything that changes something is
// POST. Secrets are never shown.
//
//   HEDDLE_ASSIGN_OR_RETURN(auto admin, AdminServer::Start(loop, address, view));
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "source/event/loop.h"
#include "source/net/address.h"
#include "source/net/listener.h"

namespace heddle::admin {

struct Request {
  std::string method, path;  // path without query
  absl::flat_hash_map<std::string, std::string>
      query;  // decoded; a key without '=' has an empty value
};

struct Reply {
  int status = 200;
  std::string content_type = "text/plain; charset=UTF-8";
  std::string body;
};

using Handler = std::function<Reply(const Request&)>;

class AdminServer {
 public:
  // More are refused while so many are open: a scrape that hangs must not fill the process.
  static constexpr size_t kMaxConnections = 64;

  // `address` must be loopback; port 0 lets the kernel choose.
  static absl::StatusOr<std::unique_ptr<AdminServer>> Start(event::Loop& loop,
                                                            const net::Address& address,
                                                            Handler handler);
  ~AdminServer();
  const net::Address& address() const;

 private:
  class Session;
  AdminServer(event::Loop& loop, Handler handler);
  void Remove(Session* session);

  event::Loop& loop_;
  Handler handler_;
  std::unique_ptr<net::Listener> listener_;
  std::vector<std::unique_ptr<Session>> sessions_;
};

}  // namespace heddle::admin
