// Collects the problems of one object while it is read. Used by the readers of this folder.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "control_plane/model/build.h"
#include "control_plane/model/problem.h"
#include "control_plane/model/types.h"
#include "source/base/path.h"

namespace heddle::v1 {
class ObjectMeta;
}

namespace heddle::model {

class Checker {
 public:
  // Both must outlive it.
  Checker(const Object& object, std::vector<Problem>* problems)
      : object_(object), problems_(problems) {}
  // For an object whose name is known already.
  Checker(const Object& object, const Key& key, std::vector<Problem>* problems);

  void Error(const base::Path& at, std::string message);
  void Warning(const base::Path& at, std::string message);
  // About what this object refers to; `reason` as in Problem.
  void Reference(const base::Path& at, Severity severity, absl::string_view reason,
                 std::string message);
  bool failed() const { return failed_; }

  // The object's name as it is shown and looked up; sets the default namespace. Name and namespace
  // are checked.
  Key ReadKey(const v1::ObjectMeta& meta, bool label_name);
  void CheckApiVersion(absl::string_view found, const std::vector<absl::string_view>& allowed);

  // The readers below report what is wrong and then return the nearest harmless value.
  struct Range {
    int64_t min = 0;
    int64_t max = 0;
  };
  int64_t Bounded(const base::Path& at, int64_t value, Range range);
  uint16_t Port(const base::Path& at, int64_t value) {
    return static_cast<uint16_t>(Bounded(at, value, {1, 65535}));
  }
  struct Span {
    absl::Duration min;
    absl::Duration max;
    bool zero_allowed = false;  // beside [min, max]
  };
  // Nullopt: not written.
  std::optional<absl::Duration> Duration(const base::Path& at, absl::string_view text, Span span);
  void Label(const base::Path& at, absl::string_view text);  // RFC 1123 label
  // RFC 9110 token; pseudo-headers are refused.
  void HeaderName(const base::Path& at, absl::string_view text);
  void HeaderValue(const base::Path& at, absl::string_view text);  // RFC 9110 field value
  void Regex(const base::Path& at, absl::string_view text);
  void Pattern(const base::Path& at, absl::string_view text);  // x, x*, *x, *

 private:
  void Add(Severity severity, const base::Path& at, std::string message);

  const Object& object_;
  std::vector<Problem>* problems_;
  std::string name_;  // "HTTPRoute bookshop/reviews" once ReadKey was called
  bool failed_ = false;
};

// GEP-2257: one to four of <at most five digits><h|m|s|ms>.
std::optional<absl::Duration> ParseDuration(absl::string_view text);
bool IsDnsLabel(absl::string_view text);
bool IsDnsSubdomain(absl::string_view text);
// The address in its usual spelling ("::1", "127.0.1.4"); nullopt: not a numeric address.
std::optional<std::string> CanonicalIp(absl::string_view text);
// "a.b.c.d" or "a.b.c.d/n" as "a.b.c.d/n", the same for IPv6.
std::optional<std::string> CanonicalCidr(absl::string_view text);
// "host:port", "[v6]:port".
std::optional<HostPort> ParseHostPort(absl::string_view text);
// Protocol told by a port name's first part; nullopt: it tells nothing.
std::optional<Protocol> ProtocolFromPortName(absl::string_view name);

}  // namespace heddle::model
