#include "control_plane/status/pages.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "control_plane/serve/request.h"
#include "control_plane/status/json.h"

namespace heddle::status {
namespace {

using serve::SessionReport;
using serve::TypeReport;

void WriteType(const TypeReport& type, JsonWriter* out) {
  out->BeginObject()
      .Key("type")
      .String(serve::ShortName(type.type_url))
      .Key("type_url")
      .String(type.type_url)
      .Key("wildcard")
      .Bool(type.wildcard)
      .Key("names")
      .Number(static_cast<int64_t>(type.names))
      .Key("resources")
      .Number(static_cast<int64_t>(type.resources))
      .Key("sent_version")
      .String(type.sent_version)
      .Key("sent_at")
      .Time(type.sent_at)
      .Key("acked_version")
      .String(type.acked_version)
      .Key("acked_at")
      .Time(type.acked_at)
      .Key("waiting")
      .Bool(type.waiting)
      .Key("rejecting")
      .Bool(type.rejecting);
  if (!type.rejected_version.empty())
    out->Key("rejected_version")
        .String(type.rejected_version)
        .Key("rejected_at")
        .Time(type.rejected_at)
        .Key("rejected_why")
        .String(type.rejected_why);
  out->EndObject();
}

void WriteSession(const SessionReport& session, JsonWriter* out) {
  out->Key("identity")
      .String(session.peer.id.Uri())
      .Key("authenticated_by")
      .String(session.peer.proof == serve::Peer::Proof::kCertificate ? "certificate" : "token")
      .Key("credential_expires")
      .Time(session.peer.expires)
      .Key("address")
      .String(session.peer.address)
      .Key("agent")
      .String(absl::StrCat(session.agent, session.agent_version.empty() ? "" : "/",
                           session.agent_version))
      .Key("variant")
      .String(session.delta ? "delta" : "sotw")
      .Key("intercept")
      .Bool(session.intercept)
      .Key("connected_at")
      .Time(session.connected_at)
      .Key("generation")
      .Number(static_cast<int64_t>(session.generation))
      .Key("settled_generation")
      .Number(static_cast<int64_t>(session.settled_generation))
      .Key("settled_at")
      .Time(session.settled_at)
      .Key("settle_ms")
      .Number(absl::ToDoubleMilliseconds(session.settle_time))
      .Key("responses")
      .Number(static_cast<int64_t>(session.counters.responses))
      .Key("acks")
      .Number(static_cast<int64_t>(session.counters.acks))
      .Key("nacks")
      .Number(static_cast<int64_t>(session.counters.nacks))
      .Key("stale_nonces")
      .Number(static_cast<int64_t>(session.counters.stale));
  if (!session.connected)
    out->Key("disconnected_at")
        .Time(session.ended_at)
        .Key("disconnected_why")
        .String(session.ended_why);
  out->Key("types").BeginArray();
  for (const TypeReport& type : session.types) WriteType(type, out);
  out->EndArray().Key("notices").BeginArray();
  for (const std::string& notice : session.notices) out->String(notice);
  out->EndArray();
}

void WriteProblem(const model::Problem& problem, JsonWriter* out) {
  out->BeginObject()
      .Key("severity")
      .String(problem.severity == model::Severity::kError ? "error" : "warning")
      .Key("file")
      .String(problem.file)
      .Key("line")
      .Number(static_cast<int64_t>(problem.line))
      .Key("object")
      .String(problem.object)
      .Key("path")
      .String(problem.path)
      .Key("message")
      .String(problem.message)
      .Key("text")
      .String(problem.ToString())
      .EndObject();
}

std::string Escape(absl::string_view text) {
  return absl::StrReplaceAll(
      text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}, {"'", "&#39;"}});
}

std::string When(absl::Time time) {
  if (time == absl::InfinitePast() || time == absl::InfiniteFuture()) return "-";
  return absl::FormatTime("%Y-%m-%d %H:%M:%SZ", time, absl::UTCTimeZone());
}

