#include "control_plane/inject/manifest.h"

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "control_plane/inject/patch.h"
#include "source/base/status.h"
#include "source/yaml/plain.h"

namespace heddle::inject {
namespace {

using Json = nlohmann::json;
using Ordered = nlohmann::ordered_json;

struct KindEntry {
  const char* kind;
  const char* pointer;  // to the pod
};

constexpr KindEntry kKinds[] = {
    {"Pod", ""},
    {"Deployment", "/spec/template"},
    {"ReplicaSet", "/spec/template"},
    {"ReplicationController", "/spec/template"},
    {"StatefulSet", "/spec/template"},
    {"DaemonSet", "/spec/template"},
    {"Job", "/spec/template"},
    {"CronJob", "/spec/jobTemplate/spec/template"},
    {"PodTemplate", "/template"},
};

const Ordered& At(const Ordered& object, absl::string_view key) {
  static const auto& null = *new Ordered;
  if (!object.is_object()) return null;
  const auto found = object.find(std::string(key));
  return found == object.end() ? null : *found;
}

std::string Text(const Ordered& value) { return value.is_string() ? value.get<std::string>() : ""; }

// Null when the pointer leads nowhere.
const Ordered& Walk(const Ordered& document, absl::string_view pointer) {
  const Ordered* at = &document;
  const std::vector<absl::string_view> parts = absl::StrSplit(pointer, '/');
  for (size_t i = 1; i < parts.size(); ++i) {
    if (at->is_array()) {
      const size_t index = std::stoul(std::string(parts[i]));
      at = &(*at)[index];
    } else {
      at = &At(*at, parts[i]);
    }
  }
  return *at;
}

void FindIn(const Ordered& document, const std::string& at, int depth, std::vector<PodPlace>* out) {
  const std::string kind = Text(At(document, "kind"));
  const Ordered& items = At(document, "items");
  if (absl::EndsWith(kind, "List") && items.is_array() && depth < 4) {
    for (size_t i = 0; i < items.size(); ++i)
      FindIn(items[i], absl::StrCat(at, "/items/", i), depth + 1, out);
    return;
  }
  for (const KindEntry& entry : kKinds) {
    if (kind != entry.kind) continue;
    if (!Walk(document, entry.pointer).is_object()) return;
    const Ordered& metadata = At(document, "metadata");
    PodPlace place{
        .pointer = at + entry.pointer, .object = {}, .ns = Text(At(metadata, "namespace"))};
    std::string name = Text(At(metadata, "name"));
    if (name.empty()) name = Text(At(metadata, "generateName"));
    place.object = absl::StrCat(kind, " ", place.ns, place.ns.empty() ? "" : "/", name);
    out->push_back(std::move(place));
  }
}

// "50m", "256Mi": digits and a unit, which no YAML reader takes for a number.
bool IsQuantity(absl::string_view text) {
  const size_t digits = text.find_first_not_of("0123456789");
  if (digits == 0 || digits == absl::string_view::npos) return false;
  for (const absl::string_view unit : {"m", "k", "Ki", "M", "Mi", "G", "Gi", "T", "Ti"})
    if (text.substr(digits) == unit) return true;
  return false;
}

// A plain scalar that every YAML reader takes for this very string.
bool IsPlain(absl::string_view text) {
  if (text.empty() || text.size() > 200) return false;
  if (IsQuantity(text)) return true;
  // "--flag"
  if (absl::StartsWith(text, "--") && text.size() > 2 && text[2] != '-') text.remove_prefix(2);
  constexpr absl::string_view kFirst = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/$_";
  if (kFirst.find(text[0]) == absl::string_view::npos) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (word || absl::string_view("/._-$()+=@").find(c) != absl::string_view::npos) continue;
    if (i + 1 == text.size()) return false;
    // "a: b" and "a #b" mean something else.
    if (c == ':' && text[i + 1] != ' ') continue;
    if (c == ' ' && text[i + 1] != ' ' && text[i + 1] != '#') continue;
    if (c == ',' || c == ';') continue;
    return false;
  }
  constexpr std::array<absl::string_view, 11> kWords = {"true", "false", "yes", "no",  "on", "off",
                                                        "null", "y",     "n",   "nan", "inf"};
  for (const absl::string_view word : kWords)
    if (absl::EqualsIgnoreCase(text, word)) return false;
  return true;
}

// Lines of text that a literal block can hold.
bool IsBlock(absl::string_view text) {
  if (text.find('\n') == absl::string_view::npos || text.empty() || text[0] == ' ' ||
      text[0] == '\n')
    return false;
  for (const absl::string_view line : absl::StrSplit(text, '\n'))
    if (!line.empty() && (line.back() == ' ' || line.back() == '\t')) return false;
  for (const char c : text)
    if (static_cast<unsigned char>(c) < 0x20 && c != '\n') return false;
  return !absl::EndsWith(text, "\n\n");
}

// JSON inside a string reads better in single quotes.
std::string Quoted(const Ordered& value, const std::string& text) {
  const bool simple = absl::c_all_of(text, [](char c) { return c >= ' ' && c < 0x7f; });
  if (simple && absl::StrContains(text, '"'))
    return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "''"}}), "'");
  return value.dump(-1, ' ', false, Ordered::error_handler_t::replace);
}

