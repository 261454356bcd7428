// A 128-bit hash of content that is the same in every process and release: the version of an xDS
// resource and the key of a memoised translation. Not for security: what is hashed comes from the
// operators themselves.
//
//   Digest key = Digest::Builder().Add("cluster").Add(service.digest).Add(port).Done();
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>

#include "absl/strings/string_view.h"

namespace heddle::model {

struct Digest {
  uint64_t high = 0;
  uint64_t low = 0;

  class Builder;
  static Digest Of(absl::string_view bytes);
  // 32 hexadecimal digits.
  std::string ToString() const;

  friend bool operator==(const Digest&, const Digest&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const Digest& d) {
    return H::combine(std::move(h), d.high, d.low);
  }
};

// Each Add is self-delimiting: Add("ab").Add("c") differs from Add("a").Add("bc").
class Digest::Builder {
 public:
  Builder& Add(absl::string_view bytes);
  Builder& Add(const char* text) { return Add(absl::string_view(text)); }
  Builder& Add(const std::string& text) { return Add(absl::string_view(text)); }
  Builder& Add(const Digest& digest);
  template <typename T>
    requires std::is_integral_v<T> || std::is_enum_v<T>
  Builder& Add(T value) {
    AddWord(static_cast<uint64_t>(value));
    return *this;
  }
  Digest Done() const { return state_; }

 private:
  void AddWord(uint64_t word);

  Digest state_{0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f};
};

}  // namespace heddle::model
