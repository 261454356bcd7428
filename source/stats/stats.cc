#include "source/stats/stats.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "absl/base/dynamic_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "source/base/status.h"

namespace heddle::stats {

// ----------------------------------------------------------------------------------------------------
// Distribution

size_t Distribution::BucketOf(uint64_t value) {
  if (value < kSteps) return static_cast<size_t>(value);
  constexpr uint64_t kLargest = (uint64_t{1} << (kRows + 2)) - 1;
  value = std::min(value, kLargest);
  const int power = static_cast<int>(std::bit_width(value)) - 1;  // at least 3
  return static_cast<size_t>(power - 2) * kSteps + ((value >> (power - 3)) & (kSteps - 1));
}

uint64_t Distribution::LowerBound(size_t bucket) {
  const size_t row = bucket / kSteps, step = bucket % kSteps;
  return row == 0 ? step : (kSteps + step) << (row - 1);
}

uint64_t Distribution::UpperBound(size_t bucket) { return LowerBound(bucket + 1); }

void Distribution::AddBucket(size_t bucket, uint64_t count) {
  buckets_[bucket] += count;
  count_ += count;
}

uint64_t Distribution::CountAtMost(double bound) const {
  double sum = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    if (buckets_[i] == 0) continue;
    const auto low = static_cast<double>(LowerBound(i)), high = static_cast<double>(UpperBound(i));
    if (low > bound) break;
    // Whole numbers low..high-1 share the bucket.
    const double part = std::min(1.0, (bound - low + 1) / (high - low));
    sum += static_cast<double>(buckets_[i]) * part;
  }
  return static_cast<uint64_t>(sum);
}

double Distribution::Quantile(double q) const {
  if (count_ == 0) return 0;
  const double rank = std::clamp(q, 0.0, 1.0) * static_cast<double>(count_);
  double below = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    if (buckets_[i] == 0) continue;
    const auto count = static_cast<double>(buckets_[i]);
    if (below + count >= rank) {
      const auto low = static_cast<double>(LowerBound(i));
      const auto width = static_cast<double>(UpperBound(i)) - low;
      return width <= 1 ? low : low + width * std::max(0.0, rank - below) / count;
    }
    below += count;
  }
  return static_cast<double>(UpperBound(buckets_.size() - 1));
}

// -----------------------------------------------------------------------------------------------------------
// Sheet

// A row of eight counts is allocated when the first value falls into it: latencies of one cluster
// need five or so.
struct Sheet::Histogram {
  using Row = std::array<std::atomic<uint64_t>, Distribution::kSteps>;
  std::array<std::atomic<Row*>, Distribution::kRows> rows{};
  std::atomic<uint64_t> sum{0};

  ~Histogram() {
    for (auto& row : rows) delete row.load(std::memory_order_relaxed);
  }
};

Sheet::~Sheet() = default;

void Sheet::Record(HistogramId id, uint64_t value) {
  if (id.slot == 0) return;
  std::atomic<uint64_t>& slot = Slot(id.slot);
  // NOLINTNEXTLINE(performance-no-int-to-ptr): a histogram's slot is its address
  auto* histogram = reinterpret_cast<Histogram*>(slot.load(std::memory_order_relaxed));
  if (histogram == nullptr) {
    histogram = new Histogram;
    slot.store(reinterpret_cast<uint64_t>(histogram), std::memory_order_release);
  }
  const size_t bucket = Distribution::BucketOf(value);
  std::atomic<Histogram::Row*>& place = histogram->rows[bucket / Distribution::kSteps];
  Histogram::Row* row = place.load(std::memory_order_relaxed);
  if (row == nullptr) {
    row = new Histogram::Row{};
    place.store(row, std::memory_order_release);
  }
  const auto bump = [](std::atomic<uint64_t>& at, uint64_t by) {
    at.store(at.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  };
  bump((*row)[bucket % Distribution::kSteps], 1);
  bump(histogram->sum, value);
}

// -----------------------------------------------------------------------------------------------------------
// Scope

namespace {

constexpr char kTagsFollow = '\x1d', kValueFollows = '\x1f', kTagEnds = '\x1e';

std::string Joined(const Tags& tags) {
  std::string out;
  for (const auto& [name, value] : tags) {
    absl::StrAppend(&out, name, std::string(1, kValueFollows), value, std::string(1, kTagEnds));
  }
  return out;
}

// What a scope adds to its own tags is kept with the name: the same few dozen texts for all of a
// thousand clusters, where tag sets would be a few dozen for each.
std::string Tagged(absl::string_view name, const Tags& more) {
  if (more.empty()) return std::string(name);
  return absl::StrCat(name, std::string(1, kTagsFollow), Joined(more));
}

// The other way round: a name and the tags behind it.
std::pair<absl::string_view, Tags> Untagged(absl::string_view interned) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(interned, absl::MaxSplits(kTagsFollow, 1));
  Tags tags;
  for (const absl::string_view tag : absl::StrSplit(parts.second, kTagEnds, absl::SkipEmpty())) {
    tags.push_back(absl::StrSplit(tag, absl::MaxSplits(kValueFollows, 1)));
  }
  return {parts.first, std::move(tags)};
}

}  // namespace