constexpr char kStyle[] =
    "body{font:14px/1.5 "
    "system-ui,sans-serif;margin:2em;color:#222}table{border-collapse:collapse;margin:.5em 0 2em}"
    "td,th{padding:.25em .8em;border-bottom:1px solid #ddd;text-align:left;vertical-align:top}"
    "th{background:#f5f5f5}.synced{color:#070}.rejecting,.error{color:#b00}.pending,.warning{color:"
    "#a60}"
    ".disconnected,.never{color:#777}code{background:#f5f5f5;padding:0 .3em}";

// One cell per type: what is acknowledged, and what was refused and why.
std::string TypesCell(const SessionReport& session) {
  std::string out;
  for (const TypeReport& type : session.types) {
    absl::StrAppend(&out, Escape(serve::ShortName(type.type_url)), " ", type.resources, " <code>",
                    type.acked_version.empty() ? "-" : type.acked_version.substr(0, 8), "</code>");
    if (type.waiting) out += " <span class=pending>waiting</span>";
    if (type.rejecting)
      absl::StrAppend(&out, "<br><span class=rejecting>rejected at ", When(type.rejected_at), ": ",
                      Escape(type.rejected_why), "</span>");
    out += "<br>";
  }
  return out;
}

void Metric(std::string* out, absl::string_view name, absl::string_view type,
            absl::string_view help) {
  absl::StrAppend(out, "# HELP ", name, " ", help, "\n# TYPE ", name, " ", type, "\n");
}

template <typename T>
void Sample(std::string* out, absl::string_view name, absl::string_view labels, T value) {
  absl::StrAppend(out, name, labels.empty() ? "" : "{", labels, labels.empty() ? "" : "}", " ",
                  value, "\n");
}

template <typename T>
void Simple(std::string* out, absl::string_view name, absl::string_view type,
            absl::string_view help, T value) {
  Metric(out, name, type, help);
  Sample(out, name, "", value);
}

void ConfigMetrics(const Overview& overview, std::string* out) {
  size_t errors = 0;
  for (const model::Problem& problem : overview.problems)
    errors += problem.severity == model::Severity::kError;
  Simple(out, "heddle_control_config_generation", "gauge",
         "Number of the last reading of the configuration.", overview.generation);
  Metric(out, "heddle_control_config_problems", "gauge",
         "What is wrong in the configuration files now.");
  Sample(out, "heddle_control_config_problems", "severity=\"error\"", errors);
  Sample(out, "heddle_control_config_problems", "severity=\"warning\"",
         overview.problems.size() - errors);
  Metric(out, "heddle_control_objects", "gauge", "Objects of the configuration that is served.");
  if (overview.world != nullptr) {
    Sample(out, "heddle_control_objects", "kind=\"Service\"", overview.world->services.size());
    Sample(out, "heddle_control_objects", "kind=\"Workload\"", overview.world->workloads.size());
  }
  Simple(out, "heddle_control_resources_made_total", "counter",
         "xDS resources translated and encoded.", overview.translation.made);
  Simple(out, "heddle_control_resources_reused_total", "counter",
         "xDS resources that were there already.", overview.translation.reused);
}

