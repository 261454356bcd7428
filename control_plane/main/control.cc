#include "control_plane/main/control.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "control_plane/identity/ca.h"
#include "control_plane/identity/ca_secret.h"
#include "control_plane/identity/files.h"
#include "control_plane/identity/serving.h"
#include "control_plane/identity/token.h"
#include "control_plane/identity/token_review.h"
#include "control_plane/ingest/file_source.h"
#include "control_plane/ingest/kubernetes_source.h"
#include "control_plane/kube/client.h"
#include "control_plane/kube/config.h"
#include "control_plane/kube/events.h"
#include "control_plane/kube/lease.h"
#include "control_plane/main/webhooks.h"
#include "control_plane/serve/auth.h"
#include "control_plane/serve/certificates.h"
#include "control_plane/serve/grpc_forward.h"
#include "control_plane/serve/grpc_server.h"
#include "control_plane/serve/hub.h"
#include "control_plane/status/admin.h"
#include "control_plane/status/http_server.h"
#include "control_plane/status/steward.h"
#include "control_plane/status/version.h"
#include "control_plane/trace/store.h"
#include "source/base/clock.h"
#include "source/base/log.h"
#include "source/base/status.h"
#include "source/event/loop.h"

namespace heddle::control {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(250);
// Another replica's step of a root rotation is seen this soon.
constexpr absl::Duration kLookAtCa = absl::Seconds(10);
// A pod begins before its API server's address works, now and then.
constexpr absl::Duration kWaitForApiServer = absl::Minutes(1);

bool IsIp(const std::string& text) {
  unsigned char buffer[sizeof(in6_addr)];
  return ::inet_pton(AF_INET, text.c_str(), buffer) == 1 ||
         ::inet_pton(AF_INET6, text.c_str(), buffer) == 1;
}

bool IsWildcard(const std::string& host) { return host == "0.0.0.0" || host == "::"; }

absl::StatusOr<identity::ServerNames> NamesOf(const Options& options, const std::string& host) {
  identity::ServerNames out{.dns = {"heddle-control", "heddle-control.heddle-system",
                                    "heddle-control.heddle-system.svc", "localhost"},
                            .ip = {"127.0.0.1", "::1"}};
  std::vector<std::string> more = options.names;
  if (options.in_cluster()) {
    const std::string service = absl::StrCat("heddle-control.", options.system_namespace);
    for (const char* end : {"", ".svc", ".svc.cluster.local"})
      more.push_back(absl::StrCat(service, end));
  }
  if (!IsWildcard(host) && host != "127.0.0.1" && host != "::1" && host != "localhost")
    more.push_back(host);
  for (const std::string& name : more) {
    if (IsIp(name)) {
      out.ip.push_back(name);
      continue;
    }
    // It becomes part of the certificate's extension text: letters, digits, '-' and '.' only.
    HEDDLE_RETURN_IF_ERROR(identity::ValidateName("--name", name));
    out.dns.push_back(name);
  }
  return out;
}

// Who this process is among its replicas. One that was started again is another than before.
std::string Instance() {
  if (const char* pod = ::getenv("POD_NAME"); pod != nullptr) return pod;
  char host[256] = {};
  ::gethostname(host, sizeof(host) - 1);
  return absl::StrCat(host, "-", ::getpid());
}

}  // namespace

// In the order they are made; destroyed in reverse.
struct Control::Parts {
  Options options;
  absl::Time started;
  // In a cluster only.
  std::unique_ptr<kube::Client> cluster;
  std::optional<identity::CaSecret> ca_secret;
  std::optional<identity::TokenReviewer> reviewer;
  std::optional<kube::Election> election;
  std::optional<kube::EventRecorder> rejections;  // what sidecars did not take

  std::optional<identity::DirectoryLock> lock;
  std::unique_ptr<identity::CertificateAuthority> ca;
  std::optional<identity::TokenKey> tokens;
  std::optional<identity::ServingCertificate> serving;  // tick thread only, after Start
  std::unique_ptr<serve::Secrets> secrets;
  std::optional<serve::Hub> hub;
  std::optional<serve::Authenticator> authenticator;
  std::optional<serve::CertificateService> certificates;
  std::optional<trace::Store> traces;
  std::optional<serve::TraceForwarder> forwarder;
  std::unique_ptr<serve::GrpcServer> grpc;
  std::unique_ptr<ingest::Source> source;
  ingest::KubernetesSource* kubernetes = nullptr;  // `source`, in a cluster
  std::optional<status::Steward> steward;
  std::unique_ptr<status::HttpServer> admin, health;
  std::unique_ptr<Webhooks> webhooks;

