#include "source/upstream/picker.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "source/base/hash.h"

namespace heddle::upstream {
namespace {

class RoundRobin final : public Picker {
 public:
  RoundRobin(HostList hosts, base::Random& random)
      : hosts_(std::move(hosts)), next_(random.Below(std::max<size_t>(hosts_.size(), 1))) {}
  const Host* Pick(uint64_t, uint32_t) override {
    if (hosts_.empty()) return nullptr;
    if (next_ >= hosts_.size()) next_ = 0;
    return hosts_[next_++];
  }

 private:
  HostList hosts_;
  size_t next_;
};

class RandomPicker final : public Picker {
 public:
  RandomPicker(HostList hosts, base::Random& random) : hosts_(std::move(hosts)), random_(random) {}
  const Host* Pick(uint64_t, uint32_t) override {
    return hosts_.empty() ? nullptr : hosts_[random_.Below(hosts_.size())];
  }

 private:
  HostList hosts_;
  base::Random& random_;
};

uint32_t Active(const Host& host) {
  return host.state->active_requests.load(std::memory_order_relaxed);
}

class LeastRequest final : public Picker {
 public:
  LeastRequest(HostList hosts, uint32_t choices, base::Random& random)
      : hosts_(std::move(hosts)), choices_(std::max(choices, 1u)), random_(random) {}
  const Host* Pick(uint64_t, uint32_t) override {
    if (hosts_.empty()) return nullptr;
    const Host* best = hosts_[random_.Below(hosts_.size())];
    for (uint32_t i = 1; i < choices_; ++i) {
      const Host* other = hosts_[random_.Below(hosts_.size())];
      if (Active(*other) < Active(*best)) best = other;
    }
    return best;
  }

 private:
  HostList hosts_;
  const uint32_t choices_;
  base::Random& random_;
};

// Earliest deadline first: a host with weight w comes every 1/w. With `least_request` the weight is
// w / (active + 1), taken when the host goes back into the queue, as Envoy does.
class Edf final : public Picker {
 public:
  Edf(const HostList& hosts, bool least_request, base::Random& random)
      : least_request_(least_request) {
    queue_.reserve(hosts.size());
    for (const Host* host : hosts) {
      // A random phase, so that workers do not all start with the same host.
      const double phase = static_cast<double>(random.Next() >> 11) * 0x1.0p-53;
      queue_.push_back({phase / Weight(*host), order_++, host});
    }
    std::make_heap(queue_.begin(), queue_.end(), Later);
  }
  const Host* Pick(uint64_t, uint32_t) override {
    if (queue_.empty()) return nullptr;
    std::pop_heap(queue_.begin(), queue_.end(), Later);
    Entry& entry = queue_.back();
    const Host* host = entry.host;
    entry.deadline += 1.0 / Weight(*host);
    entry.order = order_++;
    std::push_heap(queue_.begin(), queue_.end(), Later);
    return host;
  }

 private:
  struct Entry {
    double deadline;
    uint64_t order;  // first in, first out among equals
    const Host* host;
  };
  static bool Later(const Entry& a, const Entry& b) {
    return a.deadline != b.deadline ? a.deadline > b.deadline : a.order > b.order;
  }
  double Weight(const Host& host) const {
    return static_cast<double>(host.weight) / (least_request_ ? Active(host) + 1.0 : 1.0);
  }

  const bool least_request_;
  uint64_t order_ = 0;
  std::vector<Entry> queue_;
};

// metadata envoy.lb/hash_key, else the address.
std::string HashKey(const Host& host) {
  if (auto ns = host.metadata.find("envoy.lb"); ns != host.metadata.end()) {
    if (auto key = ns->second.find("hash_key"); key != ns->second.end()) return key->second;
  }
  return host.state->address_text;
}

struct Weights {
  double sum = 0, min = 0, max = 0;
  explicit Weights(const HostList& hosts) {
    for (const Host* host : hosts) {
      sum += host->weight;
      min = min == 0 ? host->weight : std::min<double>(min, host->weight);
      max = std::max<double>(max, host->weight);
    }
  }
};

// Ketama ring as Envoy builds it (ring_hash_lb.cc), so both send one key to one host.
class Ring final : public Picker {
 public:
  explicit Ring(HostList hosts) : hosts_(std::move(hosts)) {
    if (hosts_.empty()) return;
    const Weights weights(hosts_);
    const double smallest = weights.min / weights.sum;
    const double scale =
        std::min(std::ceil(smallest * kMinRingSize) / smallest, static_cast<double>(kMaxRingSize));
    points_.reserve(static_cast<size_t>(std::ceil(scale)));
    double placed = 0, target = 0;
    for (uint32_t i = 0; i < hosts_.size(); ++i) {
      std::string key = absl::StrCat(HashKey(*hosts_[i]), "_");
      const size_t stem = key.size();
      target += scale * hosts_[i]->weight / weights.sum;
      for (uint64_t n = 0; placed < target; ++n, ++placed) {
        absl::StrAppend(&key, n);
        points_.push_back({base::XxHash64(key), i});
        key.resize(stem);
      }
    }
    std::sort(points_.begin(), points_.end());
  }
  const Host* Pick(uint64_t hash, uint32_t attempt) override {
    if (points_.empty()) return nullptr;
    auto at = std::lower_bound(points_.begin(), points_.end(), std::pair(hash, uint32_t{0}));
    const size_t index = static_cast<size_t>(at - points_.begin()) + attempt;
    return hosts_[points_[index % points_.size()].second];
  }