void ProxyMetrics(const Overview& overview, std::string* out) {
  std::map<std::string, size_t> states;
  for (const auto state :
       {ProxyLine::State::kSynced, ProxyLine::State::kPending, ProxyLine::State::kRejecting,
        ProxyLine::State::kDisconnected, ProxyLine::State::kNeverSeen})
    states[StateName(state)] = 0;
  for (const ProxyLine& line : ProxyLines(overview)) ++states[StateName(line.state)];
  Metric(out, "heddle_control_proxies", "gauge", "Sidecars by state.");
  for (const auto& [state, count] : states)
    Sample(out, "heddle_control_proxies", absl::StrCat("state=\"", state, "\""), count);
  const serve::HubCounters& counters = *overview.counters;
  Metric(out, "heddle_control_pushes_total", "counter", "Discovery responses sent, by type.");
  for (size_t i = 0; i < counters.pushes.size(); ++i)
    Sample(out, "heddle_control_pushes_total",
           absl::StrCat("type=\"",
                        i < serve::kServedTypes
                            ? serve::ShortName(serve::TypeUrl(static_cast<serve::Type>(i)))
                            : "other",
                        "\""),
           counters.pushes[i].load());
  Simple(out, "heddle_control_requests_total", "counter", "Discovery requests received.",
         counters.requests.load());
  Simple(out, "heddle_control_rejections_total", "counter",
         "Discovery responses that a proxy rejected.", counters.rejections.load());
  Simple(out, "heddle_control_streams_opened_total", "counter", "ADS streams.",
         counters.streams_opened.load());
  Simple(out, "heddle_control_streams_refused_total", "counter", "ADS streams beyond the limits.",
         counters.streams_refused.load());
  const char* const name = "heddle_control_convergence_seconds";
  Metric(out, name, "histogram",
         "From a change of the configuration to a proxy's answer to all of it.");
  uint64_t total = 0;
  for (size_t i = 0; i < counters.settle_buckets.size(); ++i) {
    total += counters.settle_buckets[i];
    const std::string bound = i < serve::HubCounters::kBuckets.size()
                                  ? absl::StrCat(serve::HubCounters::kBuckets[i])
                                  : "+Inf";
    Sample(out, absl::StrCat(name, "_bucket"), absl::StrCat("le=\"", bound, "\""), total);
  }
  Sample(out, absl::StrCat(name, "_sum"), "", static_cast<double>(counters.settle_micros) / 1e6);
  Sample(out, absl::StrCat(name, "_count"), "", total);
}

void IdentityMetrics(const Overview& overview, std::string* out) {
  Simple(out, "heddle_control_certificates_issued_total", "counter",
         "Workload certificates signed.", overview.counters->certificates.load());
  Simple(out, "heddle_control_certificates_refused_total", "counter", "Signing requests refused.",
         overview.counters->certificates_refused.load());
  Metric(out, "heddle_control_certificate_expiry_seconds", "gauge",
         "When a certificate ends, Unix time.");
  Sample(out, "heddle_control_certificate_expiry_seconds", "name=\"serving\"",
         absl::ToUnixSeconds(overview.serving_not_after));
  for (const identity::RootInfo& root : overview.roots)
    Sample(out, "heddle_control_certificate_expiry_seconds",
           absl::StrCat("name=\"", root.name, root.signing ? " (signing)" : "", "\""),
           absl::ToUnixSeconds(root.not_after));
}

void WatchMetrics(const Overview& overview, std::string* out) {
  struct Row {
    const char* name;
    const char* help;
    uint64_t Overview::Watch::*value;
  };
  constexpr Row kRows[] = {
      {"lists", "Lists begun.", &Overview::Watch::lists},
      {"watches", "Watches begun.", &Overview::Watch::watches},
      {"events", "Changes and bookmarks that watches told.", &Overview::Watch::events},
      {"failures", "Lists and watches that failed.", &Overview::Watch::failures},
      {"expired", "Answers 410, after which everything was listed again.",
       &Overview::Watch::expired},
  };
  if (overview.watches.empty()) return;
  for (const Row& row : kRows) {
    const std::string name = absl::StrCat("heddle_control_kubernetes_", row.name, "_total");
    Metric(out, name, "counter", row.help);
    for (const Overview::Watch& one : overview.watches)
      Sample(out, name, absl::StrCat("resource=\"", one.resource, "\""), one.*row.value);
  }
}