  event::Loop ticks;
  std::optional<event::Timer> timer;
  std::thread ticker;
  bool stopped = false;

  mutable absl::Mutex mutex;
  uint64_t generation ABSL_GUARDED_BY(mutex) = 0;
  std::vector<model::Problem> problems ABSL_GUARDED_BY(mutex);
  std::vector<ingest::Kept> kept ABSL_GUARDED_BY(mutex);
  absl::Time serving_not_after ABSL_GUARDED_BY(mutex);
  std::thread ca_watch;  // in a cluster
  absl::Mutex ca_mutex;  // one step of a rotation, or one look at the Secret, at a time
  bool ca_over ABSL_GUARDED_BY(ca_mutex) = false;

  absl::Status StartCluster();
  absl::Status StartIdentity();
  absl::Status StartServing();
  absl::Status StartSource();
  absl::Status StartAdmin();
  absl::Status StartHealth();
  void StartStewardship();
  absl::Status StartWebhooks();
  void WatchCa();
  void StartTicking();
  void OnUpdate(ingest::Update update);
  void OnRejection(const serve::Rejection& rejection);
  void Tick();
  absl::StatusOr<std::string> Rotate(const std::string& root_step);
  absl::StatusOr<std::string> RotateFiles(const std::string& root_step);
  status::Steward::Wanted Wanted();
  absl::StatusOr<std::string> ExportTraces(const serve::Peer& peer, const std::string& request);
  status::Overview MakeOverview() const;
  std::string advertised() const;
};

absl::Status Control::Parts::StartCluster() {
  if (!options.in_cluster()) return absl::OkStatus();
  HEDDLE_ASSIGN_OR_RETURN(kube::ClusterConfig config,
                          options.kubernetes
                              ? kube::InCluster()
                              : kube::FromKubeconfig(options.kubeconfig, options.context));
  HEDDLE_ASSIGN_OR_RETURN(cluster, kube::Client::Start(std::move(config), {}));
  return absl::OkStatus();
}

absl::Status Control::Parts::StartIdentity() {
  HEDDLE_RETURN_IF_ERROR(identity::PrepareStateDir(options.state_dir));
  HEDDLE_ASSIGN_OR_RETURN(auto taken, identity::DirectoryLock::Take(options.state_dir + "/lock"));
  lock.emplace(std::move(taken));
  if (cluster != nullptr) {
    reviewer.emplace(*cluster, options.trust_domain);
    ca_secret.emplace(*cluster, identity::CaSecretOptions{.ns = options.system_namespace,
                                                          .dir = options.state_dir,
                                                          .trust_domain = options.trust_domain});
    const absl::Time until = absl::Now() + kWaitForApiServer;
    absl::Status adopted = ca_secret->Adopt(absl::Now());
    while (!adopted.ok() && absl::IsUnavailable(adopted) && absl::Now() < until) {
      HEDDLE_LOG(kWarning, "identity") << "the CA's Secret: " << adopted.message();
      absl::SleepFor(absl::Seconds(1));
      adopted = ca_secret->Adopt(absl::Now());
    }
    HEDDLE_RETURN_IF_ERROR(adopted);
  }
  HEDDLE_ASSIGN_OR_RETURN(
      ca, identity::CertificateAuthority::Open(
              {.dir = options.state_dir, .trust_domain = options.trust_domain}, absl::Now()));
  HEDDLE_ASSIGN_OR_RETURN(auto opened, identity::TokenKey::Open(options.state_dir));
  tokens.emplace(std::move(opened));
  std::string host;
  int port = 0;
  HEDDLE_RETURN_IF_ERROR(status::SplitHostPort(options.listen, &host, &port));
  HEDDLE_ASSIGN_OR_RETURN(identity::ServerNames names, NamesOf(options, host));
  serving.emplace(*ca, std::move(names));
  HEDDLE_RETURN_IF_ERROR(serving->Refresh(absl::Now()));
  absl::MutexLock guard(&mutex);
  serving_not_after = serving->not_after();
  return absl::OkStatus();
}

