// Sends finished spans to their collector: every half second, at most 512 a call, one call at a
// time for each queue. A collector that is away costs the spans of that time and nothing else. Main
// thread only.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "source/base/clock.h"
#include "source/event/loop.h"
#include "source/http/grpc/client.h"
#include "source/observe/tracer.h"
#include "source/upstream/spec.h"

namespace heddle::server {

class SpanExporter {
 public:
  // Finds a cluster of the current configuration; null when there is none of that name.
  using FindCluster =
      std::function<std::shared_ptr<const upstream::ClusterSpec>(const std::string& name)>;

  SpanExporter(event::Loop& loop, base::Random& random, observe::SpanQueues& queues,
               FindCluster find);
  ~SpanExporter();
  void Start();
  // Sends what waits now, for the end of the process; calls `done` when nothing is under way.
  void Flush(std::function<void()> done);

  uint64_t exported() const { return exported_; }
  uint64_t failed() const { return failed_; }
  // Queues that it serves.
  size_t lines() const { return lines_.size(); }

 private:
  struct Line;  // one queue's connection and running call
  void Tick();
  void DropUnused();  // lines of targets that the configuration has no more
  void Send(observe::SpanQueue& queue, Line& line);
  void SendGrpc(observe::SpanQueue& queue, Line& line, const std::string& body, size_t spans);
  void SendHttp(observe::SpanQueue& queue, Line& line, std::string body, size_t spans);
  void OnSent(Line& line, size_t spans, const absl::Status& status);

  event::Loop& loop_;
  base::Random& random_;
  observe::SpanQueues& queues_;
  FindCluster find_;
  event::Timer timer_;
  std::map<const observe::SpanQueue*, std::unique_ptr<Line>> lines_;
  std::function<void()> on_idle_;
  uint64_t exported_ = 0, failed_ = 0;
};

}  // namespace heddle::server
