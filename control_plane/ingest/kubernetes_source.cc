#include "control_plane/ingest/kubernetes_source.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "control_plane/ingest/last_good.h"
#include "control_plane/ingest/merge.h"
#include "control_plane/kube/informer.h"
#include "control_plane/kube/json.h"
#include "heddle/v1/workload.pb.h"
#include "source/base/log.h"
#include "source/base/status.h"

namespace heddle::ingest {
namespace {

class Cluster : public KubernetesSource {
 public:
  Cluster(kube::Client& client, KubernetesSourceOptions options)
      : client_(client), options_(std::move(options)), merge_(LiveOptions(options_.world)) {
    counters_.reserve(KubeResources().size());
    for (size_t i = 0; i < KubeResources().size(); ++i)
      counters_.push_back(std::make_shared<kube::ReflectorCounters>());
  }
  ~Cluster() override { Stop(); }

  absl::Status Start(Callback callback) override;
  void Stop() override;
  bool synced() const override { return unsynced_.load() == 0; }
  std::vector<std::string> Waiting() const override;
  std::shared_ptr<const ClusterView> view() const override {
    absl::MutexLock lock(&mutex_);
    return view_;
  }
  std::vector<WatchReport> Watches() const override;
  std::string PodUid(absl::string_view ns, absl::string_view name) const override;
  std::optional<std::map<std::string, std::string>> NamespaceLabels(
      absl::string_view ns) const override;

 private:
  // Keeps the copy of one resource; the client's thread.
  class Kind : public kube::Sink {
   public:
    Kind(Cluster& cluster, size_t index)
        : cluster_(cluster), resource_(KubeResources()[index]), index_(index) {}
    void Put(const kube::ObjectKey& key, const nlohmann::json& object) override;
    void Remove(const kube::ObjectKey& key) override;
    void Listed() override;
    void Watch();

   private:
    void Gone(const kube::ObjectKey& key, const std::string& file);

    Cluster& cluster_;
    const KubeResource& resource_;
    const size_t index_;
    bool listed_ = false;
    std::map<std::string, model::Digest> known_;  // of what Merge has, by file
    std::unique_ptr<kube::Informer> informer_;
  };
  using Change = std::optional<ParsedFile>;  // nullopt: gone

  static model::WorldOptions LiveOptions(model::WorldOptions world) {
    world.live = true;
    return world;
  }
  void Run();
  bool Gather(std::map<std::string, Change>* changes, std::shared_ptr<const ClusterView>* view);
  void Tell(const std::string& file, Change change);
  void Recall();
  void Recalled(const absl::StatusOr<std::string>& config_map);
  void OneLess();

  kube::Client& client_;
  const KubernetesSourceOptions options_;
  Callback callback_;
  std::thread thread_;
  std::atomic<int> unsynced_{0};
  std::vector<std::shared_ptr<kube::ReflectorCounters>> counters_;  // as KubeResources()

  // The client's thread.
  // Answers that come after Stop find it null.
  std::shared_ptr<Cluster*> self_ = std::make_shared<Cluster*>(this);
  std::deque<Kind> kinds_;
  std::map<std::string, model::Locality> nodes_;

  // The source's thread.
  Merge merge_;
  uint64_t generation_ = 0;

