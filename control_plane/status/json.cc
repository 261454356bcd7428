#include "control_plane/status/json.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace heddle::status {
namespace {

// Length of the UTF-8 sequence at the start of `text`, 0 when it is not one (overlong forms and
// surrogates are not).
size_t SequenceLength(absl::string_view text) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = at(0);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xc2 && lead < 0xe0   ? 2
                        : lead >= 0xe0 && lead < 0xf0 ? 3
                        : lead >= 0xf0 && lead < 0xf5 ? 4
                                                      : 0;
  if (length == 0 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i)
    if ((at(i) & 0xc0) != 0x80) return 0;
  const bool bad = (lead == 0xe0 && at(1) < 0xa0) || (lead == 0xed && at(1) >= 0xa0) ||
                   (lead == 0xf0 && at(1) < 0x90) || (lead == 0xf4 && at(1) >= 0x90);
  return bad ? 0 : length;
}

}  // namespace

void JsonWriter::Comma() {
  if (!first_) out_ += ',';
  first_ = false;
}

JsonWriter& JsonWriter::Open(char bracket) {
  Comma();
  out_ += bracket;
  first_ = true;
  return *this;
}

JsonWriter& JsonWriter::Close(char bracket) {
  out_ += bracket;
  first_ = false;
  return *this;
}

JsonWriter& JsonWriter::Raw(absl::string_view text) {
  Comma();
  out_.append(text.data(), text.size());
  return *this;
}

JsonWriter& JsonWriter::Key(absl::string_view name) {
  String(name);
  out_ += ':';
  first_ = true;
  return *this;
}

JsonWriter& JsonWriter::String(absl::string_view text) {
  Comma();
  out_ += '"';
  while (!text.empty()) {
    const size_t length = SequenceLength(text);
    if (length == 0) {
      out_ += "\\ufffd";
      text.remove_prefix(1);
      continue;
    }
    const char c = text[0];
    if (c == '"' || c == '\\')
      absl::StrAppend(&out_, "\\", text.substr(0, 1));
    else if (c == '\n')
      out_ += "\\n";
    else if (static_cast<unsigned char>(c) < 0x20 || c == '<' ||
             c == 0x7f)  // '<': also safe inside a page
      absl::StrAppendFormat(&out_, "\\u%04x", static_cast<unsigned char>(c));
    else
      out_.append(text.data(), length);
    text.remove_prefix(length);
  }
  out_ += '"';
  return *this;
}

JsonWriter& JsonWriter::Number(int64_t value) { return Raw(absl::StrCat(value)); }

JsonWriter& JsonWriter::Number(double value) {
  return std::isfinite(value) ? Raw(absl::StrFormat("%.6g", value)) : Raw("null");
}

JsonWriter& JsonWriter::Time(absl::Time time) {
  if (time == absl::InfinitePast() || time == absl::InfiniteFuture()) return Raw("null");
  return String(absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", time, absl::UTCTimeZone()));
}

}  // namespace heddle::status
