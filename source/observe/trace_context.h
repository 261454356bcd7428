// W3C trace context: what a request carries from hop to hop.
// Source: https://www.w3.org/TR/trace-context/ ; Envoy's OpenTelemetry span_context_extractor.cc.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "source/base/clock.h"

namespace heddle::observe {

struct TraceContext {
  std::array<uint8_t, 16> trace_id{};
  std::array<uint8_t, 8> span_id{};
  bool sampled = false;

  std::string TraceIdHex() const;
  std::string SpanIdHex() const;
};

// "00-<32 hex>-<16 hex>-<2 hex>"; none when malformed, all-zero or of version ff. Later versions
// are read as 00.
std::optional<TraceContext> ParseTraceparent(absl::string_view text);
std::string FormatTraceparent(const TraceContext& context);

// Fresh ids, never zero.
void NewTraceId(base::Random& random, TraceContext* context);
void NewSpanId(base::Random& random, TraceContext* context);

}  // namespace heddle::observe
