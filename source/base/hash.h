// XXH64, the hash behind ring-hash and consistent hashing: the same on every machine and in every
// version. (For hash maps use absl::Hash.)
#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"

namespace heddle::base {

// github.com/Cyan4973/xxHash, doc/xxhash_spec.md, XXH64.
uint64_t XxHash64(absl::string_view bytes, uint64_t seed = 0);

}  // namespace heddle::base
