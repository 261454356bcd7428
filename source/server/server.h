// The process: the main thread's loop, its workers, where configuration comes from, and how it
// ends. Everything here runs on the main thread; workers are reached through Worker.
//
//   Server server(options, bootstrap);
//   HEDDLE_RETURN_IF_ERROR(server.Start());
//   int code = server.Run();                      // until drained
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "source/admin/pages.h"
#include "source/admin/server.h"
#include "source/base/clock.h"
#include "source/config/bootstrap.h"
#include "source/event/loop.h"
#include "source/net/dns.h"
#include "source/observe/access_log.h"
#include "source/observe/tracer.h"
#include "source/probe/health.h"
#include "source/server/options.h"
#include "source/server/span_exporter.h"
#include "source/server/worker.h"
#include "source/stats/stats.h"
#include "source/xds/ads_client.h"
#include "source/xds/config_store.h"
#include "source/xds/first_answer.h"
#include "source/xds/identity.h"
#include "source/xds/last_good.h"

namespace heddle::server {

class Server final : public admin::View, public xds::AdsEvents {
 public:
  Server(Options options, config::Bootstrap bootstrap, std::vector<std::string> command_line);
  ~Server() override;

  // Opens everything that can fail: listeners, admin page, log files. InvalidArgument says which
  // and why.
  absl::Status Start();
  int Run();

  // Checks a bootstrap without serving: everything that Start would refuse except addresses in use.
  static absl::Status Validate(const config::Bootstrap& bootstrap);

 private:
  enum class State : uint8_t { kStarting, kLive, kDraining };

  // xds::AdsEvents
  void OnUpdate(xds::Update update) override;
  void OnStreamOpened() override;

  // admin::View
  admin::ServerInfo Info() override;
  stats::Registry& Stats() override { return registry_; }
  std::shared_ptr<const proxy::Snapshot> Current() override { return snapshot_; }
  std::vector<admin::Dumped> Resources() override;
  std::vector<admin::CertificateView> Certificates() override;
  std::string ControlPlane() override;
  void DrainListeners(bool inbound_only, bool graceful) override;
  void Quit() override { BeginDrain(); }
  void SetHealthy(bool healthy) override { healthy_ = healthy; }
  void ReopenLogs() override { log_files_.Reopen(); }

  admin::Reply AnswerAdmin(const admin::Request& request);
  absl::Status StartAdmin();
  absl::Status StartHealth();
  void StartControlPlane();
  void StartIdentity();
  bool RefreshControlCa();
  void OnCertificate(const xds::WorkloadCertificate& certificate);
  void LoadLastGood();
  void SaveLastGood();
  void CheckRenewal();

  void Apply(xds::Update update);
  void ApplyEarly();

  // Configuration: coalesced to one build for each loop iteration.
  void ScheduleBuild();
  absl::Status BuildAndPublish();
  absl::Status OpenSockets(const proxy::Snapshot& snapshot, std::vector<NewSockets>* out);
  absl::StatusOr<net::Fd> ListenAt(const net::Address& address,
                                   const net::ListenOptions& options) const;
  std::function<void()> TimedOut(const char* what, const char* counter);
  void AskForWanted();
  void OnAdopted(uint64_t version);
  void CheckReady();

  void BeginDrain();
  void WatchDrain();
  void Finish();

  const Options options_;
  const config::Bootstrap bootstrap_;
  const std::vector<std::string> command_line_;
  const absl::Time started_ = absl::Now();

  // Members end in reverse order: what uses the registry and the logs comes after them.
  stats::Registry registry_;
  stats::Sheet& sheet_;
  base::Random random_;
  event::Loop loop_;
  observe::LogFiles log_files_;
  observe::SpanQueues span_queues_;
  std::unique_ptr<net::Resolver> resolver_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<xds::ConfigStore> store_;
  xds::LastGood last_good_;
  // Clusters of the calls that run: they own the TLS contexts.
  std::shared_ptr<const upstream::ClusterSpec> identity_cluster_, ads_cluster_;
  std::unique_ptr<SpanExporter> exporter_;
  std::unique_ptr<xds::Identity> identity_;
  std::unique_ptr<xds::AdsClient> ads_;
  std::unique_ptr<admin::AdminServer> admin_;
  std::unique_ptr<probe::HealthServer> health_;
  std::vector<std::unique_ptr<event::SignalEvent>> signals_;

  std::shared_ptr<const proxy::Snapshot> snapshot_;
  std::map<std::string, net::Address> open_;  // listeners with sockets on the workers, and where
  // Which listeners were closed for good, by a drain: they get no socket any more.
  enum class Closed : uint8_t { kNone, kInbound, kAll };
  Closed closed_ = Closed::kNone;
  struct Unanswered {
    xds::Update update;
    absl::Status status;
    uint64_t version = 0;  // snapshot that holds it; 0: not built yet
  };
  std::vector<Unanswered> unanswered_;
  std::map<uint64_t, size_t> adopting_;  // snapshot version -> workers that have not adopted it
  bool build_scheduled_ = false;
  xds::FirstAnswer first_clusters_, first_listeners_;
  std::vector<xds::Update> early_;  // listeners that came before clusters did
  bool from_last_good_ = false;
  bool listeners_released_ = false;  // clusters were ready, so listeners may open
  std::string control_ca_;           // content of --control-ca that is in use
  bool doubt_roots_ = false;         // it changed since the last certificate
  std::string renew_epoch_;
  bool renew_known_ = false;
  event::Timer save_timer_, drain_timer_;
  std::unique_ptr<event::Timer> close_idle_;  // after DrainListeners
  std::unique_ptr<event::Timer> last_timer_;  // bounds the export of the last spans

  State state_ = State::kStarting;
  bool healthy_ = true;
  base::Micros drain_began_ = 0;
  int quit_signals_ = 0;
  stats::GaugeId live_, concurrency_, uptime_, inbound_active_, days_left_;
  stats::CounterId updates_, rejected_;
};

}  // namespace heddle::server
