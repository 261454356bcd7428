// How long a change of policy takes to reach a large mesh, and what heddle-control needs for it:
// starts heddle-control, opens one delta ADS stream for each of many sidecars, edits a
// BackendPolicy, and waits for the last acknowledgement.
//
//   push HEDDLE_CONTROL [SIDECARS [SERVICES [EDITS]]]           default 1000 100 10
//
// Each sidecar has a service account and a TLS connection of its own, sees every service, and asks
// for what a real one asks for: clusters, their endpoints, listeners, their routes. One line for
// each figure on stdout; exit 1 when something did not arrive.
#include <grpcpp/grpcpp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "control_plane/identity/files.h"
#include "control_plane/identity/token.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/service/discovery/v3/ads.grpc.pb.h"

namespace heddle {
namespace {

namespace discovery = envoy::service::discovery::v3;

constexpr char kCds[] = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
constexpr char kEds[] = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
constexpr char kLds[] = "type.googleapis.com/envoy.config.listener.v3.Listener";
constexpr char kRds[] = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
constexpr absl::Duration kPatience = absl::Minutes(5);

// Counts answers of all streams, and says when the last one of a round came.
class Tally {
 public:
  void Acknowledged() {
    absl::MutexLock lock(&mutex_);
    times_.push_back(absl::Now());
  }
  void Fail(const std::string& why) {
    absl::MutexLock lock(&mutex_);
    if (failure_.empty()) failure_ = why;
  }
  void Clear() {
    absl::MutexLock lock(&mutex_);
    times_.clear();
  }
  // The times of at least `count` answers, or nothing when they do not come.
  std::vector<absl::Time> Await(size_t count) {
    absl::MutexLock lock(&mutex_);
    const auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return times_.size() >= count || !failure_.empty();
    };
    mutex_.AwaitWithTimeout(absl::Condition(&enough), kPatience);
    if (!failure_.empty()) std::fprintf(stderr, "%s\n", failure_.c_str());
    if (times_.size() < count || !failure_.empty()) return {};
    return times_;
  }
  // Until nothing more has come for a while.
  void Settle() {
    for (size_t before = SIZE_MAX;;) {
      absl::SleepFor(absl::Milliseconds(500));
      absl::MutexLock lock(&mutex_);
      if (times_.size() == before) return;
      before = times_.size();
    }
  }

 private:
  absl::Mutex mutex_;
  std::vector<absl::Time> times_ ABSL_GUARDED_BY(mutex_);
  std::string failure_ ABSL_GUARDED_BY(mutex_);
};

// One sidecar: answers every response, and asks for the endpoints and routes that go with it.
class Sidecar final : public grpc::ClientBidiReactor<discovery::DeltaDiscoveryRequest,
                                                     discovery::DeltaDiscoveryResponse> {
 public:
  Sidecar(const std::shared_ptr<grpc::Channel>& channel, const std::string& node,
          const std::string& token, Tally& tally)
      : tally_(tally), stub_(discovery::AggregatedDiscoveryService::NewStub(channel)) {
    context_.AddMetadata("authorization", "Bearer " + token);
    Ask(kCds, {}, node);
    Ask(kLds, {}, "");
    Ask(kRds, {"outbound"}, "");
    stub_->async()->DeltaAggregatedResources(&context_, this);
    StartRead(&response_);
    Write();
    StartCall();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    discovery::DeltaDiscoveryRequest answer;
    answer.set_type_url(response_.type_url());
    answer.set_response_nonce(response_.nonce());
    if (response_.type_url() == kCds) AskForEndpoints();
    {
      absl::MutexLock lock(&mutex_);
      waiting_.push_back(std::move(answer));
    }
    Write();
    tally_.Acknowledged();
    response_.Clear();
    StartRead(&response_);
  }
  void OnWriteDone(bool ok) override {
    {
      absl::MutexLock lock(&mutex_);
      writing_ = false;
    }
    if (ok) Write();
  }
  void OnDone(const grpc::Status& status) override {
    if (!ending_) tally_.Fail(absl::StrCat("a stream ended: ", status.error_message()));
    absl::MutexLock lock(&mutex_);
    done_ = true;
  }
  void End() {
    ending_ = true;
    context_.TryCancel();
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&done_));
  }

 private:
  void Ask(const std::string& type, const std::vector<std::string>& names,
           const std::string& node) {
    discovery::DeltaDiscoveryRequest request;
    request.set_type_url(type);
    for (const std::string& name : names) request.add_resource_names_subscribe(name);
    if (!node.empty()) request.mutable_node()->set_id(node);
    absl::MutexLock lock(&mutex_);
    waiting_.push_back(std::move(request));
  }
  void AskForEndpoints() {
    std::vector<std::string> fresh;
    for (const discovery::Resource& resource : response_.resources()) {
      envoy::config::cluster::v3::Cluster cluster;
      if (asked_.count(resource.name()) != 0 || !resource.resource().UnpackTo(&cluster)) continue;
      asked_.insert(resource.name());
      if (cluster.type() != envoy::config::cluster::v3::Cluster::EDS) continue;
      const std::string& name = cluster.eds_cluster_config().service_name();
      fresh.push_back(name.empty() ? cluster.name() : name);
    }
    if (!fresh.empty()) Ask(kEds, fresh, "");
  }
  void Write() {
    absl::MutexLock lock(&mutex_);
    if (writing_ || waiting_.empty()) return;
    writing_ = true;
    request_ = std::move(waiting_.front());
    waiting_.erase(waiting_.begin());
    StartWrite(&request_);
  }

  Tally& tally_;
  std::unique_ptr<discovery::AggregatedDiscoveryService::Stub> stub_;
  grpc::ClientContext context_;
  discovery::DeltaDiscoveryRequest request_;
  discovery::DeltaDiscoveryResponse response_;
  std::set<std::string> asked_;
  std::atomic<bool> ending_{false};
  absl::Mutex mutex_;
  std::vector<discovery::DeltaDiscoveryRequest> waiting_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
};

