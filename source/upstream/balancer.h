// Which endpoint is next: priorities, panic, then the cluster's algorithm. One per worker and
// cluster; no I/O, chance is handed in.
//
//   Balancer balancer(random);
//   balancer.Reset(spec);                       // new spec, or SharedCluster::generation moved
//   const Host* host = balancer.Choose({.hash = h}).host;
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "source/base/clock.h"
#include "source/upstream/load.h"
#include "source/upstream/picker.h"
#include "source/upstream/spec.h"

namespace heddle::upstream {

class Balancer {
 public:
  struct Context {
    std::optional<uint64_t> hash;  // none = random
    absl::Span<const HostState* const>
        avoid;  // refused, unless it still comes after `avoid_attempts` more tries
    uint32_t avoid_attempts = 1;
  };
  struct Choice {
    const Host* host = nullptr;  // null: nothing to choose from. Belongs to the spec.
    bool panic = false;
  };

  explicit Balancer(base::Random& random) : random_(random) {}
  // Takes the hosts' health and ejection as they are now. The spec must stay until the next Reset.
  void Reset(const ClusterSpec& spec);
  Choice Choose(const Context& context);
  const PriorityLoad& load() const { return load_; }

 private:
  // One priority. Pickers are made when first needed: of the three, two are rarely.
  struct Level {
    HostList healthy, degraded, all;
    std::unique_ptr<Picker> pick_healthy, pick_degraded, pick_all;
  };
  Choice ChooseOnce(uint64_t hash, uint32_t attempt);
  const Host* From(HostList& hosts, std::unique_ptr<Picker>& picker, uint64_t hash,
                   uint32_t attempt);

  base::Random& random_;
  const ClusterSpec* spec_ = nullptr;
  PriorityLoad load_;
  std::vector<Level> levels_;
};

}  // namespace heddle::upstream
