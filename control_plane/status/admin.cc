#include "control_plane/status/admin.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "control_plane/translate/translate.h"

namespace heddle::status {
namespace {

constexpr char kJson[] = "application/json";
constexpr char kHtml[] = "text/html; charset=utf-8";
constexpr char kPrometheus[] = "text/plain; version=0.0.4; charset=utf-8";

std::string QueryValue(const HttpRequest& request, const char* name) {
  const auto found = request.query.find(name);
  return found == request.query.end() ? "" : found->second;
}

HttpReply Wrong(int code, std::string why) { return {.code = code, .body = std::move(why) + "\n"}; }

HttpReply Page(const AdminSource& source, const HttpRequest&) {
  return {.content_type = kHtml, .body = StatusPage(source.overview())};
}

HttpReply Status(const AdminSource& source, const HttpRequest&) {
  return {.content_type = kJson, .body = StatusJson(source.overview())};
}

HttpReply MetricsPage(const AdminSource& source, const HttpRequest&) {
  return {.content_type = kPrometheus, .body = Metrics(source.overview())};
}

HttpReply ReadyPage(const AdminSource& source, const HttpRequest&) {
  std::string why;
  const bool ready = Ready(source.overview(), &why);
  return {.code = ready ? 200 : 503, .body = why + "\n"};
}

HttpReply Traces(const AdminSource& source, const HttpRequest& request) {
  const std::string wanted = QueryValue(request, "trace_id");
  if (wanted.empty()) {
    size_t limit = 20;
    if (!QueryValue(request, "limit").empty() &&
        !absl::SimpleAtoi(QueryValue(request, "limit"), &limit))
      return Wrong(400, "limit: not a number");
    const auto latest =
        source.traces->Latest(std::min<size_t>(limit, 1000), QueryValue(request, "service"));
    return {.content_type = kJson, .body = TracesJson(latest)};
  }
  const std::string id = trace::NormalTraceId(wanted);
  if (id.empty()) return Wrong(400, "trace_id: want 32 hexadecimal digits");
  const std::vector<trace::Span> spans = source.traces->Find(id);
  if (spans.empty())
    return Wrong(404, absl::StrCat("no spans of trace ", id,
                                   ": not sampled, not received yet, or too long ago"));
  return {.content_type = kJson, .body = TraceJson(spans)};
}

// What a workload's proxy is given, translated afresh from the World that is served.
HttpReply Proxy(const AdminSource& source, const HttpRequest& request) {
  const std::vector<std::string> parts = absl::StrSplit(QueryValue(request, "workload"), '/');
  if (parts.size() != 2) return Wrong(400, "workload: want NAMESPACE/NAME");
  const Overview overview = source.overview();
  if (overview.world == nullptr) return Wrong(503, "no valid configuration yet");
  const auto view =
      translate::MakeProxyView(*overview.world, {.ns = parts[0], .name = parts[1]},
                               {.intercept = QueryValue(request, "intercept") == "1"});
  if (!view.ok()) return Wrong(404, std::string(view.status().message()));
  translate::Translator translator;
  return {.content_type = kJson,
          .body = SnapshotJson(*translator.Translate(*overview.world, *view))};
}

HttpReply Rotate(const AdminSource& source, const HttpRequest& request) {
  if (!request.guarded)
    return Wrong(403,
                 "send the header \"x-heddle-admin: 1\", as `heddlectl rotate` does, so that no "
                 "web page can do this");
  if (request.peer_address != "127.0.0.1" && request.peer_address != "::1")
    return Wrong(403, "only from this machine");
  const auto done = source.rotate(QueryValue(request, "root"));
  if (!done.ok()) return Wrong(400, std::string(done.status().message()));
  return {.body = *done + "\n"};
}

struct Row {
  absl::string_view method, path;
  HttpReply (*answer)(const AdminSource&, const HttpRequest&);
};

constexpr Row kPages[] = {
    {"GET", "/", &Page},          {"GET", "/status", &Status},   {"GET", "/metrics", &MetricsPage},
    {"GET", "/traces", &Traces},  {"GET", "/ready", &ReadyPage}, {"GET", "/debug/proxy", &Proxy},
    {"POST", "/rotate", &Rotate},
};

}  // namespace

HttpReply AnswerAdmin(const AdminSource& source, const HttpRequest& request) {
  bool path_known = false;
  for (const Row& row : kPages) {
    if (row.path != request.path) continue;
    path_known = true;
    if (row.method == request.method) return row.answer(source, request);
  }
  if (path_known) return Wrong(405, "not with this method");
  std::string pages = "no such page; there are:";
  for (const Row& row : kPages) absl::StrAppend(&pages, "\n  ", row.method, " ", row.path);
  return Wrong(404, pages);
}

}  // namespace heddle::status