std::string MeshYaml(int sidecars, int services) {
  std::string out;
  for (int i = 0; i < services; ++i) {
    absl::StrAppend(&out, "apiVersion: v1\nkind: Service\nmetadata: {name: s", i,
                    ", namespace: shop}\nspec: {selector: {app: s", i,
                    "}, ports: [{name: http, port: 9080}]}\n---\n");
  }
  for (int i = 0; i < sidecars; ++i) {
    absl::StrAppend(&out, "apiVersion: heddle.dev/v1\nkind: Workload\nmetadata: {name: w", i,
                    ", namespace: shop, labels: {app: s", i % services, "}}\nspec: {address: 127.",
                    1 + i / 62500, ".", i / 250 % 250, ".", 1 + i % 250, ", serviceAccount: s",
                    i % services, ", ports: [{name: http, port: 9080, appPort: 19080}]}\n---\n");
  }
  return out;
}

std::string PolicyYaml(int edit) {
  return absl::StrCat(
      "apiVersion: heddle.dev/v1\nkind: BackendPolicy\nmetadata: {name: p, namespace: shop}\n"
      "spec: {targetRef: {kind: Service, name: s0}, timeouts: {connect: ",
      1000 + edit, "ms}}\n");
}

// heddle-control as a child, in a folder that goes with it.
class Control {
 public:
  Control(const std::string& program, int sidecars, int services) {
    root_ = "/tmp/heddle-push.XXXXXX";
    if (mkdtemp(root_.data()) == nullptr) return;
    for (const char* part : {"/mesh", "/state"}) {
      if (!identity::PrepareStateDir(root_ + part).ok()) return;
    }
    if (!Write("mesh.yaml", MeshYaml(sidecars, services)) || !Write("policy.yaml", PolicyYaml(0)))
      return;
    pid_ = fork();
    if (pid_ == 0) {
      const std::string mesh = root_ + "/mesh", log = root_ + "/log";
      if (std::freopen(log.c_str(), "w", stderr) == nullptr) _exit(126);
      const std::string state = root_ + "/state";
      execl(program.c_str(), program.c_str(), "--config", mesh.c_str(), "--state-dir",
            state.c_str(), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", nullptr);
      _exit(127);
    }
    for (const absl::Time end = absl::Now() + absl::Minutes(1); absl::Now() < end && port_ == 0;) {
      absl::SleepFor(absl::Milliseconds(20));
      ReadPort();
    }
  }
  ~Control() {
    if (pid_ > 0) {
      kill(pid_, SIGTERM);
      waitpid(pid_, nullptr, 0);
    }
    if (absl::StartsWith(root_, "/tmp/heddle-push.")) [[maybe_unused]]
      const int gone = std::system(("rm -rf " + root_).c_str());
  }
  int port() const { return port_; }
  const std::string& root() const { return root_; }
  bool Write(const std::string& name, const std::string& text) const {
    return identity::ReplaceFile(root_ + "/mesh/" + name, text, 0644).ok();
  }
  // Resident memory in MiB, and CPU time in milliseconds.
  double Resident() const {
    std::ifstream file(absl::StrCat("/proc/", pid_, "/statm"));
    double size = 0, pages = 0;
    file >> size >> pages;
    return pages * static_cast<double>(sysconf(_SC_PAGESIZE)) / (1 << 20);
  }
  double CpuMillis() const {
    std::ifstream file(absl::StrCat("/proc/", pid_, "/stat"));
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    const std::vector<std::string> fields =
        absl::StrSplit(text.substr(std::min(text.size(), text.rfind(')') + 2)), ' ');
    double user = 0, system = 0;
    if (fields.size() < 13 || !absl::SimpleAtod(fields[11], &user) ||
        !absl::SimpleAtod(fields[12], &system)) {
      return 0;
    }
    return (user + system) * 1000 / static_cast<double>(sysconf(_SC_CLK_TCK));
  }

 private:
  // From "... gRPC on 127.0.0.1:0 (port 40123), admin ...".
  void ReadPort() {
    std::ifstream file(root_ + "/log");
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    const size_t at = text.find("(port ");
    if (at == std::string::npos) return;
    const std::string rest = text.substr(at + 6, text.find(')', at) - at - 6);
    if (!absl::SimpleAtoi(rest, &port_)) port_ = 0;
  }

  std::string root_;
  pid_t pid_ = -1;
  int port_ = 0;
};

// At most a few handshakes at a time: the backlog is not what is measured.
bool Connect(const Control& control, int sidecars, int services, Tally& tally,
             std::vector<std::unique_ptr<Sidecar>>* out) {
  const auto key = identity::TokenKey::Open(control.root() + "/state");
  const auto roots = identity::ReadFile(control.root() + "/state/ca.crt");
  if (!key.ok() || !roots.ok()) return false;
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(-1);
  for (int i = 0; i < sidecars; ++i) {
    const auto token = key->Make({.trust_domain = "cluster.local",
                                  .ns = "shop",
                                  .service_account = absl::StrCat("s", i % services)},
                                 absl::Hours(1), absl::Now());
    if (!token.ok()) return false;
    grpc::SslCredentialsOptions ssl;
    ssl.pem_root_certs = *roots;
    const auto channel = grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", control.port()),
                                                   grpc::SslCredentials(ssl), arguments);
    out->push_back(std::make_unique<Sidecar>(channel, absl::StrCat("shop/w", i), *token, tally));
    // Clusters, endpoints, listeners, routes.
    if (i % 20 == 19 && tally.Await(static_cast<size_t>(i - 10) * 4).empty()) return false;
  }
  return !tally.Await(static_cast<size_t>(sidecars) * 4).empty();
}

