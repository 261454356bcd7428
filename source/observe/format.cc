#include "source/observe/format.h"

#include <cstdio>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "source/base/status.h"

namespace heddle::observe {

const absl::string_view kDefaultFormat =
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" "
    "%RESPONSE_CODE% "
    "%RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "
    "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "
    "\"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" "
    "\"%REQ(:AUTHORITY)%\" "
    "\"%UPSTREAM_HOST%\"\n";

namespace {

void Run(const Operator& op, const AccessRecord& record, Value* value) {
  op.evaluate(op, record, value);
  if (op.max_length != 0 && value->text.size() > op.max_length) value->text.resize(op.max_length);
}

// A reader of JSON text that only has to find string leaves; everything else is copied as it
// stands.
class JsonSplitter {
 public:
  explicit JsonSplitter(absl::string_view text) : text_(text) {}

  // Calls on_string(decoded) for string values and on_text(c) for everything else, keys included.
  template <typename OnText, typename OnString>
  absl::Status Split(OnText on_text, OnString on_string) {
    for (size_t i = 0; i < text_.size();) {
      const char c = text_[i];
      if (c != '"') {
        Note(c);
        if (!absl::ascii_isspace(c)) on_text(text_.substr(i, 1));
        ++i;
        continue;
      }
      const size_t end = EndOfString(i);
      if (end >= text_.size())
        return absl::InvalidArgumentError("json_format: unterminated string");
      const absl::string_view raw = text_.substr(i, end + 1 - i);
      if (value_next_) {
        HEDDLE_RETURN_IF_ERROR(on_string(Decode(raw)));
      } else {
        on_text(raw);
      }
      value_next_ = false;
      i = end + 1;
    }
    return absl::OkStatus();
  }

 private:
  // The closing quote; the text's size or more: there is none.
  size_t EndOfString(size_t begin) const {
    size_t end = begin + 1;
    while (end < text_.size() && text_[end] != '"') end += text_[end] == '\\' ? 2 : 1;
    return end;
  }
  // A character outside strings: whether the next string is a value or a key.
  void Note(char c) {
    if (c == '{' || c == '[') nesting_.push_back(c);
    if ((c == '}' || c == ']') && !nesting_.empty()) nesting_.pop_back();
    if (c == ':' || c == '[') value_next_ = true;
    if (c == '{') value_next_ = false;
    if (c == ',') value_next_ = !nesting_.empty() && nesting_.back() == '[';
  }
  // The few escapes a printer of JSON writes; \uXXXX is kept as written.
  static std::string Decode(absl::string_view quoted) {
    std::string out;
    for (size_t i = 1; i + 1 < quoted.size(); ++i) {
      if (quoted[i] != '\\') {
        out.push_back(quoted[i]);
        continue;
      }
      const char next = quoted[++i];
      if (next == 'n') {
        out.push_back('\n');
      } else if (next == 't') {
        out.push_back('\t');
      } else if (next == 'u') {
        out.append("\\u");
      } else {
        out.push_back(next);
      }
    }
    return out;
  }

  absl::string_view text_;
  bool value_next_ = true;
  std::vector<char> nesting_;
};

}  // namespace

void AppendJsonString(absl::string_view text, std::string* out) {
  out->push_back('"');
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out->push_back('\\');
      out->push_back(c);
    } else if (c == '\n') {
      out->append("\\n");
    } else if (byte < 0x20 || byte == 0x7f) {
      char escaped[8];
      std::snprintf(escaped, sizeof(escaped), "\\u%04x", byte);
      out->append(escaped);
    } else {
      out->push_back(c);
    }
  }
  out->push_back('"');
}

absl::StatusOr<Formatter> Formatter::Text(absl::string_view text, bool omit_empty) {
  Formatter f;
  f.omit_empty_ = omit_empty;
  HEDDLE_ASSIGN_OR_RETURN(f.operators_, ParseOperators(text));
  return f;
}

absl::StatusOr<Formatter> Formatter::Json(absl::string_view json, bool omit_empty) {
  Formatter f;
  f.json_ = true;
  f.omit_empty_ = omit_empty;
  std::string before;
  const absl::Status status = JsonSplitter(json).Split(
      [&](absl::string_view text) { before.append(text.data(), text.size()); },
      [&](const std::string& leaf) -> absl::Status {
        HEDDLE_ASSIGN_OR_RETURN(std::vector<Operator> value, ParseOperators(leaf));
        if (value.empty()) value.emplace_back();
        f.members_.push_back({std::move(before), std::move(value)});
        before.clear();
        return absl::OkStatus();
      });
  HEDDLE_RETURN_IF_ERROR(status);
  f.tail_ = before + "\n";
  return f;
}

absl::StatusOr<Formatter> Formatter::FromConfig(const config::LogFormat& format) {
  if (!format.json.empty()) return Json(format.json, format.omit_empty);
  if (!format.text.empty()) return Text(format.text, format.omit_empty);
  return Text(kDefaultFormat, false);
}

void Formatter::Append(const AccessRecord& record, std::string* out) const {
  if (json_) return AppendJson(record, out);
  for (const Operator& op : operators_) {
    if (op.evaluate == nullptr) {
      out->append(op.name);
      continue;
    }
    Value value;
    Run(op, record, &value);
    if (!value.present) {
      if (!omit_empty_) out->push_back('-');
      continue;
    }
    // A header could hold what looks like another line of the log.
    for (const char c : value.text) out->push_back(c == '\n' || c == '\r' ? ' ' : c);
  }
}

void Formatter::AppendJson(const AccessRecord& record, std::string* out) const {
  for (const JsonMember& member : members_) {
    out->append(member.before);
    // One operator alone keeps its type; anything mixed with text is a string.
    if (member.value.size() == 1 && member.value[0].evaluate != nullptr) {
      Value value;
      Run(member.value[0], record, &value);
      if (!value.present) {
        out->append("null");
      } else if (value.number) {
        out->append(value.text);
      } else {
        AppendJsonString(value.text, out);
      }
      continue;
    }
    std::string text;
    for (const Operator& op : member.value) {
      if (op.evaluate == nullptr) {
        text.append(op.name);
        continue;
      }
      Value value;
      Run(op, record, &value);
      text.append(value.present ? value.text : (omit_empty_ ? "" : "-"));
    }
    AppendJsonString(text, out);
  }
  out->append(tail_);
}

}  // namespace heddle::observe
