#include "source/upstream/outlier.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace heddle::upstream {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr size_t kExternal = 0, kLocal = 1;

// In the order of Ejection. `log_name` as in Envoy's OutlierEjectionType.
struct Rule {
  absl::string_view name, log_name;
  uint32_t config::OutlierDetection::*enforcing;
};
using Config = config::OutlierDetection;
constexpr Rule kRules[] = {
    {"consecutive_5xx", "CONSECUTIVE_5XX", &Config::enforcing_consecutive_5xx},
    {"consecutive_gateway_failure", "CONSECUTIVE_GATEWAY_FAILURE",
     &Config::enforcing_consecutive_gateway_failure},
    {"consecutive_local_origin_failure", "CONSECUTIVE_LOCAL_ORIGIN_FAILURE",
     &Config::enforcing_consecutive_local_origin_failure},
    {"success_rate", "SUCCESS_RATE", &Config::enforcing_success_rate},
    {"local_origin_success_rate", "SUCCESS_RATE_LOCAL_ORIGIN",
     &Config::enforcing_local_origin_success_rate},
    {"failure_percentage", "FAILURE_PERCENTAGE", &Config::enforcing_failure_percentage},
    {"local_origin_failure_percentage", "FAILURE_PERCENTAGE_LOCAL_ORIGIN",
     &Config::enforcing_failure_percentage_local_origin},
};

const Rule& RuleOf(Ejection type) { return kRules[static_cast<size_t>(type)]; }

void ResetRun(HostState& host, Ejection type) {
  if (type == Ejection::kConsecutive5xx) host.consecutive_5xx.store(0, kRelaxed);
  if (type == Ejection::kConsecutiveGateway) host.consecutive_gateway.store(0, kRelaxed);
  if (type == Ejection::kConsecutiveLocal) host.consecutive_local.store(0, kRelaxed);
}

}  // namespace

absl::string_view EjectionName(Ejection type) { return RuleOf(type).name; }

std::string ToJson(const OutlierEvent& event, absl::Time now) {
  std::string json = absl::StrFormat(
      R"({"type":"%s","cluster_name":"%s","upstream_url":"%s","action":"%s","num_ejections":%u,"enforced":%s)",
      RuleOf(event.type).log_name, event.cluster, event.address, event.eject ? "EJECT" : "UNEJECT",
      event.num_ejections, event.enforced ? "true" : "false");
  if (event.since_last_action)
    absl::StrAppend(&json, R"(,"secs_since_last_action":")",
                    absl::ToInt64Seconds(*event.since_last_action), "\"");
  absl::StrAppend(&json, R"(,"timestamp":")",
                  absl::FormatTime("%Y-%m-%d%ET%H:%M:%E3SZ", now, absl::UTCTimeZone()), "\"");
  if (event.eject) {
    switch (event.type) {
      case Ejection::kConsecutive5xx:
      case Ejection::kConsecutiveGateway:
      case Ejection::kConsecutiveLocal:
        absl::StrAppend(&json, R"(,"eject_consecutive_event":{})");
        break;
      case Ejection::kSuccessRate:
      case Ejection::kSuccessRateLocal:
        absl::StrAppendFormat(&json,
                              R"(,"eject_success_rate_event":{"host_success_rate":%d,)"
                              R"("cluster_average_success_rate":%d,)"
                              R"("cluster_success_rate_ejection_threshold":%d})",
                              static_cast<int>(event.host_success_rate),
                              static_cast<int>(event.average_success_rate),
                              static_cast<int>(event.threshold));
        break;
      case Ejection::kFailurePercentage:
      case Ejection::kFailurePercentageLocal:
        absl::StrAppendFormat(&json,
                              R"(,"eject_failure_percentage_event":{"host_success_rate":%d})",
                              static_cast<int>(event.host_success_rate));
        break;
    }
  }
  json.push_back('}');
  return json;
}

OutlierDetector::OutlierDetector(const config::OutlierDetection& config, Context context)
    : config_(config), context_(std::move(context)) {}