void TraceMetrics(const Overview& overview, std::string* out) {
  Simple(out, "heddle_control_spans_received_total", "counter", "Spans received over OTLP.",
         overview.traces.received);
  Simple(out, "heddle_control_spans_dropped_total", "counter",
         "Spans that made room for newer ones.", overview.traces.dropped);
  Simple(out, "heddle_control_spans_held", "gauge", "Spans held in memory.", overview.traces.spans);
  if (!overview.forwarded) return;
  Metric(out, "heddle_control_span_forwards_total", "counter",
         "Export requests handed on to the collector.");
  Sample(out, "heddle_control_span_forwards_total", "result=\"ok\"", overview.forwarded->sent);
  Sample(out, "heddle_control_span_forwards_total", "result=\"failed\"",
         overview.forwarded->failed);
  Sample(out, "heddle_control_span_forwards_total", "result=\"dropped\"",
         overview.forwarded->dropped);
}

void WriteConvergence(const serve::Convergence& convergence, JsonWriter* out) {
  out->BeginObject()
      .Key("generation")
      .Number(static_cast<int64_t>(convergence.generation))
      .Key("made_at")
      .Time(convergence.made_at)
      .Key("proxies")
      .Number(static_cast<int64_t>(convergence.proxies))
      .Key("outstanding")
      .Number(static_cast<int64_t>(convergence.outstanding))
      .Key("ms")
      .Number(absl::ToDoubleMilliseconds(convergence.time))
      .EndObject();
}

}  // namespace

const char* StateName(ProxyLine::State state) {
  switch (state) {
    case ProxyLine::State::kSynced:
      return "synced";
    case ProxyLine::State::kPending:
      return "pending";
    case ProxyLine::State::kRejecting:
      return "rejecting";
    case ProxyLine::State::kDisconnected:
      return "disconnected";
    case ProxyLine::State::kNeverSeen:
      return "never seen";
  }
  return "";
}

std::vector<ProxyLine> ProxyLines(const Overview& overview) {
  std::multimap<std::string, ProxyLine> lines;
  const auto add = [&](const SessionReport& session) {
    ProxyLine line{.node_id = session.node_id, .session = &session};
    if (!session.connected)
      line.state = ProxyLine::State::kDisconnected;
    else if (session.rejecting)
      line.state = ProxyLine::State::kRejecting;
    else if (session.settled_generation == session.generation && session.settled_generation != 0)
      line.state = ProxyLine::State::kSynced;
    else
      line.state = ProxyLine::State::kPending;
    lines.emplace(session.node_id, line);
  };
  for (const SessionReport& session : overview.hub.sessions) add(session);
  for (const SessionReport& session : overview.hub.departed) add(session);
  if (overview.world != nullptr) {
    for (const auto& [key, workload] : overview.world->workloads) {
      const auto [begin, end] = lines.equal_range(key.ToString());
      for (auto line = begin; line != end; ++line) line->second.workload = &workload;
      if (begin == end && workload.sidecar)
        lines.emplace(key.ToString(), ProxyLine{.node_id = key.ToString(), .workload = &workload});
    }
  }
  std::vector<ProxyLine> out;
  for (const auto& [id, line] : lines) out.push_back(line);
  return out;
}

