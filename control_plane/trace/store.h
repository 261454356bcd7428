// The latest spans of the mesh, in memory, bounded by count and by bytes: enough for `heddlectl
// trace` without a collector. The oldest spans go first. Thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "control_plane/trace/span.h"

namespace heddle::trace {

struct StoreOptions {
  size_t max_spans = 50000;
  size_t max_bytes = 64 << 20;
};

// A trace in a list of traces.
struct Summary {
  std::string trace_id;
  std::string service, name;  // of its root, else of its earliest span
  int64_t start_ns = 0;
  int64_t duration_ns = 0;
  size_t spans = 0;
  bool error = false;
};

class Store {
 public:
  explicit Store(StoreOptions options) : options_(options) {}

  void Add(std::vector<Span> spans);
  // Every span of the trace that is still held, by start time.
  std::vector<Span> Find(const std::string& trace_id) const;
  // The traces whose spans came in last, newest first. `service`: only those with a span of it;
  // empty: all.
  std::vector<Summary> Latest(size_t limit, const std::string& service) const;

  struct Stats {
    uint64_t received = 0, dropped = 0;  // dropped: made room
    size_t spans = 0, bytes = 0;
  };
  Stats stats() const;

 private:
  std::vector<Span> FindLocked(const std::string& trace_id) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  void DropOldest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const StoreOptions options_;
  mutable absl::Mutex mutex_;
  std::deque<Span> ring_ ABSL_GUARDED_BY(mutex_);
  uint64_t first_ ABSL_GUARDED_BY(mutex_) = 0;  // sequence number of ring_.front()
  absl::flat_hash_map<std::string, std::deque<uint64_t>> by_trace_ ABSL_GUARDED_BY(mutex_);
  Stats stats_ ABSL_GUARDED_BY(mutex_);
};

Summary Summarise(const std::vector<Span>& spans);

}  // namespace heddle::trace
