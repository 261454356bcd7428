#include "source/upstream/balancer.h"

#include <algorithm>

namespace heddle::upstream {

void Balancer::Reset(const ClusterSpec& spec) {
  spec_ = &spec;
  levels_.clear();
  for (const Host& host : spec.hosts) {
    if (host.priority >= levels_.size()) levels_.resize(host.priority + 1);
    Level& level = levels_[host.priority];
    level.all.push_back(&host);
    if (host.state->ejected.load(std::memory_order_relaxed)) continue;
    if (host.health == config::Health::kHealthy) level.healthy.push_back(&host);
    if (host.health == config::Health::kDegraded) level.degraded.push_back(&host);
  }
  std::vector<PriorityCounts> counts;
  counts.reserve(levels_.size());
  for (const Level& level : levels_) {
    counts.push_back({.total = static_cast<uint32_t>(level.all.size()),
                      .healthy = static_cast<uint32_t>(level.healthy.size()),
                      .degraded = static_cast<uint32_t>(level.degraded.size())});
  }
  load_ = ComputeLoad(counts, spec.overprovisioning_factor, spec.config->panic_percent);
}

Balancer::Choice Balancer::Choose(const Context& context) {
  if (levels_.empty()) return {};
  const auto avoided = [&](const Host& host) {
    return std::find(context.avoid.begin(), context.avoid.end(), host.state.get()) !=
           context.avoid.end();
  };
  Choice choice;
  for (uint32_t attempt = 0; attempt <= context.avoid_attempts; ++attempt) {
    choice = ChooseOnce(context.hash ? *context.hash : random_.Next(), attempt);
    if (choice.host == nullptr || !avoided(*choice.host)) break;
  }
  return choice;
}

Balancer::Choice Balancer::ChooseOnce(uint64_t hash, uint32_t attempt) {
  const PriorityChoice at = load_.healthy[0] == 100
                                ? PriorityChoice{}
                                : ChoosePriority(load_, static_cast<uint32_t>(hash % 100));
  Level& level = levels_[at.priority];
  if (load_.panic[at.priority])
    return {.host = From(level.all, level.pick_all, hash, attempt), .panic = true};
  if (at.degraded) return {.host = From(level.degraded, level.pick_degraded, hash, attempt)};
  return {.host = From(level.healthy, level.pick_healthy, hash, attempt)};
}

const Host* Balancer::From(HostList& hosts, std::unique_ptr<Picker>& picker, uint64_t hash,
                           uint32_t attempt) {
  if (picker == nullptr) {
    if (hosts.empty()) return nullptr;
    picker = MakePicker(*spec_->config, std::move(hosts), random_);
  }
  return picker->Pick(hash, attempt);
}

}  // namespace heddle::upstream
