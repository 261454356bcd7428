#include "control_plane/heddlectl/trace_spans.h"

#include <map>

#include "absl/strings/numbers.h"
#include "absl/time/time.h"

namespace heddle::heddlectl {
namespace {

int64_t Integer(const Json& value) {
  int64_t out = 0;
  const std::string text = value.Text();
  return absl::SimpleAtoi(text, &out) ? out : static_cast<int64_t>(value.Number());
}

// Jaeger leaves zeros out in front.
std::string Padded(const std::string& id, size_t width) {
  return id.empty() || id.size() >= width ? id : std::string(width - id.size(), '0') + id;
}

trace::Span FromJaeger(const Json& in, const std::map<std::string, std::string>& services) {
  trace::Span out;
  out.trace_id = Padded(in["traceID"].Text(), 32);
  out.span_id = Padded(in["spanID"].Text(), 16);
  for (const Json& reference : in["references"].Items())
    if (reference["refType"].Text() == "CHILD_OF")
      out.parent_id = Padded(reference["spanID"].Text(), 16);
  const auto service = services.find(in["processID"].Text());
  out.service = service == services.end() ? "unknown" : service->second;
  out.name = in["operationName"].Text();
  out.start_ns = static_cast<int64_t>(in["startTime"].Number()) * 1000;
  out.duration_ns = static_cast<int64_t>(in["duration"].Number()) * 1000;
  for (const Json& tag : in["tags"].Items()) {
    const std::string key = tag["key"].Text(), value = tag["value"].Text();
    if (key == "error") out.error = out.error || value == "true";
    if (key == "span.kind") out.kind = value;
    out.attributes.emplace_back(key, value);
  }
  return out;
}

}  // namespace

std::vector<trace::Span> SpansOfControl(const Json& page) {
  std::vector<trace::Span> out;
  for (const Json& in : page["spans"].Items()) {
    trace::Span span;
    span.trace_id = page["trace_id"].Text();
    span.span_id = in["span_id"].Text();
    span.parent_id = in["parent_id"].Text();
    span.service = in["service"].Text();
    span.name = in["name"].Text();
    span.kind = in["kind"].Text();
    span.start_ns = Integer(in["start_ns"]);
    span.duration_ns = Integer(in["duration_ns"]);
    span.error = in["error"].True();
    for (const auto& [key, value] : in["attributes"].Fields())
      span.attributes.emplace_back(key, value.Text());
    out.push_back(std::move(span));
  }
  return out;
}

std::vector<trace::Summary> SummariesOfControl(const Json& page) {
  std::vector<trace::Summary> out;
  for (const Json& in : page["traces"].Items()) {
    trace::Summary one;
    one.trace_id = in["trace_id"].Text();
    one.service = in["service"].Text();
    one.name = in["name"].Text();
    absl::Time start;
    if (absl::ParseTime(absl::RFC3339_full, in["start"].Text(), &start, nullptr))
      one.start_ns = absl::ToUnixNanos(start);
    one.duration_ns = Integer(in["duration_ns"]);
    one.spans = static_cast<size_t>(in["spans"].Number());
    one.error = in["error"].True();
    out.push_back(std::move(one));
  }
  return out;
}

std::vector<std::vector<trace::Span>> TracesOfJaeger(const Json& page) {
  std::vector<std::vector<trace::Span>> out;
  for (const Json& in : page["data"].Items()) {
    std::map<std::string, std::string> services;
    for (const auto& [id, process] : in["processes"].Fields())
      services[id] = process["serviceName"].Text();
    std::vector<trace::Span> spans;
    for (const Json& span : in["spans"].Items()) spans.push_back(FromJaeger(span, services));
    if (!spans.empty()) out.push_back(std::move(spans));
  }
  return out;
}

}  // namespace heddle::heddlectl
