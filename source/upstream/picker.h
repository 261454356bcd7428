// The balancing algorithms: each chooses among a list that does not change while the Picker lives.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "source/base/clock.h"
#include "source/upstream/spec.h"

namespace heddle::upstream {

using HostList = std::vector<const Host*>;  // hosts of a spec that outlives the picker

class Picker {
 public:
  virtual ~Picker() = default;
  // Null only when the list is empty. `attempt` counts the choices that were refused before for one
  // request: hashing pickers move on along their table by it.
  virtual const Host* Pick(uint64_t hash, uint32_t attempt) = 0;
};

// kClusterProvided has no picker (original destination): round robin then.
std::unique_ptr<Picker> MakePicker(const config::Cluster& config, HostList hosts,
                                   base::Random& random);

// Sizes of Envoy's defaults.
inline constexpr uint64_t kMinRingSize = 1024, kMaxRingSize = 8 * 1024 * 1024;
inline constexpr uint32_t kMaglevTableSize = 65537;  // prime

}  // namespace heddle::upstream
