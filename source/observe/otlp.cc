// Spans as OTLP protobuf: opentelemetry-proto v1.
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"
#include "source/observe/tracer.h"

namespace heddle::observe {
namespace {

namespace pb = opentelemetry::proto;

void AddAttribute(const std::string& key, const std::string& value,
                  google::protobuf::RepeatedPtrField<pb::common::v1::KeyValue>* out) {
  pb::common::v1::KeyValue* attribute = out->Add();
  attribute->set_key(key);
  attribute->mutable_value()->set_string_value(value);
}

void FillSpan(const SpanData& in, pb::trace::v1::Span* out) {
  static constexpr std::array<uint8_t, 8> kNoParent{};
  out->set_trace_id(in.context.trace_id.data(), in.context.trace_id.size());
  out->set_span_id(in.context.span_id.data(), in.context.span_id.size());
  if (in.parent != kNoParent) out->set_parent_span_id(in.parent.data(), in.parent.size());
  out->set_name(in.name);
  out->set_kind(in.server ? pb::trace::v1::Span::SPAN_KIND_SERVER
                          : pb::trace::v1::Span::SPAN_KIND_CLIENT);
  out->set_start_time_unix_nano(static_cast<uint64_t>(in.start_nanos));
  out->set_end_time_unix_nano(static_cast<uint64_t>(in.end_nanos));
  for (const auto& [key, value] : in.attributes)
    AddAttribute(key, value, out->mutable_attributes());
  if (in.error) out->mutable_status()->set_code(pb::trace::v1::Status::STATUS_CODE_ERROR);
}

}  // namespace

std::string EncodeExport(const std::string& service_name, const std::vector<SpanData>& spans) {
  pb::collector::trace::v1::ExportTraceServiceRequest request;
  pb::trace::v1::ResourceSpans* resource = request.add_resource_spans();
  AddAttribute("service.name", service_name, resource->mutable_resource()->mutable_attributes());
  pb::trace::v1::ScopeSpans* scope = resource->add_scope_spans();
  scope->mutable_scope()->set_name("heddle");
  for (const SpanData& span : spans) FillSpan(span, scope->add_spans());
  return request.SerializeAsString();
}

}  // namespace heddle::observe
