// WorkloadPolicy, BackendPolicy and MeshConfig.
#include <algorithm>
#include <array>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "control_plane/model/readers.h"
#include "heddle/v1/backend_policy.pb.h"
#include "heddle/v1/mesh_config.pb.h"
#include "heddle/v1/workload_policy.pb.h"
#include "re2/re2.h"

namespace heddle::model {
namespace {

using base::Path;

std::optional<MtlsMode> ReadMode(v1::Mtls::Mode mode) {
  switch (mode) {
    case v1::Mtls::PERMISSIVE:
      return MtlsMode::kPermissive;
    case v1::Mtls::STRICT:
      return MtlsMode::kStrict;
    case v1::Mtls::DISABLE:
      return MtlsMode::kDisable;
    default:
      return std::nullopt;
  }
}

// "a", "a/b", "a/*", "./*", "*/*" as "<namespace>/<name>"; empty: not one of these.
std::string ReadServicePattern(absl::string_view text) {
  const size_t slash = text.find('/');
  if (slash == absl::string_view::npos)
    return IsDnsLabel(text) ? absl::StrCat("./", text) : std::string();
  const absl::string_view ns = text.substr(0, slash);
  const absl::string_view name = text.substr(slash + 1);
  if (ns != "." && ns != "*" && !IsDnsLabel(ns)) return {};
  if (name != "*" && (ns == "*" || !IsDnsLabel(name))) return {};
  return std::string(text);
}

constexpr std::array<absl::string_view, 12> kRetryConditions = {
    "connect-failure", "refused-stream",     "reset-before-request",
    "reset",           "gateway-error",      "5xx",
    "retriable-4xx",   "cancelled",          "deadline-exceeded",
    "internal",        "resource-exhausted", "unavailable"};

void ReadRetryConditions(const google::protobuf::RepeatedPtrField<std::string>& in, const Path& at,
                         Checker& check, std::vector<std::string>* out) {
  if (in.empty()) return;
  out->clear();
  for (int i = 0; i < in.size(); ++i) {
    const std::string& one = in.Get(i);
    int code = 0;
    const bool status = absl::SimpleAtoi(one, &code) && code >= 400 && code <= 599;
    if (!status && std::find(kRetryConditions.begin(), kRetryConditions.end(), one) ==
                       kRetryConditions.end()) {
      check.Error(at.Index(static_cast<size_t>(i)),
                  absl::StrCat("unknown condition \"", one, "\"; allowed: a status 400 to 599, ",
                               absl::StrJoin(kRetryConditions, ", ")));
    }
    out->push_back(one);
  }
}

double ReadPercent(double value, const Path& at, Checker& check) {
  if (value >= 0 && value <= 100) return value;
  check.Error(at, absl::StrCat(value, " is not between 0 and 100"));
  return 0;
}

uint32_t ReadCount(const google::protobuf::Int32Value& in, const Path& at, Checker::Range range,
                   Checker& check) {
  return static_cast<uint32_t>(check.Bounded(at, in.value(), range));
}

void ReadTimeouts(const v1::BackendTimeouts& in, const Path& at, Checker& check,
                  BackendSettings* out) {
  const BackendSettings defaults;
  out->connect_timeout =
      check.Duration(at.Field("connect"), in.connect(), {absl::Milliseconds(1), absl::Hours(1)})
          .value_or(defaults.connect_timeout);
  const Checker::Span day{absl::Milliseconds(1), absl::Hours(24), true};
  out->request_timeout = check.Duration(at.Field("request"), in.request(), day);
  out->idle_timeout =
      check.Duration(at.Field("idle"), in.idle(), day).value_or(defaults.idle_timeout);
}

void ReadRetries(const v1::BackendRetries& in, const Path& at, Checker& check,
                 const BackendSettings& settings, RetrySettings* out) {
  *out = RetrySettings();
  if (in.has_attempts())
    out->attempts = ReadCount(in.attempts(), at.Field("attempts"), {0, 10}, check);
  ReadRetryConditions(in.on(), at.Field("on"), check, &out->on);
  ReadRetryConditions(in.on_idempotent(), at.Field("onIdempotent"), check, &out->on_idempotent);
  out->same_for_all_methods = in.same_for_all_methods();
  if (in.same_for_all_methods() && !in.on_idempotent().empty())
    check.Error(at.Field("onIdempotent"), "has no meaning with sameForAllMethods");
  out->per_try_timeout = check
                             .Duration(at.Field("perTryTimeout"), in.per_try_timeout(),
                                       {absl::Milliseconds(1), absl::Hours(24)})
                             .value_or(absl::ZeroDuration());
  const absl::Duration whole = settings.request_timeout.value_or(absl::ZeroDuration());
  if (whole > absl::ZeroDuration() && out->per_try_timeout >= whole)
    check.Error(at.Field("perTryTimeout"), "not less than timeouts.request");
  out->backoff =
      check.Duration(at.Field("backoff"), in.backoff(), {absl::Milliseconds(1), absl::Minutes(1)})
          .value_or(out->backoff);
  const Path budget = at.Field("budget");
  if (in.budget().has_percent())
    out->budget_percent =
        ReadPercent(in.budget().percent().value(), budget.Field("percent"), check);
  if (in.budget().has_min_concurrency())
    out->budget_min_concurrency =
        ReadCount(in.budget().min_concurrency(), budget.Field("minConcurrency"), {1, 10000}, check);
}

void ReadOutlier(const v1::OutlierDetection& in, const Path& at, Checker& check,
                 OutlierSettings* out) {
  *out = OutlierSettings();
  out->enabled = !in.disabled();
  if (in.has_consecutive_5xx())
    out->consecutive_5xx =
        ReadCount(in.consecutive_5xx(), at.Field("consecutive5xx"), {1, 10000}, check);
  if (in.has_consecutive_gateway_failures())
    out->consecutive_gateway_failures =
        ReadCount(in.consecutive_gateway_failures(), at.Field("consecutiveGatewayFailures"),
                  {0, 10000}, check);
  const Checker::Span hour{absl::Milliseconds(10), absl::Hours(1)};
  out->interval = check.Duration(at.Field("interval"), in.interval(), hour).value_or(out->interval);
  out->base_ejection_time =
      check.Duration(at.Field("baseEjectionTime"), in.base_ejection_time(), hour)
          .value_or(out->base_ejection_time);
  if (in.has_max_ejection_percent())
    out->max_ejection_percent =
        ReadCount(in.max_ejection_percent(), at.Field("maxEjectionPercent"), {0, 100}, check);
}

void ReadLimits(const v1::Limits& in, const Path& at, Checker& check, BackendSettings* out) {
  const BackendSettings defaults;
  const Checker::Range million{1, 1000000};
  const auto read = [&](bool has, const google::protobuf::Int32Value& value, absl::string_view name,
                        uint32_t otherwise) {
    return has ? ReadCount(value, at.Field(name), million, check) : otherwise;
  };
  out->max_connections =
      read(in.has_connections(), in.connections(), "connections", defaults.max_connections);
  out->max_pending_requests = read(in.has_pending_requests(), in.pending_requests(),
                                   "pendingRequests", defaults.max_pending_requests);
  out->max_requests = read(in.has_requests(), in.requests(), "requests", defaults.max_requests);
}

// BackendPolicySpec and BackendDefaults have these five parts in common.
template <typename Parts>
void ReadBackendParts(const Parts& in, const Path& at, Checker& check, BackendSettings* out) {
  if (in.has_load_balancer()) {
    switch (in.load_balancer().algorithm()) {
      case v1::LoadBalancer::ROUND_ROBIN:
        out->balancing = Balancing::kRoundRobin;
        break;
      case v1::LoadBalancer::RANDOM:
        out->balancing = Balancing::kRandom;
        break;
      default:
        out->balancing = Balancing::kLeastRequest;
        break;
    }
  }
  if (in.has_timeouts()) ReadTimeouts(in.timeouts(), at.Field("timeouts"), check, out);
  if (in.has_retries()) ReadRetries(in.retries(), at.Field("retries"), check, *out, &out->retries);
  if (in.has_outlier_detection())
    ReadOutlier(in.outlier_detection(), at.Field("outlierDetection"), check, &out->outlier);
  if (in.has_limits()) ReadLimits(in.limits(), at.Field("limits"), check, out);
}

void ReadTracing(const v1::Tracing& in, const Path& at, Checker& check, MeshConfig* out) {
  TracingSettings tracing;
  if (in.has_sampling_percent())
    tracing.sampling_percent =
        ReadPercent(in.sampling_percent().value(), at.Field("samplingPercent"), check);
  if (!in.collector().empty()) {
    tracing.collector = ParseHostPort(in.collector());
    if (!tracing.collector.has_value())
      check.Error(at.Field("collector"), absl::StrCat("\"", in.collector(), "\" is no host:port"));
  }
  if (!in.disabled()) out->tracing = std::move(tracing);
}

// That every '%' begins an operator, %NAME(arguments):length%, or stands twice. Which names there
// are is for the sidecar to say.
void CheckFormat(const std::string& text, const Path& at, Checker& check) {
  static const RE2* const kFormat =
      new RE2("(?s)([^%]|%%|%[A-Z][A-Z0-9_]*(\\([^)]*\\))?(:[0-9]+)?%)*");
  if (!RE2::FullMatch(text, *kFormat))
    check.Error(at, "a '%' is neither doubled nor part of an operator such as %REQ(:METHOD)%");
}

void ReadAccessLog(const v1::AccessLog& in, const Path& at, Checker& check, MeshConfig* out) {
  AccessLogSettings log;
  log.path = in.path();
  log.json = in.format() == v1::AccessLog::JSON;
  log.text = in.text();
  if (!log.text.empty() && log.text.back() != '\n') log.text += '\n';
  log.json_fields = {in.json().begin(), in.json().end()};
  CheckFormat(log.text, at.Field("text"), check);
  const Path fields = at.Field("json");
  for (const auto& [name, format] : log.json_fields) CheckFormat(format, fields.Key(name), check);
  if (!log.path.empty() && log.path.front() != '/')
    check.Error(at.Field("path"), "not an absolute path");
  if (log.json && !in.text().empty()) check.Error(at.Field("text"), "only with format TEXT");
  if (!log.json && !in.json().empty()) check.Error(at.Field("json"), "only with format JSON");
  if (!in.disabled()) out->access_log = std::move(log);
}

}  // namespace

void ReadMtls(const v1::Mtls& in, const Path& at, Checker& check, WorkloadSettings* out) {
  out->mtls = ReadMode(in.mode());
  const Path ports = at.Field("ports");
  for (const auto& [port, mode] : in.ports()) {
    const std::string name = absl::StrCat(port);
    const Path here = ports.Key(name);
    const uint16_t number = check.Port(here, port);
    const std::optional<MtlsMode> read = ReadMode(static_cast<v1::Mtls::Mode>(mode));
    if (!read.has_value()) {
      check.Error(here, "not one of PERMISSIVE, STRICT, DISABLE");
    } else {
      out->port_mtls[number] = *read;
    }
  }
}

void ReadEgress(const v1::Egress& in, const Path& at, Checker& check, WorkloadSettings* out) {
  std::vector<std::string> patterns;
  for (int i = 0; i < in.services_size(); ++i) {
    std::string pattern = ReadServicePattern(in.services(i));
    if (pattern.empty()) {
      check.Error(at.Field("services").Index(static_cast<size_t>(i)),
                  absl::StrCat("\"", in.services(i),
                               "\" is not name, namespace/name, namespace/*, ./* or */*"));
      continue;
    }
    patterns.push_back(std::move(pattern));
  }
  if (!in.services().empty()) out->egress = std::move(patterns);
  if (in.unlisted() == v1::Egress::ALLOW) out->allow_unlisted = true;
  if (in.unlisted() == v1::Egress::DENY) out->allow_unlisted = false;
}

WorkloadPolicyParts ReadWorkloadPolicy(const v1::WorkloadPolicy& in, Checker& check) {
  WorkloadPolicyParts out;
  const Path root;
  const Path at = root.Field("spec");
  out.key = check.ReadKey(in.metadata(), false);
  check.CheckApiVersion(in.api_version(), {"heddle.dev/v1"});
  const auto& labels = in.spec().selector().match_labels();
  out.selector = {labels.begin(), labels.end()};
  ReadMtls(in.spec().mtls(), at.Field("mtls"), check, &out.settings);
  ReadEgress(in.spec().egress(), at.Field("egress"), check, &out.settings);
  return out;
}

void ReadBackendDefaults(const v1::BackendDefaults& in, const Path& at, Checker& check,
                         BackendSettings* out) {
  ReadBackendParts(in, at, check, out);
}

BackendPolicyParts ReadBackendPolicyTarget(const v1::BackendPolicy& in, Checker& check) {
  BackendPolicyParts out;
  const Path root;
  const Path spec = root.Field("spec");
  const Path at = spec.Field("targetRef");
  out.key = check.ReadKey(in.metadata(), false);
  check.CheckApiVersion(in.api_version(), {"heddle.dev/v1"});
  const v1::PolicyTargetRef& target = in.spec().target_ref();
  if (!in.spec().has_target_ref()) {
    check.Error(at, "required");
  } else {
    if (!target.group().empty() && target.group() != "core")
      check.Error(at.Field("group"), absl::StrCat("\"", target.group(), "\" is not \"\""));
    if (target.kind() != "Service")
      check.Error(at.Field("kind"), absl::StrCat("\"", target.kind(), "\" is not \"Service\""));
    if (target.name().empty()) check.Error(at.Field("name"), "required");
  }
  out.service = {out.key.ns, target.name()};
  out.port_name = target.section_name();
  return out;
}

void ReadBackendPolicy(const v1::BackendPolicy& in, Checker& check, BackendSettings* out) {
  const Path root;
  ReadBackendParts(in.spec(), root.Field("spec"), check, out);
}

MeshParts ReadMeshConfig(const v1::MeshConfig& in, const WorldOptions& options, Checker& check) {
  MeshParts out;
  const Path root;
  const Path at = root.Field("spec");
  const v1::MeshConfigSpec& spec = in.spec();
  check.ReadKey(in.metadata(), false);
  check.CheckApiVersion(in.api_version(), {"heddle.dev/v1"});
  out.mesh.trust_domain = options.trust_domain;
  if (!spec.trust_domain().empty() && spec.trust_domain() != options.trust_domain)
    check.Error(at.Field("trustDomain"), absl::StrCat("\"", spec.trust_domain(),
                                                      "\" is not heddle-control's trust domain \"",
                                                      options.trust_domain, "\""));
  if (!spec.cluster_domain().empty()) {
    out.mesh.cluster_domain = spec.cluster_domain();
    if (!IsDnsSubdomain(spec.cluster_domain()))
      check.Error(at.Field("clusterDomain"), "not a DNS name");
  }
  if (!spec.root_namespace().empty()) {
    out.mesh.root_namespace = spec.root_namespace();
    check.Label(at.Field("rootNamespace"), spec.root_namespace());
  }
  ReadMtls(spec.mtls(), at.Field("mtls"), check, &out.settings);
  if (!out.settings.port_mtls.empty())
    check.Error(at.Field("mtls").Field("ports"), "only in a WorkloadPolicy");
  ReadEgress(spec.egress(), at.Field("egress"), check, &out.settings);
  ReadBackendDefaults(spec.defaults(), at.Field("defaults"), check, &out.defaults);
  if (spec.has_tracing()) ReadTracing(spec.tracing(), at.Field("tracing"), check, &out.mesh);
  if (spec.has_access_log())
    ReadAccessLog(spec.access_log(), at.Field("accessLog"), check, &out.mesh);
  return out;
}

}  // namespace heddle::model