std::string StatusJson(const Overview& overview) {
  JsonWriter out;
  const serve::Convergence& convergence = overview.hub.convergence;
  out.BeginObject()
      .Key("version")
      .String(overview.version)
      .Key("trust_domain")
      .String(overview.trust_domain)
      .Key("now")
      .Time(overview.now)
      .Key("started")
      .Time(overview.started)
      .Key("generation")
      .Number(static_cast<int64_t>(overview.generation))
      .Key("serving_generation")
      .Number(static_cast<int64_t>(convergence.generation))
      .Key("convergence");
  WriteConvergence(convergence, &out);
  out.Key("proxies").BeginArray();
  for (const ProxyLine& line : ProxyLines(overview)) {
    out.BeginObject().Key("node").String(line.node_id).Key("state").String(StateName(line.state));
    out.Key("in_configuration").Bool(line.workload != nullptr);
    if (line.workload != nullptr)
      out.Key("workload_address")
          .String(line.workload->address)
          .Key("service_account")
          .String(line.workload->service_account);
    if (line.session != nullptr) WriteSession(*line.session, &out);
    out.EndObject();
  }
  out.EndArray().Key("problems").BeginArray();
  for (const model::Problem& problem : overview.problems) WriteProblem(problem, &out);
  out.EndArray().Key("certificates").BeginArray();
  for (const auto& [uri, issued] : overview.hub.issued)
    out.BeginObject()
        .Key("identity")
        .String(uri)
        .Key("serial")
        .String(issued.serial_hex)
        .Key("issued_at")
        .Time(issued.at)
        .Key("not_after")
        .Time(issued.not_after)
        .Key("count")
        .Number(static_cast<int64_t>(issued.count))
        .EndObject();
  out.EndArray()
      .Key("certificates_issued")
      .Number(static_cast<int64_t>(overview.counters->certificates));
  out.Key("renewal_epoch").String(overview.renewal_epoch).Key("roots").BeginArray();
  for (const identity::RootInfo& root : overview.roots)
    out.BeginObject()
        .Key("name")
        .String(root.name)
        .Key("not_after")
        .Time(root.not_after)
        .Key("signing")
        .Bool(root.signing)
        .EndObject();
  out.EndArray()
      .Key("traces")
      .BeginObject()
      .Key("received")
      .Number(static_cast<int64_t>(overview.traces.received))
      .Key("held")
      .Number(static_cast<int64_t>(overview.traces.spans))
      .Key("bytes")
      .Number(static_cast<int64_t>(overview.traces.bytes))
      .EndObject()
      .EndObject();
  return out.Take();
}

std::string StatusPage(const Overview& overview) {
  std::string out = absl::StrCat(
      "<!doctype html><meta charset=utf-8><meta http-equiv=refresh "
      "content=5><title>heddle-control</title><style>",
      kStyle, "</style><h1>heddle-control ", Escape(overview.version), "</h1>");
  const serve::Convergence& convergence = overview.hub.convergence;
  absl::StrAppend(&out, "<p>Trust domain <code>", Escape(overview.trust_domain),
                  "</code>, up since ", When(overview.started), ". Configuration generation ",
                  convergence.generation, " of ", When(convergence.made_at), ": ");
  if (convergence.outstanding == 0)
    absl::StrAppend(&out, "answered by all ", convergence.proxies, " proxies in ",
                    absl::FormatDuration(convergence.time), ".</p>");
  else
    absl::StrAppend(&out, convergence.outstanding, " of ", convergence.proxies,
                    " proxies have not answered yet.</p>");
  if (!overview.problems.empty()) {
    out += "<h2>Problems in the configuration</h2><table>";
    for (const model::Problem& problem : overview.problems)
      absl::StrAppend(
          &out, "<tr><td class=",
          problem.severity == model::Severity::kError ? "error>error" : "warning>warning", "<td>",
          Escape(problem.ToString()));
    out += "</table>";
  }
  out +=
      "<h2>Proxies</"
      "h2><table><tr><th>Workload<th>State<th>Identity<th>Since<th>Configuration<th>Acknowledged";
  for (const ProxyLine& line : ProxyLines(overview)) {
    const std::string state = StateName(line.state);
    absl::StrAppend(&out, "<tr><td>", Escape(line.node_id),
                    line.workload == nullptr ? " (not in the configuration)" : "", "<td class=\"",
                    state == "never seen" ? "never" : state, "\">", state);
    if (line.session == nullptr) {
      out += "<td><td><td><td>";
      continue;
    }
    const SessionReport& session = *line.session;
    absl::StrAppend(
        &out, "<td>", Escape(session.peer.id.Uri()), "<br>",
        session.peer.proof == serve::Peer::Proof::kCertificate ? "certificate" : "token", " until ",
        When(session.peer.expires), "<td>",
        When(session.connected ? session.connected_at : session.ended_at),
        session.connected ? "" : absl::StrCat("<br>", Escape(session.ended_why)), "<td>",
        session.settled_generation, " of ", session.generation, "<td>", TypesCell(session));
    for (const std::string& notice : session.notices)
      absl::StrAppend(&out, "<span class=warning>", Escape(notice), "</span><br>");
  }
  out += "</table><h2>Certificates</h2><table><tr><th>Identity<th>Issued<th>Serial<th>At<th>Until";
  for (const auto& [uri, issued] : overview.hub.issued)
    absl::StrAppend(&out, "<tr><td>", Escape(uri), "<td>", issued.count, "<td><code>",
                    issued.serial_hex, "</code><td>", When(issued.at), "<td>",
                    When(issued.not_after));
  out += "</table><p>Roots: ";
  for (const identity::RootInfo& root : overview.roots)
    absl::StrAppend(&out, Escape(root.name), root.signing ? " (signing)" : "", " until ",
                    When(root.not_after), "; ");
  out +=
      "</p><p><a href=/status>/status</a> (JSON) <a href=/metrics>/metrics</a> <a "
      "href=/traces>/traces</a> "
      "<a href=/ready>/ready</a> /debug/proxy?workload=NAMESPACE/NAME</p>";
  return out;
}

