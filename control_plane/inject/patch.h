// The difference of two JSON documents as RFC 6902 operations, small where the difference is small:
// an item put in front of a list is one "add", not a change of every item.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "absl/status/status.h"

namespace heddle::inject {

// An array of add, remove and replace operations that make `after` of `before`; empty when they are
// equal. Items of lists are told apart by their "name" (or "mountPath", "containerPort", "key").
nlohmann::json Diff(const nlohmann::json& before, const nlohmann::json& after);

// Applies add, remove, replace and test operations, all or nothing.
absl::Status Apply(const nlohmann::json& patch, nlohmann::json* document);
// The same, for a document whose members keep their order.
absl::Status Apply(const nlohmann::ordered_json& patch, nlohmann::ordered_json* document);

}  // namespace heddle::inject