 private:
  HostList hosts_;
  std::vector<std::pair<uint64_t, uint32_t>> points_;
};

// Maglev, section 3.4 of the paper, weighted as in Envoy (maglev_lb.cc).
class Maglev final : public Picker {
 public:
  explicit Maglev(HostList hosts) : hosts_(std::move(hosts)) {
    if (!hosts_.empty()) Build();
  }
  const Host* Pick(uint64_t hash, uint32_t attempt) override {
    if (hosts_.empty()) return nullptr;
    if (attempt > 0) hash ^= ~0ULL - attempt + 1;
    return hosts_[table_[hash % kMaglevTableSize]];
  }

 private:
  static constexpr uint32_t kFree = ~0u;
  struct Entry {
    uint64_t offset, skip;
    double weight, target = 0;
    uint64_t next = 0;
  };

  void Build() {
    const Weights weights(hosts_);
    const double max = weights.max / weights.sum;
    std::vector<Entry> entries;
    entries.reserve(hosts_.size());
    for (const Host* host : hosts_) {
      const std::string key = HashKey(*host);
      entries.push_back({.offset = base::XxHash64(key) % kMaglevTableSize,
                         .skip = base::XxHash64(key, 1) % (kMaglevTableSize - 1) + 1,
                         .weight = host->weight / weights.sum});
    }
    table_.assign(kMaglevTableSize, kFree);
    uint32_t filled = 0;
    for (uint32_t turn = 1; filled < kMaglevTableSize; ++turn) {
      for (uint32_t i = 0; i < entries.size() && filled < kMaglevTableSize; ++i) {
        Entry& entry = entries[i];
        if (turn * entry.weight < entry.target) continue;
        entry.target += max;
        uint64_t slot = Slot(entry);
        while (table_[slot] != kFree) {
          ++entry.next;
          slot = Slot(entry);
        }
        table_[slot] = i;
        ++entry.next;
        ++filled;
      }
    }
  }
  static uint64_t Slot(const Entry& e) { return (e.offset + e.skip * e.next) % kMaglevTableSize; }

  HostList hosts_;
  std::vector<uint32_t> table_;
};

bool SameWeights(const HostList& hosts) {
  for (const Host* host : hosts) {
    if (host->weight != hosts.front()->weight) return false;
  }
  return true;
}

}  // namespace

std::unique_ptr<Picker> MakePicker(const config::Cluster& config, HostList hosts,
                                   base::Random& random) {
  using Kind = config::Cluster::Balancer;
  switch (config.balancer) {
    case Kind::kRandom:
      return std::make_unique<RandomPicker>(std::move(hosts), random);
    case Kind::kRingHash:
      return std::make_unique<Ring>(std::move(hosts));
    case Kind::kMaglev:
      return std::make_unique<Maglev>(std::move(hosts));
    case Kind::kLeastRequest:
      if (!SameWeights(hosts)) return std::make_unique<Edf>(std::move(hosts), true, random);
      return std::make_unique<LeastRequest>(std::move(hosts), config.least_request_choices, random);
    case Kind::kRoundRobin:
    case Kind::kClusterProvided:
      if (!SameWeights(hosts)) return std::make_unique<Edf>(std::move(hosts), false, random);
      return std::make_unique<RoundRobin>(std::move(hosts), random);
  }
  return nullptr;
}

}  // namespace heddle::upstream
