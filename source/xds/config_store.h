// Every resource the process holds, by type and name, with its last good value; and the snapshot
// they make together. Main thread only.
//
//   absl::Status status = store.Put(Type::kListener, &resource);  // error: the NACK's text
//   std::shared_ptr<const proxy::Snapshot> snapshot = store.Build();
//
// What still waits for something (routes, endpoints, secrets, names) keeps its old form in the
// snapshot, or stays out of it when there is none. The wait ends after the initial_fetch_timeout of
// what is waited for: then a listener answers 404, a cluster is empty, and TLS without its
// certificate fails each handshake, until the thing comes.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "source/base/clock.h"
#include "source/config/bootstrap.h"
#include "source/decode/catalogue.h"
#include "source/event/loop.h"
#include "source/net/dns.h"
#include "source/observe/access_log.h"
#include "source/observe/tracer.h"
#include "source/proxy/snapshot.h"
#include "source/stats/stats.h"
#include "source/upstream/builder.h"
#include "source/xds/secrets.h"
#include "source/xds/types.h"

namespace heddle::xds {

class ConfigStore {
 public:
  // How long names that do not resolve keep a cluster out.
  static constexpr absl::Duration kNameTimeout = absl::Seconds(15);

  struct Environment {
    event::Loop& loop;
    stats::Registry& registry;
    stats::Sheet& sheet;  // the main thread's
    base::Random& random;
    net::Resolver* resolver;
    observe::LogFiles& log_files;
    observe::SpanQueues& span_queues;
    const decode::Catalogue& catalogue;
    // Something became new without a Put: a name was resolved, a wait ended. Build again.
    std::function<void()> on_change;
  };
  explicit ConfigStore(Environment environment);
  ~ConfigStore();

  // From the bootstrap file; never replaced or removed by discovery, only by another call.
  // InvalidArgument names the resource.
  absl::Status AddStatic(const config::Bootstrap& bootstrap);
  // Keeps the resource if it is good; if not, the last good one of its name stays. Fills
  // resource->name when empty.
  absl::Status Put(Type type, Resource* resource);
  void Remove(Type type, const std::string& name);
  // State of the world: everything of the type that is not named is gone.
  void KeepOnly(Type type, const std::set<std::string>& names);
  // The workload's own certificate (kOwn: wins over a discovered one of its name), and the roots
  // that came with it (kFile: a trust bundle from the control plane is newer and wins).
  absl::Status PutLocalSecret(Secrets::Origin origin, config::Secret secret);

  // Names that what is held refers to: to be asked for.
  std::set<std::string> Wanted(Type type) const;
  // Never null. Unchanged parts are the same objects as in the snapshot before. `listeners` false
  // leaves the discovered ones out: at the start, until clusters are ready.
  std::shared_ptr<const proxy::Snapshot> Build(bool listeners = true);
  // What the last Build left out or in its old form, one line each: "listener inbound waits for
  // secret default".
  const std::vector<std::string>& waiting() const { return waiting_; }

  struct Held {
    Resource resource;
    std::string error;  // of the newest form, refused; empty = it was good
    bool from_file = false;
  };
  const std::map<std::string, Held>& held(Type type) const { return held_.at(type); }
  const Secrets& secrets() const { return secrets_; }
  std::shared_ptr<const upstream::ClusterSpec> FindCluster(const std::string& name) const;
  uint64_t warnings() const { return warning_count_; }

 private:
  struct BuiltListener {
    std::shared_ptr<const config::Listener> config;
    std::vector<std::shared_ptr<const net::TransportFactory>> transports;
    std::shared_ptr<const proxy::ListenerSpec> spec;
  };
  struct BuiltRoutes {
    std::shared_ptr<const config::RouteConfiguration> config;
    std::shared_ptr<const proxy::RouteTable> table;
  };
  struct BuiltCluster {
    std::shared_ptr<const config::Cluster> config;
    upstream::Transports transports;
    std::shared_ptr<const config::LoadAssignment> assignment;
    std::unique_ptr<upstream::ClusterBuilder> builder;
    std::shared_ptr<const upstream::ClusterSpec> published;  // null: it was never ready
  };

  absl::Status CheckCluster(absl::string_view name, const base::Path& at) const;
  absl::Status PutListener(Resource* resource);
  absl::Status PutCluster(Resource* resource);
  absl::Status PutRoutes(Resource* resource);
  absl::Status PutEndpoints(Resource* resource);
  absl::Status PutSecret(Resource* resource);
  void NoteWarnings(const std::vector<std::string>& warnings);

  absl::Status OpenLogs(const std::vector<config::AccessLog>& logs, proxy::AccessLoggers* out);
  absl::StatusOr<std::shared_ptr<const proxy::HttpSpec>> MakeHttp(
      const std::shared_ptr<const config::HttpConnectionManager>& config, bool outbound);
  absl::StatusOr<std::shared_ptr<const proxy::TcpSpec>> MakeTcp(
      const std::shared_ptr<const config::TcpProxy>& config);
  absl::StatusOr<proxy::ChainSpec> MakeChain(const config::FilterChain& chain, bool outbound);
  absl::StatusOr<std::shared_ptr<const proxy::ListenerSpec>> MakeListener(
      const std::shared_ptr<const config::Listener>& config);
  absl::StatusOr<upstream::Transports> TransportsOf(const config::Cluster& config);
  std::unique_ptr<upstream::ClusterBuilder> MakeBuilder(const BuiltCluster& of);
  void BuildRoutes(proxy::Snapshot* out);
  void BuildClusters(proxy::Snapshot* out);
  void BuildCluster(const std::shared_ptr<const config::Cluster>& config, proxy::Snapshot* out);
  void BuildListener(const std::shared_ptr<const config::Listener>& config, proxy::Snapshot* out);
  // Something that is not there yet. Equal things are waited for together.
  struct Missing {
    std::string what;                                       // "secret default"
    absl::Duration timeout;                                 // zero: waited for without end
    std::function<stats::CounterId()> timed_out = nullptr;  // counts the end of the wait
  };
  // Whether `who` still waits for it; notes the start of a wait.
  bool Waits(const std::string& who, const Missing& missing);
  bool WaitsForSecrets(const std::string& who, const config::TransportSocket& socket);
  bool WaitsForRoutes(const std::string& who, const config::FilterChain& chain);
  bool WaitsForEndpoints(const std::string& who, const BuiltCluster& built);
  void ArmWaitTimer();

  Environment env_;
  Secrets secrets_;
  std::map<Type, std::map<std::string, Held>> held_;
  std::map<std::string, std::shared_ptr<const config::Listener>> static_listeners_, listeners_;
  std::map<std::string, std::shared_ptr<const config::Cluster>> static_clusters_, clusters_;
  std::map<std::string, std::shared_ptr<const config::RouteConfiguration>> routes_;
  std::map<std::string, std::shared_ptr<const config::LoadAssignment>> endpoints_;

  std::map<std::string, BuiltListener> built_listeners_;
  std::map<std::string, BuiltRoutes> built_routes_;
  std::map<std::string, BuiltCluster> built_clusters_;
  std::shared_ptr<const proxy::Snapshot> snapshot_;
  uint64_t version_ = 0;

  std::vector<std::string> waiting_;
  struct Wait {
    base::Micros deadline = 0;  // 0: none
    bool over = false;          // the deadline passed
    bool asked = false;         // by somebody, in this Build
  };
  std::map<std::string, Wait> waits_;  // by what, and for how long
  event::Timer wait_timer_;
  uint64_t warning_count_ = 0;
};

}  // namespace heddle::xds
