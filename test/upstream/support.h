// What the tests of upstream/ share: specs in a line, statistics by name.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "source/stats/stats.h"
#include "source/upstream/builder.h"
#include "source/upstream/spec.h"

namespace heddle::upstream {

inline net::Address At(const std::string& text) { return *net::Address::Parse(text); }

struct TestHost {
  std::string address;
  uint32_t weight = 1;
  config::Health health = config::Health::kHealthy;
  uint32_t priority = 0;
  config::Metadata metadata = {};
};

inline config::LoadAssignment Assignment(const std::vector<TestHost>& hosts) {
  config::LoadAssignment assignment;
  for (const TestHost& host : hosts) {
    config::Locality* found = nullptr;
    for (config::Locality& locality : assignment.localities) {
      if (locality.priority == host.priority) found = &locality;
    }
    if (found == nullptr) {
      found = &assignment.localities.emplace_back();
      found->priority = host.priority;
    }
    config::Endpoint& endpoint = found->endpoints.emplace_back();
    endpoint.address = At(host.address);
    endpoint.weight = host.weight;
    endpoint.health = host.health;
    endpoint.metadata = host.metadata;
  }
  return assignment;
}

// A cluster's specs, without the main thread's machinery.
class TestCluster {
 public:
  explicit TestCluster(config::Cluster config) : sheet(registry.AddSheet()) {
    config.name = "c";
    config_ = std::make_shared<config::Cluster>(std::move(config));
    shared = std::make_shared<SharedCluster>();
    stats = ClusterStats::Create(registry, "c");
  }
  std::shared_ptr<const ClusterSpec> Spec(const std::vector<TestHost>& hosts) {
    spec_ = MakeClusterSpec({config_, transports, shared, stats}, Assignment(hosts), spec_.get());
    return spec_;
  }
  void SetConfig(config::Cluster config) {
    config.name = "c";
    config_ = std::make_shared<config::Cluster>(std::move(config));
  }
  uint64_t Count(stats::CounterId id) const { return registry.Total(id); }
  int64_t Show(stats::GaugeId id) const { return registry.Total(id); }

  Transports transports;
  stats::Registry registry;
  stats::Sheet& sheet;
  std::shared_ptr<SharedCluster> shared;
  std::shared_ptr<const ClusterStats> stats;

 private:
  std::shared_ptr<const config::Cluster> config_;
  std::shared_ptr<const ClusterSpec> spec_;
};

}  // namespace heddle::upstream
