// Writes JSON, with commas and escapes in one place.
//
//   JsonWriter out;
//   out.BeginObject().Key("name").String(name).Key("ports").BeginArray();
//   for (int port : ports) out.Number(port);
//   out.EndArray().EndObject();
//   return out.Take();
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace heddle::status {

class JsonWriter {
 public:
  JsonWriter& BeginObject() { return Open('{'); }
  JsonWriter& EndObject() { return Close('}'); }
  JsonWriter& BeginArray() { return Open('['); }
  JsonWriter& EndArray() { return Close(']'); }
  JsonWriter& Key(absl::string_view name);
  // Bytes that are not UTF-8 become U+FFFD.
  JsonWriter& String(absl::string_view text);
  JsonWriter& Number(int64_t value);
  JsonWriter& Number(double value);
  JsonWriter& Bool(bool value) { return Raw(value ? "true" : "false"); }
  // RFC 3339 in UTC with microseconds; null when it never happened.
  JsonWriter& Time(absl::Time time);
  std::string Take() { return std::move(out_); }

 private:
  JsonWriter& Open(char bracket);
  JsonWriter& Close(char bracket);
  JsonWriter& Raw(absl::string_view text);
  void Comma();

  std::string out_;
  bool first_ = true;  // nothing stands before, inside the innermost bracket or after a key
};

}  // namespace heddle::status
