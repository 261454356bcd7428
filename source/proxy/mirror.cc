#include "source/proxy/mirror.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "source/event/loop.h"
#include "source/http/codec.h"
#include "source/proxy/context.h"
#include "source/proxy/forwarder_head.h"
#include "source/upstream/cluster.h"

namespace heddle::proxy {
namespace {

constexpr size_t kMaxWaiting = 1024 * 1024;  // bytes not yet taken by the upstream

// Envoy: host "a.b:80" becomes "a.b-shadow:80".
std::string ShadowAuthority(absl::string_view authority) {
  const absl::string_view host = HostWithoutPort(authority);
  return absl::StrCat(host, "-shadow", authority.substr(host.size()));
}

}  // namespace

class Mirror final : public event::Destroyable,
                     private http::ResponseEvents,
                     private upstream::HttpLeaseEvents {
 public:
  Mirror(Context& context, uint64_t id, const http::RequestHead& head, bool end)
      : id(id), context_(context), epoch_(context.epochs.Pin()), head_(head.Copy()), ended_(end) {
    head_.SetAuthority(ShadowAuthority(head.authority));
    deadline_.Init(this, [](void* self) { static_cast<Mirror*>(self)->Finish(); });
  }
  ~Mirror() override {
    if (upstream_ != nullptr) upstream_->Reset(http::ResetReason::kCancel);
  }

  // False: nothing was begun.
  bool Begin(absl::string_view name, base::Micros timeout) {
    upstream::Cluster* cluster = epoch_.get() == nullptr ? nullptr : epoch_->FindCluster(name);
    if (cluster == nullptr) return false;
    const upstream::Pick pick = cluster->Choose({});
    if (pick.host == nullptr) return false;
    if (timeout > 0) context_.deadlines.Start(deadline_, context_.loop.Now(), timeout);
    auto lease = cluster->LeaseHttp(pick, {.downstream = head_.version}, this);
    if (!done_) lease_ = std::move(lease);
    return !done_;
  }

  void Send(const base::Buffer& data, bool end) {
    ended_ = end;
    if (waiting_.size() + data.size() > kMaxWaiting ||
        (upstream_ != nullptr && upstream_->Pending() > kMaxWaiting))
      return Finish();
    AppendCopy(data, waiting_);
    if (upstream_ != nullptr) upstream_->SendBody(waiting_, end);
    if (upstream_ != nullptr) sent_end_ = end;
  }
  void Release() {
    if (!ended_) Finish();
  }

  event::Loop& loop() { return context_.loop; }
  const uint64_t id;

 private:
  void OnLeaseReady(const upstream::LeaseGrant& grant) override {
    upstream_ = grant.codec->NewStream(this);
    if (upstream_ == nullptr) return Finish();
    const bool end = ended_ && waiting_.empty();
    upstream_->SendHead(head_, end);
    if (!end && !waiting_.empty()) upstream_->SendBody(waiting_, ended_);
    sent_end_ = ended_;
  }
  void OnLeaseFailed(upstream::LeaseFailure, absl::string_view) override { Finish(); }
  void OnHead(http::ResponseHead head, bool end) override {
    if (end && !head.informational()) Ended();
  }
  void OnBody(base::Buffer& data, bool end) override {
    const size_t bytes = data.size();
    data.Clear();
    if (end) return Ended();
    if (upstream_ != nullptr) upstream_->Consumed(bytes);
  }
  void OnTrailers(http::Trailers) override { Ended(); }
  void OnReset(http::ResetReason) override {
    upstream_ = nullptr;
    Finish();
  }
  void Ended() {
    if (sent_end_) upstream_ = nullptr;  // ended both ways: the codec forgets it
    Finish();
  }
  void Finish() {
    if (std::exchange(done_, true)) return;
    deadline_.Stop();
    if (auto* stream = std::exchange(upstream_, nullptr)) stream->Reset(http::ResetReason::kCancel);
    lease_.reset();
    context_.mirrors.Remove(this);
  }

  Context& context_;
  EpochPin epoch_;
  http::RequestHead head_;
  base::Buffer waiting_;
  bool ended_, sent_end_ = false, done_ = false;
  std::unique_ptr<upstream::HttpLease> lease_;
  http::ClientStream* upstream_ = nullptr;
  Deadline deadline_;
};

void Mirrors::Remove(Mirror* mirror) {
  const auto it = mirrors_.find(mirror->id);
  if (it == mirrors_.end()) return;
  event::Loop& loop = mirror->loop();
  loop.Destroy(std::move(it->second));
  mirrors_.erase(it);
}

Mirrors::Mirrors() = default;
Mirrors::~Mirrors() = default;

uint64_t Mirrors::Start(Context& context, const http::RequestHead& head, absl::string_view cluster,
                        base::Micros timeout, bool end) {
  const uint64_t id = next_++;
  auto mirror = std::make_unique<Mirror>(context, id, head, end);
  Mirror* raw = mirror.get();
  mirrors_.emplace(id, std::move(mirror));
  if (raw->Begin(cluster, timeout)) return id;
  Remove(raw);
  return 0;
}

void Mirrors::SendBody(uint64_t id, const base::Buffer& data, bool end) {
  const auto it = mirrors_.find(id);
  if (it != mirrors_.end()) it->second->Send(data, end);
}

void Mirrors::End(uint64_t id) { SendBody(id, base::Buffer(), true); }

void Mirrors::Release(uint64_t id) {
  const auto it = mirrors_.find(id);
  if (it != mirrors_.end()) it->second->Release();
}

}  // namespace heddle::proxy