absl::Status Control::Parts::StartServing() {
  HEDDLE_ASSIGN_OR_RETURN(secrets, serve::Secrets::Open(*ca, absl::Now()));
  serve::HubOptions streams{.max_streams = static_cast<size_t>(options.max_streams)};
  if (cluster != nullptr) {
    rejections.emplace(*cluster, kube::EventOptions{.instance = Instance()});
    streams.on_rejection = [this](const serve::Rejection& one) { OnRejection(one); };
  }
  hub.emplace(std::move(streams), *secrets, base::SystemClock());
  serve::Authenticator::Review review;
  if (reviewer.has_value())
    review = [this](absl::string_view token,
                    absl::Time now) -> absl::StatusOr<serve::Authenticator::TokenProof> {
      HEDDLE_ASSIGN_OR_RETURN(identity::ReviewedToken reviewed, reviewer->Review(token, now));
      return serve::Authenticator::TokenProof{.id = std::move(reviewed.id),
                                              .expires = reviewed.expires};
    };
  authenticator.emplace(*tokens, options.trust_domain, std::move(review));
  certificates.emplace(*ca, *hub);
  traces.emplace(trace::StoreOptions{.max_spans = static_cast<size_t>(options.trace_spans),
                                     .max_bytes = static_cast<size_t>(options.trace_mib) << 20});
  if (!options.otlp_forward.empty()) {
    std::string host;
    int port = 0;
    HEDDLE_RETURN_IF_ERROR(status::SplitHostPort(options.otlp_forward, &host, &port));
    forwarder.emplace(options.otlp_forward);
  }
  HEDDLE_ASSIGN_OR_RETURN(
      grpc,
      serve::GrpcServer::Start({.listen = options.listen,
                                .key_path = serving->key_path(),
                                .cert_path = serving->cert_path(),
                                .roots_path = ca->bundle_path(),
                                .max_connection_age = options.max_connection_age},
                               *hub, *authenticator,
                               {.create_certificate =
                                    [this](const serve::Peer& peer, const std::string& request) {
                                      return certificates->Create(peer, request);
                                    },
                                .export_traces =
                                    [this](const serve::Peer& peer, const std::string& request) {
                                      return ExportTraces(peer, request);
                                    }}));
  return absl::OkStatus();
}

std::string Control::Parts::advertised() const {
  if (!options.advertise.empty()) return options.advertise;
  std::string host;
  int port = 0;
  if (!status::SplitHostPort(options.listen, &host, &port).ok()) return "";
  if (options.kubernetes)
    return absl::StrCat("heddle-control.", options.system_namespace, ".svc:", grpc->port());
  if (IsWildcard(host)) return "";
  return absl::StrCat(host, ":", grpc->port());
}

absl::Status Control::Parts::StartSource() {
  model::WorldOptions world{.trust_domain = options.trust_domain, .control_address = {}};
  if (const std::string address = advertised(); !address.empty()) {
    std::string host;
    int port = 0;
    HEDDLE_RETURN_IF_ERROR(status::SplitHostPort(address, &host, &port));
    world.control_address = model::HostPort{.host = host, .port = static_cast<uint16_t>(port)};
  }
  if (cluster != nullptr) {
    auto watched = ingest::KubernetesSource::Make(
        *cluster, {.world = std::move(world), .system_namespace = options.system_namespace});
    kubernetes = watched.get();
    source = std::move(watched);
  } else {
    source = ingest::MakeFileSource({.directory = options.config, .world = std::move(world)});
  }
  return source->Start([this](ingest::Update update) { OnUpdate(std::move(update)); });
}

