// The place of a value inside a configuration, as a chain on the stack; text is made only on
// failure.
//
//   absl::Status DecodeRoute(const pb::Route& in, const Path& at, config::Route* out) {
//     if (in.name().size() > 256) return at.Field("name").Error("longer than 256 bytes");
//
// prints  listeners[0].filter_chains[2].name: longer than 256 bytes
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace heddle::base {

class Path {
 public:
  // `root` is printed first and may be empty (for example a resource's name). Views must outlive
  // the Path.
  explicit Path(absl::string_view root = "") : name_(root) {}

  // A child. The parent must outlive it: keep the chain on the stack.
  Path Field(absl::string_view name) const { return Path(this, name, kNoIndex); }
  Path Index(size_t index) const { return Path(this, {}, index); }
  Path Key(absl::string_view key) const { return Path(this, key, kMapKey); }

  // "a.b[2].c", map keys as ["key"].
  std::string ToString() const;
  // InvalidArgument with "<path>: <message>".
  absl::Status Error(absl::string_view message) const;

 private:
  static constexpr size_t kNoIndex = static_cast<size_t>(-1);
  static constexpr size_t kMapKey = static_cast<size_t>(-2);
  Path(const Path* parent, absl::string_view name, size_t index)
      : parent_(parent), name_(name), index_(index) {}
  void AppendTo(std::string* out) const;

  const Path* parent_ = nullptr;
  absl::string_view name_;
  size_t index_ = kNoIndex;
};

}  // namespace heddle::base