  mutable absl::Mutex mutex_;
  std::map<std::string, Change> changes_ ABSL_GUARDED_BY(mutex_);
  uint64_t told_ ABSL_GUARDED_BY(mutex_) = 0;  // counts them
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool first_ ABSL_GUARDED_BY(mutex_) = false;  // everything was listed
  std::vector<ParsedFile> recalled_ ABSL_GUARDED_BY(mutex_);
  bool view_changed_ ABSL_GUARDED_BY(mutex_) = true;
  ClusterView building_ ABSL_GUARDED_BY(mutex_);
  std::map<kube::ObjectKey, std::string> pods_ ABSL_GUARDED_BY(mutex_);  // with a sidecar; uid
  std::map<std::string, int> sidecars_ ABSL_GUARDED_BY(mutex_);  // pods with one, by namespace
  std::shared_ptr<const ClusterView> view_ ABSL_GUARDED_BY(mutex_) =
      std::make_shared<ClusterView>();
  std::map<std::string, std::map<std::string, std::string>> namespaces_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> waiting_ ABSL_GUARDED_BY(mutex_);
};

void Cluster::Kind::Watch() {
  informer_ = std::make_unique<kube::Informer>(
      cluster_.client_,
      kube::ReflectorOptions{.path = ResourcePath(resource_),
                             .label_selector = resource_.label_selector,
                             .counters = cluster_.counters_[index_]},
      *this);
}

void Cluster::Kind::Put(const kube::ObjectKey& key, const nlohmann::json& object) {
  const std::string file = FileName(resource_, key.ns, key.name);
  model::Locality locality;
  if (resource_.kind == KubeKind::kNode) {
    cluster_.nodes_[key.name] = NodeLocality(object);
    return;
  }
  if (resource_.kind == KubeKind::kNamespace) {
    std::map<std::string, std::string> labels;
    for (const auto& [name, value] : kube::ObjectAt(object, {"metadata", "labels"}).items())
      if (value.is_string()) labels[name] = value.get<std::string>();
    absl::MutexLock lock(&cluster_.mutex_);
    cluster_.namespaces_[key.name] = std::move(labels);
    cluster_.view_changed_ = true;
    return;
  }
  if (resource_.kind == KubeKind::kPod) {
    const auto node = cluster_.nodes_.find(PodNode(object));
    if (node != cluster_.nodes_.end()) locality = node->second;
    if (HasSidecar(object)) {
      absl::MutexLock lock(&cluster_.mutex_);
      const auto [uid, fresh] = cluster_.pods_.try_emplace(key);
      uid->second = kube::TextAt(object, {"metadata", "uid"});
      if (fresh && cluster_.sidecars_[key.ns]++ == 0) cluster_.view_changed_ = true;
    }
  }
  KubeObject read = ReadKubeObject(resource_, object, locality);
  if (read.status.has_value()) {
    absl::MutexLock lock(&cluster_.mutex_);
    StatusTarget& target = cluster_.building_.targets[file];
    const bool news = target.generation != read.status->generation ||
                      target.uid != read.status->uid || target.parents != read.status->parents;
    target = *std::move(read.status);
    if (news) cluster_.view_changed_ = true;
  }
  if (!read.file.has_value()) return Gone(key, file);
  model::Digest& known = known_[file];
  if (known == read.digest) return;
  known = read.digest;
  cluster_.Tell(file, std::move(read.file));
}

void Cluster::Kind::Gone(const kube::ObjectKey&, const std::string& file) {
  if (known_.erase(file) > 0) cluster_.Tell(file, std::nullopt);
}

void Cluster::Kind::Remove(const kube::ObjectKey& key) {
  const std::string file = FileName(resource_, key.ns, key.name);
  if (resource_.kind == KubeKind::kNode) cluster_.nodes_.erase(key.name);
  {
    absl::MutexLock lock(&cluster_.mutex_);
    const bool had_sidecar = resource_.kind == KubeKind::kPod && cluster_.pods_.erase(key) > 0;
    if (had_sidecar && --cluster_.sidecars_[key.ns] == 0) {
      cluster_.sidecars_.erase(key.ns);
      cluster_.view_changed_ = true;
    }
    if (resource_.kind == KubeKind::kNamespace) {
      cluster_.namespaces_.erase(key.name);
      cluster_.view_changed_ = true;
    }
    if (cluster_.building_.targets.erase(file) > 0) cluster_.view_changed_ = true;
  }
  Gone(key, file);
}

void Cluster::Kind::Listed() {
  if (std::exchange(listed_, true)) return;
  {
    absl::MutexLock lock(&cluster_.mutex_);
    cluster_.waiting_.erase(resource_.plural);
  }
  // Pods are placed by their nodes' zones.
  if (resource_.kind == KubeKind::kNode)
    for (Kind& one : cluster_.kinds_)
      if (one.resource_.kind == KubeKind::kPod) one.Watch();
  cluster_.OneLess();
}

// Something that the first update waits for is there.
void Cluster::OneLess() {
  if (unsynced_.fetch_sub(1) != 1) return;
  HEDDLE_LOG(kInfo, "ingest") << "the cluster was read";
  absl::MutexLock lock(&mutex_);
  first_ = true;
}

// What was served of objects that are not valid now, as a heddle-control before this one noted it.
void Cluster::Recall() {
  client_.Send({.path = absl::StrCat("/api/v1/namespaces/", options_.system_namespace,
                                     "/configmaps/", kLastGoodName),
                .timeout = absl::Seconds(10),
                .max_bytes = 4 << 20},
               [self = self_](const absl::StatusOr<std::string>& body) {
                 if (*self != nullptr) (*self)->Recalled(body);
               });
}

void Cluster::Recalled(const absl::StatusOr<std::string>& config_map) {
  const absl::Status& status = config_map.status();
  if (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
      absl::IsUnauthenticated(status)) {
    client_.After(absl::Seconds(1), [self = self_] {
      if (*self != nullptr) (*self)->Recall();
    });
    return;
  }
  if (!status.ok() && !absl::IsNotFound(status))
    HEDDLE_LOG(kWarning, "ingest") << "ConfigMap " << kLastGoodName << ": " << status.message();
  {
    absl::MutexLock lock(&mutex_);
    if (config_map.ok()) recalled_ = ReadLastGood(LastGoodOf(*config_map));
    waiting_.erase(kLastGoodName);
  }
  OneLess();
}

void Cluster::Tell(const std::string& file, Change change) {
  absl::MutexLock lock(&mutex_);
  changes_[file] = std::move(change);
  ++told_;
}

std::vector<std::string> Cluster::Waiting() const {
  absl::MutexLock lock(&mutex_);
  std::vector<std::string> out;
  out.reserve(waiting_.size());
  for (const auto& [plural, why] : waiting_) out.push_back(plural);
  return out;
}

std::vector<WatchReport> Cluster::Watches() const {
  std::vector<WatchReport> out;
  out.reserve(counters_.size());
  for (size_t i = 0; i < counters_.size(); ++i) {
    const kube::ReflectorCounters& one = *counters_[i];
    out.push_back({.resource = KubeResources()[i].plural,
                   .lists = one.lists,
                   .watches = one.watches,
                   .events = one.events,
                   .failures = one.failures,
                   .expired = one.expired});
  }
  return out;
}

std::string Cluster::PodUid(absl::string_view ns, absl::string_view name) const {
  absl::MutexLock lock(&mutex_);
  const auto it = pods_.find({std::string(ns), std::string(name)});
  return it == pods_.end() ? std::string() : it->second;
}

std::optional<std::map<std::string, std::string>> Cluster::NamespaceLabels(
    absl::string_view ns) const {
  absl::MutexLock lock(&mutex_);
  const auto it = namespaces_.find(std::string(ns));
  if (it == namespaces_.end()) return std::nullopt;
  return it->second;
}

absl::Status Cluster::Start(Callback callback) {
  HEDDLE_CHECK(callback_ == nullptr) << "started twice";
  callback_ = std::move(callback);
  const bool recall = !options_.system_namespace.empty();
  unsynced_ = static_cast<int>(KubeResources().size()) + (recall ? 1 : 0);
  {
    absl::MutexLock lock(&mutex_);
    for (const KubeResource& resource : KubeResources()) waiting_[resource.plural] = "";
    if (recall) waiting_[kLastGoodName] = "";
  }
  client_.Post([this, recall] {
    if (recall) Recall();
    for (size_t i = 0; i < KubeResources().size(); ++i) kinds_.emplace_back(*this, i);
    for (size_t i = 0; i < kinds_.size(); ++i)
      if (KubeResources()[i].kind != KubeKind::kPod) kinds_[i].Watch();
  });
  thread_ = std::thread([this] { Run(); });
  return absl::OkStatus();
}

void Cluster::Stop() {
  if (!thread_.joinable()) return;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
  // The copies are the client's thread's. A client that was stopped answers nobody any more.
  auto done = std::make_shared<absl::Notification>();
  struct Told {
    explicit Told(std::shared_ptr<absl::Notification> to) : done(std::move(to)) {}
    Told(const Told&) = delete;
    Told& operator=(const Told&) = delete;
    ~Told() { done->Notify(); }
    const std::shared_ptr<absl::Notification> done;
  };
  client_.Post([this, told = std::make_shared<Told>(done)] {
    *self_ = nullptr;
    kinds_.clear();
  });
  done->WaitForNotification();
}

// Waits for changes and for the end of a burst of them. False: stopping.
bool Cluster::Gather(std::map<std::string, Change>* changes,
                     std::shared_ptr<const ClusterView>* view) {
  const auto something = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return stopping_ || (first_ && (!changes_.empty() || view_changed_));
  };
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(&something));
  const absl::Time until = absl::Now() + options_.longest_wait;
  while (!stopping_ && absl::Now() < until) {
    const uint64_t told = told_;
    const auto more = [this, told]()
                          ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stopping_ || told_ != told; };
    if (!mutex_.AwaitWithDeadline(absl::Condition(&more),
                                  std::min(until, absl::Now() + options_.quiet)))
      break;
  }
  if (stopping_) return false;
  changes->swap(changes_);
  if (std::exchange(view_changed_, false)) {
    building_.meshed.clear();
    for (const auto& [ns, labels] : namespaces_) {
      const auto label = labels.find("heddle.dev/inject");
      if (label != labels.end() && label->second == "enabled") building_.meshed.insert(ns);
    }
    for (const auto& [ns, pods] : sidecars_) building_.meshed.insert(ns);
    *view = std::make_shared<ClusterView>(building_);
  }
  return true;
}