void Control::Parts::OnUpdate(ingest::Update update) {
  std::vector<model::Problem> before;
  {
    absl::MutexLock guard(&mutex);
    generation = update.generation;
    before = std::exchange(problems, update.problems);
    kept = update.kept;
  }
  const auto serves_on = [&](const std::string& file) {
    return std::any_of(update.kept.begin(), update.kept.end(),
                       [&](const ingest::Kept& one) { return one.name == file; });
  };
  for (const model::Problem& problem : update.problems) {
    if (std::find(before.begin(), before.end(), problem) != before.end()) continue;
    if (problem.severity == model::Severity::kError)
      HEDDLE_LOG(kError, "config")
          << problem.ToString()
          << (serves_on(problem.file) ? " (what it said before goes on)" : "");
    else
      HEDDLE_LOG(kWarning, "config") << problem.ToString();
  }
  if (update.problems.empty() && !before.empty())
    HEDDLE_LOG(kInfo, "config") << "all problems are gone";
  hub->SetWorld(std::move(update.world), update.generation);
}

// Of every replica, each for the sidecars that are connected to it. A proxy is here only after the
// source has given a World.
void Control::Parts::OnRejection(const serve::Rejection& rejection) {
  const std::vector<std::string> parts = absl::StrSplit(rejection.node_id, '/');
  if (parts.size() != 2) return;
  kube::EventObject object{.api_version = "v1",
                           .kind = "Pod",
                           .ns = parts[0],
                           .name = parts[1],
                           .uid = kubernetes->PodUid(parts[0], parts[1])};
  if (object.uid.empty()) {
    // No pod: a Workload that somebody wrote.
    const std::shared_ptr<const ingest::ClusterView> view = kubernetes->view();
    const auto target = view->targets.find(absl::StrCat("Workload ", rejection.node_id));
    if (target == view->targets.end()) return;
    object.api_version = target->second.resource->api_version;
    object.kind = target->second.resource->name;
    object.uid = target->second.uid;
  }
  rejections->Record({.object = std::move(object),
                      .warning = true,
                      .reason = "ConfigurationRejected",
                      .message = absl::StrCat(rejection.type, ": ", rejection.why)});
}

absl::Status Control::Parts::StartAdmin() {
  status::AdminSource pages;
  pages.overview = [this] { return MakeOverview(); };
  pages.traces = &*traces;
  pages.rotate = [this](const std::string& step) { return Rotate(step); };
  HEDDLE_ASSIGN_OR_RETURN(
      admin,
      status::HttpServer::Start(options.admin, [this, pages](const status::HttpRequest& request) {
        status::HttpReply reply = status::AnswerAdmin(pages, request);
        if (request.path == "/metrics" && reply.code == 200 && webhooks != nullptr)
          reply.body += webhooks->Metrics();
        return reply;
      }));
  return absl::OkStatus();
}

absl::Status Control::Parts::StartHealth() {
  if (options.health_address.empty()) return absl::OkStatus();
  HEDDLE_ASSIGN_OR_RETURN(
      health,
      status::HttpServer::Start(options.health_address, [this](const status::HttpRequest& request) {
        status::HttpReply reply;
        if (request.path != "/livez" && request.path != "/readyz") {
          reply.code = 404;
          reply.body = "/livez, /readyz\n";
        } else if (request.path == "/livez" || hub->world() != nullptr) {
          reply.body = "ok\n";
        } else {
          reply.code = 503;
          reply.body = "the configuration was not read yet";
          if (kubernetes != nullptr)
            absl::StrAppend(&reply.body, "; waiting for ",
                            absl::StrJoin(kubernetes->Waiting(), ", "));
          reply.body += "\n";
        }
        return reply;
      }));
  return absl::OkStatus();
}

status::Steward::Wanted Control::Parts::Wanted() {
  status::Steward::Wanted out;
  out.view = kubernetes->view();
  out.bundle = ca->Bundle();
  out.leading = election->leading();
  out.served = hub->generation();
  absl::MutexLock guard(&mutex);
  out.problems = problems;
  out.kept = kept;
  out.problems_known = generation > 0;
  return out;
}

void Control::Parts::StartStewardship() {
  if (cluster == nullptr) return;
  const std::string identity = Instance();
  election.emplace(
      *cluster,
      kube::ElectionOptions{
          .ns = options.system_namespace, .name = "heddle-control", .identity = identity},
      [](bool) {});
  steward.emplace(
      *cluster,
      status::StewardOptions{.instance = identity, .system_namespace = options.system_namespace},
      [this] { return Wanted(); }, [this](uint64_t since) { return hub->SpreadOf(since); });
  ca_watch = std::thread([this] { WatchCa(); });
}

