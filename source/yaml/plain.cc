#include "source/yaml/plain.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "source/base/status.h"
#include "source/yaml/node.h"
#include "source/yaml/scalar.h"

namespace heddle::yaml {
namespace {

std::string Quoted(absl::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      absl::StrAppendFormat(&out, "\\u%04x", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::optional<bool> ParseBool(absl::string_view text) {
  const std::string lower = absl::AsciiStrToLower(text);
  // "true", "True" and "TRUE"; not "tRUE".
  const bool one_case = text == lower || text == absl::AsciiStrToUpper(text) ||
                        (absl::ascii_isupper(static_cast<unsigned char>(text[0])) &&
                         text.substr(1) == absl::string_view(lower).substr(1));
  if (!one_case) return std::nullopt;
  if (lower == "true" || lower == "yes" || lower == "on") return true;
  if (lower == "false" || lower == "no" || lower == "off") return false;
  return std::nullopt;
}

// 0x1f, 0o17, 017 and 0b11 as decimal.
std::optional<uint64_t> ParseOtherBase(absl::string_view text) {
  uint64_t base = 8;
  if (!absl::ConsumePrefix(&text, "0") || text.empty()) return std::nullopt;
  if (absl::ConsumePrefix(&text, "x")) {
    base = 16;
  } else if (absl::ConsumePrefix(&text, "b")) {
    base = 2;
  } else {
    absl::ConsumePrefix(&text, "o");
  }
  uint64_t value = 0;
  for (const char c : text) {
    const uint64_t digit =
        absl::ascii_isdigit(static_cast<unsigned char>(c)) ? static_cast<uint64_t>(c - '0')
        : absl::ascii_isxdigit(static_cast<unsigned char>(c))
            ? static_cast<uint64_t>(absl::ascii_tolower(static_cast<unsigned char>(c)) - 'a' + 10)
            : 99;
    if (digit >= base || value > (UINT64_MAX - digit) / base) return std::nullopt;
    value = value * base + digit;
  }
  return text.empty() ? std::nullopt : std::optional<uint64_t>(value);
}

std::string Scalar(const Node& node) {
  absl::string_view text = node.text;
  if (node.quoted || text.empty()) return Quoted(text);
  if (const std::optional<bool> value = ParseBool(text)) return *value ? "true" : "false";
  const bool minus = absl::ConsumePrefix(&text, "-");
  if (!minus) absl::ConsumePrefix(&text, "+");
  const absl::string_view sign = minus ? "-" : "";
  if (const std::optional<uint64_t> value = ParseOtherBase(text)) return absl::StrCat(sign, *value);
  const std::string number =
      absl::StartsWith(text, ".") ? absl::StrCat("0", text) : std::string(text);
  const bool leading_zero = number.size() > 1 && number[0] == '0' &&
                            absl::ascii_isdigit(static_cast<unsigned char>(number[1]));
  if (!absl::StartsWith(number, "-") && !leading_zero && ParseDouble(number).has_value() &&
      LooksLikeNumber(number))
    return absl::StrCat(sign, number);
  return Quoted(node.text);
}

class Printer {
 public:
  explicit Printer(const Options& options) : options_(options) {}

  absl::Status Value(const Node& node, std::string* out) {
    // Aliases repeat what they name, however long that is.
    if (out->size() > 2 * options_.max_bytes)
      return ErrorAt(options_, node.line, "too long when aliases are expanded");
    switch (node.kind) {
      case Node::Kind::kNull:
        *out += "null";
        return absl::OkStatus();
      case Node::Kind::kScalar:
        *out += Scalar(node);
        return absl::OkStatus();
      case Node::Kind::kSequence:
        *out += "[";
        for (size_t i = 0; i < node.items.size(); ++i) {
          if (i > 0) *out += ",";
          HEDDLE_RETURN_IF_ERROR(Value(*node.items[i], out));
        }
        *out += "]";
        return absl::OkStatus();
      case Node::Kind::kMap:
        return Map(node, out);
    }
    return absl::OkStatus();
  }

 private:
  using Members = std::vector<const Node::Member*>;

  static bool Has(const Members& members, const std::string& key) {
    return std::any_of(members.begin(), members.end(),
                       [&](const Node::Member* one) { return one->key == key; });
  }

  // Adds what `from`, the value of a "<<", has and `members` does not.
  absl::Status Merge(const Node& from, Members* members) {
    if (from.kind == Node::Kind::kSequence) {
      for (const NodePtr& item : from.items) HEDDLE_RETURN_IF_ERROR(Merge(*item, members));
      return absl::OkStatus();
    }
    if (from.kind != Node::Kind::kMap) return ErrorAt(options_, from.line, "<< wants a map");
    for (const Node::Member& member : from.members) {
      if (member.key == "<<") {
        HEDDLE_RETURN_IF_ERROR(Merge(*member.value, members));
      } else if (!Has(*members, member.key)) {
        if (++merged_ > options_.max_nodes / 64)
          return ErrorAt(options_, from.line, "too many values are merged");
        members->push_back(&member);
      }
    }
    return absl::OkStatus();
  }

  absl::Status Map(const Node& node, std::string* out) {
    Members members;
    for (const Node::Member& member : node.members)
      if (member.key != "<<") members.push_back(&member);
    for (const Node::Member& member : node.members)
      if (member.key == "<<") HEDDLE_RETURN_IF_ERROR(Merge(*member.value, &members));
    *out += "{";
    for (size_t i = 0; i < members.size(); ++i) {
      absl::StrAppend(out, i > 0 ? "," : "", Quoted(members[i]->key), ":");
      HEDDLE_RETURN_IF_ERROR(Value(*members[i]->value, out));
    }
    *out += "}";
    return absl::OkStatus();
  }

  const Options& options_;
  size_t merged_ = 0;
};

}  // namespace

absl::StatusOr<std::vector<std::string>> ToPlainJson(absl::string_view text,
                                                     const Options& options) {
  if (text.size() > options.max_bytes)
    return ErrorAt(options, 1,
                   absl::StrCat("found ", text.size(), " bytes, allowed ", options.max_bytes));
  std::vector<NodePtr> roots;
  if (absl::StatusOr<NodePtr> json = ParseJson(text, options); json.ok()) {
    roots.push_back(*std::move(json));
  } else {
    // A flow map of YAML begins like JSON too.
    absl::StatusOr<std::vector<NodePtr>> nodes = ParseYaml(text, options);
    if (!nodes.ok()) return absl::IsNotFound(json.status()) ? nodes.status() : json.status();
    roots = *std::move(nodes);
  }
  std::vector<std::string> out;
  for (const NodePtr& root : roots) {
    Printer printer(options);
    HEDDLE_RETURN_IF_ERROR(printer.Value(*root, &out.emplace_back()));
  }
  return out;
}

}  // namespace heddle::yaml
