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
using upstream::Result;

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
  const int weighted = stream_.weighted();
  absl::string_view name = action_->cluster;
  if (weighted >= 0) {
    name = action_->weighted[static_cast<size_t>(weighted)].name;
  } else if (!action_->cluster_header.empty()) {
    name = stream_.head().headers.Get(action_->cluster_header).value_or("");
  }
  cluster_ = name.empty() ? nullptr : stream_.epoch()->FindCluster(name);
  if (cluster_ == nullptr) {
    state_ = State::kDone;
    stream_.session().context().sheet.Add(stream_.session().spec().stats.no_cluster);
    stream_.Answer({.status = action_->cluster_not_found_status, .details = "cluster_not_found", .flags = Bit(Flag::kNoCluster)});
    return false;
  }
  stream_.record().cluster = name;
  return true;
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
  MutateRequest(stream_.routes(), stream_.match(), stream_.weighted(), stream_.record(), head);
  first_attempt_ = stream_.loop().Now();
  if (!action_->mirrors.empty()) StartMirrors(end);
  if (end) OnRequestComplete();
  Attempt();
}

void Forwarder::StartMirrors(bool end) {
  Context& context = stream_.session().context();
  for (const config::MirrorPolicy& mirror : action_->mirrors) {
    if (context.random.Below(mirror.fraction.denominator) >= mirror.fraction.numerator) continue;
    const uint64_t id = context.mirrors.Start(context, stream_.head(), mirror.cluster, timeouts_.global, end);
    if (id != 0) mirrors_.push_back(id);
  }
}

void Forwarder::OnRequestComplete() {
  HttpSession& session = stream_.session();
  if (timeouts_.global != 0) session.context().deadlines.Start(global_, stream_.loop().Now(), timeouts_.global);
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
    return stream_.Answer({.status = 503, .body = "no healthy upstream", .details = "no_healthy_upstream", .flags = Bit(Flag::kNoHealthyUpstream)});
  }
  if (action_->auto_host_rewrite) RewriteHostTo(*action_, pick_.host->hostname, head);
  WriteTimeoutHeaders(timeouts_, attempt_began_ - first_attempt_, head.headers);
  if (stream_.match().host->config->include_attempt_count_request) SetNumber(head.headers, HeaderId::kXEnvoyAttemptCount, record.attempts);
  const bool auto_sni = cluster_->config().http.auto_sni;
  state_ = State::kLeasing;
  lease_call_ = true;
  std::unique_ptr<upstream::HttpLease> lease = cluster_->LeaseHttp(
      pick_, {.priority = priority_, .downstream = stream_.record().protocol, .sni = auto_sni ? HostWithoutPort(head.authority) : ""}, this);
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
  if (state_ != State::kBackoff) return;           // the first attempt waits: body_ is simply what is unsent
  state_ = State::kDone;
  backoff_.Stop();
  stream_.Answer({.status = 507,
                  .body = "exceeded request buffer limit while retrying upstream",
                  .details = "request_payload_exceeded_retry_buffer_limit"});
}

size_t Forwarder::waiting() const { return upstream_ != nullptr ? upstream_->Pending() : body_.size(); }

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

// ---------------------------------------------------------------------------------------------------------
// The response

void Forwarder::OnHead(http::ResponseHead head, bool end) {
  stream_.Touch();
  if (head.informational() && head.status != 101) {
    retry_.Abandon();
    return stream_.SendInformational(std::move(head));
  }
  stream_.record().upstream_head = stream_.loop().Now();
  const auto grpc = stream_.head().grpc() ? GrpcStatusOf(head.headers) : std::nullopt;
  Report({.kind = Result::Kind::kHttp, .status = grpc ? HttpFromGrpc(*grpc) : head.status});
  if (retry_.enabled() && RetryResponse(head, end)) return;
  BeginResponse(std::move(head), end);
}

bool Forwarder::RetryResponse(const http::ResponseHead& head, bool end) {
  const RetryState::Decision decision = retry_.OnResponse(head);
  if (decision == RetryState::Decision::kNo) {
    if (stream_.record().attempts > 1) cluster_->sheet().Add(cluster_->stats().rq_retry_success);
    return false;
  }
  if (!Retry(decision)) return false;
  cluster_->CountResponse(head.status, /*retried=*/true);
  DropAttempt(/*reset=*/!end || !sent_end_);
  return true;
}

