#include "control_plane/serve/session.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "control_plane/serve/hub.h"
#include "source/base/log.h"
#include "source/base/status.h"

namespace heddle::serve {
namespace {

constexpr absl::Duration kFirstMessageWithin = absl::Seconds(10);
constexpr absl::Duration kWriteWithin = absl::Seconds(60);

}  // namespace

Session::Session(Hub& hub, uint64_t id, Peer peer, Variant variant, Outlet* outlet, absl::Time now)
    : hub_(hub), id_(id), peer_(std::move(peer)), variant_(variant), outlet_(outlet) {
  report_.peer = peer_;
  report_.delta = variant == Variant::kDelta;
  report_.connected_at = now;
}

absl::Status Session::Admit(const Node& node) {
  if (node.id.empty())
    return absl::InvalidArgumentError(
        "node.id: required on the first message; want \"<namespace>/<workload>\"");
  {
    absl::MutexLock lock(&mutex_);
    report_.node_id = node.id.substr(0, 512);
    report_.agent = node.agent;
    report_.agent_version = node.agent_version;
    report_.intercept = node.intercept;
    StreamOptions options;
    options.resend_endpoints_on_reconnect = node.agent == "envoy";
    if (variant_ == Variant::kDelta) {
      delta_ = std::make_unique<DeltaStream>(options);
      stream_ = delta_.get();
    } else {
      sotw_ = std::make_unique<SotwStream>(options);
      stream_ = sotw_.get();
    }
    admitted_ = true;
  }
  // The hub takes its own lock first and then ours, so ours is free here.
  HEDDLE_ASSIGN_OR_RETURN(const Push push, hub_.Admit(*this, node));
  Give(push);
  return absl::OkStatus();
}

absl::Status Session::Handle(absl::string_view bytes, std::optional<Rejection>* rejection) {
  Node node;
  absl::StatusOr<DeltaRequest> delta;
  absl::StatusOr<SotwRequest> sotw;
  if (variant_ == Variant::kDelta)
    delta = DecodeDelta(bytes, &node);
  else
    sotw = DecodeSotw(bytes, &node);
  HEDDLE_RETURN_IF_ERROR(variant_ == Variant::kDelta ? delta.status() : sotw.status());
  bool first;
  {
    absl::MutexLock lock(&mutex_);
    if (outlet_ == nullptr) return absl::OkStatus();
    first = !admitted_;
  }
  if (first) HEDDLE_RETURN_IF_ERROR(Admit(node));
  absl::MutexLock lock(&mutex_);
  if (!node.id.empty() && node.id != report_.node_id)
    return absl::InvalidArgumentError("node.id: must not change on one stream");
  const absl::Time now = hub_.Now();
  const uint64_t nacks = stream_->counters().nacks;
  const std::string& url = delta.ok() ? delta->type_url : sotw->type_url;
  RefreshSecrets(now);
  HEDDLE_RETURN_IF_ERROR(delta.ok() ? delta_->OnRequest(*delta, view_, now)
                                    : sotw_->OnRequest(*sotw, view_, now));
  hub_.CountRequest();
  if (stream_->counters().nacks != nacks)
    *rejection = {.node_id = report_.node_id,
                  .type = std::string(ShortName(url)),
                  .why = delta.ok() ? delta->answer.error : sotw->answer.error};
  PumpLocked(now);
  return absl::OkStatus();
}

void Session::OnMessage(absl::string_view bytes) {
  std::optional<Rejection> rejection;
  const absl::Status status = Handle(bytes, &rejection);
  if (rejection.has_value()) {
    HEDDLE_LOG(kWarning, "ads") << rejection->node_id << " rejected " << rejection->type << ": "
                                << rejection->why;
    hub_.CountRejection(*rejection);
  }
  if (!status.ok()) End(status);
}

void Session::OnSent() {
  absl::MutexLock lock(&mutex_);
  writing_ = false;
  PumpLocked(hub_.Now());
}

void Session::OnClosed(absl::string_view why) {
  {
    absl::MutexLock lock(&mutex_);
    outlet_ = nullptr;
    report_.connected = false;
    report_.ended_at = hub_.Now();
    if (report_.ended_why.empty()) report_.ended_why = std::string(why);
  }
  hub_.Leave(*this);
}

void Session::End(const absl::Status& why) {
  absl::MutexLock lock(&mutex_);
  CloseLocked(why);
}

void Session::CloseLocked(const absl::Status& why) {
  if (outlet_ == nullptr) return;
  HEDDLE_LOG(kWarning, "ads") << (report_.node_id.empty() ? "a stream" : report_.node_id) << " ("
                              << peer_.id.Uri() << " at " << peer_.address
                              << "): stream ended: " << why.ToString();
  report_.ended_why = why.ToString();
  outlet_->Close(why);
  outlet_ = nullptr;
}

void Session::Give(const Push& push) {
  absl::MutexLock lock(&mutex_);
  if (push.generation <= report_.generation) return;
  const std::shared_ptr<const TypeSet> secrets = view_.Of(Type::kSecret);
  view_ = push.view;
  view_.sets[static_cast<size_t>(Type::kSecret)] = secrets;
  report_.generation = push.generation;
  report_.notices = push.notices;
  made_at_ = push.made_at;
  PumpLocked(hub_.Now());
}

void Session::Pump() {
  absl::MutexLock lock(&mutex_);
  PumpLocked(hub_.Now());
}

void Session::RefreshSecrets(absl::Time now) {
  std::shared_ptr<const Secrets::Shared> shared = hub_.secrets().Current();
  const bool wanted = stream_ != nullptr && stream_->Subscribed(Type::kSecret, kIdentitySecret);
  const bool stale =
      wanted && (!identity_ || identity_->epoch != shared->epoch || now >= identity_->renew_at);
  if (shared == shared_secrets_ && !stale) return;
  if (stale) {
    absl::StatusOr<Secrets::Identity> made = hub_.secrets().Issue(peer_.id, now);
    if (made.ok()) {
      identity_ = *std::move(made);
      hub_.CountIssued(peer_.id, identity_->secret->version, identity_->not_after, now);
    } else {
      HEDDLE_LOG(kError, "ads") << "certificate for " << report_.node_id << ": "
                                << made.status().ToString();
    }
  }
  shared_secrets_ = shared;
  std::vector<translate::ResourceRef> sorted = {shared->root};
  if (identity_) sorted.push_back(identity_->secret);
  sorted.push_back(shared->renew);
  view_.sets[static_cast<size_t>(Type::kSecret)] = TypeSet::Make(std::move(sorted));
}

void Session::PumpLocked(absl::Time now) {
  if (outlet_ == nullptr || stream_ == nullptr || report_.generation == 0) return;
  RefreshSecrets(now);
  if (!writing_) {
    if (std::optional<Response> response = stream_->Next(view_, now)) {
      writing_ = true;
      write_began_ = now;
      hub_.CountPush(*response);
      outlet_->Send(variant_ == Variant::kDelta ? EncodeDelta(*response) : EncodeSotw(*response));
      return;
    }
  }
  if (report_.settled_generation == report_.generation || writing_ || !stream_->Settled(view_))
    return;
  report_.settled_generation = report_.generation;
  report_.settled_at = now;
  report_.settle_time = now - std::max(made_at_, report_.connected_at);
  hub_.Settled(id_, report_.generation, now);
}

void Session::Tick(absl::Time now) {
  absl::MutexLock lock(&mutex_);
  if (outlet_ == nullptr) return;
  if (!admitted_) {
    if (now - report_.connected_at > kFirstMessageWithin)
      CloseLocked(absl::DeadlineExceededError("no request within 10 s of opening the stream"));
    return;
  }
  if (writing_) {
    if (now - write_began_ > kWriteWithin)
      CloseLocked(absl::DeadlineExceededError("a response was not read within 60 s"));
    return;
  }
  PumpLocked(now);
}

void Session::AddTo(uint64_t generation, Spread* out) const {
  absl::MutexLock lock(&mutex_);
  if (outlet_ == nullptr || stream_ == nullptr || report_.generation == 0) return;
  ++out->total;
  if (report_.settled_generation < generation) return;
  if (!stream_->Rejecting()) {
    ++out->acked;
    return;
  }
  ++out->nacked;
  for (const TypeReport& one : stream_->Report())
    if (one.rejecting)
      out->rejections.push_back({.node_id = report_.node_id,
                                 .type = std::string(ShortName(one.type_url)),
                                 .why = one.rejected_why});
}

SessionReport Session::Report() const {
  absl::MutexLock lock(&mutex_);
  SessionReport out = report_;
  if (stream_ == nullptr) return out;
  out.types = stream_->Report();
  out.counters = stream_->counters();
  out.rejecting = stream_->Rejecting();
  return out;
}

}  // namespace heddle::serve
