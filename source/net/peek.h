// Looks at the first bytes of an accepted connection without taking them (MSG_PEEK): is it TLS, for
// whom, speaking what. The descriptor stays the caller's and is untouched when `done` is called.
//
//   peek = std::make_unique<Peek>(loop, fd, Peek::Options{.tls = true},
//                                 [this](const Peeked& facts) { ... });
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "source/event/loop.h"
#include "source/net/client_hello.h"

namespace heddle::net {

struct Peeked {
  enum class End : uint8_t {
    kSeen,     // the facts below are known
    kTimeout,  // the client said too little; Envoy closes unless
               // continue_on_listener_filters_timeout
    kClosed,   // end or error before enough was said: close the descriptor
  };
  End end = End::kSeen;
  bool tls = false;  // transport_protocol "tls", else "raw_buffer"
  std::string sni{};
  std::vector<std::string>
      alpn{};  // for plain text with Options::http: "http/1.0", "http/1.1" or "h2c"
};

class Peek final : public event::Destroyable {
 public:
  struct Options {
    bool tls = true;                             // tls_inspector
    bool http = false;                           // http_inspector
    absl::Duration timeout = absl::Seconds(15);  // listener_filters_timeout; zero = none
  };
  // Calls `done` once, from the loop, never from here. Destroying the Peek cancels it; from `done`
  // only by loop.Destroy.
  Peek(event::Loop& loop, int fd, const Options& options, std::function<void(const Peeked&)> done);

 private:
  void Look(uint32_t ready);
  void Finish(const Peeked& facts);

  event::Loop& loop_;
  const int fd_;
  const Options options_;
  std::function<void(const Peeked&)> done_;
  std::unique_ptr<event::FileEvents> file_;
  event::Timer timer_;
};

}  // namespace heddle::net
