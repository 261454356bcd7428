#include "control_plane/trace/span.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"

namespace heddle::trace {
namespace {

namespace otlp = opentelemetry::proto;

constexpr size_t kMaxText = 1024;
constexpr int kMaxAttributes = 64;

std::string Cut(const std::string& text) {
  return text.size() <= kMaxText ? text : text.substr(0, kMaxText);
}

std::string ValueText(const otlp::common::v1::AnyValue& value) {
  using Any = otlp::common::v1::AnyValue;
  switch (value.value_case()) {
    case Any::kStringValue:
      return Cut(value.string_value());
    case Any::kBoolValue:
      return value.bool_value() ? "true" : "false";
    case Any::kIntValue:
      return absl::StrCat(value.int_value());
    case Any::kDoubleValue:
      return absl::StrCat(value.double_value());
    case Any::kBytesValue:
      return absl::StrCat("(", value.bytes_value().size(), " bytes)");
    case Any::kArrayValue:
      return absl::StrCat("(", value.array_value().values_size(), " values)");
    case Any::kKvlistValue:
      return absl::StrCat("(", value.kvlist_value().values_size(), " entries)");
    case Any::VALUE_NOT_SET:
      return "";
  }
  return "";
}

const char* KindName(otlp::trace::v1::Span::SpanKind kind) {
  constexpr const char* kNames[] = {"", "internal", "server", "client", "producer", "consumer"};
  return kind >= 0 && kind <= 5 ? kNames[kind] : "";
}

Span FromOtlp(const otlp::trace::v1::Span& in, const std::string& service) {
  Span out;
  out.trace_id = absl::BytesToHexString(in.trace_id());
  out.span_id = absl::BytesToHexString(in.span_id());
  out.parent_id = absl::BytesToHexString(in.parent_span_id());
  out.service = service;
  out.name = Cut(in.name());
  out.kind = KindName(in.kind());
  out.start_ns = static_cast<int64_t>(in.start_time_unix_nano());
  out.duration_ns = std::max<int64_t>(
      0, static_cast<int64_t>(in.end_time_unix_nano() - in.start_time_unix_nano()));
  out.error = in.status().code() == otlp::trace::v1::Status::STATUS_CODE_ERROR;
  for (int i = 0; i < std::min(in.attributes_size(), kMaxAttributes); ++i)
    out.attributes.emplace_back(in.attributes(i).key().substr(0, 128),
                                ValueText(in.attributes(i).value()));
  return out;
}

}  // namespace

absl::string_view Span::Attribute(absl::string_view wanted) const {
  for (const auto& [key, value] : attributes)
    if (key == wanted) return value;
  return {};
}

size_t Span::Bytes() const {
  size_t out = sizeof(Span) + trace_id.size() + service.size() + name.size() + 48;
  for (const auto& [key, value] : attributes) out += 64 + key.size() + value.size();
  return out;
}

absl::StatusOr<std::vector<Span>> DecodeOtlp(absl::string_view request) {
  otlp::collector::trace::v1::ExportTraceServiceRequest in;
  if (!in.ParseFromArray(request.data(), static_cast<int>(request.size())))
    return absl::InvalidArgumentError("not an ExportTraceServiceRequest");
  std::vector<Span> out;
  for (const auto& resource : in.resource_spans()) {
    std::string service = "unknown";
    for (const auto& attribute : resource.resource().attributes())
      if (attribute.key() == "service.name") service = ValueText(attribute.value());
    for (const auto& scope : resource.scope_spans())
      for (const auto& span : scope.spans())
        if (span.trace_id().size() == 16 && span.span_id().size() == 8 &&
            (span.parent_span_id().empty() || span.parent_span_id().size() == 8))
          out.push_back(FromOtlp(span, service));
  }
  return out;
}

std::string NormalTraceId(absl::string_view text) {
  std::string out = absl::AsciiStrToLower(text);
  const bool hex =
      std::all_of(out.begin(), out.end(), [](char c) { return absl::ascii_isxdigit(c); });
  return out.size() == 32 && hex ? out : "";
}

}  // namespace heddle::trace