double Millis(absl::Duration d) { return absl::ToDoubleMilliseconds(d); }

int Run(const std::string& program, int sidecars, int services, int edits) {
  Control control(program, sidecars, services);
  if (control.port() == 0) {
    std::fprintf(stderr, "heddle-control does not start; its log is in %s/log\n",
                 control.root().c_str());
    return 1;
  }
  const double empty = control.Resident();
  Tally tally;
  std::vector<std::unique_ptr<Sidecar>> all;
  const absl::Time began = absl::Now();
  if (!Connect(control, sidecars, services, tally, &all)) return 1;
  std::printf("connected: %d sidecars, %d services, in %.1f s\n", sidecars, services,
              absl::ToDoubleSeconds(absl::Now() - began));
  tally.Settle();
  std::printf("resident: %.1f MiB before, %.1f MiB with all of them\n", empty, control.Resident());
  std::vector<double> first, median, last, cpu;
  for (int edit = 1; edit <= edits; ++edit) {
    tally.Clear();
    const double cpu_before = control.CpuMillis();
    const absl::Time saved = absl::Now();
    if (!control.Write("policy.yaml", PolicyYaml(edit))) return 1;
    std::vector<absl::Time> times = tally.Await(static_cast<size_t>(sidecars));
    if (times.empty()) return 1;
    std::sort(times.begin(), times.end());
    first.push_back(Millis(times.front() - saved));
    median.push_back(Millis(times[times.size() / 2] - saved));
    last.push_back(Millis(times.back() - saved));
    tally.Settle();
    cpu.push_back(control.CpuMillis() - cpu_before);
  }
  const auto middle = [](std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
  };
  std::printf(
      "save to acknowledgement, median of %d edits: first %.1f ms, half %.1f ms, last %.1f ms"
      " (worst last %.1f ms)\n",
      edits, middle(first), middle(median), middle(last),
      *std::max_element(last.begin(), last.end()));
  std::printf(
      "heddle-control: %.1f ms CPU for an edit, %.1f us for each sidecar; resident %.1f MiB\n",
      middle(cpu), middle(cpu) * 1000 / sidecars, control.Resident());
  for (auto& one : all) one->End();
  return 0;
}

}  // namespace
}  // namespace heddle

int main(int argc, char** argv) {
  int sidecars = 1000, services = 100, edits = 10;
  const bool good = argc >= 2 && argc <= 5 && (argc < 3 || absl::SimpleAtoi(argv[2], &sidecars)) &&
                    (argc < 4 || absl::SimpleAtoi(argv[3], &services)) &&
                    (argc < 5 || absl::SimpleAtoi(argv[4], &edits));
  if (!good || sidecars < 1 || sidecars > 20000 || services < 1 || services > sidecars ||
      edits < 1) {
    std::fprintf(stderr,
                 "usage: push HEDDLE_CONTROL [SIDECARS [SERVICES [EDITS]]]; sidecars 1 to 20000, "
                 "services at most as many\n");
    return 2;
  }
  return heddle::Run(argv[1], sidecars, services, edits);
}