void Forwarder::BeginResponse(http::ResponseHead head, bool end) {
  state_ = State::kResponding;
  keep_ = false;
  body_.Clear();
  per_try_.Stop();
  if (timeouts_.per_try_idle != 0) stream_.session().context().deadlines.Start(per_try_idle_, stream_.loop().Now(), timeouts_.per_try_idle);
  cluster_->CountResponse(head.status, /*retried=*/false);
  FinishHead(head);
  if (end) ResponseEnded();
  stream_.OnResponseHead(std::move(head), end);
}

void Forwarder::FinishHead(http::ResponseHead& head) {
  const observe::AccessRecord& record = stream_.record();
  if (record.request_received != 0) {
    SetNumber(head.headers, HeaderId::kXEnvoyUpstreamServiceTime, static_cast<uint64_t>(record.upstream_head - record.request_received) / 1000);
  }
  if (stream_.match().host->config->include_attempt_count_response) {
    SetNumber(head.headers, HeaderId::kXEnvoyAttemptCount, record.attempts);
  }
  MutateResponse(stream_.routes(), stream_.match(), stream_.weighted(), record, head.headers);
}

void Forwarder::OnBody(base::Buffer& data, bool end) {
  if (per_try_idle_.running()) stream_.session().context().deadlines.Start(per_try_idle_, stream_.loop().Now(), timeouts_.per_try_idle);
  if (end) ResponseEnded();
  stream_.OnResponseBody(data, end);
}

void Forwarder::OnTrailers(http::Trailers trailers) {
  ResponseEnded();
  stream_.OnResponseTrailers(std::move(trailers));
}

void Forwarder::ResponseEnded() {
  state_ = State::kDone;
  const base::Micros now = stream_.loop().Now();
  stream_.record().upstream_last = now;
  const base::Micros since = stream_.record().request_received != 0 ? stream_.record().request_received : first_attempt_;
  cluster_->sheet().Record(cluster_->stats().rq_time, static_cast<uint64_t>(now - since));
  if (upstream_ != nullptr && !sent_end_) upstream_->Reset(http::ResetReason::kCancel);
  upstream_ = nullptr;
  connection_ = nullptr;
  global_.Stop();
  per_try_.Stop();
  per_try_idle_.Stop();
  permit_ = upstream::RetryPermit();
  lease_.reset();
}

// ---------------------------------------------------------------------------------------------------------
// Failures

void Forwarder::Report(const Result& result) {
  if (reported_ || pick_.host == nullptr) return;
  reported_ = true;
  cluster_->Report(pick_.host, result);
}

void Forwarder::OnReset(http::ResetReason reason) {
  upstream_ = nullptr;
  connection_ = nullptr;
  const Fault fault = FaultOf(reason);
  if (fault != Fault::kTermination) cluster_->sheet().Add(cluster_->stats().rq_rx_reset);
  lease_.reset();
  OnFault(fault, "", /*sent=*/true);
}

void Forwarder::OnFault(Fault fault, absl::string_view transport_reason, bool sent) {
  const bool connect = fault == Fault::kConnectFailed || fault == Fault::kConnectTimeout;
  if (connect) {
    Report({.kind = Result::Kind::kConnectFailed});
  } else if (fault != Fault::kOverflow) {
    Report({.kind = Result::Kind::kReset});
  }
  stream_.record().upstream_failure = std::string(transport_reason);
  if (state_ == State::kResponding) return AnswerFault(fault, transport_reason);
  if (Retry(retry_.OnFault(fault, sent))) return DropAttempt(/*reset=*/false);
  AnswerFault(fault, transport_reason);
}

