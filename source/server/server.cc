#include "source/server/server.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "source/base/log.h"
#include "source/base/status.h"
#include "source/base/version.h"
#include "source/filter/catalogue/catalogue.h"
#include "source/observe/format.h"
#include "source/server/bootstrap.h"
#include "source/tls/certificate.h"
#include "source/xds/target.h"

namespace heddle::server {
namespace {

// Last-good is written once a burst of updates is over.
constexpr absl::Duration kSaveDelay = absl::Milliseconds(200);
constexpr size_t kMaxControlCa = 1024 * 1024;
// A drain leaves idle connections to their clients for so long, and looks again so often.
constexpr absl::Duration kIdleGrace = absl::Seconds(1), kIdleAgain = absl::Milliseconds(200);

}  // namespace

Server::Server(Options options, config::Bootstrap bootstrap, std::vector<std::string> command_line)
    : options_(std::move(options)),
      bootstrap_(std::move(bootstrap)),
      command_line_(std::move(command_line)),
      sheet_(registry_.AddSheet()),
      last_good_(options_.state_dir),
      first_clusters_(loop_, TimedOut("clusters", "cluster_manager.cds.init_fetch_timeout")),
      first_listeners_(loop_, TimedOut("listeners", "listener_manager.lds.init_fetch_timeout")),
      save_timer_(loop_, [this] { SaveLastGood(); }),
      drain_timer_(loop_, [this] { WatchDrain(); }),
      live_(registry_.Gauge("server.live")),
      concurrency_(registry_.Gauge("server.concurrency")),
      uptime_(registry_.Gauge("server.uptime")),
      inbound_active_(registry_.Gauge("server.inbound_cx_active")),
      days_left_(registry_.Gauge("server.days_until_first_cert_expiring")),
      updates_(registry_.Counter("control_plane.updates")),
      rejected_(registry_.Counter("control_plane.update_rejected")) {}

Server::~Server() = default;

absl::Status Server::Validate(const config::Bootstrap& bootstrap) {
  event::Loop loop;
  stats::Registry registry;
  stats::Sheet& sheet = registry.AddSheet();
  base::Random random;
  observe::LogFiles logs;
  observe::SpanQueues queues;
  xds::ConfigStore store({.loop = loop,
                          .registry = registry,
                          .sheet = sheet,
                          .random = random,
                          .resolver = nullptr,
                          .log_files = logs,
                          .span_queues = queues,
                          .catalogue = filter::AllFilters(),
                          .on_change = [] {}});
  return store.AddStatic(bootstrap);
}

absl::Status Server::Start() {
  HEDDLE_ASSIGN_OR_RETURN(resolver_, net::MakeAresResolver(loop_, {}));
  sheet_.Set(live_, 1);
  sheet_.Set(concurrency_, options_.concurrency);
  for (uint32_t i = 0; i < options_.concurrency; ++i) {
    workers_.push_back(std::make_unique<Worker>(registry_.AddSheet(), base::SystemClock()));
    workers_.back()->Start();
  }
  store_ = std::make_unique<xds::ConfigStore>(
      xds::ConfigStore::Environment{.loop = loop_,
                                    .registry = registry_,
                                    .sheet = sheet_,
                                    .random = random_,
                                    .resolver = resolver_.get(),
                                    .log_files = log_files_,
                                    .span_queues = span_queues_,
                                    .catalogue = filter::AllFilters(),
                                    .on_change = [this] { ScheduleBuild(); }});
  HEDDLE_RETURN_IF_ERROR(store_->AddStatic(bootstrap_));
  exporter_ = std::make_unique<SpanExporter>(
      loop_, random_, span_queues_,
      [this](const std::string& name) { return store_->FindCluster(name); });
  exporter_->Start();
  if (!options_.control.empty()) StartIdentity();
  LoadLastGood();
  HEDDLE_RETURN_IF_ERROR(BuildAndPublish());
  HEDDLE_RETURN_IF_ERROR(StartAdmin());
  HEDDLE_RETURN_IF_ERROR(StartHealth());
  std::signal(SIGPIPE, SIG_IGN);
  for (const int signal : {SIGTERM, SIGINT}) {
    signals_.push_back(std::make_unique<event::SignalEvent>(loop_, signal, [this] {
      if (++quit_signals_ > 1) {
        HEDDLE_LOG(kWarning, "main") << "second signal: ending at once";
        return Finish();
      }
      BeginDrain();
    }));
  }
  signals_.push_back(
      std::make_unique<event::SignalEvent>(loop_, SIGUSR1, [this] { log_files_.Reopen(); }));
  if (bootstrap_.ads.has_value()) StartControlPlane();
  CheckReady();
  return absl::OkStatus();
}

admin::Reply Server::AnswerAdmin(const admin::Request& request) {
  sheet_.Set(uptime_, absl::ToInt64Seconds(absl::Now() - started_));
  uint64_t inbound = 0;
  for (const auto& worker : workers_) inbound += worker->inbound_connections();
  sheet_.Set(inbound_active_, static_cast<int64_t>(inbound));
  return admin::Answer(*this, request);
}

absl::Status Server::StartAdmin() {
  net::Address address = bootstrap_.admin;
  if (options_.admin_address_set || (!options_.control.empty() && address.family() == AF_UNSPEC)) {
    HEDDLE_ASSIGN_OR_RETURN(address, net::Address::Parse(options_.admin_address));
  }
  if (address.family() == AF_UNSPEC) return absl::OkStatus();
  HEDDLE_ASSIGN_OR_RETURN(
      admin_, admin::AdminServer::Start(loop_, address, [this](const admin::Request& request) {
        return AnswerAdmin(request);
      }));
  HEDDLE_LOG(kInfo, "main") << "admin page on http://" << admin_->address().ToString();
  if (options_.admin_address_path.empty()) return absl::OkStatus();
  std::FILE* file = std::fopen(options_.admin_address_path.c_str(), "w");
  if (file == nullptr)
    return absl::InvalidArgumentError(
        absl::StrCat("--admin-address-path: cannot write ", options_.admin_address_path));
  std::fputs(admin_->address().ToString().c_str(), file);
  std::fclose(file);
  return absl::OkStatus();
}

absl::Status Server::StartHealth() {
  if (options_.health_address.empty()) return absl::OkStatus();
  probe::HealthServer::Options health;
  HEDDLE_ASSIGN_OR_RETURN(health.address, net::Address::Parse(options_.health_address));
  HEDDLE_ASSIGN_OR_RETURN(health.probes, probe::DecodeProbes(options_.app_probes));
  // A kubelet comes by the pod's first address.
  if (health.address.family() == AF_INET && health.address.any() &&
      absl::StrContains(options_.address, ":")) {
    HEDDLE_ASSIGN_OR_RETURN(health.address, net::Address::FromIp("::", health.address.port()));
  }
  health.host = options_.address.empty() ? "127.0.0.1" : options_.address;
  health.admin = [this](const admin::Request& request) { return AnswerAdmin(request); };
  HEDDLE_ASSIGN_OR_RETURN(health_, probe::HealthServer::Start(loop_, std::move(health)));
  HEDDLE_LOG(kInfo, "main") << "health port on http://" << health_->address().ToString();
  return absl::OkStatus();
}

int Server::Run() {
  loop_.Run();
  for (auto& worker : workers_) worker->Stop();
  log_files_.Flush();
  return 0;
}

// --- control plane -------------------------------------------------------------------------------

void Server::StartIdentity() {
  RefreshControlCa();
  xds::Identity::Options identity;
  identity.uri = WorkloadUri(options_);
  identity.token_file = options_.token_file;
  // Discovery keeps the mesh's clusters mutually authenticated; only the first certificate is
  // fetched without one.
  identity.connect =
      [this](
          const xds::WorkloadCertificate* current) -> absl::StatusOr<http::grpc::Client::Options> {
    if (current == nullptr && RefreshControlCa()) HEDDLE_RETURN_IF_ERROR(BuildAndPublish());
    identity_cluster_ =
        store_->FindCluster(current != nullptr ? kControlCluster : kFirstContactCluster);
    if (identity_cluster_ == nullptr)
      return absl::UnavailableError("the control plane's name is not resolved yet");
    return xds::PickTarget(*identity_cluster_, random_);
  };
  identity_ = std::make_unique<xds::Identity>(
      loop_, random_, base::SystemClock(), std::move(identity), last_good_,
      [this](const xds::WorkloadCertificate& c) { OnCertificate(c); });
}

// Whether --control-ca has other content than before, and is in use from now on. A file that cannot
// be read or used changes nothing.
bool Server::RefreshControlCa() {
  const auto text = ReadWholeFile(options_.control_ca, kMaxControlCa);
  if (!text.ok() || text->empty() || *text == control_ca_) return false;
  const bool first = control_ca_.empty();
  control_ca_ = *text;
  if (first) return false;  // what the bootstrap was made from
  auto bootstrap = LoadBootstrap(options_);
  config::Bootstrap changed;
  if (bootstrap.ok()) {
    for (const auto& cluster : bootstrap->clusters) {
      if (cluster->name == kFirstContactCluster) changed.clusters.push_back(cluster);
    }
  }
  const absl::Status status = bootstrap.ok() ? store_->AddStatic(changed) : bootstrap.status();
  if (!status.ok()) {
    HEDDLE_LOG(kWarning, "identity") << "--control-ca: " << status.message();
    return false;
  }
  HEDDLE_LOG(kInfo, "identity") << "--control-ca has changed";
  doubt_roots_ = true;
  return true;
}

void Server::OnCertificate(const xds::WorkloadCertificate& fresh) {
  // Discovered roots beat these, unless they may be those of a control plane that is gone.
  const auto origin = std::exchange(doubt_roots_, false) ? xds::Secrets::Origin::kDiscovered
                                                         : xds::Secrets::Origin::kFile;
  config::Secret certificate;
  certificate.name = kIdentitySecret;
  certificate.certificate = fresh.certificate;
  config::Secret roots;
  roots.name = kRootsSecret;
  roots.validation.emplace();
  roots.validation->trusted_ca_pem = fresh.roots_pem;
  for (const absl::Status& status :
       {store_->PutLocalSecret(xds::Secrets::Origin::kOwn, std::move(certificate)),
        store_->PutLocalSecret(origin, std::move(roots))}) {
    if (!status.ok()) HEDDLE_LOG(kError, "identity") << status.message();
  }
  sheet_.Set(days_left_, absl::ToInt64Hours(fresh.not_after - absl::Now()) / 24);
  ScheduleBuild();
}

void Server::StartControlPlane() {
  xds::AdsClient::Options ads;
  ads.delta = bootstrap_.ads->delta;
  ads.node = bootstrap_.node_bytes;
  ads.metadata = bootstrap_.ads->initial_metadata;
  ads.clusters = bootstrap_.cds_from_ads;
  ads.listeners = bootstrap_.lds_from_ads;
  ads.connect = [this]() -> absl::StatusOr<http::grpc::Client::Options> {
    // What we know the control plane by has changed: our own certificate may be worth nothing now.
    if (identity_ != nullptr && RefreshControlCa()) {
      ScheduleBuild();
      identity_->Renew();
    }
    ads_cluster_ = store_->FindCluster(bootstrap_.ads->cluster);
    if (ads_cluster_ == nullptr) {
      return absl::UnavailableError(
          absl::StrCat("cluster ", bootstrap_.ads->cluster,
                       " is not ready (waiting for a certificate or a name)"));
    }
    return xds::PickTarget(*ads_cluster_, random_);
  };
  ads_ = std::make_unique<xds::AdsClient>(loop_, random_, std::move(ads), this);
  for (const xds::Type type : xds::kTypes) {
    if (type == xds::Type::kSecret) continue;
    std::map<std::string, std::string> versions;
    for (const auto& [name, held] : store_->held(type)) {
      if (held.error.empty()) versions[name] = held.resource.version;
    }
    ads_->Remember(type, std::move(versions));
  }
  AskForWanted();
  if (!bootstrap_.cds_from_ads) first_clusters_.Came();
  if (!bootstrap_.lds_from_ads) first_listeners_.Came();
  first_clusters_.Wait(bootstrap_.cds_fetch_timeout);
  ScheduleBuild();
  ads_->Start();
}

std::function<void()> Server::TimedOut(const char* what, const char* counter) {
  return [this, what, id = registry_.Counter(counter)] {
    HEDDLE_LOG(kWarning, "xds") << "no " << what
                                << " from the control plane in time; going on without";
    sheet_.Add(id);
    ApplyEarly();
    ScheduleBuild();
  };
}

void Server::AskForWanted() {
  if (ads_ == nullptr) return;
  ads_->Want(xds::Type::kEndpoint, store_->Wanted(xds::Type::kEndpoint));
  ads_->Want(xds::Type::kRoute, store_->Wanted(xds::Type::kRoute));
  std::set<std::string> secrets;
  for (const std::string& name : store_->Wanted(xds::Type::kSecret)) {
    if (!store_->secrets().own(name)) secrets.insert(name);
  }
  if (identity_ != nullptr) {
    secrets.erase(kIdentitySecret);
    secrets.insert({kRootsSecret, kRenewSecret});
  }
  ads_->Want(xds::Type::kSecret, std::move(secrets));
}

void Server::OnStreamOpened() { HEDDLE_LOG(kInfo, "xds") << "connected to the control plane"; }

void Server::OnUpdate(xds::Update update) {
  sheet_.Add(updates_);
  // Envoy asks for listeners when it has clusters; we ask at once, so their routes' clusters may
  // still be on their way.
  if (update.type == xds::Type::kListener && !first_clusters_.over())
    return early_.push_back(std::move(update));
  const bool clusters = update.type == xds::Type::kCluster;
  Apply(std::move(update));
  if (clusters) ApplyEarly();
}

void Server::ApplyEarly() {
  for (xds::Update& update : std::exchange(early_, {})) Apply(std::move(update));
}

void Server::Apply(xds::Update update) {
  std::vector<std::string> errors;
  std::set<std::string> names;
  for (xds::Resource& resource : update.resources) {
    const absl::Status status = store_->Put(update.type, &resource);
    if (!status.ok()) errors.push_back(std::string(status.message()));
    names.insert(resource.name);
  }
  for (const std::string& name : update.removed) store_->Remove(update.type, name);
  if (update.full && errors.empty()) store_->KeepOnly(update.type, names);
  if (update.type == xds::Type::kCluster) first_clusters_.Came();
  if (update.type == xds::Type::kListener) first_listeners_.Came();
  if (update.type == xds::Type::kSecret) CheckRenewal();
  absl::Status status;
  if (!errors.empty()) {
    sheet_.Add(rejected_);
    status = absl::InvalidArgumentError(absl::StrJoin(errors, "; "));
  }
  unanswered_.push_back({.update = std::move(update), .status = std::move(status), .version = 0});
  AskForWanted();
  save_timer_.Start(kSaveDelay);
  ScheduleBuild();
}

// The first content that is seen is what we started with; any other means: make a new key now.
void Server::CheckRenewal() {
  const auto secret = store_->secrets().Find(kRenewSecret);
  if (identity_ == nullptr || secret == nullptr || !secret->generic.has_value()) return;
  if (renew_known_ && *secret->generic != renew_epoch_) {
    HEDDLE_LOG(kInfo, "identity") << "the control plane asks for new certificates";
    identity_->Renew();
  }
  renew_known_ = true;
  renew_epoch_ = *secret->generic;
}

void Server::LoadLastGood() {
  if (identity_ != nullptr) identity_->Start();
  auto stored = last_good_.Load();
  if (!stored.ok()) {
    HEDDLE_LOG(kWarning, "xds") << stored.status().message()
                                << "; starting without the last good configuration";
    return;
  }
  size_t count = 0;
  for (const xds::Type type : xds::kTypes) {
    for (xds::Resource& resource : (*stored)[type]) {
      const absl::Status status = store_->Put(type, &resource);
      if (status.ok()) {
        ++count;
      } else {
        HEDDLE_LOG(kWarning, "xds")
            << "last good configuration: " << status.message() << "; left out";
      }
    }
  }
  if (count == 0) return;
  from_last_good_ = true;
  HEDDLE_LOG(kInfo, "xds") << "starting from the last good configuration (" << count
                           << " resources)";
}

void Server::SaveLastGood() {
  std::map<xds::Type, std::vector<xds::Resource>> all;
  for (const xds::Type type : xds::kTypes) {
    for (const auto& [name, held] : store_->held(type)) {
      if (!held.resource.bytes.empty() || held.error.empty()) all[type].push_back(held.resource);
    }
  }
  const absl::Status status = last_good_.Save(all);
  if (!status.ok())
    HEDDLE_LOG(kWarning, "xds") << status.message() << "; a restart will start without it";
}

// --- snapshots -----------------------------------------------------------------------------------

void Server::ScheduleBuild() {
  if (build_scheduled_) return;
  build_scheduled_ = true;
  loop_.Post([this] {
    build_scheduled_ = false;
    const absl::Status status = BuildAndPublish();
    if (!status.ok()) HEDDLE_LOG(kError, "config") << status.message();
  });
}

absl::Status Server::BuildAndPublish() {
  // At the first start discovered listeners wait until clusters are there, as Envoy does: no 503
  // for being early.
  const bool ready_for_listeners =
      from_last_good_ || listeners_released_ || state_ != State::kStarting;
  snapshot_ = store_->Build(ready_for_listeners);
  const bool clusters_ready =
      first_clusters_.over() &&
      std::none_of(store_->waiting().begin(), store_->waiting().end(),
                   [](const std::string& w) { return w.rfind("cluster", 0) == 0; });
  // As Envoy, which asks for listeners only then.
  if (clusters_ready && ads_ != nullptr) first_listeners_.Wait(bootstrap_.lds_fetch_timeout);
  if (!ready_for_listeners && clusters_ready && first_listeners_.over()) {
    listeners_released_ = true;
    snapshot_ = store_->Build(true);
  }
  std::vector<NewSockets> sockets(workers_.size());
  absl::Status opened = OpenSockets(*snapshot_, &sockets);
  for (Unanswered& item : unanswered_) {
    if (item.version != 0) continue;
    item.version = snapshot_->version;
    if (!opened.ok() && item.update.type == xds::Type::kListener && item.status.ok())
      item.status = opened;
  }
  adopting_[snapshot_->version] = workers_.size();
  for (size_t i = 0; i < workers_.size(); ++i) {
    workers_[i]->Adopt(snapshot_, std::move(sockets[i]), [this, version = snapshot_->version] {
      loop_.Post([this, version] { OnAdopted(version); });
    });
  }
  return opened;
}

absl::Status Server::OpenSockets(const proxy::Snapshot& snapshot, std::vector<NewSockets>* out) {
  std::map<std::string, net::Address> open;
  std::vector<std::string> errors;
  for (const auto& spec : snapshot.listeners) {
    const config::Listener& config = *spec->config;
    const auto known = open_.find(config.name);
    // Not what a drain has closed, or would have (as Envoy): the configuration is taken all the
    // same.
    const bool inbound = config.direction == config::Listener::Direction::kInbound;
    if (closed_ == Closed::kAll || (closed_ == Closed::kInbound && inbound)) continue;
    if (!config.bind_to_port || (known != open_.end() && known->second == config.address)) {
      if (config.bind_to_port) open[config.name] = config.address;
      continue;
    }
    net::ListenOptions options;
    options.reuse_port = true;  // one socket for each worker
    options.transparent = config.transparent || (options_.tproxy && config.original_dst);
    options.backlog = static_cast<int>(config.backlog);
    bool all = true;
    for (NewSockets& sockets : *out) {
      auto fd = ListenAt(config.address, options);
      if (!fd.ok()) {
        errors.push_back(absl::StrCat("listener ", config.name, ": cannot listen on ",
                                      config.address.ToString(), ": ", fd.status().message()));
        all = false;
        break;
      }
      sockets[config.name] = *std::move(fd);
    }
    if (all) {
      open[config.name] = config.address;
      HEDDLE_LOG(kInfo, "listener") << config.name << " listening on " << config.address.ToString();
    } else {
      for (NewSockets& sockets : *out) sockets.erase(config.name);
    }
  }
  open_ = std::move(open);
  return errors.empty() ? absl::OkStatus()
                        : absl::InvalidArgumentError(absl::StrJoin(errors, "; "));
}

// Intercepted connections come over both families, whatever the pod's first address is.
absl::StatusOr<net::Fd> Server::ListenAt(const net::Address& address,
                                         const net::ListenOptions& options) const {
  if (options_.intercept && address.family() == AF_INET && address.any()) {
    auto both = net::Listen(*net::Address::FromIp("::", address.port()), options);
    if (both.ok()) return both;  // else this kernel has no IPv6
  }
  return net::Listen(address, options);
}

void Server::OnAdopted(uint64_t version) {
  const auto it = adopting_.find(version);
  if (it == adopting_.end() || --it->second != 0) return;
  adopting_.erase(it);
  for (const Unanswered& item : unanswered_) {
    if (item.version <= version && ads_ != nullptr) ads_->Answer(item.update, item.status);
  }
  unanswered_.erase(std::remove_if(unanswered_.begin(), unanswered_.end(),
                                   [&](const Unanswered& item) { return item.version <= version; }),
                    unanswered_.end());
  CheckReady();
}

void Server::CheckReady() {
  if (state_ != State::kStarting || !adopting_.empty()) return;
  const bool discovered = !bootstrap_.ads.has_value() || from_last_good_ || listeners_released_;
  if (!discovered || !store_->waiting().empty()) return;
  state_ = State::kLive;
  HEDDLE_LOG(kInfo, "main") << "serving: " << snapshot_->listeners.size() << " listeners, "
                            << snapshot_->clusters.size() << " clusters, " << options_.concurrency
                            << " worker" << (options_.concurrency == 1 ? "" : "s");
}

// --- the end -------------------------------------------------------------------------------------

void Server::DrainListeners(bool inbound_only, bool graceful) {
  closed_ = std::max(closed_, inbound_only ? Closed::kInbound : Closed::kAll);
  for (auto& worker : workers_) {
    if (graceful) worker->Drain(inbound_only);
    worker->CloseListeners(inbound_only);
  }
  if (!graceful) return;
  // As in WatchDrain: a moment for clients to go by themselves, then what is idle is closed.
  close_idle_ = std::make_unique<event::Timer>(loop_, [this, inbound_only] {
    for (auto& worker : workers_) worker->CloseIdle(inbound_only);
    close_idle_->Start(kIdleAgain);
  });
  close_idle_->Start(kIdleGrace);
}

void Server::BeginDrain() {
  if (state_ == State::kDraining) return;
  state_ = State::kDraining;
  sheet_.Set(live_, 0);
  drain_began_ = loop_.Now();
  closed_ = Closed::kAll;
  HEDDLE_LOG(kInfo, "main") << "draining: /ready fails, connections finish what they have; at most "
                            << options_.drain_time;
  for (auto& worker : workers_) {
    worker->Drain(false);
    worker->CloseListeners(false);
  }
  WatchDrain();
}

void Server::WatchDrain() {
  uint64_t connections = 0;
  for (const auto& worker : workers_) connections += worker->connections();
  const absl::Duration spent = absl::Microseconds(loop_.Now() - drain_began_);
  // The workers count again every 20 ms; the first look is taken after that.
  const bool counted = spent > absl::Milliseconds(60);
  if ((connections == 0 && counted) || spent >= options_.drain_time) {
    if (connections != 0)
      HEDDLE_LOG(kWarning, "main") << "drain time over with " << connections << " connections open";
    return Finish();
  }
  // Idle keep-alive connections heard of it at once (h2) or will never send again (h1): a moment,
  // then they are closed.
  if (spent > std::min(kIdleGrace, options_.drain_time / 4)) {
    for (auto& worker : workers_) worker->CloseIdle(false);
  }
  drain_timer_.Start(absl::Milliseconds(30));
}

void Server::Finish() {
  for (auto& worker : workers_) worker->Abort();
  exporter_->Flush([this] { loop_.Stop(); });
  // A collector that does not answer must not keep the process.
  drain_timer_.Stop();
  last_timer_ = std::make_unique<event::Timer>(loop_, [this] { loop_.Stop(); });
  last_timer_->Start(absl::Seconds(1));
}

// --- admin ---------------------------------------------------------------------------------------

admin::ServerInfo Server::Info() {
  admin::ServerInfo info;
  info.version = base::kVersion;
  switch (state_) {
    case State::kStarting:
      info.state = first_clusters_.over() ? "INITIALIZING" : "PRE_INITIALIZING";
      break;
    case State::kLive:
      info.state = healthy_ ? "LIVE" : "DRAINING";
      break;
    case State::kDraining:
      info.state = "DRAINING";
      break;
  }
  info.node_id = bootstrap_.node_id;
  info.node_cluster = bootstrap_.node_cluster;
  info.concurrency = options_.concurrency;
  info.uptime = absl::Now() - started_;
  info.command_line = command_line_;
  return info;
}

std::vector<admin::Dumped> Server::Resources() {
  static constexpr absl::string_view kKinds[] = {"clusters", "endpoints", "listeners", "routes",
                                                 "secrets"};
  std::vector<admin::Dumped> out;
  for (const xds::Type type : xds::kTypes) {
    for (const auto& [name, held] : store_->held(type)) {
      out.push_back({.kind = absl::StrCat("dynamic_", kKinds[static_cast<size_t>(type)]),
                     .name = name,
                     .version = held.resource.version,
                     .type_url = std::string(xds::TypeUrl(type)),
                     .bytes = held.resource.bytes,
                     .error = held.error});
    }
  }
  if (!bootstrap_.encoded.empty()) {
    out.push_back({.kind = "bootstrap",
                   .name = bootstrap_.node_id,
                   .version = "",
                   .type_url = "type.googleapis.com/envoy.config.bootstrap.v3.Bootstrap",
                   .bytes = bootstrap_.encoded,
                   .error = ""});
  }
  return out;
}

std::vector<admin::CertificateView> Server::Certificates() {
  std::vector<admin::CertificateView> out;
  for (const auto& secret : store_->secrets().All()) {
    admin::CertificateView view;
    view.name = secret->name;
    if (secret->certificate.has_value()) {
      if (auto chain = tls::ParseCertificates(secret->certificate->chain_pem); chain.ok())
        view.chain = *std::move(chain);
    }
    if (secret->validation.has_value() && !secret->validation->trusted_ca_pem.empty()) {
      if (auto roots = tls::ParseCertificates(secret->validation->trusted_ca_pem); roots.ok())
        view.roots = *std::move(roots);
    }
    if (!view.chain.empty() || !view.roots.empty()) out.push_back(std::move(view));
  }
  return out;
}

std::string Server::ControlPlane() {
  if (ads_ == nullptr) return "null";
  std::string waiting, error;
  for (const std::string& text : store_->waiting()) {
    if (!waiting.empty()) waiting.push_back(',');
    observe::AppendJsonString(text, &waiting);
  }
  observe::AppendJsonString(ads_->last_error(), &error);
  return absl::StrCat(
      "{\"connected\":", ads_->connected() ? "true" : "false",
      ",\"reconnects\":", ads_->reconnects(), ",\"rejected\":", ads_->rejected(),
      ",\"last_error\":", error, ",\"waiting\":[", waiting,
      "],\"certificate_renewals\":", identity_ == nullptr ? 0 : identity_->renewals(), "}");
}

}  // namespace heddle::server
