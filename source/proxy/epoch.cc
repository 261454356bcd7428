#include "source/proxy/epoch.h"

#include "source/base/status.h"
#include "source/upstream/cluster.h"

namespace heddle::proxy {

Epoch::Epoch(std::shared_ptr<const Snapshot> snapshot, Clusters clusters)
    : snapshot_(std::move(snapshot)), clusters_(std::move(clusters)) {}

Epoch::~Epoch() { HEDDLE_CHECK(users_ == 0) << "an epoch outlives its streams"; }

upstream::Cluster* Epoch::FindCluster(absl::string_view name) const {
  const auto it = clusters_.find(name);
  return it == clusters_.end() ? nullptr : it->second.get();
}

const RouteTable* Epoch::FindRoutes(absl::string_view name) const {
  const auto it = snapshot_->routes.find(name);
  return it == snapshot_->routes.end() ? nullptr : it->second.get();
}

void EpochPin::Release() {
  Epoch* epoch = std::exchange(epoch_, nullptr);
  if (epoch != nullptr && --epoch->users_ == 0 && epoch->retired_) epoch->owner_->Free(epoch);
}

Epochs::~Epochs() = default;

void Epochs::Adopt(std::shared_ptr<const Snapshot> snapshot) {
  Epoch::Clusters clusters;
  clusters.reserve(snapshot->clusters.size());
  for (const auto& [name, spec] : snapshot->clusters) {
    std::shared_ptr<upstream::Cluster> before;
    if (current_ != nullptr) {
      const auto it = current_->clusters_.find(name);
      if (it != current_->clusters_.end()) before = it->second;
    }
    clusters.emplace(name, make_(spec, std::move(before)));
  }
  std::unique_ptr<Epoch> old = std::move(current_);
  current_.reset(new Epoch(std::move(snapshot), std::move(clusters)));
  current_->owner_ = this;
  if (old == nullptr) return;
  old->retired_ = true;
  if (old->users_ == 0) {
    loop_.Destroy(std::move(old));
  } else {
    Epoch* key = old.get();
    retired_.emplace(key, std::move(old));
  }
}

void Epochs::Free(Epoch* epoch) {
  const auto it = retired_.find(epoch);
  HEDDLE_CHECK(it != retired_.end()) << "a retired epoch is listed";
  loop_.Destroy(std::move(it->second));
  retired_.erase(it);
}

}  // namespace heddle::proxy
