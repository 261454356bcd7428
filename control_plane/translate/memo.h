// Resources by the hash of everything they were made from, and by their content, so that equal ones
// are one object.
#pragma once

#include <functional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "control_plane/model/digest.h"
#include "control_plane/translate/translate.h"

namespace heddle::translate {

class Memo {
 public:
  // The resource made from what `key` is a hash of; calls `make` when it is not known.
  ResourceRef Get(const model::Digest& key, const std::function<ResourceRef()>& make);

  Translator::Stats stats() const;

 private:
  // Forgets what nobody else holds.
  void Sweep();

  absl::flat_hash_map<model::Digest, ResourceRef> by_arguments_;
  absl::flat_hash_map<std::string, ResourceRef> by_content_;  // key: type, name, version
  size_t sweep_at_ = 1024;
  size_t made_ = 0;
  size_t reused_ = 0;
};

}  // namespace heddle::translate