OutlierDetector::~OutlierDetector() {
  for (auto& [state, monitor] : monitors_) {
    if (monitor.host->ejected.load(kRelaxed)) SetEjected(*monitor.host, false);
  }
}

void OutlierDetector::SetHosts(absl::Span<const std::shared_ptr<HostState>> hosts) {
  absl::flat_hash_set<const HostState*> now;
  for (const std::shared_ptr<HostState>& host : hosts) {
    now.insert(host.get());
    Monitor& monitor = monitors_[host.get()];
    if (monitor.host == nullptr) monitor.host = host;
  }
  for (auto it = monitors_.begin(); it != monitors_.end();) {
    if (now.contains(it->first)) {
      ++it;
      continue;
    }
    if (it->second.host->ejected.load(kRelaxed)) SetEjected(*it->second.host, false);
    monitors_.erase(it++);
  }
}

// -------------------------------------------------------------------------------------------------
// ejecting and taking back

void OutlierDetector::OnFailureRun(const std::shared_ptr<HostState>& host, Ejection type,
                                   base::Micros now) {
  auto at = monitors_.find(host.get());
  if (at == monitors_.end() || host->ejected.load(kRelaxed)) return;
  context_.sheet.Add(context_.stats->ejections_detected[static_cast<size_t>(type)]);
  Eject(at->second, type, now, {});
  // Whether ejected or not, so that the next run is noticed.
  ResetRun(*host, type);
}

bool OutlierDetector::Allowed() const {
  const double percent = 100.0 * (active_ + 1) / static_cast<double>(monitors_.size());
  return percent <= std::min(100u, config_.max_ejection_percent) ||
         (config_.always_eject_one_host && active_ == 0);
}

uint32_t OutlierDetector::Enforcing(Ejection type) const { return config_.*RuleOf(type).enforcing; }

void OutlierDetector::Eject(Monitor& monitor, Ejection type, base::Micros now,
                            const Verdict& verdict) {
  const ClusterStats& stats = *context_.stats;
  if (!Allowed()) {
    context_.sheet.Add(stats.ejections_overflow);
    return;
  }
  monitor.last = type;
  const bool enforced = context_.random.Below(100) < Enforcing(type);
  if (enforced) ++monitor.ejections;
  Tell(monitor, true, enforced, now, verdict);
  if (!enforced) return;
  context_.sheet.Add(stats.ejections_enforced_total);
  context_.sheet.Add(stats.ejections_enforced[static_cast<size_t>(type)]);
  const absl::Duration base = config_.base_ejection_time;
  const absl::Duration max = std::max(config_.max_ejection_time, base);
  const int64_t jitter_ms = absl::ToInt64Milliseconds(config_.max_ejection_time_jitter);
  monitor.ejected_at = now;
  monitor.jitter = absl::Milliseconds(
      static_cast<int64_t>(context_.random.Below(static_cast<uint64_t>(jitter_ms) + 1)));
  if (monitor.backoff * base < max + base) ++monitor.backoff;
  SetEjected(*monitor.host, true);
}

void OutlierDetector::SetEjected(HostState& host, bool ejected) {
  host.ejected.store(ejected, kRelaxed);
  active_ += ejected ? 1u : ~0u;
  context_.sheet.Set(context_.stats->ejections_active, active_);
  context_.shared.generation.fetch_add(1, std::memory_order_release);
}

void OutlierDetector::TakeBack(Monitor& monitor, base::Micros now) {
  HostState& host = *monitor.host;
  // All of them: a counter close to its threshold would eject the host again at its first mistake.
  host.consecutive_5xx.store(0, kRelaxed);
  host.consecutive_gateway.store(0, kRelaxed);
  host.consecutive_local.store(0, kRelaxed);
  SetEjected(host, false);
  Tell(monitor, false, true, now, {});
  monitor.taken_back_at = now;
}

