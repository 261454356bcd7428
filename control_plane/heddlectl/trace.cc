// heddlectl trace.
#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "control_plane/heddlectl/commands.h"
#include "control_plane/heddlectl/http_client.h"
#include "control_plane/heddlectl/json_value.h"
#include "control_plane/heddlectl/table.h"
#include "control_plane/heddlectl/trace_spans.h"
#include "control_plane/trace/waterfall.h"

namespace heddle::heddlectl {
namespace {

using Spans = std::vector<trace::Span>;

// Where traces come from: what `trace` needs of it.
class Source {
 public:
  explicit Source(const Args& args) : args_(args), jaeger_(args.Get("jaeger")) {}

  absl::StatusOr<Spans> Find(const std::string& id) {
    if (jaeger_.empty()) {
      const absl::StatusOr<Json> page = Page(absl::StrCat("/traces?trace_id=", id));
      if (!page.ok()) return page.status();
      return SpansOfControl(*page);
    }
    const absl::StatusOr<Json> page = Page(absl::StrCat("/api/traces/", id));
    if (!page.ok()) return page.status();
    std::vector<Spans> traces = TracesOfJaeger(*page);
    if (traces.empty()) return absl::NotFoundError(absl::StrCat("Jaeger has no trace ", id));
    return std::move(traces.front());
  }

  // Newest first.
  absl::StatusOr<std::vector<trace::Summary>> Latest(size_t limit) {
    const std::string service = args_.Get("service");
    if (jaeger_.empty()) {
      const absl::StatusOr<Json> page = Page(absl::StrCat(
          "/traces?limit=", limit, service.empty() ? "" : "&service=", EncodeQuery(service)));
      if (!page.ok()) return page.status();
      return SummariesOfControl(*page);
    }
    return LatestOfJaeger(limit, service);
  }

  const std::string& raw() const { return raw_; }

 private:
  absl::StatusOr<Json> Page(const std::string& path) {
    absl::StatusOr<std::string> page;
    if (jaeger_.empty()) {
      page = ControlPage(args_, path);
    } else {
      const absl::StatusOr<Fetched> fetched = Fetch(jaeger_, path);
      if (!fetched.ok())
        page = absl::UnavailableError(absl::StrCat(
            fetched.status().message(), "; is that Jaeger's query address (port 16686)?"));
      else if (fetched->code == 404)
        page = absl::NotFoundError("Jaeger has no such trace: not received yet, or not sampled");
      else if (fetched->code != 200)
        page = absl::UnavailableError(
            absl::StrCat("Jaeger answers ", fetched->code, ": ", fetched->body.substr(0, 300)));
      else
        page = fetched->body;
    }
    if (!page.ok()) return page.status();
    raw_ = *page;
    return Json::Parse(*page);
  }

  // Jaeger lists by service only.
  absl::StatusOr<std::vector<trace::Summary>> LatestOfJaeger(size_t limit,
                                                             const std::string& service) {
    std::vector<std::string> services = {service};
    if (service.empty()) {
      const absl::StatusOr<Json> page = Page("/api/services");
      if (!page.ok()) return page.status();
      services.clear();
      for (const Json& one : (*page)["data"].Items()) services.push_back(one.Text());
    }
    std::vector<trace::Summary> out;
    for (const std::string& one : services) {
      const absl::StatusOr<Json> page =
          Page(absl::StrCat("/api/traces?limit=", limit, "&service=", EncodeQuery(one)));
      if (!page.ok()) return page.status();
      for (const Spans& spans : TracesOfJaeger(*page)) out.push_back(trace::Summarise(spans));
    }
    std::sort(out.begin(), out.end(), [](const trace::Summary& a, const trace::Summary& b) {
      return a.start_ns != b.start_ns ? a.start_ns > b.start_ns : a.trace_id < b.trace_id;
    });
    out.erase(std::unique(out.begin(), out.end(),
                          [](const trace::Summary& a, const trace::Summary& b) {
                            return a.trace_id == b.trace_id;
                          }),
              out.end());
    if (out.size() > limit) out.resize(limit);
    return out;
  }

  const Args& args_;
  const std::string jaeger_;
  std::string raw_;
};

void List(const std::vector<trace::Summary>& traces, std::ostream& out) {
  std::vector<std::vector<std::string>> rows = {
      {"TRACE", "STARTED", "DURATION", "SPANS", "SERVICE", "OPERATION", ""}};
  for (const trace::Summary& one : traces)
    rows.push_back(
        {one.trace_id,
         absl::FormatTime("%H:%M:%E3SZ", absl::FromUnixNanos(one.start_ns), absl::UTCTimeZone()),
         trace::Milliseconds(one.duration_ns), absl::StrCat(one.spans), one.service, one.name,
         one.error ? "error" : ""});
  out << Columns(rows);
}

}  // namespace

int ShowTrace(const Args& args, Terminal& terminal) {
  size_t limit = 0, width = 0;
  if (!absl::SimpleAtoi(args.Get("limit"), &limit) || limit < 1 || limit > 1000)
    return Misused(terminal, "--limit: want a number from 1 to 1000");
  if (!absl::SimpleAtoi(args.Get("width"), &width) || width < 10 || width > 400)
    return Misused(terminal, "--width: want a number from 10 to 400");
  if (args.rest().size() > 1) return Misused(terminal, "trace takes one trace id");
  Source source(args);
  std::string id;
  if (!args.rest().empty()) {
    // A whole traceparent header is as good.
    id = args.rest()[0];
    if (id.size() == 55 && id[2] == '-') id = id.substr(3, 32);
    id = trace::NormalTraceId(id);
    if (id.empty())
      return Misused(
          terminal, absl::StrCat("\"", args.rest()[0], "\": a trace id has 32 hexadecimal digits"));
  } else {
    const auto latest = source.Latest(args.Has("last") ? 1 : limit);
    if (!latest.ok()) return Fail(terminal, latest.status());
    if (latest->empty())
      return Fail(
          terminal,
          absl::NotFoundError(
              "no traces yet: is MeshConfig.spec.tracing set, and was there a request since?"));
    if (!args.Has("last")) {
      if (args.Has("json"))
        terminal.out << source.raw() << "\n";
      else
        List(*latest, terminal.out);
      return 0;
    }
    id = latest->front().trace_id;
  }
  const absl::StatusOr<Spans> spans = source.Find(id);
  if (!spans.ok()) return Fail(terminal, spans.status());
  if (args.Has("json"))
    terminal.out << source.raw() << "\n";
  else
    terminal.out << trace::Waterfall(
        *spans, {.bar_width = width, .colour = terminal.colour, .ascii = !terminal.utf8});
  return 0;
}

}  // namespace heddle::heddlectl
