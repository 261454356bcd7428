// One HTTP/1.1 request and its answer: what probes, OTLP over HTTP and the proxy's own admin page
// need. A connection for each call; everything on the loop's thread.
//
//   call_ = HttpCall::Start(loop, {.address = address, .path = "/ready"},
//                           [this](absl::StatusOr<HttpCall::Reply> reply) { ... });
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "source/event/loop.h"
#include "source/net/address.h"
#include "source/net/transport.h"

namespace heddle::probe {

class HttpCall : public event::Destroyable {
 public:
  struct Request {
    net::Address address;
    const net::TransportFactory* transport = nullptr;  // null: plain text; outlives Start only
    std::string method = "GET";
    std::string authority;  // empty: the address
    std::string path = "/";
    std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
    std::string body;                                          // sent when the method is not GET
    absl::Duration timeout = absl::Seconds(1);                 // of everything
    // How much of the answer's body is waited for and kept. 0: the head is enough.
    size_t max_body = 0;
  };
  struct Reply {
    int status = 0;
    std::string body;
  };
  // Unavailable: nobody listens there. DeadlineExceeded: the time was over. Others: the connection
  // or its answer broke. Called exactly once, from the loop; may destroy the call only by
  // loop.Destroy. Destroying it earlier cancels silently.
  using Done = std::function<void(absl::StatusOr<Reply>)>;
  static std::unique_ptr<HttpCall> Start(event::Loop& loop, Request request, Done done);
};

}  // namespace heddle::probe
