#include "control_plane/install/values.h"

#include <google/protobuf/struct.pb.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "control_plane/install/chart_files.h"
#include "re2/re2.h"
#include "source/base/status.h"
#include "source/yaml/yaml.h"

namespace heddle::install {
namespace {

using google::protobuf::Value;
using nlohmann::json;

json ToJsonValue(const Value& value) {
  switch (value.kind_case()) {
    case Value::kNumberValue: {
      const double number = value.number_value();
      if (std::floor(number) == number && std::abs(number) < 9e15)
        return static_cast<int64_t>(number);
      return number;
    }
    case Value::kStringValue:
      return value.string_value();
    case Value::kBoolValue:
      return value.bool_value();
    case Value::kStructValue: {
      json out = json::object();
      for (const auto& [key, inner] : value.struct_value().fields()) out[key] = ToJsonValue(inner);
      return out;
    }
    case Value::kListValue: {
      json out = json::array();
      for (const Value& inner : value.list_value().values()) out.push_back(ToJsonValue(inner));
      return out;
    }
    default:
      return nullptr;
  }
}

const json& Schema() {
  static const auto& schema =
      *new json(json::parse(std::string(ChartFileText("values.schema.json")), nullptr, false));
  return schema;
}

// The keyword's value, or null.
const json& Keyword(const json& schema, const char* name) {
  static const auto& none = *new json();
  const auto it = schema.find(name);
  return it == schema.end() ? none : *it;
}

std::string Keys(const json& object) {
  std::vector<std::string> out;
  for (const auto& [key, inner] : object.items()) out.push_back(key);
  return absl::StrJoin(out, ", ");
}

std::string Shown(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

bool HasType(const json& value, const std::string& type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "integer") return value.is_number_integer();
  return value.is_number();
}

// JSON Schema, as far as values.schema.json uses it.
class SchemaChecker {
 public:
  void Check(const std::string& path, const json& value, const json& schema) {
    const std::string type = schema.value("type", "");
    if (!type.empty() && !HasType(value, type))
      return Wrong(
          path, absl::StrCat("found ", Shown(value), "; wants ", type == "string" ? "text" : type));
    if (const json& allowed = Keyword(schema, "enum"); allowed.is_array()) {
      std::vector<std::string> names;
      for (const json& one : allowed) {
        if (one == value) return;
        names.push_back(one.is_string() ? one.get<std::string>() : one.dump());
      }
      return Wrong(path,
                   absl::StrCat("found ", Shown(value), "; allowed: ", absl::StrJoin(names, ", ")));
    }
    if (value.is_string()) return CheckText(path, value.get<std::string>(), schema);
    if (value.is_number()) return CheckNumber(path, value, schema);
    if (value.is_array()) return CheckList(path, value, schema);
    if (value.is_object()) return CheckMap(path, value, schema);
  }

  absl::Status result() const {
    return wrong_.empty() ? absl::OkStatus()
                          : absl::InvalidArgumentError(absl::StrJoin(wrong_, "\n"));
  }

 private:
  void Wrong(const std::string& path, absl::string_view why) {
    wrong_.push_back(absl::StrCat(path.empty() ? "values" : path, ": ", why));
  }

  void CheckText(const std::string& path, const std::string& text, const json& schema) {
    if (text.size() < schema.value("minLength", size_t{0})) return Wrong(path, "empty");
    if (text.size() > schema.value("maxLength", size_t{65536}))
      return Wrong(path, absl::StrCat("longer than ", schema.value("maxLength", size_t{65536})));
    const std::string pattern = schema.value("pattern", "");
    if (!pattern.empty() && !RE2::PartialMatch(text, pattern))
      Wrong(path, absl::StrCat("found ", Shown(text), "; wants ", pattern));
  }

  void CheckNumber(const std::string& path, const json& value, const json& schema) {
    const json& least = Keyword(schema, "minimum");
    const json& most = Keyword(schema, "maximum");
    if ((least.is_number() && value < least) || (most.is_number() && value > most))
      Wrong(path,
            absl::StrCat("found ", Shown(value), "; allowed: ", least.dump(), " to ", most.dump()));
  }

