// Checks the values that annotations and settings may have. Private to this folder.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace heddle::inject {

// Each gives the list in its usual spelling ("80,8000-8100"), or nothing when an entry is wrong.
// An empty text is an empty list. At most 128 entries.
std::optional<std::string> CanonicalPorts(absl::string_view text);
std::optional<std::string> CanonicalCidrs(absl::string_view text);
std::optional<std::string> CanonicalInterfaces(absl::string_view text);
std::optional<std::string> CanonicalUids(absl::string_view text);

bool IsImage(absl::string_view text);

// A Kubernetes quantity ("250m", "1.5Gi", "1e3") as a number; nothing when it is none or below 0.
std::optional<double> ParseQuantity(absl::string_view text);

// Whether a list of CanonicalPorts, or "*", has the port.
bool PortsHave(absl::string_view ports, uint32_t port);

}  // namespace heddle::inject
