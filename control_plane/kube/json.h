// nlohmann-json without its exceptions: what is absent or of another type is empty. For .cc files
// only; headers take <nlohmann/json_fwd.hpp>.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace heddle::kube {

using Json = nlohmann::json;

// Nullopt: not JSON.
std::optional<Json> ParseJson(absl::string_view text);
// One line; bytes that are not UTF-8 come out as U+FFFD.
std::string Dump(const Json& value);

using JsonPath = std::initializer_list<const char*>;
// Null: not there.
const Json* Find(const Json& value, JsonPath path);
// Empty: not there, or no string.
std::string TextAt(const Json& value, JsonPath path);
std::optional<int64_t> NumberAt(const Json& value, JsonPath path);
std::optional<bool> BoolAt(const Json& value, JsonPath path);
// What a list or an object holds; an empty list when it is neither.
const Json& ListAt(const Json& value, JsonPath path);
const Json& ObjectAt(const Json& value, JsonPath path);

}  // namespace heddle::kube
