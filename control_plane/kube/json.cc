#include "control_plane/kube/json.h"

namespace heddle::kube {

std::optional<Json> ParseJson(absl::string_view text) {
  Json out = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (out.is_discarded()) return std::nullopt;
  return out;
}

std::string Dump(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

const Json* Find(const Json& value, JsonPath path) {
  const Json* at = &value;
  for (const char* name : path) {
    if (!at->is_object()) return nullptr;
    const auto it = at->find(name);
    if (it == at->end()) return nullptr;
    at = &*it;
  }
  return at;
}

std::string TextAt(const Json& value, JsonPath path) {
  const Json* at = Find(value, path);
  return at != nullptr && at->is_string() ? at->get_ref<const std::string&>() : std::string();
}

std::optional<int64_t> NumberAt(const Json& value, JsonPath path) {
  const Json* at = Find(value, path);
  if (at == nullptr || !at->is_number_integer()) return std::nullopt;
  return at->get<int64_t>();
}

std::optional<bool> BoolAt(const Json& value, JsonPath path) {
  const Json* at = Find(value, path);
  if (at == nullptr || !at->is_boolean()) return std::nullopt;
  return at->get<bool>();
}

const Json& ListAt(const Json& value, JsonPath path) {
  static const Json& none = *new Json(Json::array());
  const Json* at = Find(value, path);
  return at != nullptr && at->is_array() ? *at : none;
}

const Json& ObjectAt(const Json& value, JsonPath path) {
  static const Json& none = *new Json(Json::object());
  const Json* at = Find(value, path);
  return at != nullptr && at->is_object() ? *at : none;
}

}  // namespace heddle::kube