  void CheckList(const std::string& path, const json& value, const json& schema) {
    if (value.size() > schema.value("maxItems", size_t{1000}))
      return Wrong(path,
                   absl::StrCat("more than ", schema.value("maxItems", size_t{1000}), " entries"));
    const json& items = Keyword(schema, "items");
    for (size_t i = 0; items.is_object() && i < value.size(); ++i)
      Check(absl::StrCat(path, "[", i, "]"), value[i], items);
  }

  void CheckMap(const std::string& path, const json& value, const json& schema) {
    const json& known = Keyword(schema, "properties");
    for (const auto& [key, inner] : value.items()) {
      const std::string here = absl::StrCat(path, path.empty() ? "" : ".", key);
      if (known.is_object() && known.contains(key)) {
        Check(here, inner, known[key]);
      } else if (Keyword(schema, "additionalProperties") == json(false)) {
        Wrong(here, absl::StrCat("unknown key; known: ", Keys(known)));
      }
    }
  }

  std::vector<std::string> wrong_;
};

void Merge(const json& from, json* into) {
  if (!from.is_object() || !into->is_object()) {
    *into = from;
    return;
  }
  for (const auto& [key, value] : from.items()) Merge(value, &(*into)[key]);
}

// "a.b\.c" as {"a", "b.c"}.
std::vector<std::string> PathOf(absl::string_view text) {
  std::vector<std::string> out(1);
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) {
      out.back().push_back(text[++i]);
    } else if (text[i] == '.') {
      out.emplace_back();
    } else {
      out.back().push_back(text[i]);
    }
  }
  return out;
}

}  // namespace

absl::StatusOr<json> ParseYamlValue(absl::string_view name, absl::string_view text) {
  Value value;
  yaml::Options options;
  options.file = std::string(name);
  HEDDLE_ASSIGN_OR_RETURN(const std::vector<yaml::Document> documents, yaml::Parse(text, options));
  if (documents.empty()) return json();
  if (documents.size() > 1)
    return absl::InvalidArgumentError(absl::StrCat(name, ": more than one document"));
  HEDDLE_RETURN_IF_ERROR(documents[0].Decode(&value, options));
  return ToJsonValue(value);
}

absl::StatusOr<json> DefaultValues() {
  return ParseYamlValue("values.yaml", ChartFileText("values.yaml"));
}

absl::Status MergeValuesFile(absl::string_view name, absl::string_view text, json* values) {
  const absl::StatusOr<json> more = ParseYamlValue(name, text);
  if (!more.ok()) return more.status();
  if (more->is_null()) return absl::OkStatus();
  if (!more->is_object()) return absl::InvalidArgumentError(absl::StrCat(name, ": not a map"));
  Merge(*more, values);
  return absl::OkStatus();
}

absl::Status SetValue(absl::string_view assignment, json* values) {
  const size_t equals = assignment.find('=');
  if (equals == absl::string_view::npos || equals == 0)
    return absl::InvalidArgumentError(absl::StrCat("\"", assignment, "\": want KEY=VALUE"));
  const absl::string_view path = assignment.substr(0, equals);
  const absl::string_view text = assignment.substr(equals + 1);
  const json* schema = &Schema();
  json* at = values;
  std::string here;
  for (const std::string& key : PathOf(path)) {
    absl::StrAppend(&here, here.empty() ? "" : ".", key);
    if (schema != nullptr && Keyword(*schema, "properties").is_object()) {
      const json& known = Keyword(*schema, "properties");
      if (!known.contains(key))
        return absl::InvalidArgumentError(
            absl::StrCat(here, ": unknown key; known: ", Keys(known)));
      schema = &known[key];
    } else if (schema != nullptr && schema->value("type", "") == "object") {
      schema = nullptr;  // whatever the operator writes
    } else if (schema != nullptr) {
      return absl::InvalidArgumentError(absl::StrCat(here, ": there is nothing below"));
    }
    if (!at->is_object()) *at = json::object();
    at = &(*at)[key];
  }
  if (schema != nullptr && schema->value("type", "") == "string") {
    *at = std::string(text);
    return absl::OkStatus();
  }
  absl::StatusOr<json> value = ParseYamlValue(path, text);
  if (!value.ok()) return value.status();
  *at = *std::move(value);
  return absl::OkStatus();
}

absl::Status CheckValues(const json& values) {
  SchemaChecker checker;
  checker.Check("", values, Schema());
  return checker.result();
}

}  // namespace heddle::install