Scope::Scope(Registry& registry, Tags tags)
    : registry_(registry), tags_(std::move(tags)), tag_set_(registry.InternTags(tags_)) {}

Scope::~Scope() {
  absl::MutexLock lock(&registry_.mutex_);
  ABSL_ANNOTATE_RWLOCK_ACQUIRED(&registry_.mutex_,
                                1);  // ThreadSanitizer does not see a lock of Abseil's
  registry_.returned_.push_back({std::move(slots_), tag_set_});
  ABSL_ANNOTATE_RWLOCK_RELEASED(&registry_.mutex_, 1);
}

uint32_t Scope::Take(Kind kind, Unit unit, absl::string_view name, const Tags& more) {
  registry_.Reap();
  uint32_t slot;
  if (!more.empty() && tags_.empty()) {
    const uint32_t tags = registry_.InternTags(more);
    slot = registry_.Take({registry_.InternName(name), tags, kind}, unit);
    registry_.DropTags(tags);  // the slot holds its own reference
  } else {
    slot = registry_.Take({registry_.InternName(Tagged(name, more)), tag_set_, kind}, unit);
  }
  if (slot != 0) slots_.push_back(slot);
  return slot;
}

CounterId Scope::Counter(absl::string_view name, const Tags& more) {
  return {Take(Kind::kCounter, Unit::kNone, name, more)};
}
GaugeId Scope::Gauge(absl::string_view name, const Tags& more) {
  return {Take(Kind::kGauge, Unit::kNone, name, more)};
}
HistogramId Scope::Histogram(absl::string_view name, Unit unit, const Tags& more) {
  return {Take(Kind::kHistogram, unit, name, more)};
}

// --------------------------------------------------------------------------------------------------------
// Registry

Registry::Registry() {
  slots_.push_back({{0, 0, Kind::kCounter}, Unit::kNone, 1});
  forever_.reset(new Scope(*this, {}));
}

Registry::~Registry() {
  forever_.reset();
  Reap();
  HEDDLE_CHECK(by_key_.empty()) << by_key_.size() << " statistics outlive their registry";
}

Sheet& Registry::AddSheet() {
  sheets_.emplace_back(new Sheet);
  for (size_t chunk = 0; chunk * Sheet::kChunkSlots < slots_.size(); ++chunk) {
    sheets_.back()->chunks_[chunk] = std::make_unique<Sheet::Chunk>();
  }
  return *sheets_.back();
}

std::unique_ptr<Scope> Registry::MakeScope(Tags tags) {
  Reap();
  return std::unique_ptr<Scope>(new Scope(*this, std::move(tags)));
}

uint32_t Registry::InternName(absl::string_view name) {
  const auto [it, added] = name_ids_.try_emplace(std::string(name), names_.size());
  if (added) names_.emplace_back(name);
  return it->second;
}

uint32_t Registry::InternTags(const Tags& tags) {
  std::string joined = Joined(tags);
  const auto it = tag_ids_.find(joined);
  if (it != tag_ids_.end()) {
    ++tag_sets_[it->second].uses;
    return it->second;
  }
  uint32_t id;
  if (free_tag_sets_.empty()) {
    id = static_cast<uint32_t>(tag_sets_.size());
    tag_sets_.emplace_back();
  } else {
    id = free_tag_sets_.back();
    free_tag_sets_.pop_back();
  }
  tag_sets_[id] = {tags, 1};
  tag_ids_.emplace(std::move(joined), id);
  return id;
}

void Registry::DropTags(uint32_t id) {
  TagSet& set = tag_sets_[id];
  if (--set.uses > 0) return;
  tag_ids_.erase(Joined(set.tags));
  set.tags = Tags();
  free_tag_sets_.push_back(id);
}

