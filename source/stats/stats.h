// Counters, gauges and histograms by integer id. Names exist once, in the Registry on the main
// thread, which hands out ids when configuration is built; a worker holds a Sheet (its own slots)
// and only ever uses ids.
//
//   main:    auto scope = registry.MakeScope({{"envoy_cluster_name", "reviews"}});
//            CounterId requests = scope->Counter("cluster.upstream_rq_total");
//            HistogramId time = scope->Histogram("cluster.upstream_rq_time", Unit::kMicroseconds);
//   worker:  sheet.Add(requests);  sheet.Record(time, micros);
//   main:    registry.Visit([](const Sample& sample) { ... });   // sums all sheets
//
// Ids reach a worker by Loop::Post only, so everything main did before is visible to it. A default
// id is valid and writes to a slot that nobody reads.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"

namespace heddle::stats {

struct CounterId {
  uint32_t slot = 0;
};
struct GaugeId {
  uint32_t slot = 0;
};
struct HistogramId {
  uint32_t slot = 0;
};

enum class Kind : uint8_t { kCounter, kGauge, kHistogram };
// What Record's integer counts. Times are recorded in microseconds and exported in milliseconds, as
// Envoy does.
enum class Unit : uint8_t { kNone, kMicroseconds, kBytes };

// Label name and value, in the order they are printed.
using Tags = std::vector<std::pair<std::string, std::string>>;

// Counts in log-linear buckets: eight to each power of two, so a quantile is off by at most 1/16 of
// its value.
class Distribution {
 public:
  static constexpr size_t kSteps = 8;  // buckets in each power of two, and values 0..7 exactly
  static constexpr size_t kRows =
      38;  // up to 2^40 - 1: 12 days in microseconds, 1 TiB; larger counts as that

  static size_t BucketOf(uint64_t value);
  static uint64_t LowerBound(size_t bucket);  // smallest value in the bucket
  static uint64_t UpperBound(size_t bucket);  // smallest value above it

  void AddBucket(size_t bucket, uint64_t count);
  void AddSum(uint64_t sum) { sum_ += sum; }
  uint64_t count() const { return count_; }
  uint64_t sum() const { return sum_; }
  // How many values were at most `bound`, interpolated inside a bucket; never more than count().
  uint64_t CountAtMost(double bound) const;
  // 0 when nothing was recorded.
  double Quantile(double q) const;

 private:
  std::array<uint64_t, kRows * kSteps> buckets_{};
  uint64_t count_ = 0;
  uint64_t sum_ = 0;
};

// One thread's values. That thread alone writes, without read-modify-write instructions; the main
// thread reads at any time. Memory for a histogram is taken at its first value.
class Sheet {
 public:
  void Add(CounterId id, uint64_t n = 1) { Bump(id.slot, n); }
  void Add(GaugeId id, int64_t n = 1) { Bump(id.slot, static_cast<uint64_t>(n)); }
  void Sub(GaugeId id, int64_t n = 1) { Bump(id.slot, static_cast<uint64_t>(-n)); }
  // Sheets are summed: Set a gauge from one sheet only (the main thread's, usually).
  void Set(GaugeId id, int64_t value) {
    Slot(id.slot).store(static_cast<uint64_t>(value), std::memory_order_relaxed);
  }
  void Record(HistogramId id, uint64_t value);

  // This sheet's part alone; for tests and for limits that a worker keeps by itself.
  uint64_t Value(CounterId id) const { return Slot(id.slot).load(std::memory_order_relaxed); }
  int64_t Value(GaugeId id) const {
    return static_cast<int64_t>(Slot(id.slot).load(std::memory_order_relaxed));
  }

  ~Sheet();
  Sheet(const Sheet&) = delete;
  Sheet& operator=(const Sheet&) = delete;

 private:
  friend class Registry;
  static constexpr size_t kChunkSlots = 1024;
  static constexpr size_t kMaxChunks = 1024;  // one million slots
  using Chunk = std::array<std::atomic<uint64_t>, kChunkSlots>;
  struct Histogram;  // behind a pointer kept in the slot

