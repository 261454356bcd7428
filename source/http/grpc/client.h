// A gRPC client for what the proxy itself calls: xDS, certificate signing, OTLP, ext_authz. One
// Client is one HTTP/2 connection; messages are bytes (the caller serialises). It does not
// reconnect: when OnClosed comes, every call has got its OnDone; make a new Client.
//
//   client_ = grpc::Client::Connect(loop, {.address = a, .transport = &tls}, this);
//   client_->Unary({.path = "/package.Service/Method"}, request,
//                  [](const grpc::Status& status, std::string reply) { ... });
//   call_ = client_->Start({.path = "/package.Service/Stream"}, this);
//   call_->Send(bytes);
//
// Calls may be started at once: they wait for the connection (and, beyond the peer's limit of
// streams, for a place). All on the loop's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "source/event/loop.h"
#include "source/http/grpc/status.h"
#include "source/http/headers.h"
#include "source/net/address.h"
#include "source/net/connection.h"
#include "source/net/transport.h"

namespace heddle::http::grpc {

struct CallOptions {
  std::string path = {};                                           // "/package.Service/Method"
  std::vector<std::pair<std::string, std::string>> metadata = {};  // lower-case names
  absl::Duration timeout = absl::InfiniteDuration();  // of the whole call; sent as grpc-timeout
  size_t max_message_bytes = 64 * 1024 * 1024;  // a longer reply ends the call: RESOURCE_EXHAUSTED
};

// Told about one call. No event comes after OnDone; the Call is dead then, and must not be used
// from OnDone on.
class CallEvents {
 public:
  virtual ~CallEvents() = default;
  virtual void OnHead(const ResponseHead& head) { (void)head; }  // initial metadata
  virtual void OnMessage(std::string message) = 0;
  // Always comes exactly once, unless the call was cancelled by us. `trailers` may be empty
  // (connection lost).
  virtual void OnDone(const Status& status, const Trailers& trailers) = 0;
};

// Handle of a running call, owned by its Client. Valid until OnDone or Cancel.
class Call {
 public:
  virtual void Send(absl::string_view message) = 0;
  virtual void HalfClose() = 0;  // no more messages from us
  virtual void Cancel() = 0;     // RST_STREAM(CANCEL); no event follows
  // Bytes sent that the peer's window or the connection still holds back: stop producing when it is
  // large.
  virtual size_t Pending() const = 0;

 protected:
  ~Call() = default;
};

class ClientListener {
 public:
  virtual ~ClientListener() = default;
  virtual void OnConnected() {}  // transport is up (TLS done); peer() is valid
  // The connection is over; after every OnDone. `why` is one line for a log: "connection refused",
  // the TLS error... Destroy the Client from here only by loop.Destroy.
  virtual void OnClosed(absl::string_view why) = 0;
};

class Client : public event::Destroyable {
 public:
  struct Options {
    net::Address address = {};
    const net::TransportFactory* transport =
        nullptr;                 // null: plain text. Must outlive Connect only.
    std::string sni = {};        // empty: what the factory says
    std::string authority = {};  // ":authority"; empty: the address
    absl::Duration connect_timeout = absl::Seconds(5);
    // PING after this much silence; zero = off, the default: gRPC servers refuse clients that ping
    // more often than every 5 minutes unless told otherwise. TCP keepalive is always on (a dead
    // peer is seen in about a minute).
    absl::Duration keepalive_interval = absl::ZeroDuration();
    absl::Duration keepalive_timeout = absl::Seconds(10);  // no answer: the connection is closed
    std::string user_agent = "heddle";
  };

  // Never fails at once: failures come by OnClosed, from the loop. `listener` may be null.
  static std::unique_ptr<Client> Connect(event::Loop& loop, const Options& options,
                                         ClientListener* listener);
  // Ends everything silently: no OnDone, no OnClosed. Not from inside one of its own events
  // (loop.Destroy there).
  ~Client() override = default;

  // Returns null after the connection closed or the server said GOAWAY.
  virtual Call* Start(const CallOptions& options, CallEvents* events) = 0;
  // One request, one reply. `done` is called exactly once, from the loop; the reply is empty unless
  // status is OK.
  using UnaryDone = std::function<void(const Status& status, std::string reply)>;
  virtual void Unary(const CallOptions& options, absl::string_view request, UnaryDone done) = 0;

  virtual bool connected() const = 0;
  virtual bool closed() const = 0;                // no new call can be started
  virtual const net::PeerInfo& peer() const = 0;  // after OnConnected
  virtual size_t active_calls() const = 0;
};

}  // namespace heddle::http::grpc
