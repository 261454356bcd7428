// A finished span, as every tracer understands it: what sidecars export over OTLP and what a person
// looks at.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace heddle::trace {

struct Span {
  std::string trace_id;   // 32 lower-case hexadecimal digits
  std::string span_id;    // 16
  std::string parent_id;  // 16, or empty: the root
  std::string service;    // of the resource
  std::string name;
  std::string kind;      // "server", "client", "internal", "producer", "consumer" or ""
  int64_t start_ns = 0;  // since the Unix epoch
  int64_t duration_ns = 0;
  bool error = false;
  std::vector<std::pair<std::string, std::string>> attributes;

  // Empty when there is none.
  absl::string_view Attribute(absl::string_view name) const;
  // Approximate memory, for bounds.
  size_t Bytes() const;
};

// Bytes of an ExportTraceServiceRequest. Spans without usable ids are left out; long strings are
// cut (attributes at 1 KiB, 64 of them per span).
absl::StatusOr<std::vector<Span>> DecodeOtlp(absl::string_view request);

// Accepts upper case; empty when it is not 32 hexadecimal digits.
std::string NormalTraceId(absl::string_view text);

}  // namespace heddle::trace