  Sheet() = default;
  std::atomic<uint64_t>& Slot(uint32_t slot) const {
    return (*chunks_[slot / kChunkSlots])[slot % kChunkSlots];
  }
  void Bump(uint32_t slot, uint64_t n) {
    std::atomic<uint64_t>& value = Slot(slot);
    value.store(value.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }

  // Filled by the Registry before it hands out an id in the chunk; never moved, so workers need no
  // lock.
  std::array<std::unique_ptr<Chunk>, kMaxChunks> chunks_;
};

// One line of a scrape. Views live during the visit only.
struct Sample {
  Kind kind;
  Unit unit;
  absl::string_view name;  // "cluster.upstream_rq_total"
  const Tags* tags;
  uint64_t counter = 0;
  int64_t gauge = 0;
  const Distribution* histogram = nullptr;
};

class Registry;

// The ids of one thing (a cluster, a listener). When the last scope that asked for a slot is gone,
// the slot is zeroed and used again. Made and asked on the main thread; may be destroyed on any
// thread, once no worker uses its ids.
class Scope {
 public:
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  // The same name and tags give the same id, in this scope and others: a changed cluster goes on
  // counting. `more` is appended to the scope's tags.
  CounterId Counter(absl::string_view name, const Tags& more = {});
  GaugeId Gauge(absl::string_view name, const Tags& more = {});
  HistogramId Histogram(absl::string_view name, Unit unit, const Tags& more = {});

 private:
  friend class Registry;
  Scope(Registry& registry, Tags tags);
  uint32_t Take(Kind kind, Unit unit, absl::string_view name, const Tags& more);

  Registry& registry_;
  Tags tags_;
  uint32_t tag_set_ = 0;  // of tags_ alone
  std::vector<uint32_t> slots_;
};

// Main thread, except where said. Outlives its scopes and the threads that use its sheets.
class Registry {
 public:
  Registry();
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // One for each worker and one for the main thread; lives as long as the Registry.
  Sheet& AddSheet();
  std::unique_ptr<Scope> MakeScope(Tags tags);

  // For what lives as long as the process.
  CounterId Counter(absl::string_view name, const Tags& tags = {}) {
    return forever_->Counter(name, tags);
  }
  GaugeId Gauge(absl::string_view name, const Tags& tags = {}) {
    return forever_->Gauge(name, tags);
  }
  HistogramId Histogram(absl::string_view name, Unit unit, const Tags& tags = {}) {
    return forever_->Histogram(name, unit, tags);
  }

  // All samples, grouped by name (sorted), then by tags. Sums over sheets; a value may lag by what
  // is in flight.
  void Visit(const std::function<void(const Sample&)>& visit);
  // Sums of one; for tests and the few places that decide by a total.
  uint64_t Total(CounterId id) const;
  int64_t Total(GaugeId id) const;
  Distribution Total(HistogramId id) const;

  size_t live_slots() const { return by_key_.size(); }
  // Names refused because one million slots were in use; they share the slot nobody reads.
  uint64_t overflowed() const { return overflowed_; }

 private:
  friend class Scope;
  struct Key {
    uint32_t name, tags;
    Kind kind;
    friend bool operator==(const Key&, const Key&) = default;
    template <typename H>
    friend H AbslHashValue(H h, const Key& k) {
      return H::combine(std::move(h), k.name, k.tags, k.kind);
    }
  };
  struct Info {
    Key key;
    Unit unit;
    uint32_t uses = 0;
  };
  struct TagSet {
    Tags tags;
    uint32_t uses = 0;
  };

  uint32_t InternName(absl::string_view name);
  uint32_t InternTags(const Tags& tags);
  void DropTags(uint32_t tags);
  uint32_t Take(const Key& key, Unit unit);
  void Reap();
  void Retire(uint32_t slot);
  Distribution Sum(uint32_t slot) const;

  std::vector<std::unique_ptr<Sheet>> sheets_;
  std::vector<Info> slots_;  // by slot; slot 0 is the one nobody reads
  std::vector<uint32_t> free_slots_;
  absl::flat_hash_map<Key, uint32_t> by_key_;
  std::vector<std::string> names_;  // few hundred; never dropped
  absl::flat_hash_map<std::string, uint32_t> name_ids_;
  std::vector<TagSet> tag_sets_;
  std::vector<uint32_t> free_tag_sets_;
  absl::flat_hash_map<std::string, uint32_t> tag_ids_;  // by joined text
  uint64_t overflowed_ = 0;
  absl::Mutex mutex_;
  struct Returned {
    std::vector<uint32_t> slots;
    uint32_t tag_set;
  };
  std::vector<Returned> returned_ ABSL_GUARDED_BY(mutex_);  // by scopes that died, on any thread
  std::unique_ptr<Scope> forever_;                          // last: uses the rest
};

}  // namespace heddle::stats
