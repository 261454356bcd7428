// The response flags by name (Envoy: source/common/stream_info/utility.h).
#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "source/observe/access_record.h"

namespace heddle::observe {

struct FlagName {
  Flag flag;
  absl::string_view short_name;  // "UF"
  absl::string_view long_name;   // "UpstreamConnectionFailure"
};

absl::Span<const FlagName> FlagNames();
std::optional<Flag> FlagOf(absl::string_view short_name);
std::string LongFlagsText(uint32_t flags);  // "-" when none

}  // namespace heddle::observe
