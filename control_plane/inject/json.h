// Reads JSON of unknown shape without exceptions: what is missing or of another type reads as
// empty. Private to this folder.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/string_view.h"

namespace heddle::inject {

using Json = nlohmann::json;

// The member, or null. Lives as long as `object`.
inline const Json& At(const Json& object, absl::string_view key) {
  static const Json& null = *new Json;
  if (!object.is_object()) return null;
  const auto found = object.find(std::string(key));
  return found == object.end() ? null : *found;
}

inline std::string TextAt(const Json& object, absl::string_view key) {
  const Json& value = At(object, key);
  return value.is_string() ? value.get<std::string>() : "";
}

// The items of an array; of anything else none.
inline const Json::array_t& Items(const Json& value) {
  static const auto& none = *new Json::array_t;
  return value.is_array() ? *value.get_ptr<const Json::array_t*>() : none;
}

// The members that are strings.
inline std::map<std::string, std::string> TextMap(const Json& object) {
  std::map<std::string, std::string> out;
  if (!object.is_object()) return out;
  for (const auto& [key, value] : object.items())
    if (value.is_string()) out[key] = value.get<std::string>();
  return out;
}

}  // namespace heddle::inject