absl::Status Control::Parts::StartWebhooks() {
  if (options.webhook.empty()) return absl::OkStatus();
  WebhookOptions given{.listen = options.webhook,
                       .settings_file = options.injection,
                       .trust_domain = options.trust_domain,
                       .system_namespace = options.system_namespace,
                       .key_path = serving->key_path(),
                       .cert_path = serving->cert_path(),
                       .bundle = [this] { return ca->Bundle(); },
                       .cluster = cluster.get(),
                       .instance = Instance(),
                       .leading = [this] { return election.has_value() && election->leading(); },
                       .world = [this] { return hub->world(); },
                       .namespace_labels = {}};
  if (kubernetes != nullptr)
    given.namespace_labels = [this](const std::string& ns) {
      return kubernetes->NamespaceLabels(ns);
    };
  HEDDLE_ASSIGN_OR_RETURN(webhooks, Webhooks::Start(std::move(given)));
  return absl::OkStatus();
}

// Takes up what another replica did to the CA.
void Control::Parts::WatchCa() {
  absl::MutexLock guard(&ca_mutex);
  while (!ca_mutex.AwaitWithTimeout(absl::Condition(&ca_over), kLookAtCa)) {
    absl::StatusOr<bool> changed = ca_secret->Pull();
    absl::Status status = changed.status();
    if (status.ok() && *changed) {
      status = ca->Reload(absl::Now());
      if (status.ok()) status = secrets->Reload();
      if (status.ok()) {
        HEDDLE_LOG(kInfo, "identity") << "the CA changed: another replica rotates";
        hub->SecretsChanged();
      }
    }
    if (!status.ok()) HEDDLE_LOG(kWarning, "identity") << "the CA's Secret: " << status.ToString();
  }
}

void Control::Parts::StartTicking() {
  timer.emplace(ticks, [this] { Tick(); });
  timer->Start(kTick);
  ticker = std::thread([this] { ticks.Run(); });
}

void Control::Parts::Tick() {
  hub->Tick();
  const absl::Time now = absl::Now();
  if (const absl::Status status = serving->Refresh(now); !status.ok())
    HEDDLE_LOG(kError, "identity") << "renewing the serving certificate: " << status.ToString();
  {
    absl::MutexLock guard(&mutex);
    serving_not_after = serving->not_after();
  }
  if (webhooks != nullptr) webhooks->Tick(now);
  timer->Start(kTick);
}

// In a cluster the step is made on what the Secret has, and is written there before anybody is
// told.
absl::StatusOr<std::string> Control::Parts::Rotate(const std::string& step) {
  absl::MutexLock guard(&ca_mutex);
  if (ca_secret.has_value()) {
    HEDDLE_ASSIGN_OR_RETURN(const bool changed, ca_secret->Pull());
    if (changed) {
      HEDDLE_RETURN_IF_ERROR(ca->Reload(absl::Now()));
      HEDDLE_RETURN_IF_ERROR(secrets->Reload());
    }
  }
  HEDDLE_ASSIGN_OR_RETURN(std::string said, RotateFiles(step));
  if (ca_secret.has_value()) HEDDLE_RETURN_IF_ERROR(ca_secret->Push());
  return said;
}

absl::StatusOr<std::string> Control::Parts::RotateFiles(const std::string& step) {
  const absl::Time now = absl::Now();
  std::string said;
  if (step.empty()) {
    HEDDLE_RETURN_IF_ERROR(secrets->RenewAll(now));
    said = "every workload was told to renew its certificate";
  } else if (step == "prepare") {
    HEDDLE_RETURN_IF_ERROR(ca->PrepareRoot(now));
    secrets->RefreshBundle();
    said =
        "the next root is in the trust bundle; activate it when every proxy has acknowledged the "
        "bundle";
  } else if (step == "activate") {
    HEDDLE_RETURN_IF_ERROR(ca->ActivateRoot());
    secrets->RefreshBundle();
    HEDDLE_RETURN_IF_ERROR(secrets->RenewAll(now));
    said =
        "the new root signs, and every workload was told to renew; retire the old root when all "
        "have";
  } else if (step == "retire") {
    HEDDLE_RETURN_IF_ERROR(ca->RetireRoots());
    secrets->RefreshBundle();
    said = "the old root is no longer trusted";
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("root \"", step, "\": want prepare, activate or retire"));
  }
  HEDDLE_LOG(kInfo, "identity") << "rotation: " << said;
  hub->SecretsChanged();
  return said;
}

