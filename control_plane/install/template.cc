#include "control_plane/install/template.h"

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "source/base/status.h"

namespace heddle::install {
namespace {

using nlohmann::json;

// Text as it stands, or what is between "{{" and "}}".
struct Piece {
  bool action = false;
  int line = 0;
  std::string text;
};

absl::string_view TrimRight(absl::string_view text) {
  return absl::StripTrailingAsciiWhitespace(text);
}

int LineAt(absl::string_view source, size_t at) {
  int line = 1;
  for (const char c : source.substr(0, at)) line += c == '\n';
  return line;
}

absl::StatusOr<std::vector<Piece>> Split(absl::string_view source) {
  std::vector<Piece> out;
  size_t at = 0;
  bool trim_next = false;
  const auto add_text = [&](absl::string_view text) {
    if (trim_next) text = absl::StripLeadingAsciiWhitespace(text);
    trim_next = false;
    if (!text.empty()) out.push_back({.action = false, .line = 0, .text = std::string(text)});
  };
  while (at < source.size()) {
    const size_t open = source.find("{{", at);
    if (open == absl::string_view::npos) break;
    const size_t close = source.find("}}", open);
    const int line = LineAt(source, open);
    if (close == absl::string_view::npos)
      return absl::InvalidArgumentError(absl::StrCat(line, ": {{ without }}"));
    absl::string_view inner = source.substr(open + 2, close - open - 2);
    absl::string_view before = source.substr(at, open - at);
    if (absl::ConsumePrefix(&inner, "-")) before = TrimRight(before);
    add_text(before);
    trim_next = absl::ConsumeSuffix(&inner, "-");
    out.push_back(
        {.action = true, .line = line, .text = std::string(absl::StripAsciiWhitespace(inner))});
    at = close + 2;
  }
  add_text(source.substr(at));
  return out;
}

// As Go's templates see it.
bool Truth(const json& value) {
  if (value.is_null()) return false;
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number()) return value.get<double>() != 0;
  if (value.is_string()) return !value.get_ref<const std::string&>().empty();
  return !value.empty();
}

// Never throws, whatever bytes a text holds.
std::string Dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string Plain(const json& value) {
  return value.is_string() ? value.get<std::string>() : Dump(value);
}

std::string Indented(absl::string_view text, int spaces) {
  const std::string pad(static_cast<size_t>(spaces), ' ');
  return pad + absl::StrReplaceAll(text, {{"\n", absl::StrCat("\n", pad)}});
}

// Text that YAML would not read as something else.
bool PlainInYaml(const std::string& text) {
  if (text.empty() || text.size() > 200) return false;
  for (const char c : text)
    if (!absl::ascii_isalnum(c) && !absl::StrContains("-_./", absl::string_view(&c, 1)))
      return false;
  if (!absl::ascii_isalpha(text.front()) && text.front() != '/') return false;
  const std::string lower = absl::AsciiStrToLower(text);
  for (const char* word : {"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
    if (lower == word) return false;
  return true;
}

std::string YamlScalar(const json& value) {
  if (value.is_string() && PlainInYaml(value.get_ref<const std::string&>())) return Plain(value);
  return Dump(value);
}

void AppendYaml(const json& value, int indent, std::string* out) {
  const std::string pad(static_cast<size_t>(indent), ' ');
  if (value.is_object()) {
    for (const auto& [key, inner] : value.items()) {
      absl::StrAppend(out, pad, YamlScalar(json(key)), ":");
      if (inner.is_structured() && !inner.empty()) {
        out->push_back('\n');
        AppendYaml(inner, indent + 2, out);
      } else {
        absl::StrAppend(out, " ", YamlScalar(inner), "\n");
      }
    }
    return;
  }
  for (const json& inner : value) {
    if (inner.is_object() && !inner.empty()) {
      std::string item;
      AppendYaml(inner, indent + 2, &item);
      item[static_cast<size_t>(indent)] = '-';
      out->append(item);
    } else if (inner.is_array() && !inner.empty()) {
      absl::StrAppend(out, pad, "-\n");
      AppendYaml(inner, indent + 2, out);
    } else {
      absl::StrAppend(out, pad, "- ", YamlScalar(inner), "\n");
    }
  }
}

class Renderer {
 public:
  Renderer(absl::string_view name, const std::vector<Piece>& pieces, const json& data)
      : name_(name), pieces_(pieces), data_(data) {}

  absl::StatusOr<std::string> Render() {
    std::string out;
    HEDDLE_RETURN_IF_ERROR(Block(data_, true, &out));
    if (at_ < pieces_.size()) return Wrong(pieces_[at_], "nothing that this closes");
    return out;
  }

 private:
  absl::Status Wrong(const Piece& piece, absl::string_view why) const {
    return absl::InvalidArgumentError(
        absl::StrCat(name_, ":", piece.line, ": {{ ", piece.text, " }}: ", why));
  }

  // From at_ to the end, or to the else or end that belongs to somebody further out. Printed only
  // when `live`.
  absl::Status Block(const json& dot, bool live, std::string* out) {
    while (at_ < pieces_.size()) {
      const Piece& piece = pieces_[at_];
      if (!piece.action) {
        if (live) out->append(piece.text);
        ++at_;
        continue;
      }
      if (piece.text == "end" || piece.text == "else") return absl::OkStatus();
      ++at_;
      if (absl::StartsWith(piece.text, "/*")) continue;
      absl::string_view rest = piece.text;
      if (absl::ConsumePrefix(&rest, "if ")) {
        HEDDLE_RETURN_IF_ERROR(If(piece, rest, dot, live, out));
      } else if (absl::ConsumePrefix(&rest, "range ")) {
        HEDDLE_RETURN_IF_ERROR(Range(piece, rest, dot, live, out));
      } else if (live) {
        const absl::StatusOr<json> value = Pipeline(piece, rest, dot);
        if (!value.ok()) return value.status();
        out->append(Plain(*value));
      }
    }
    return absl::OkStatus();
  }

  absl::Status Close(const Piece& opened) {
    if (at_ >= pieces_.size() || pieces_[at_].text != "end")
      return Wrong(opened, "is not closed by {{ end }}");
    ++at_;
    return absl::OkStatus();
  }

  absl::Status If(const Piece& piece, absl::string_view condition, const json& dot, bool live,
                  std::string* out) {
    bool holds = false;
    if (live) {
      const bool negated = absl::ConsumePrefix(&condition, "not ");
      const absl::StatusOr<json> value = Pipeline(piece, condition, dot);
      if (!value.ok()) return value.status();
      holds = Truth(*value) != negated;
    }
    HEDDLE_RETURN_IF_ERROR(Block(dot, live && holds, out));
    if (at_ < pieces_.size() && pieces_[at_].text == "else") {
      ++at_;
      HEDDLE_RETURN_IF_ERROR(Block(dot, live && !holds, out));
    }
    return Close(piece);
  }

  absl::Status Range(const Piece& piece, absl::string_view list, const json& dot, bool live,
                     std::string* out) {
    json items = json::array();
    if (live) {
      absl::StatusOr<json> value = Pipeline(piece, list, dot);
      if (!value.ok()) return value.status();
      if (!value->is_array()) return Wrong(piece, "not a list");
      items = *std::move(value);
    }
    const size_t begin = at_;
    for (const json& item : items) {
      at_ = begin;
      HEDDLE_RETURN_IF_ERROR(Block(item, true, out));
    }
    if (items.empty()) HEDDLE_RETURN_IF_ERROR(Block(dot, false, out));
    return Close(piece);
  }

  absl::StatusOr<json> Pipeline(const Piece& piece, absl::string_view text, const json& dot) {
    json value;
    bool first = true;
    for (const absl::string_view stage : absl::StrSplit(text, '|')) {
      std::vector<absl::string_view> words =
          absl::StrSplit(absl::StripAsciiWhitespace(stage), ' ', absl::SkipEmpty());
      if (words.empty()) return Wrong(piece, "empty");
      // `f .x` is `.x | f`.
      if (words.back().front() == '.') {
        if (!first) return Wrong(piece, "a value can only stand at the beginning");
        absl::StatusOr<json> found = Lookup(piece, words.back(), dot);
        if (!found.ok()) return found;
        value = *std::move(found);
        words.pop_back();
      } else if (first) {
        return Wrong(piece, "does not begin with a value");
      }
      first = false;
      if (words.empty()) continue;
      absl::StatusOr<json> result = Call(piece, words, value);
      if (!result.ok()) return result;
      value = *std::move(result);
    }
    return value;
  }

  absl::StatusOr<json> Lookup(const Piece& piece, absl::string_view path, const json& dot) {
    const json* at = &dot;
    for (const absl::string_view name : absl::StrSplit(path.substr(1), '.')) {
      if (name.empty() && path.size() == 1) break;
      const auto it = at->is_object() ? at->find(std::string(name)) : at->end();
      if (!at->is_object() || it == at->end())
        return Wrong(piece, absl::StrCat("there is no \"", name, "\" in ", path));
      at = &*it;
    }
    return *at;
  }

  absl::StatusOr<json> Call(const Piece& piece, const std::vector<absl::string_view>& words,
                            const json& value) {
    const absl::string_view name = words[0];
    if (name == "quote" && words.size() == 1) return json(Dump(json(Plain(value))));
    if (name == "toYaml" && words.size() == 1) return json(ToYaml(value));
    if (name == "toJson" && words.size() == 1) return json(ToGoJson(value));
    int spaces = 0;
    if ((name == "indent" || name == "nindent") && words.size() == 2 &&
        absl::SimpleAtoi(words[1], &spaces) && spaces >= 0 && spaces < 100)
      return json(absl::StrCat(name == "nindent" ? "\n" : "", Indented(Plain(value), spaces)));
    return Wrong(piece, absl::StrCat("no function \"", name,
                                     "\"; there are quote, toYaml, toJson, indent N, nindent N"));
  }

  const absl::string_view name_;
  const std::vector<Piece>& pieces_;
  const json& data_;
  size_t at_ = 0;
};

}  // namespace

std::string ToYaml(const nlohmann::json& value) {
  if (!value.is_structured() || value.empty()) return YamlScalar(value);
  std::string out;
  AppendYaml(value, 0, &out);
  out.pop_back();
  return out;
}

std::string ToGoJson(const nlohmann::json& value) {
  return absl::StrReplaceAll(Dump(value), {{"<", "\\u003c"}, {">", "\\u003e"}, {"&", "\\u0026"}});
}

absl::StatusOr<std::string> RenderTemplate(absl::string_view name, absl::string_view source,
                                           const nlohmann::json& data) {
  const absl::StatusOr<std::vector<Piece>> pieces = Split(source);
  if (!pieces.ok())
    return absl::InvalidArgumentError(absl::StrCat(name, ":", pieces.status().message()));
  return Renderer(name, *pieces, data).Render();
}

}  // namespace heddle::install
