// The admin page: a small HTTP/1.1 server on loopback, on the main thread. Pages are the table in
// pages.cc; what they show comes from a View. Reading is GET; anything that changes something is
// POST. Secrets are never shown.
//
//   HEDDLE_ASSIGN_OR_RETURN(auto admin, AdminServer::Start(loop, address, view));
//
// The same server, open to others, is what the health port (source/probe) answers with.
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
// For answers that take a while: `answer` is called once, from the loop or at once. Destroying what
// is returned (null: answered already) gives the answer up; that happens when the client goes.
using LateHandler = std::function<std::unique_ptr<event::Destroyable>(
    const Request&, std::function<void(Reply)> answer)>;

class AdminServer {
 public:
  // More are refused while so many are open: a scrape that hangs must not fill the process.
  static constexpr size_t kMaxConnections = 64;

  // `address` must be loopback; port 0 lets the kernel choose.
  static absl::StatusOr<std::unique_ptr<AdminServer>> Start(event::Loop& loop,
                                                            const net::Address& address,
                                                            Handler handler);
  // For every address: what `handler` gives away, everybody may see.
  static absl::StatusOr<std::unique_ptr<AdminServer>> StartOpen(event::Loop& loop,
                                                                const net::Address& address,
                                                                LateHandler handler);
  ~AdminServer();
  const net::Address& address() const;

 private:
  class Session;
  AdminServer(event::Loop& loop, LateHandler handler);
  void Remove(Session* session);

  event::Loop& loop_;
  LateHandler handler_;
  std::unique_ptr<net::Listener> listener_;
  std::vector<std::unique_ptr<Session>> sessions_;
};

}  // namespace heddle::admin
