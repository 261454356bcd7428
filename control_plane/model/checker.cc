#include "control_plane/model/checker.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "heddle/v1/meta.pb.h"
#include "re2/re2.h"

namespace heddle::model {

Checker::Checker(const Object& object, const Key& key, std::vector<Problem>* problems)
    : object_(object),
      problems_(problems),
      name_(absl::StrCat(KindName(object.kind), " ", key.ToString())) {}

void Checker::Add(Severity severity, const base::Path& at, std::string message) {
  Problem problem{.severity = severity,
                  .file = object_.file,
                  .line = 0,
                  .object = name_.empty() ? std::string(KindName(object_.kind)) : name_,
                  .path = at.ToString(),
                  .message = std::move(message),
                  .reason = {}};
  if (object_.line_of) problem.line = object_.line_of(problem.path);
  problems_->push_back(std::move(problem));
}

void Checker::Error(const base::Path& at, std::string message) {
  failed_ = true;
  Add(Severity::kError, at, std::move(message));
}

void Checker::Reference(const base::Path& at, Severity severity, absl::string_view reason,
                        std::string message) {
  failed_ = failed_ || severity == Severity::kError;
  Add(severity, at, std::move(message));
  problems_->back().reason = std::string(reason);
}

void Checker::Warning(const base::Path& at, std::string message) {
  Add(Severity::kWarning, at, std::move(message));
}

Key Checker::ReadKey(const v1::ObjectMeta& meta, bool label_name) {
  Key key{meta.namespace_().empty() ? "default" : meta.namespace_(), meta.name()};
  name_ = absl::StrCat(KindName(object_.kind), " ", key.ToString());
  const base::Path root;
  const base::Path at = root.Field("metadata");
  const bool good = label_name ? IsDnsLabel(key.name) : IsDnsSubdomain(key.name);
  if (key.name.empty()) {
    Error(at.Field("name"), "required");
  } else if (!good) {
    Error(at.Field("name"),
          absl::StrCat("\"", key.name, "\" is not a DNS ", label_name ? "label" : "name",
                       ": lower-case letters, digits and '-' are allowed"));
  }
  if (!IsDnsLabel(key.ns)) Label(at.Field("namespace"), key.ns);
  return key;
}

void Checker::CheckApiVersion(absl::string_view found,
                              const std::vector<absl::string_view>& allowed) {
  for (const absl::string_view one : allowed)
    if (found == one) return;
  const base::Path root;
  Error(root.Field("apiVersion"),
        absl::StrCat("\"", found, "\" is not ", absl::StrJoin(allowed, " or ")));
}

int64_t Checker::Bounded(const base::Path& at, int64_t value, Range range) {
  if (value >= range.min && value <= range.max) return value;
  Error(at, absl::StrCat(value, " is not between ", range.min, " and ", range.max));
  return range.min;
}

std::optional<absl::Duration> Checker::Duration(const base::Path& at, absl::string_view text,
                                                Span span) {
  if (text.empty()) return std::nullopt;
  const std::optional<absl::Duration> value = ParseDuration(text);
  if (!value.has_value()) {
    Error(at, absl::StrCat("\"", text, "\" is not a duration such as \"250ms\" or \"1m30s\""));
    return std::nullopt;
  }
  if (span.zero_allowed && *value == absl::ZeroDuration()) return value;
  if (*value < span.min || *value > span.max) {
    Error(at, absl::StrCat(text, " is not between ", absl::FormatDuration(span.min), " and ",
                           absl::FormatDuration(span.max)));
    return std::nullopt;
  }
  return value;
}

void Checker::Label(const base::Path& at, absl::string_view text) {
  if (IsDnsLabel(text)) return;
  Error(at, absl::StrCat("\"", text,
                         "\" is not a DNS label: 1 to 63 lower-case letters, digits and '-'"));
}

void Checker::HeaderName(const base::Path& at, absl::string_view text) {
  constexpr absl::string_view kToken =
      "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  if (text.empty() || text.size() > 256 ||
      text.find_first_not_of(kToken) != absl::string_view::npos) {
    Error(at, absl::StrCat("\"", text, "\" is not a header name"));
  }
}

void Checker::HeaderValue(const base::Path& at, absl::string_view text) {
  if (text.size() > 4096) Error(at, "longer than 4096 bytes");
  for (const char c : text) {
    if (c == '\t' || static_cast<unsigned char>(c) >= 0x20) {
      if (c != 0x7f) continue;
    }
    Error(at, "holds a control character");
    return;
  }
}

void Checker::Regex(const base::Path& at, absl::string_view text) {
  if (text.size() > 1024) return Error(at, "longer than 1024 bytes");
  const RE2 regex(re2::StringPiece(text.data(), text.size()), RE2::Quiet);
  if (!regex.ok()) Error(at, absl::StrCat("not a regular expression (RE2): ", regex.error()));
}

void Checker::Pattern(const base::Path& at, absl::string_view text) {
  if (text.empty()) return Error(at, "empty");
  if (text.size() > 1024) return Error(at, "longer than 1024 bytes");
  absl::string_view inner = text;
  if (inner.front() == '*') {
    inner.remove_prefix(1);
  } else if (inner.back() == '*') {
    inner.remove_suffix(1);
  }
  if (inner.find('*') != absl::string_view::npos) {
    Error(at, absl::StrCat("\"", text, "\": '*' may stand once, at the beginning or the end"));
  }
}

}  // namespace heddle::model
