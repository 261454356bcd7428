// The body of a watch: JSON objects, one a line, however the network cut them. Pure.
//
//   WatchDecoder decoder;
//   decoder.Feed(bytes, [&](const WatchEvent& event) { ...; return absl::OkStatus(); });
#pragma once

#include <cstddef>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace heddle::kube {

struct WatchEvent {
  enum class Type { kAdded, kModified, kDeleted, kBookmark };
  Type type = Type::kAdded;
  const nlohmann::json* object = nullptr;  // never null; lives during the call
};

class WatchDecoder {
 public:
  explicit WatchDecoder(size_t max_line = 16 << 20) : max_line_(max_line) {}

  // Calls `on_event` for each whole line. Stops at the first error: of a line that is no event
  // (Internal), too long (ResourceExhausted), an ERROR event (as the server's Status says:
  // OutOfRange when the resourceVersion is too old), or what `on_event` returns. It is of no use
  // afterwards.
  absl::Status Feed(absl::string_view bytes,
                    const std::function<absl::Status(const WatchEvent&)>& on_event);

 private:
  absl::Status Line(absl::string_view line,
                    const std::function<absl::Status(const WatchEvent&)>& on_event) const;

  const size_t max_line_;
  std::string rest_;  // of a line that has not ended
};

}  // namespace heddle::kube
