// heddlectl trace.
#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "control_plane/heddlectl/commands.h"
#include "control_plane/heddlectl/control_pages.h"
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
  static absl::StatusOr<Source> Open(const Args& args) {
    Source out(args);
    if (!out.jaeger_.empty()) return out;
    absl::StatusOr<ControlPages> control = ControlPages::Open(args);
    if (!control.ok()) return control.status();
    out.control_ = *std::move(control);
    return out;
  }

  absl::StatusOr<Spans> Find(const std::string& id) {
    if (jaeger_.empty()) return FindAtControl(absl::StrCat("/traces?trace_id=", id));
    const absl::StatusOr<Json> page = Page(absl::StrCat("/api/traces/", id));
    if (!page.ok()) return page.status();
    std::vector<Spans> traces = TracesOfJaeger(*page);
    if (traces.empty()) return absl::NotFoundError(absl::StrCat("Jaeger has no trace ", id));
    return std::move(traces.front());
  }

  // Newest first.
  absl::StatusOr<std::vector<trace::Summary>> Latest(size_t limit) {
    const std::string service = args_.Get("service");
    if (!jaeger_.empty()) return LatestOfJaeger(limit, service);
    const auto pages = control_->GetAll(absl::StrCat(
        "/traces?limit=", limit, service.empty() ? "" : "&service=", EncodeQuery(service)));
    if (!pages.ok()) return pages.status();
    std::vector<trace::Summary> out;
    for (const std::string& page : *pages) {
      raw_ = page;
      const absl::StatusOr<Json> parsed = Json::Parse(page);
      if (!parsed.ok()) return parsed.status();
      for (trace::Summary& one : SummariesOfControl(*parsed)) out.push_back(std::move(one));
    }
    return Newest(std::move(out), limit);
  }

  const std::string& raw() const { return raw_; }

 private:
  explicit Source(const Args& args) : args_(args), jaeger_(args.Get("jaeger")) {}

  // Replicas hold the spans of those sidecars that are connected to them: one trace may be in
  // parts.
  absl::StatusOr<Spans> FindAtControl(const std::string& path) {
    Spans out;
    absl::Status last;
    for (size_t i = 0; i < control_->size(); ++i) {
      const absl::StatusOr<std::string> page = control_->Get(i, path);
      if (!page.ok()) {
        last = page.status();
        continue;
      }
      raw_ = *page;
      const absl::StatusOr<Json> parsed = Json::Parse(*page);
      if (!parsed.ok()) return parsed.status();
      for (trace::Span& span : SpansOfControl(*parsed)) out.push_back(std::move(span));
    }
    if (out.empty() && !last.ok()) return last;
    return out;
  }

  absl::StatusOr<Json> Page(const std::string& path) {
    const absl::StatusOr<Fetched> fetched = Fetch(jaeger_, path);
    if (!fetched.ok())
      return absl::UnavailableError(absl::StrCat(fetched.status().message(),
                                                 "; is that Jaeger's query address (port 16686)?"));
    if (fetched->code == 404)
      return absl::NotFoundError("Jaeger has no such trace: not received yet, or not sampled");
    if (fetched->code != 200)
      return absl::UnavailableError(
          absl::StrCat("Jaeger answers ", fetched->code, ": ", fetched->body.substr(0, 300)));
    raw_ = fetched->body;
    return Json::Parse(fetched->body);
  }

  // Each trace once.
  static std::vector<trace::Summary> Newest(std::vector<trace::Summary> traces, size_t limit) {
    std::sort(traces.begin(), traces.end(), [](const trace::Summary& a, const trace::Summary& b) {
      return a.start_ns != b.start_ns ? a.start_ns > b.start_ns : a.trace_id < b.trace_id;
    });
    std::set<std::string> seen;
    std::vector<trace::Summary> out;
    for (trace::Summary& one : traces)
      if (out.size() < limit && seen.insert(one.trace_id).second) out.push_back(std::move(one));
    return out;
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
    return Newest(std::move(out), limit);
  }

  const Args& args_;
  const std::string jaeger_;
  std::optional<ControlPages> control_;  // without Jaeger
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

// A whole traceparent header is as good.
std::string TraceId(const std::string& word) {
  return trace::NormalTraceId(word.size() == 55 && word[2] == '-' ? word.substr(3, 32) : word);
}

int ShowOne(Source& source, const std::string& id, const Args& args, size_t width,
            Terminal& terminal) {
  const absl::StatusOr<Spans> spans = source.Find(id);
  if (!spans.ok()) return Fail(terminal, spans.status());
  if (args.Has("json"))
    terminal.out << source.raw() << "\n";
  else
    terminal.out << trace::Waterfall(
        *spans, {.bar_width = width, .colour = terminal.colour, .ascii = !terminal.utf8});
  return 0;
}

// The list, or with --last its first.
int ShowLatest(Source& source, const Args& args, size_t limit, size_t width, Terminal& terminal) {
  const bool last = args.Has("last");
  const auto latest = source.Latest(last ? 1 : limit);
  if (!latest.ok()) return Fail(terminal, latest.status());
  if (latest->empty())
    return Fail(
        terminal,
        absl::NotFoundError(
            "no traces yet: is MeshConfig.spec.tracing set, and was there a request since?"));
  if (last) return ShowOne(source, latest->front().trace_id, args, width, terminal);
  if (args.Has("json"))
    terminal.out << source.raw() << "\n";
  else
    List(*latest, terminal.out);
  return 0;
}

}  // namespace

int ShowTrace(const Args& args, Terminal& terminal) {
  size_t limit = 0, width = 0;
  if (!absl::SimpleAtoi(args.Get("limit"), &limit) || limit < 1 || limit > 1000)
    return Misused(terminal, "--limit: want a number from 1 to 1000");
  if (!absl::SimpleAtoi(args.Get("width"), &width) || width < 10 || width > 400)
    return Misused(terminal, "--width: want a number from 10 to 400");
  if (args.rest().size() > 1) return Misused(terminal, "trace takes one trace id");
  const std::string id = args.rest().empty() ? "" : TraceId(args.rest()[0]);
  if (!args.rest().empty() && id.empty())
    return Misused(terminal,
                   absl::StrCat("\"", args.rest()[0], "\": a trace id has 32 hexadecimal digits"));
  absl::StatusOr<Source> source = Source::Open(args);
  if (!source.ok()) return Fail(terminal, source.status());
  if (id.empty()) return ShowLatest(*source, args, limit, width, terminal);
  return ShowOne(*source, id, args, width, terminal);
}

}  // namespace heddle::heddlectl
