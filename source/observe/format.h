// A log line's format, compiled once: text with %OPERATORS%, or JSON whose string leaves hold them.
// The same operators serve header values (request_headers_to_add). Source: Envoy,
// docs/root/configuration/observability/access_log/usage; the table of operators is in
// operators.cc.
//
//   HEDDLE_ASSIGN_OR_RETURN(Formatter format, Formatter::Text("%RESPONSE_CODE% %DURATION%\n"));
//   format.Append(record, &line);
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "source/config/http.h"
#include "source/observe/access_record.h"

namespace heddle::observe {

extern const absl::string_view kDefaultFormat;

// One operator with its arguments, or a literal.
struct Operator;

// The value of an operator: text, and whether JSON shows it as a number. Absent: "-" in text, null
// in JSON.
struct Value {
  std::string text;
  bool present = false;
  bool number = false;
};

using Evaluate = void (*)(const Operator&, const AccessRecord&, Value*);

struct Operator {
  Evaluate evaluate = nullptr;  // null: `name` is literal text
  std::string name;             // argument: header name; literal text
  std::string alternative;      // (X?Y)
  std::string format;           // START_TIME(%s)
  size_t max_length = 0;        // :Z; 0 = unlimited
};

class Formatter {
 public:
  // Errors name the operator: `unknown operator "%FOO%"; see docs/operating.md`.
  static absl::StatusOr<Formatter> Text(absl::string_view text, bool omit_empty = false);
  static absl::StatusOr<Formatter> Json(absl::string_view json, bool omit_empty = false);
  static absl::StatusOr<Formatter> FromConfig(const config::LogFormat& format);

  void Append(const AccessRecord& record, std::string* out) const;
  // True when the whole format is one literal: callers skip evaluation.
  bool literal() const { return operators_.size() == 1 && operators_[0].evaluate == nullptr; }

 private:
  enum class Piece : uint8_t { kText, kJsonLiteral, kJsonValue };
  void AppendJson(const AccessRecord& record, std::string* out) const;

  std::vector<Operator> operators_;  // text form
  // JSON form: alternating punctuation and string leaves, flattened in print order.
  struct JsonMember {
    std::string before;           // punctuation and key up to the value
    std::vector<Operator> value;  // operators of the leaf; empty: `before` holds all
  };
  std::vector<JsonMember> members_;
  std::string tail_;
  bool json_ = false;
  bool omit_empty_ = false;
};

// Splits "a %B(c)% d" into operators. "%%" is a percent sign.
absl::StatusOr<std::vector<Operator>> ParseOperators(absl::string_view text);

// Appends `text` as a JSON string with quotes.
void AppendJsonString(absl::string_view text, std::string* out);

}  // namespace heddle::observe