bool Forwarder::Retry(RetryState::Decision decision) {
  const upstream::ClusterStats& stats = cluster_->stats();
  if (decision == RetryState::Decision::kNo) return false;
  if (decision == RetryState::Decision::kNoneLeft) {
    stream_.record().Set(Flag::kRetryLimit);
    cluster_->sheet().Add(stats.rq_retry_limit_exceeded);
    return false;
  }
  permit_ = upstream::RetryPermit();
  permit_ = cluster_->AcquireRetry(priority_);
  if (!permit_) {
    stream_.record().Set(Flag::kUpstreamOverflow);
    return false;
  }
  cluster_->sheet().Add(stats.rq_retry);
  if (retry_.policy() != nullptr && retry_.policy()->previous_hosts) tried_.push_back(pick_.host);
  base::Micros wait = 0;
  if (decision == RetryState::Decision::kRetry) {
    cluster_->sheet().Add(stats.rq_retry_backoff_exponential);
    wait = retry_.Backoff(stream_.random());
  }
  state_ = State::kBackoff;
  stream_.session().context().deadlines.Start(backoff_, stream_.loop().Now(), wait);
  return true;
}

void Forwarder::DropAttempt(bool reset) {
  per_try_.Stop();
  per_try_idle_.Stop();
  http::ClientStream* stream = std::exchange(upstream_, nullptr);
  connection_ = nullptr;
  owed_ = 0;
  sent_end_ = false;
  stream_.record().upstream_tls = nullptr;
  if (stream != nullptr && reset) {
    cluster_->sheet().Add(cluster_->stats().rq_tx_reset);
    stream->Reset(http::ResetReason::kCancel);
  }
  lease_.reset();
}

void Forwarder::AnswerFault(Fault fault, absl::string_view transport_reason) {
  const bool started = state_ == State::kResponding;
  DropAttempt(/*reset=*/upstream_ != nullptr);
  Cancel();
  filter::Reply reply;
  reply.status = StatusOf(fault);
  reply.body = ResetBody(fault, stream_.record().attempts > 1, transport_reason);
  reply.details = ResetDetails(fault, started, transport_reason);
  reply.flags = Bit(FlagOf(fault));
  if (fault == Fault::kOverflow) reply.headers.emplace_back("x-envoy-overloaded", "true");
  stream_.record().culprit = fault == Fault::kOverflow || fault == Fault::kLocalReset ? observe::Culprit::kUs : observe::Culprit::kUpstream;
  stream_.Answer(std::move(reply));
}

void Forwarder::AnswerTimeout(absl::string_view details) {
  Report({.kind = Result::Kind::kTimeout});
  DropAttempt(/*reset=*/upstream_ != nullptr);
  Cancel();
  filter::Reply reply;
  reply.status = timeout_204_ ? 204 : 504;
  if (!timeout_204_) reply.body = "upstream request timeout";
  reply.details = std::string(details);
  reply.flags = Bit(Flag::kUpstreamTimeout);
  stream_.record().culprit = observe::Culprit::kUpstream;
  stream_.Answer(std::move(reply));
}

void Forwarder::OnGlobalTimeout() {
  cluster_->sheet().Add(cluster_->stats().rq_timeout);
  AnswerTimeout("response_timeout");
}

void Forwarder::OnPerTryTimeout() {
  cluster_->sheet().Add(cluster_->stats().rq_per_try_timeout);
  Report({.kind = Result::Kind::kTimeout});
  if (Retry(retry_.OnPerTryTimeout())) return DropAttempt(/*reset=*/true);
  AnswerTimeout("upstream_per_try_timeout");
}

void Forwarder::OnPerTryIdle() {
  Report({.kind = Result::Kind::kTimeout});
  if (state_ != State::kResponding && Retry(retry_.OnPerTryTimeout())) return DropAttempt(/*reset=*/true);
  AnswerTimeout("upstream_per_try_idle_timeout");
}

void Forwarder::Cancel() {
  for (uint64_t id : mirrors_) stream_.session().context().mirrors.Release(id);
  mirrors_.clear();
  if (state_ == State::kIdle || state_ == State::kDone) {
    state_ = State::kDone;
    return;
  }
  if (state_ == State::kLeasing && cluster_ != nullptr && lease_ != nullptr) cluster_->sheet().Add(cluster_->stats().rq_cancelled);
  state_ = State::kDone;
  global_.Stop();
  backoff_.Stop();
  DropAttempt(/*reset=*/true);
  body_.Clear();
  permit_ = upstream::RetryPermit();
}

}  // namespace heddle::proxy
