// Traces as JSON, ours and Jaeger's, back to spans.
#pragma once

#include <vector>

#include "control_plane/heddlectl/json_value.h"
#include "control_plane/trace/span.h"
#include "control_plane/trace/store.h"

namespace heddle::heddlectl {

// heddle-control's /traces?trace_id=...
std::vector<trace::Span> SpansOfControl(const Json& page);
// heddle-control's /traces.
std::vector<trace::Summary> SummariesOfControl(const Json& page);
// Jaeger's /api/traces...: one list per trace.
std::vector<std::vector<trace::Span>> TracesOfJaeger(const Json& page);

}  // namespace heddle::heddlectl