uint32_t Registry::Take(const Key& key, Unit unit) {
  const auto it = by_key_.find(key);
  if (it != by_key_.end()) {
    ++slots_[it->second].uses;
    return it->second;
  }
  uint32_t slot;
  if (!free_slots_.empty()) {
    slot = free_slots_.back();
    free_slots_.pop_back();
  } else if (slots_.size() == Sheet::kMaxChunks * Sheet::kChunkSlots) {
    ++overflowed_;
    return 0;
  } else {
    slot = static_cast<uint32_t>(slots_.size());
    const size_t chunk = slot / Sheet::kChunkSlots;
    for (auto& sheet : sheets_) {
      if (sheet->chunks_[chunk] == nullptr)
        sheet->chunks_[chunk] = std::make_unique<Sheet::Chunk>();
    }
    slots_.emplace_back();
  }
  slots_[slot] = {key, unit, 1};
  ++tag_sets_[key.tags].uses;
  by_key_.emplace(key, slot);
  return slot;
}

void Registry::Reap() {
  std::vector<Returned> returned;
  {
    absl::MutexLock lock(&mutex_);
    ABSL_ANNOTATE_RWLOCK_ACQUIRED(&mutex_, 1);  // ThreadSanitizer does not see a lock of Abseil's
    returned.swap(returned_);
    ABSL_ANNOTATE_RWLOCK_RELEASED(&mutex_, 1);
  }
  for (const Returned& scope : returned) {
    for (const uint32_t slot : scope.slots) {
      if (--slots_[slot].uses == 0) Retire(slot);
    }
    DropTags(scope.tag_set);
  }
}

void Registry::Retire(uint32_t slot) {
  const Key key = slots_[slot].key;
  for (auto& sheet : sheets_) {
    const uint64_t value = sheet->Slot(slot).exchange(0, std::memory_order_acq_rel);
    // NOLINTNEXTLINE(performance-no-int-to-ptr): a histogram's slot is its address
    if (key.kind == Kind::kHistogram) delete reinterpret_cast<Sheet::Histogram*>(value);
  }
  by_key_.erase(key);
  DropTags(key.tags);
  free_slots_.push_back(slot);
}

uint64_t Registry::Total(CounterId id) const {
  uint64_t sum = 0;
  for (const auto& sheet : sheets_) sum += sheet->Value(id);
  return sum;
}

int64_t Registry::Total(GaugeId id) const {
  int64_t sum = 0;
  for (const auto& sheet : sheets_) sum += sheet->Value(id);
  return sum;
}

Distribution Registry::Total(HistogramId id) const { return Sum(id.slot); }

Distribution Registry::Sum(uint32_t slot) const {
  Distribution all;
  if (slot == 0) return all;
  for (const auto& sheet : sheets_) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): a histogram's slot is its address
    const auto* histogram = reinterpret_cast<const Sheet::Histogram*>(
        sheet->Slot(slot).load(std::memory_order_acquire));
    if (histogram == nullptr) continue;
    for (size_t i = 0; i < Distribution::kRows; ++i) {
      const auto* row = histogram->rows[i].load(std::memory_order_acquire);
      if (row == nullptr) continue;
      for (size_t step = 0; step < Distribution::kSteps; ++step) {
        const uint64_t count = (*row)[step].load(std::memory_order_relaxed);
        if (count != 0) all.AddBucket(i * Distribution::kSteps + step, count);
      }
    }
    all.AddSum(histogram->sum.load(std::memory_order_relaxed));
  }
  return all;
}

void Registry::Visit(const std::function<void(const Sample&)>& visit) {
  Reap();
  std::vector<std::pair<absl::string_view, Tags>> names;
  names.reserve(names_.size());
  for (const std::string& name : names_) names.push_back(Untagged(name));
  std::vector<uint32_t> order;
  order.reserve(by_key_.size());
  for (const auto& [key, slot] : by_key_) order.push_back(slot);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    const Key &x = slots_[a].key, &y = slots_[b].key;
    if (x.name != y.name && names[x.name].first != names[y.name].first)
      return names[x.name].first < names[y.name].first;
    if (x.kind != y.kind) return x.kind < y.kind;
    if (x.tags != y.tags) return tag_sets_[x.tags].tags < tag_sets_[y.tags].tags;
    return names[x.name].second < names[y.name].second;
  });
  Tags all;
  for (const uint32_t slot : order) {
    const Info& info = slots_[slot];
    const auto& [name, more] = names[info.key.name];
    const Tags* tags = &tag_sets_[info.key.tags].tags;
    if (!more.empty()) {
      all = *tags;
      all.insert(all.end(), more.begin(), more.end());
      tags = &all;
    }
    Sample sample{.kind = info.key.kind, .unit = info.unit, .name = name, .tags = tags};
    Distribution distribution;
    switch (info.key.kind) {
      case Kind::kCounter:
        sample.counter = Total(CounterId{slot});
        break;
      case Kind::kGauge:
        sample.gauge = Total(GaugeId{slot});
        break;
      case Kind::kHistogram:
        distribution = Sum(slot);
        sample.histogram = &distribution;
        break;
    }
    visit(sample);
  }
}

}  // namespace heddle::stats
