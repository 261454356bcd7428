// Accepts connections of one listening socket on one worker's loop.
//
//   HEDDLE_ASSIGN_OR_RETURN(Fd fd, Listen(address));  // on the main thread: config sees the error
//   Listener listener(loop, std::move(fd), {}, [&](int fd, const Address& peer) { ... });
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "source/event/loop.h"
#include "source/net/address.h"
#include "source/net/socket.h"

namespace heddle::net {

struct ListenerOptions {
  // Per wake-up; the rest have their turn in the next iteration.
  size_t accepts_per_turn = 64;
};

class Listener {
 public:
  // Called for each connection with a descriptor that the callee owns: non-blocking, close-on-exec.
  using OnAccept = std::function<void(int fd, const Address& peer)>;

  Listener(event::Loop& loop, Fd fd, const ListenerOptions& options, OnAccept on_accept);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // Paused: new connections wait in the kernel's backlog (overload), until Resume.
  void Pause() { paused_ = true; }
  void Resume();
  // Accepts what already waits in the backlog, then stops listening: the start of a drain loses
  // nobody.
  void Close();

  const Address& address() const { return address_; }  // with the port the kernel chose
  bool closed() const { return !fd_.valid(); }
  // Connections that were accepted only to be closed, because this process has no descriptor left.
  uint64_t shed() const { return shed_; }

 private:
  void AcceptSome(size_t most);
  bool Shed();

  event::Loop& loop_;
  Fd fd_;
  // Given up for a moment when descriptors run out, so that the connection in front can be taken
  // and closed; else it would stay there and its client would wait for nothing.
  Fd reserve_;
  const ListenerOptions options_;
  OnAccept on_accept_;
  Address address_;
  bool paused_ = false;
  uint64_t shed_ = 0;
  std::unique_ptr<event::FileEvents> file_;
  event::Timer retry_;
};

}  // namespace heddle::net
