#include "source/proxy/forwarder.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "source/base/log.h"
#include "source/proxy/context.h"
#include "source/proxy/forwarder_head.h"
#include "source/proxy/http_session.h"
#include "source/proxy/reply.h"
#include "source/proxy/rewrite.h"
#include "source/proxy/stream.h"

namespace heddle::proxy {
namespace {

using http::HeaderId;
using observe::Flag;

constexpr uint32_t Bit(Flag flag) { return static_cast<uint32_t>(flag); }

Fault FaultOf(upstream::LeaseFailure failure) {
  switch (failure) {
    case upstream::LeaseFailure::kOverflow:
      return Fault::kOverflow;
    case upstream::LeaseFailure::kConnectTimeout:
      return Fault::kConnectTimeout;
    case upstream::LeaseFailure::kConnectFailed:
    case upstream::LeaseFailure::kTransportFailed:
      return Fault::kConnectFailed;
  }
  return Fault::kConnectFailed;
}

}  // namespace

Forwarder::Forwarder(Stream& stream) : stream_(stream) {
  global_.Init(this, [](void* self) { static_cast<Forwarder*>(self)->OnGlobalTimeout(); });
  per_try_.Init(this, [](void* self) { static_cast<Forwarder*>(self)->OnPerTryTimeout(); });
  per_try_idle_.Init(this, [](void* self) { static_cast<Forwarder*>(self)->OnPerTryIdle(); });
  backoff_.Init(this, [](void* self) { static_cast<Forwarder*>(self)->Attempt(); });
}

Forwarder::~Forwarder() { Cancel(); }

// ---------------------------------------------------------------------------------------------------------
// The request

bool Forwarder::FindCluster() {
  cluster_ = stream_.cluster();
  if (cluster_ != nullptr) return true;
  state_ = State::kDone;
  stream_.session().context().sheet.Add(stream_.session().spec().stats.no_cluster);
  stream_.Answer({.status = action_->cluster_not_found_status,
                  .details = "cluster_not_found",
                  .flags = Bit(Flag::kNoCluster)});
  return false;
}

void Forwarder::Start(bool end) {
  action_ = &stream_.match().route->config->forward;
  ended_ = end;
  if (!FindCluster()) return;
  priority_ = action_->high_priority ? upstream::Priority::kHigh : upstream::Priority::kDefault;
  http::RequestHead& head = stream_.head();
  const config::RetryPolicy* policy = action_->retry.get();
  if (policy == nullptr && cluster_->config().http.retry != nullptr) {
    cluster_retry_ = cluster_->config().http.retry;
    policy = cluster_retry_.get();
  }
  timeouts_ = TimeoutsOf(*action_, policy, head);
  retry_ = RetryState(policy, head);
  keep_ = retry_.enabled();
  timeout_204_ = head.headers.Has(HeaderId::kXEnvoyUpstreamRqTimeoutAltResponse);
  StripRetryHeaders(head.headers);
  MutateRequest(stream_.routes(), stream_.match(), stream_.weighted(),
                !stream_.session().suppress_envoy_headers(), stream_.record(), head);
  first_attempt_ = stream_.loop().Now();
  if (!action_->mirrors.empty()) StartMirrors(end);
  if (end) OnRequestComplete();
  Attempt();
}

void Forwarder::StartMirrors(bool end) {
  Context& context = stream_.session().context();
  for (const config::MirrorPolicy& mirror : action_->mirrors) {
    if (context.random.Below(mirror.fraction.denominator) >= mirror.fraction.numerator) continue;
    const uint64_t id =
        context.mirrors.Start(context, stream_.head(), mirror.cluster, timeouts_.global, end);
    if (id != 0) mirrors_.push_back(id);
  }
}

void Forwarder::OnRequestComplete() {
  HttpSession& session = stream_.session();
  if (timeouts_.global != 0)
    session.context().deadlines.Start(global_, stream_.loop().Now(), timeouts_.global);
  if (upstream_ != nullptr) StartAttemptTimers();
}

upstream::Pick Forwarder::Choose() {
  absl::InlinedVector<const upstream::HostState*, 4> avoid;
  for (const auto& host : tried_) avoid.push_back(host.get());
  upstream::LoadContext load;
  load.avoid = absl::MakeConstSpan(avoid.data(), avoid.size());
  if (retry_.policy() != nullptr) load.avoid_attempts = retry_.policy()->host_selection_attempts;
  load.original_destination = stream_.record().downstream_local;
  if (!action_->hash.empty()) load.hash = HashRequest(*action_, stream_.head(), stream_.record());
  return cluster_->Choose(load);
}

void Forwarder::Attempt() {
  observe::AccessRecord& record = stream_.record();
  http::RequestHead& head = stream_.head();
  ++record.attempts;
  reported_ = sent_end_ = false;
  attempt_began_ = stream_.loop().Now();
  pick_ = Choose();
  if (pick_.host == nullptr) {
    state_ = State::kDone;
    return stream_.Answer({.status = 503,
                           .body = "no healthy upstream",
                           .details = "no_healthy_upstream",
                           .flags = Bit(Flag::kNoHealthyUpstream)});
  }
  if (action_->auto_host_rewrite) {
    const bool keep = record.attempts == 1 && !stream_.session().suppress_envoy_headers();
    RewriteHostTo(*action_, pick_.host->hostname, keep, head);
  }
  if (!stream_.session().suppress_envoy_headers())
    WriteTimeoutHeaders(timeouts_, attempt_began_ - first_attempt_, head.headers);
  if (stream_.match().host->config->include_attempt_count_request)
    SetNumber(head.headers, HeaderId::kXEnvoyAttemptCount, record.attempts);
  const bool auto_sni = cluster_->config().http.auto_sni;
  state_ = State::kLeasing;
  lease_call_ = true;
  std::unique_ptr<upstream::HttpLease> lease =
      cluster_->LeaseHttp(pick_,
                          {.priority = priority_,
                           .downstream = stream_.record().protocol,
                           .sni = auto_sni ? HostWithoutPort(head.authority) : ""},
                          this);
  lease_call_ = false;
  if (!lease_failed_) {
    lease_ = std::move(lease);
    return;
  }
  // It failed inside the call.
  const auto [fault, reason] = *std::exchange(lease_failed_, std::nullopt);
  lease.reset();
  OnFault(fault, reason, /*sent=*/false);
}

void Forwarder::OnLeaseFailed(upstream::LeaseFailure failure, absl::string_view transport_reason) {
  if (lease_call_) {
    lease_failed_.emplace(FaultOf(failure), std::string(transport_reason));
    return;
  }
  const std::string reason(transport_reason);  // the lease may own the text
  lease_.reset();
  OnFault(FaultOf(failure), reason, /*sent=*/false);
}

void Forwarder::OnLeaseReady(const upstream::LeaseGrant& grant) {
  observe::AccessRecord& record = stream_.record();
  upstream_ = grant.codec->NewStream(this);
  if (upstream_ == nullptr) return OnFault(Fault::kRemoteRefused, "", /*sent=*/false);
  connection_ = grant.connection;
  record.upstream_remote = connection_->peer_address();
  record.upstream_local = connection_->local_address();
  record.upstream_tls = connection_->peer().tls ? &connection_->peer() : nullptr;
  SendRequest();
}

void Forwarder::SendRequest() {
  state_ = State::kWaiting;
  stream_.record().upstream_sent_first = stream_.loop().Now();
  const bool body_ends = ended_ && !trailers_;
  upstream_->SendHead(stream_.head(), body_ends && body_.empty());
  if (!body_.empty()) {
    if (keep_) {
      base::Buffer copy = CopyOf(body_);
      upstream_->SendBody(copy, body_ends);
    } else {
      upstream_->SendBody(body_, body_ends);
    }
  }
  if (ended_ && trailers_) upstream_->SendTrailers(*trailers_);
  sent_end_ = ended_;
  if (ended_) {
    stream_.record().upstream_sent_last = stream_.loop().Now();
    StartAttemptTimers();
  }
  if (!reading_) upstream_->SetReading(false);
  stream_.UpdateRequestReading();
}

void Forwarder::StartAttemptTimers() {
  Deadlines& deadlines = stream_.session().context().deadlines;
  const base::Micros now = stream_.loop().Now();
  if (timeouts_.per_try != 0) deadlines.Start(per_try_, now, timeouts_.per_try);
  if (timeouts_.per_try_idle != 0) deadlines.Start(per_try_idle_, now, timeouts_.per_try_idle);
}

void Forwarder::SendBody(base::Buffer& data, bool end) {
  if (state_ == State::kDone) return data.Clear();
  ended_ = end;
  for (uint64_t id : mirrors_) stream_.session().context().mirrors.SendBody(id, data, end);
  if (keep_ && body_.size() + data.size() > stream_.session().buffer_limit()) {
    AbandonReplay();
    if (state_ == State::kDone) return data.Clear();
  }
  if (upstream_ == nullptr) {
    body_.Move(data);
  } else {
    if (keep_) AppendCopy(data, body_);
    upstream_->SendBody(data, end);
    sent_end_ = end;
    if (end) stream_.record().upstream_sent_last = stream_.loop().Now();
  }
  if (end) OnRequestComplete();
}

void Forwarder::SendTrailers(http::Trailers trailers) {
  if (state_ == State::kDone) return;
  ended_ = true;
  trailers_ = std::move(trailers);
  for (uint64_t id : mirrors_) stream_.session().context().mirrors.End(id);
  if (upstream_ != nullptr) {
    upstream_->SendTrailers(*trailers_);
    sent_end_ = true;
    stream_.record().upstream_sent_last = stream_.loop().Now();
  }
  OnRequestComplete();
}

void Forwarder::AbandonReplay() {
  keep_ = false;
  retry_.Abandon();
  cluster_->sheet().Add(cluster_->stats().retry_or_shadow_abandoned);
  if (upstream_ != nullptr) return body_.Clear();  // all of it was sent
  if (state_ != State::kBackoff) return;  // the first attempt waits: body_ is simply what is unsent
  state_ = State::kDone;
  backoff_.Stop();
  stream_.Answer({.status = 507,
                  .body = "exceeded request buffer limit while retrying upstream",
                  .details = "request_payload_exceeded_retry_buffer_limit"});
}

size_t Forwarder::waiting() const {
  return upstream_ != nullptr ? upstream_->Pending() : body_.size();
}

void Forwarder::OnWritable() { stream_.UpdateRequestReading(); }

void Forwarder::SetReading(bool on) {
  if (on == reading_) return;
  reading_ = on;
  if (upstream_ == nullptr) return;
  upstream_->SetReading(on);
  if (on && owed_ > 0) upstream_->Consumed(std::exchange(owed_, 0));
  if (lease_ != nullptr) lease_->UpdateReading();
}

void Forwarder::Consumed(size_t bytes) {
  if (upstream_ == nullptr || bytes == 0) return;
  if (reading_) {
    upstream_->Consumed(bytes);
  } else {
    owed_ += bytes;
  }
}

}  // namespace heddle::proxy