absl::StatusOr<std::string> Control::Parts::ExportTraces(const serve::Peer&,
                                                         const std::string& request) {
  HEDDLE_ASSIGN_OR_RETURN(std::vector<trace::Span> spans, trace::DecodeOtlp(request));
  if (forwarder) forwarder->Forward(request);
  traces->Add(std::move(spans));
  return std::string();  // an empty ExportTraceServiceResponse: everything was taken
}

status::Overview Control::Parts::MakeOverview() const {
  status::Overview out;
  out.now = absl::Now();
  out.started = started;
  out.version = kControlVersion;
  out.trust_domain = options.trust_domain;
  {
    absl::MutexLock guard(&mutex);
    out.generation = generation;
    out.problems = problems;
    out.serving_not_after = serving_not_after;
  }
  out.world = hub->world();
  out.hub = hub->Report();
  out.counters = &hub->counters();
  out.translation = hub->translation();
  out.roots = ca->Roots();
  out.renewal_epoch = secrets->Current()->epoch;
  out.traces = traces->stats();
  if (kubernetes != nullptr)
    for (const ingest::WatchReport& one : kubernetes->Watches())
      out.watches.push_back({.resource = one.resource,
                             .lists = one.lists,
                             .watches = one.watches,
                             .events = one.events,
                             .failures = one.failures,
                             .expired = one.expired});
  if (forwarder) {
    const serve::TraceForwarder::Stats stats = forwarder->stats();
    out.forwarded = status::Overview::Forwarded{
        .sent = stats.sent, .failed = stats.failed, .dropped = stats.dropped};
  }
  return out;
}

Control::Control() : parts_(std::make_unique<Parts>()) {}

absl::StatusOr<std::unique_ptr<Control>> Control::Start(const Options& options) {
  auto out = std::unique_ptr<Control>(new Control());
  Parts& parts = *out->parts_;
  parts.options = options;
  parts.started = absl::Now();
  HEDDLE_RETURN_IF_ERROR(parts.StartCluster());
  HEDDLE_RETURN_IF_ERROR(parts.StartIdentity());
  HEDDLE_RETURN_IF_ERROR(parts.StartServing());
  HEDDLE_RETURN_IF_ERROR(parts.StartSource());
  HEDDLE_RETURN_IF_ERROR(parts.StartWebhooks());
  HEDDLE_RETURN_IF_ERROR(parts.StartAdmin());
  HEDDLE_RETURN_IF_ERROR(parts.StartHealth());
  parts.StartStewardship();
  parts.StartTicking();
  HEDDLE_LOG(kInfo, "main") << "heddle-control " << kControlVersion << ": gRPC on "
                            << options.listen << " (port " << parts.grpc->port()
                            << "), admin on port " << parts.admin->port() << ", trust domain "
                            << options.trust_domain << ", configuration "
                            << (parts.cluster != nullptr ? parts.cluster->cluster().server
                                                         : options.config);
  return out;
}

int Control::grpc_port() const { return parts_->grpc->port(); }
int Control::admin_port() const { return parts_->admin->port(); }

void Control::Stop() {
  if (std::exchange(parts_->stopped, true)) return;
  parts_->steward.reset();
  if (parts_->election) parts_->election->Resign();
  if (parts_->ca_watch.joinable()) {
    {
      absl::MutexLock guard(&parts_->ca_mutex);
      parts_->ca_over = true;
    }
    parts_->ca_watch.join();
  }
  if (parts_->source != nullptr) parts_->source->Stop();
  if (parts_->ticker.joinable()) {
    parts_->ticks.Stop();
    parts_->ticker.join();
  }
  parts_->timer.reset();
  parts_->admin.reset();
  parts_->health.reset();
  parts_->webhooks.reset();
  if (parts_->hub) parts_->hub->Shutdown();
  if (parts_->grpc != nullptr) parts_->grpc->Shutdown(absl::Seconds(2));
}

Control::~Control() { Stop(); }

}  // namespace heddle::control
