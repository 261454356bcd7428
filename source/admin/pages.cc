#include "source/admin/pages.h"

#include <algorithm>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/dynamic_message.h"
#include "source/base/log.h"
#include "source/observe/format.h"
#include "source/observe/prometheus.h"
#include "source/upstream/spec.h"
#include "source/yaml/yaml.h"

namespace heddle::admin {
namespace {

constexpr char kJson[] = "application/json";

Reply Json(std::string body) {
  return {.status = 200, .content_type = kJson, .body = std::move(body)};
}
Reply Text(std::string body) { return {.status = 200, .body = std::move(body)}; }
Reply Wrong(std::string body) { return {.status = 400, .body = std::move(body)}; }

std::string Quoted(absl::string_view text) {
  std::string out;
  observe::AppendJsonString(text, &out);
  return out;
}

bool Has(const Request& request, absl::string_view key) {
  return request.query.contains(std::string(key));
}

std::string Query(const Request& request, absl::string_view key) {
  const auto it = request.query.find(std::string(key));
  return it == request.query.end() ? "" : it->second;
}

// --- process -------------------------------------------------------------------------------------

Reply Ready(View& view, const Request&) {
  const std::string state = view.Info().state;
  return {.status = state == "LIVE" ? 200 : 503, .body = absl::StrCat(state, "\n")};
}

Reply Info(View& view, const Request&) {
  const ServerInfo info = view.Info();
  return Json(absl::StrCat("{\"version\":", Quoted(info.version), ",\"state\":", Quoted(info.state),
                           ",\"uptime_current_epoch\":\"", absl::ToInt64Seconds(info.uptime), "s\"",
                           ",\"concurrency\":", info.concurrency, ",\"node\":{\"id\":",
                           Quoted(info.node_id), ",\"cluster\":", Quoted(info.node_cluster),
                           "},\"command_line\":", Quoted(absl::StrJoin(info.command_line, " ")),
                           ",\"control_plane\":", view.ControlPlane(), "}\n"));
}

Reply Logging(View&, const Request& request) {
  for (const auto& [key, value] : request.query) {
    base::LogLevel level;
    if (!base::ParseLogLevel(value, &level)) {
      return Wrong(absl::StrCat(key, ": found \"", value,
                                "\", allowed trace, debug, info, warning, error, off\n"));
    }
    if (key == "level") {
      base::SetLogLevel(level);
    } else {
      base::SetLogLevel(key, level);
    }
  }
  std::string out = absl::StrCat("level: ", base::LogLevelName(base::GetLogLevel()), "\n");
  for (const auto& [component, level] : base::ComponentLogLevels()) {
    absl::StrAppend(&out, "  ", component, ": ", base::LogLevelName(level), "\n");
  }
  return Text(out);
}

Reply Quit(View& view, const Request&) {
  view.Quit();
  return Text("OK\n");
}

Reply DrainListeners(View& view, const Request& request) {
  view.DrainListeners(Has(request, "inboundonly"), Has(request, "graceful"));
  return Text("OK\n");
}

Reply FailHealth(View& view, const Request&) {
  view.SetHealthy(false);
  return Text("OK\n");
}

Reply OkHealth(View& view, const Request&) {
  view.SetHealthy(true);
  return Text("OK\n");
}

Reply ReopenLogs(View& view, const Request&) {
  view.ReopenLogs();
  return Text("OK\n");
}

// --- statistics ----------------------------------------------------------------------------------

observe::StatsOptions OptionsOf(const Request& request) {
  return {.used_only = Has(request, "usedonly"), .contains = Query(request, "filter")};
}

Reply Prometheus(View& view, const Request& request) {
  return {.status = 200,
          .content_type = "text/plain; version=0.0.4; charset=utf-8",
          .body = observe::PrometheusText(view.Stats(), OptionsOf(request))};
}

Reply Stats(View& view, const Request& request) {
  const std::string format = Query(request, "format");
  if (format == "prometheus") return Prometheus(view, request);
  if (format.empty() || format == "text")
    return Text(observe::PlainText(view.Stats(), OptionsOf(request)));
  return Wrong(absl::StrCat("format: found \"", format, "\", allowed text, prometheus\n"));
}

// --- configuration -------------------------------------------------------------------------------

absl::string_view HealthText(const upstream::Host& host) {
  if (host.state->ejected.load(std::memory_order_relaxed)) return "/failed_outlier_check";
  switch (host.health) {
    case config::Health::kHealthy:
      return "healthy";
    case config::Health::kDegraded:
      return "/degraded";
    case config::Health::kDraining:
    case config::Health::kTimeout:
    case config::Health::kUnhealthy:
      return "/failed_eds_health";
  }
  return "healthy";
}

struct HostValue {
  absl::string_view name;
  uint64_t value;
};

std::vector<HostValue> HostValues(const upstream::HostState& s) {
  return {{"cx_active", s.active_connections.load(std::memory_order_relaxed)},
          {"cx_connect_fail", s.connect_failures.load(std::memory_order_relaxed)},
          {"cx_total", s.total_connections.load(std::memory_order_relaxed)},
          {"rq_active", s.active_requests.load(std::memory_order_relaxed)},
          {"rq_error", s.total_errors.load(std::memory_order_relaxed)},
          {"rq_success", s.total_successes.load(std::memory_order_relaxed)},
          {"rq_timeout", s.total_timeouts.load(std::memory_order_relaxed)},
          {"rq_total", s.total_requests.load(std::memory_order_relaxed)}};
}

std::map<std::string, std::shared_ptr<const upstream::ClusterSpec>> SortedClusters(View& view) {
  const auto snapshot = view.Current();
  if (snapshot == nullptr) return {};
  return {snapshot->clusters.begin(), snapshot->clusters.end()};
}

void AppendClusterText(const upstream::ClusterSpec& cluster, std::string* out) {
  const std::string& name = cluster.config->name;
  const config::Limits& limits = cluster.config->limits;
  absl::StrAppend(out, name, "::default_priority::max_connections::", limits.max_connections, "\n",
                  name, "::default_priority::max_pending_requests::", limits.max_pending, "\n",
                  name, "::default_priority::max_requests::", limits.max_requests, "\n", name,
                  "::default_priority::max_retries::", limits.max_retries, "\n");
  for (const upstream::Host& host : cluster.hosts) {
    const std::string start = absl::StrCat(name, "::", host.state->address.ToString(), "::");
    for (const HostValue& value : HostValues(*host.state))
      absl::StrAppend(out, start, value.name, "::", value.value, "\n");
    const upstream::Locality& locality = cluster.localities[host.locality];
    absl::StrAppend(out, start, "health_flags::", HealthText(host), "\n", start,
                    "weight::", host.weight, "\n", start, "priority::", host.priority, "\n", start,
                    "zone::", locality.zone, "\n");
  }
}

std::string ClusterJson(const upstream::ClusterSpec& cluster) {
  std::vector<std::string> hosts;
  for (const upstream::Host& host : cluster.hosts) {
    std::vector<std::string> members = {
        absl::StrCat("\"address\":", Quoted(host.state->address.ToString())),
        absl::StrCat("\"health\":", Quoted(HealthText(host))),
        absl::StrCat("\"weight\":", host.weight), absl::StrCat("\"priority\":", host.priority)};
    for (const HostValue& value : HostValues(*host.state)) {
      members.push_back(absl::StrCat("\"", value.name, "\":", value.value));
    }
    hosts.push_back(absl::StrCat("{", absl::StrJoin(members, ","), "}"));
  }
  return absl::StrCat("{\"name\":", Quoted(cluster.config->name), ",\"host_statuses\":[",
                      absl::StrJoin(hosts, ","), "]}");
}

Reply Clusters(View& view, const Request& request) {
  const std::string filter = Query(request, "filter");
  const bool json = Query(request, "format") == "json";
  std::vector<std::string> items;
  std::string text;
  for (const auto& [name, cluster] : SortedClusters(view)) {
    if (!absl::StrContains(name, filter)) continue;
    if (json) {
      items.push_back(ClusterJson(*cluster));
    } else {
      AppendClusterText(*cluster, &text);
    }
  }
  if (!json) return Text(text);
  return Json(absl::StrCat("{\"cluster_statuses\":[", absl::StrJoin(items, ","), "]}\n"));
}

Reply Listeners(View& view, const Request& request) {
  const auto snapshot = view.Current();
  std::string text;
  std::vector<std::string> items;
  if (snapshot != nullptr) {
    for (const auto& spec : snapshot->listeners) {
      const std::string address = spec->config->address.ToString();
      absl::StrAppend(&text, spec->config->name, "::", address, "\n");
      items.push_back(absl::StrCat("{\"name\":", Quoted(spec->config->name),
                                   ",\"local_address\":", Quoted(address), "}"));
    }
  }
  if (Query(request, "format") != "json") return Text(text);
  return Json(absl::StrCat("{\"listener_statuses\":[", absl::StrJoin(items, ","), "]}\n"));
}

Reply ConfigDump(View& view, const Request& request) {
  const std::string only = Query(request, "resource");
  const std::string name_filter = Query(request, "name");
  std::map<std::string, std::vector<std::string>> kinds;
  for (const Dumped& item : view.Resources()) {
    if (!only.empty() && item.kind != only) continue;
    if (!absl::StrContains(item.name, name_filter)) continue;
    std::string json = absl::StrCat("{\"name\":", Quoted(item.name));
    if (!item.version.empty()) absl::StrAppend(&json, ",\"version_info\":", Quoted(item.version));
    if (!item.error.empty())
      absl::StrAppend(&json, ",\"error_state\":{\"details\":", Quoted(item.error), "}");
    if (!item.bytes.empty())
      absl::StrAppend(&json, ",\"resource\":", RedactedJson(item.type_url, item.bytes));
    kinds[item.kind].push_back(absl::StrCat(json, "}"));
  }
  std::vector<std::string> parts;
  parts.reserve(kinds.size());
  for (const auto& [kind, items] : kinds) {
    parts.push_back(absl::StrCat(Quoted(kind), ":[", absl::StrJoin(items, ",\n"), "]"));
  }
  return Json(absl::StrCat("{", absl::StrJoin(parts, ",\n"), "}\n"));
}

std::string CertificateJson(const tls::CertificateInfo& info) {
  std::vector<std::string> sans;
  sans.reserve(info.uri_sans.size() + info.dns_sans.size());
  for (const std::string& uri : info.uri_sans)
    sans.push_back(absl::StrCat("{\"uri\":", Quoted(uri), "}"));
  for (const std::string& dns : info.dns_sans)
    sans.push_back(absl::StrCat("{\"dns\":", Quoted(dns), "}"));
  const auto time = [](absl::Time t) {
    return Quoted(absl::FormatTime(absl::RFC3339_sec, t, absl::UTCTimeZone()));
  };
  const int64_t days = absl::ToInt64Hours(info.not_after - absl::Now()) / 24;
  return absl::StrCat("{\"serial_number\":", Quoted(info.serial), ",\"subject_alt_names\":[",
                      absl::StrJoin(sans, ","), "],\"valid_from\":", time(info.not_before),
                      ",\"expiration_time\":", time(info.not_after),
                      ",\"days_until_expiration\":\"", std::max<int64_t>(days, 0), "\"}");
}

Reply Certs(View& view, const Request&) {
  std::vector<std::string> items;
  for (const CertificateView& certificate : view.Certificates()) {
    std::vector<std::string> chain, roots;
    for (const auto& info : certificate.chain) chain.push_back(CertificateJson(info));
    for (const auto& info : certificate.roots) roots.push_back(CertificateJson(info));
    items.push_back(absl::StrCat("{\"name\":", Quoted(certificate.name), ",\"ca_cert\":[",
                                 absl::StrJoin(roots, ","), "],\"cert_chain\":[",
                                 absl::StrJoin(chain, ","), "]}"));
  }
  return Json(absl::StrCat("{\"certificates\":[", absl::StrJoin(items, ",\n"), "]}\n"));
}

Reply Help(View& view, const Request& request);

struct Page {
  absl::string_view method, path;
  Reply (*answer)(View&, const Request&);
  absl::string_view help;
};

constexpr Page kPages[] = {
    {"GET", "/", Help, "this list"},
    {"GET", "/certs", Certs, "certificates in use, with their expiry"},
    {"GET", "/clusters", Clusters, "every endpoint and its counters (?format=json, ?filter=)"},
    {"GET", "/config_dump", ConfigDump,
     "configuration in use and what was refused (?resource=, ?name=); secrets redacted"},
    {"POST", "/drain_listeners", DrainListeners,
     "stop accepting and finish (?inboundonly, ?graceful)"},
    {"POST", "/healthcheck/fail", FailHealth, "fail /ready"},
    {"POST", "/healthcheck/ok", OkHealth, "undo it"},
    {"GET", "/help", Help, "this list"},
    {"GET", "/listeners", Listeners, "listeners and their addresses (?format=json)"},
    {"POST", "/logging", Logging, "show or change log levels (?level=debug, ?xds=trace)"},
    {"POST", "/quitquitquit", Quit, "drain and exit"},
    {"GET", "/ready", Ready, "200 LIVE when serving, else 503 and why"},
    {"POST", "/reopen_logs", ReopenLogs, "reopen access logs after rotation"},
    {"GET", "/server_info", Info, "version, state, node, control plane"},
    {"GET", "/stats", Stats, "statistics (?usedonly, ?filter=, ?format=prometheus)"},
    {"GET", "/stats/prometheus", Prometheus, "statistics for Prometheus"},
};

Reply Help(View&, const Request&) {
  std::string out = "heddle-proxy admin. GET pages show, POST pages change.\n\n";
  for (const Page& page : kPages) {
    absl::StrAppend(&out, "  ", page.method, std::string(page.method.size() < 4 ? 2 : 1, ' '),
                    page.path, std::string(page.path.size() < 20 ? 20 - page.path.size() : 1, ' '),
                    page.help, "\n");
  }
  return Text(out);
}

}  // namespace

std::string RedactedJson(const std::string& type_url, const std::string& bytes) {
  const std::string name = type_url.substr(type_url.rfind('/') + 1);
  const google::protobuf::Descriptor* type =
      google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(name);
  if (type == nullptr) return "null";
  std::unique_ptr<google::protobuf::Message> message(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
  if (!message->ParseFromString(bytes)) return "null";
  return yaml::ToJson(*message, {.pretty = false, .redact = true, .camel_case = false});
}

Reply Answer(View& view, const Request& request) {
  bool known = false;
  for (const Page& page : kPages) {
    if (page.path != request.path) continue;
    known = true;
    const bool reading =
        page.method == "GET" && (request.method == "GET" || request.method == "HEAD");
    if (reading || page.method == request.method) return page.answer(view, request);
  }
  if (known) {
    return {.status = 405,
            .body = absl::StrCat(
                request.path, " changes something or only shows: see GET /help for its method\n")};
  }
  return {.status = 404,
          .body = absl::StrCat("no page ", request.path, "; GET /help lists them\n")};
}

}  // namespace heddle::admin
