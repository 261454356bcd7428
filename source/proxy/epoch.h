// A snapshot as one worker uses it, with that worker's clusters. Streams pin the epoch they began
// with by a plain count, so a request sees one configuration from its first byte to its last; the
// epoch is freed when it is no longer current and its last user let go.
//
//   Epochs epochs(loop, make_cluster);
//   epochs.Adopt(snapshot);                      // from the main thread's post
//   EpochPin pin = epochs.Pin();                 // a stream begins
//   upstream::Cluster* cluster = pin->FindCluster("reviews.bookshop:9080");
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "source/event/loop.h"
#include "source/proxy/snapshot.h"

namespace heddle::upstream {
class Cluster;
}

namespace heddle::proxy {

class Epochs;

class Epoch final : public event::Destroyable {
 public:
  using Clusters = absl::flat_hash_map<std::string, std::shared_ptr<upstream::Cluster>>;
  ~Epoch() override;
  const Snapshot& snapshot() const { return *snapshot_; }
  upstream::Cluster* FindCluster(absl::string_view name) const;
  // A route table by RDS name; null when it is not there (yet).
  const RouteTable* FindRoutes(absl::string_view name) const;
  const Clusters& clusters() const { return clusters_; }

 private:
  friend class Epochs;
  friend class EpochPin;
  Epoch(std::shared_ptr<const Snapshot> snapshot, Clusters clusters);
  std::shared_ptr<const Snapshot> snapshot_;
  Clusters clusters_;  // shared with the epochs before and after that kept them
  uint64_t users_ = 0;
  bool retired_ = false;
  Epochs* owner_ = nullptr;
};

class EpochPin {
 public:
  EpochPin() = default;
  explicit EpochPin(Epoch* epoch) : epoch_(epoch) {
    if (epoch_ != nullptr) ++epoch_->users_;
  }
  EpochPin(EpochPin&& other) noexcept : epoch_(std::exchange(other.epoch_, nullptr)) {}
  EpochPin& operator=(EpochPin&& other) noexcept {
    std::swap(epoch_, other.epoch_);
    return *this;
  }
  ~EpochPin() { Release(); }
  void Release();
  Epoch* operator->() const { return epoch_; }
  Epoch* get() const { return epoch_; }
  explicit operator bool() const { return epoch_ != nullptr; }

 private:
  Epoch* epoch_ = nullptr;
};

class Epochs {
 public:
  // Gives this worker's cluster for `spec`: `before` (brought up to date) when its pools can be
  // kept, else a new one.
  using MakeCluster = std::function<std::shared_ptr<upstream::Cluster>(
      const std::shared_ptr<const upstream::ClusterSpec>& spec,
      std::shared_ptr<upstream::Cluster> before)>;
  Epochs(event::Loop& loop, MakeCluster make) : loop_(loop), make_(std::move(make)) {}
  ~Epochs();
  void Adopt(std::shared_ptr<const Snapshot> snapshot);
  // Null before the first Adopt.
  Epoch* current() const { return current_.get(); }
  EpochPin Pin() const { return EpochPin(current_.get()); }
  size_t retired() const { return retired_.size(); }  // old epochs that streams still use

 private:
  friend class EpochPin;
  void Free(Epoch* epoch);
  event::Loop& loop_;
  MakeCluster make_;
  std::unique_ptr<Epoch> current_;
  absl::flat_hash_map<Epoch*, std::unique_ptr<Epoch>> retired_;
};

}  // namespace heddle::proxy