void OutlierDetector::CheckTakeBack(Monitor& monitor, base::Micros now) {
  if (!monitor.host->ejected.load(kRelaxed)) {
    const bool calm =
        monitor.taken_back_at && now - *monitor.taken_back_at >= base::ToMicros(config_.interval);
    if (calm && monitor.backoff > 0) --monitor.backoff;
    return;
  }
  const absl::Duration base = config_.base_ejection_time;
  const absl::Duration max = std::max(config_.max_ejection_time, base);
  const absl::Duration time = std::min(base * monitor.backoff, max) + monitor.jitter;
  if (base::ToMicros(time) <= now - *monitor.ejected_at) TakeBack(monitor, now);
}

void OutlierDetector::Tell(const Monitor& monitor, bool eject, bool enforced, base::Micros now,
                           const Verdict& v) {
  if (context_.on_event == nullptr) return;
  OutlierEvent event{.eject = eject,
                     .type = monitor.last,
                     .cluster = context_.cluster,
                     .address = monitor.host->address_text,
                     .num_ejections = monitor.ejections,
                     .enforced = enforced,
                     .since_last_action = std::nullopt,
                     .host_success_rate = v.host,
                     .average_success_rate = v.average,
                     .threshold = v.threshold};
  const std::optional<base::Micros>& last = eject ? monitor.taken_back_at : monitor.ejected_at;
  if (last) event.since_last_action = absl::Microseconds(now - *last);
  context_.on_event(event);
}

// -------------------------------------------------------------------------------------------------
// rates

void OutlierDetector::OnInterval(base::Micros now) {
  for (auto& [state, monitor] : monitors_) CheckTakeBack(monitor, now);
  JudgeRates(kExternal, now);
  if (config_.split_external_local_origin_errors) JudgeRates(kLocal, now);
}

void OutlierDetector::JudgeRates(size_t origin, base::Micros now) {
  std::vector<Rate> for_success, for_failure;
  for (auto& [state, monitor] : monitors_) {
    // The bucket of the interval that ends; the next begins.
    const uint32_t total = monitor.host->bucket_total[origin].exchange(0, kRelaxed);
    const uint32_t success = monitor.host->bucket_success[origin].exchange(0, kRelaxed);
    if (monitor.host->ejected.load(kRelaxed) || total == 0) continue;
    const Rate rate{&monitor, std::min(100.0, 100.0 * success / total)};
    if (total >= config_.success_rate_request_volume) for_success.push_back(rate);
    if (total >= config_.failure_percentage_request_volume) for_failure.push_back(rate);
  }
  if (for_success.size() >= std::max(1u, config_.success_rate_minimum_hosts))
    JudgeSuccessRate(for_success, origin, now);
  if (for_failure.size() >= std::max(1u, config_.failure_percentage_minimum_hosts))
    JudgeFailurePercentage(for_failure, origin, now);
}

void OutlierDetector::JudgeSuccessRate(const std::vector<Rate>& rates, size_t origin,
                                       base::Micros now) {
  const double n = static_cast<double>(rates.size());
  double mean = 0, variance = 0;
  for (const Rate& r : rates) mean += r.success / n;
  for (const Rate& r : rates) variance += (r.success - mean) * (r.success - mean) / n;
  const double threshold = mean - std::sqrt(variance) * config_.success_rate_stdev_factor / 1000.0;
  const Ejection type = origin == kLocal ? Ejection::kSuccessRateLocal : Ejection::kSuccessRate;
  for (const Rate& r : rates) {
    if (r.success >= threshold || r.monitor->host->ejected.load(kRelaxed)) continue;
    context_.sheet.Add(context_.stats->ejections_detected[static_cast<size_t>(type)]);
    Eject(*r.monitor, type, now, {r.success, mean, threshold});
  }
}

void OutlierDetector::JudgeFailurePercentage(const std::vector<Rate>& rates, size_t origin,
                                             base::Micros now) {
  const Ejection type =
      origin == kLocal ? Ejection::kFailurePercentageLocal : Ejection::kFailurePercentage;
  for (const Rate& r : rates) {
    if (100.0 - r.success < config_.failure_percentage_threshold ||
        r.monitor->host->ejected.load(kRelaxed))
      continue;
    context_.sheet.Add(context_.stats->ejections_detected[static_cast<size_t>(type)]);
    Eject(*r.monitor, type, now, {r.success, -1, -1});
  }
}

}  // namespace heddle::upstream
