// One worker thread: a loop, its sessions, its clusters, its listening sockets. The main thread
// talks to it by Post only; nothing here takes a lock on the request path.
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "source/base/clock.h"
#include "source/event/loop.h"
#include "source/net/listener.h"
#include "source/net/peek.h"
#include "source/net/socket.h"
#include "source/proxy/context.h"
#include "source/proxy/snapshot.h"
#include "source/stats/stats.h"

namespace heddle::server {

// Sockets opened by the main thread for listeners that a snapshot brings in, by listener name.
using NewSockets = std::map<std::string, net::Fd>;

class Worker {
 public:
  // `sheet` is this worker's own. The thread starts at Start.
  Worker(stats::Sheet& sheet, const base::Clock& clock);
  ~Worker();  // Stop()s and joins

  void Start();
  void Stop();  // any thread: everything is destroyed on the worker's thread, then joins

  // Takes the snapshot over; `done` runs on the worker's thread. Called on the main thread.
  void Adopt(std::shared_ptr<const proxy::Snapshot> snapshot, NewSockets sockets,
             std::function<void()> done);
  // Stops accepting (inbound listeners only when asked so) and lets the sessions finish.
  void Drain(bool inbound_only);
  void CloseIdle(bool inbound_only);
  void Abort();
  // Stops accepting for good, accepting what waits in the backlog.
  void CloseListeners(bool inbound_only);

  // Connections being served or looked at; read by the main thread.
  uint64_t connections() const { return connections_.load(std::memory_order_relaxed); }
  // Those of inbound listeners among them.
  uint64_t inbound_connections() const {
    return inbound_connections_.load(std::memory_order_relaxed);
  }

  event::Loop& loop() { return loop_; }
  // On the worker's thread only.
  proxy::Context& context() { return *context_; }

 private:
  class Door;  // one listener's socket on this worker
  void Run();
  void AdoptHere(const std::shared_ptr<const proxy::Snapshot>& snapshot, NewSockets sockets);
  void DrainSessionsOf(const config::Listener& old);
  const std::shared_ptr<const proxy::ListenerSpec>* FindByAddress(
      const net::Address& address) const;
  void CountConnections();

  stats::Sheet& sheet_;
  const base::Clock& clock_;
  event::Loop loop_;
  base::Random random_;
  std::thread thread_;
  std::atomic<uint64_t> connections_{0}, inbound_connections_{0};
  // Below: made and used on the worker's thread only.
  std::unique_ptr<proxy::Context> context_;
  std::map<std::string, std::unique_ptr<Door>> doors_;
  std::shared_ptr<const proxy::Snapshot> snapshot_;
  std::unique_ptr<event::Timer> count_timer_;
  bool draining_ = false;
};

}  // namespace heddle::server
