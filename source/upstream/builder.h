// One cluster on the main thread: its configuration and endpoints become ClusterSpecs, its names
// are resolved, its outliers ejected. Lives as long as the cluster is configured; counters,
// ejections and limits live on through all its specs.
//
//   ClusterBuilder builder(context, config, transports, [&] { store.Publish(); });
//   builder.SetAssignment(eds);                       // kEds: each update
//   builder.SetConfig(new_config, new_transports);    // CDS update, or new certificates
//   if (builder.ready()) snapshot.clusters[name] = builder.spec();
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "source/base/clock.h"
#include "source/config/cluster.h"
#include "source/event/loop.h"
#include "source/net/dns.h"
#include "source/stats/stats.h"
#include "source/upstream/dns_watch.h"
#include "source/upstream/outlier.h"
#include "source/upstream/spec.h"

namespace heddle::upstream {

// What a spec is made of besides configuration and endpoints.
struct SpecParts {
  std::shared_ptr<const config::Cluster> config;
  Transports transports;
  std::shared_ptr<SharedCluster> shared;
  std::shared_ptr<const ClusterStats> stats;
};
// Hosts of `previous` (may be null) with the same address and host name keep their HostState.
// Endpoints whose address is not an IP address or a path are left out.
std::shared_ptr<const ClusterSpec> MakeClusterSpec(SpecParts parts,
                                                   const config::LoadAssignment& assignment,
                                                   const ClusterSpec* previous);

class ClusterBuilder {
 public:
  struct Context {
    event::Loop& loop;  // main
    stats::Registry& registry;
    stats::Sheet& sheet;  // the main thread's
    base::Random& random;
    net::Resolver* resolver = nullptr;  // only for clusters with names; null: they stay empty
    std::function<void(const OutlierEvent&)> on_outlier;  // may be null
  };

  // `on_change`: spec() gives something new because names were resolved. Not called from SetConfig
  // or SetAssignment.
  ClusterBuilder(Context context, std::shared_ptr<const config::Cluster> config,
                 Transports transports, std::function<void()> on_change);
  ~ClusterBuilder();
  ClusterBuilder(const ClusterBuilder&) = delete;
  ClusterBuilder& operator=(const ClusterBuilder&) = delete;

  void SetConfig(std::shared_ptr<const config::Cluster> config, Transports transports);
  void SetAssignment(config::LoadAssignment assignment);  // kEds
  // kEds: an assignment came; names: each was answered once; others: always.
  bool ready() const;
  // Never null; without hosts until ready. A new object after each change.
  const std::shared_ptr<const ClusterSpec>& spec() const { return spec_; }
  const config::Cluster& config() const { return *config_; }

 private:
  // Where failure runs that workers post find the builder, if it is still there. Main thread only.
  struct Anchor {
    ClusterBuilder* builder;
  };
  bool named() const;
  void WatchNames();
  std::vector<net::Address> AddressesOf(const config::Endpoint& endpoint) const;  // by DNS
  config::LoadAssignment Resolve() const;
  void Rebuild();
  void OnAnswer(DnsWatch::Outcome outcome);
  void SetOutlier();
  void OnInterval();
  void ShowMembership();

  Context context_;
  std::shared_ptr<const config::Cluster> config_;
  Transports transports_;
  std::function<void()> on_change_;
  std::shared_ptr<Anchor> anchor_;
  std::shared_ptr<SharedCluster> shared_;
  std::shared_ptr<const ClusterStats> stats_;
  config::LoadAssignment assignment_;  // by EDS
  bool assigned_ = false;
  std::unique_ptr<DnsWatch> watch_;
  std::unique_ptr<OutlierDetector> outlier_;
  event::Timer interval_;
  std::shared_ptr<const ClusterSpec> spec_;
};

}  // namespace heddle::upstream