std::string Scalar(const Ordered& value, size_t indent) {
  if (!value.is_string()) return value.dump();
  const std::string& text = value.get_ref<const std::string&>();
  if (IsPlain(text)) return text;
  if (!IsBlock(text)) return Quoted(value, text);
  std::string out = absl::EndsWith(text, "\n") ? "|" : "|-";
  std::vector<absl::string_view> lines = absl::StrSplit(text, '\n');
  if (lines.back().empty()) lines.pop_back();
  for (const absl::string_view line : lines)
    absl::StrAppend(&out, "\n", std::string(line.empty() ? 0 : indent, ' '), line);
  return out;
}

std::string KeyText(const std::string& key) {
  return IsPlain(key) ? key : Ordered(key).dump(-1, ' ', false, Ordered::error_handler_t::replace);
}

// Appends the value after "key:" or "-"; a collection's entries stand at `indent`.
void Write(const Ordered& value, size_t indent, bool in_list, std::string* out) {
  if (!value.is_structured() || value.empty()) {
    absl::StrAppend(out, " ",
                    value.is_object() && value.empty()  ? "{}"
                    : value.is_array() && value.empty() ? "[]"
                                                        : Scalar(value, indent),
                    "\n");
    return;
  }
  const std::string pad(indent, ' ');
  // The first entry of a collection inside a list stands on the line of its dash.
  bool first = in_list;
  *out += in_list ? " " : "\n";
  const auto begin = [&] {
    if (!first) *out += pad;
    first = false;
  };
  if (value.is_array()) {
    for (const Ordered& item : value) {
      begin();
      *out += "-";
      Write(item, indent + 2, true, out);
    }
    return;
  }
  for (const auto& [key, member] : value.items()) {
    begin();
    absl::StrAppend(out, KeyText(key), ":");
    // A list under a key needs no more indentation than the key.
    Write(member, member.is_array() ? indent : indent + 2, false, out);
  }
}

// `name` and `image` first, as people write it.
Ordered PeoplesOrder(const Json& value) {
  if (value.is_array()) {
    Ordered out = Ordered::array();
    for (const Json& item : value) out.push_back(PeoplesOrder(item));
    return out;
  }
  if (!value.is_object())
    return Ordered::parse(value.dump(-1, ' ', false, Json::error_handler_t::replace));
  Ordered out = Ordered::object();
  for (const char* first : {"name", "image"})
    if (const auto found = value.find(first); found != value.end())
      out[first] = PeoplesOrder(*found);
  for (const auto& [key, member] : value.items())
    if (!out.contains(key)) out[key] = PeoplesOrder(member);
  return out;
}

}  // namespace

absl::StatusOr<std::vector<Ordered>> ReadManifest(absl::string_view text, const std::string& name) {
  HEDDLE_ASSIGN_OR_RETURN(const std::vector<std::string> documents,
                          yaml::ToPlainJson(text, {.file = name}));
  std::vector<Ordered> out;
  for (const std::string& document : documents) {
    Ordered json = Ordered::parse(document, nullptr, false);
    if (json.is_discarded())
      return absl::InvalidArgumentError(absl::StrCat(name, ": holds text that is not UTF-8"));
    if (!json.is_object())
      return absl::InvalidArgumentError(absl::StrCat(name, ": want Kubernetes objects"));
    out.push_back(std::move(json));
  }
  return out;
}

std::string WriteYaml(const Ordered& document) {
  std::string out;
  Write(document, 0, false, &out);
  return out.substr(1);
}

std::string WriteManifest(const std::vector<Ordered>& documents) {
  std::string out;
  for (const Ordered& document : documents)
    absl::StrAppend(&out, out.empty() ? "" : "---\n", WriteYaml(document));
  return out;
}

std::vector<PodPlace> FindPods(const Ordered& document) {
  std::vector<PodPlace> out;
  FindIn(document, "", 0, &out);
  return out;
}

Json PodAt(const Ordered& document, const PodPlace& place) {
  return Json::parse(
      Walk(document, place.pointer).dump(-1, ' ', false, Ordered::error_handler_t::replace));
}

absl::Status ChangePod(const PodPlace& place, const Json& after, Ordered* document) {
  Ordered patch = Ordered::array();
  for (const Json& operation : Diff(PodAt(*document, place), after)) {
    Ordered one = {{"op", operation["op"].get<std::string>()},
                   {"path", place.pointer + operation["path"].get<std::string>()}};
    if (operation.contains("value")) one["value"] = PeoplesOrder(operation["value"]);
    patch.push_back(std::move(one));
  }
  return Apply(patch, document);
}

}  // namespace heddle::inject
