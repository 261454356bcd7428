// One HTTP/1.1 POST and its status: what OTLP over HTTP needs. A connection for each call; main
// thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "source/event/loop.h"
#include "source/net/address.h"
#include "source/net/transport.h"

namespace heddle::server {

class HttpPost : public event::Destroyable {
 public:
  struct Request {
    net::Address address;
    const net::TransportFactory* transport = nullptr;  // null: plain text
    std::string authority, path, content_type, body;
    absl::Duration timeout = absl::Seconds(1);
  };
  // `done` is called exactly once, from the loop: OK for 2xx. Destroying earlier cancels it
  // silently.
  static std::unique_ptr<HttpPost> Start(event::Loop& loop, Request request,
                                         std::function<void(absl::Status)> done);
};

}  // namespace heddle::server
