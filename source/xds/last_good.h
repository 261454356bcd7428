// The last good configuration on disk, so that a sidecar starts while the control plane is down.
// Never holds keys: secrets are not stored here (the workload's own certificate is kept by
// Identity, in a file of its own).
//
// One file, <state-dir>/last_good.pb: a DeltaDiscoveryResponse per type, length-prefixed, written
// to a temporary name and renamed, so that a crash leaves the old one.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "source/xds/types.h"

namespace heddle::xds {

class LastGood {
 public:
  // `dir` is made with mode 0700 when missing. Empty: nothing is kept.
  explicit LastGood(std::string dir) : dir_(std::move(dir)) {}

  absl::Status Save(const std::map<Type, std::vector<Resource>>& resources) const;
  // Empty when there is no file; an error when it is broken (the caller logs it and starts
  // without).
  absl::StatusOr<std::map<Type, std::vector<Resource>>> Load() const;

  // Small files of the state directory (identity): mode 0600, atomically replaced.
  absl::Status WriteFile(const std::string& name, const std::string& bytes) const;
  absl::StatusOr<std::string> ReadFile(const std::string& name) const;  // NotFound when absent
  bool enabled() const { return !dir_.empty(); }

 private:
  std::string dir_;
};

}  // namespace heddle::xds
