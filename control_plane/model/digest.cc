#include "control_plane/model/digest.h"

#include "absl/strings/str_format.h"
#include "source/base/hash.h"

namespace heddle::model {

// Each half is the seed of its own next step; XXH64 covers the length, so every Add is
// self-delimiting.
Digest::Builder& Digest::Builder::Add(absl::string_view bytes) {
  state_.high = base::XxHash64(bytes, state_.high);
  state_.low = base::XxHash64(bytes, state_.low);
  return *this;
}

void Digest::Builder::AddWord(uint64_t word) {
  char bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(word >> (8 * i));
  Add(absl::string_view(bytes, sizeof(bytes)));
}

Digest::Builder& Digest::Builder::Add(const Digest& digest) {
  AddWord(digest.high);
  AddWord(digest.low);
  return *this;
}

Digest Digest::Of(absl::string_view bytes) { return Builder().Add(bytes).Done(); }

std::string Digest::ToString() const { return absl::StrFormat("%016x%016x", high, low); }

}  // namespace heddle::model
