#include "control_plane/heddlectl/json_value.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace heddle::heddlectl {

using google::protobuf::Value;

absl::StatusOr<Json> Json::Parse(const std::string& text) {
  auto root = std::make_shared<Value>();
  const auto status = google::protobuf::util::JsonStringToMessage(text, root.get());
  if (!status.ok())
    return absl::InvalidArgumentError(absl::StrCat("not JSON: ", text.substr(0, 200)));
  const Value* const at = root.get();
  return Json(std::move(root), at);
}

Json Json::operator[](absl::string_view key) const {
  if (at_ == nullptr || !at_->has_struct_value()) return Json(root_, nullptr);
  const auto& fields = at_->struct_value().fields();
  const auto found = fields.find(std::string(key));
  return Json(root_, found == fields.end() ? nullptr : &found->second);
}

std::vector<Json> Json::Items() const {
  std::vector<Json> out;
  if (at_ == nullptr) return out;
  for (const Value& value : at_->list_value().values()) out.push_back(Json(root_, &value));
  return out;
}

std::vector<std::pair<std::string, Json>> Json::Fields() const {
  std::vector<std::pair<std::string, Json>> out;
  if (at_ == nullptr) return out;
  for (const auto& [key, value] : at_->struct_value().fields())
    out.emplace_back(key, Json(root_, &value));
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return out;
}

std::string Json::Text() const {
  if (at_ == nullptr) return "";
  switch (at_->kind_case()) {
    case Value::kStringValue:
      return at_->string_value();
    case Value::kNumberValue:
      return absl::StrFormat("%.15g", at_->number_value());
    case Value::kBoolValue:
      return at_->bool_value() ? "true" : "false";
    case Value::kNullValue:
    case Value::kStructValue:
    case Value::kListValue:
    case Value::KIND_NOT_SET:
      return "";
  }
  return "";
}

double Json::Number() const {
  if (at_ == nullptr) return 0;
  double out = at_->number_value();
  if (at_->kind_case() == Value::kStringValue && !absl::SimpleAtod(at_->string_value(), &out))
    return 0;
  return out;
}

bool Json::True() const { return at_ != nullptr && at_->bool_value(); }

}  // namespace heddle::heddlectl