void Cluster::Run() {
  std::map<std::string, Change> changes;
  std::shared_ptr<const ClusterView> view;
  while (Gather(&changes, &view)) {
    if (generation_ == 0) {
      absl::MutexLock lock(&mutex_);
      for (ParsedFile& one : std::exchange(recalled_, {})) merge_.Remember(std::move(one));
    }
    for (auto& [file, change] : changes) {
      if (change.has_value()) {
        merge_.Put(*std::move(change));
      } else {
        merge_.Remove(file);
      }
    }
    const bool any = !changes.empty() || generation_ == 0;
    changes.clear();
    const bool news = any && merge_.Apply();
    if (news) {
      Update update{++generation_, merge_.world(), merge_.problems(), merge_.kept()};
      // A file is an object here: said once is enough.
      for (model::Problem& problem : update.problems) problem.object.clear();
      callback_(std::move(update));
    }
    if (view == nullptr) continue;
    // After the update that goes with it: who writes a status knows what is wrong by then.
    absl::MutexLock lock(&mutex_);
    view_ = std::exchange(view, nullptr);
  }
}

}  // namespace

std::unique_ptr<KubernetesSource> KubernetesSource::Make(kube::Client& client,
                                                         KubernetesSourceOptions options) {
  return std::make_unique<Cluster>(client, std::move(options));
}

}  // namespace heddle::ingest