std::string Metrics(const Overview& overview) {
  std::string out;
  ConfigMetrics(overview, &out);
  ProxyMetrics(overview, &out);
  IdentityMetrics(overview, &out);
  WatchMetrics(overview, &out);
  TraceMetrics(overview, &out);
  Simple(&out, "heddle_control_uptime_seconds", "gauge", "Since the process began.",
         absl::ToInt64Seconds(overview.now - overview.started));
  return out;
}

bool Ready(const Overview& overview, std::string* why) {
  *why = overview.world == nullptr ? "no valid configuration yet" : "serving";
  return overview.world != nullptr;
}

std::string TraceJson(const std::vector<trace::Span>& spans) {
  JsonWriter out;
  out.BeginObject()
      .Key("trace_id")
      .String(spans.empty() ? "" : spans.front().trace_id)
      .Key("spans")
      .BeginArray();
  for (const trace::Span& span : spans) {
    out.BeginObject()
        .Key("span_id")
        .String(span.span_id)
        .Key("parent_id")
        .String(span.parent_id)
        .Key("service")
        .String(span.service)
        .Key("name")
        .String(span.name)
        .Key("kind")
        .String(span.kind)
        // As text: JSON numbers do not hold 64 bits everywhere.
        .Key("start_ns")
        .String(absl::StrCat(span.start_ns))
        .Key("duration_ns")
        .String(absl::StrCat(span.duration_ns))
        .Key("error")
        .Bool(span.error)
        .Key("attributes")
        .BeginObject();
    std::map<std::string, std::string> attributes(span.attributes.begin(), span.attributes.end());
    for (const auto& [key, value] : attributes) out.Key(key).String(value);
    out.EndObject().EndObject();
  }
  out.EndArray().EndObject();
  return out.Take();
}

std::string TracesJson(const std::vector<trace::Summary>& traces) {
  JsonWriter out;
  out.BeginObject().Key("traces").BeginArray();
  for (const trace::Summary& trace : traces)
    out.BeginObject()
        .Key("trace_id")
        .String(trace.trace_id)
        .Key("service")
        .String(trace.service)
        .Key("name")
        .String(trace.name)
        .Key("start")
        .Time(absl::FromUnixNanos(trace.start_ns))
        .Key("duration_ns")
        .String(absl::StrCat(trace.duration_ns))
        .Key("spans")
        .Number(static_cast<int64_t>(trace.spans))
        .Key("error")
        .Bool(trace.error)
        .EndObject();
  out.EndArray().EndObject();
  return out.Take();
}

}  // namespace heddle::status
