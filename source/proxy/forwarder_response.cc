// The second half of the Forwarder: the response, and what becomes of failures. See forwarder.h.
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "source/proxy/context.h"
#include "source/proxy/forwarder.h"
#include "source/proxy/forwarder_head.h"
#include "source/proxy/http_session.h"
#include "source/proxy/reply.h"
#include "source/proxy/stream.h"

namespace heddle::proxy {
namespace {

using http::HeaderId;
using observe::Flag;
using upstream::Result;

constexpr uint32_t Bit(Flag flag) { return static_cast<uint32_t>(flag); }

}  // namespace

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
  if (timeouts_.per_try_idle != 0)
    stream_.session().context().deadlines.Start(per_try_idle_, stream_.loop().Now(),
                                                timeouts_.per_try_idle);
  cluster_->CountResponse(head.status, /*retried=*/false);
  FinishHead(head);
  if (end) ResponseEnded();
  stream_.OnResponseHead(std::move(head), end);
}

void Forwarder::FinishHead(http::ResponseHead& head) {
  observe::AccessRecord& record = stream_.record();
  record.status = head.status;  // for %RESPONSE_CODE% in a header
  if (record.request_received != 0 && !stream_.session().suppress_envoy_headers()) {
    SetNumber(head.headers, HeaderId::kXEnvoyUpstreamServiceTime,
              static_cast<uint64_t>(record.upstream_head - record.request_received) / 1000);
  }
  if (stream_.match().host->config->include_attempt_count_response) {
    SetNumber(head.headers, HeaderId::kXEnvoyAttemptCount, record.attempts);
  }
  MutateResponse(stream_.routes(), stream_.match(), stream_.weighted(), record, head.headers);
}

void Forwarder::OnBody(base::Buffer& data, bool end) {
  if (per_try_idle_.running())
    stream_.session().context().deadlines.Start(per_try_idle_, stream_.loop().Now(),
                                                timeouts_.per_try_idle);
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
  const base::Micros since =
      stream_.record().request_received != 0 ? stream_.record().request_received : first_attempt_;
  cluster_->sheet().Record(cluster_->stats().rq_time, static_cast<uint64_t>(now - since));
  CountWireBytes();
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

// Adds those of the attempt there is. Before upstream_ goes.
void Forwarder::CountWireBytes() {
  if (upstream_ == nullptr) return;
  const auto bytes = upstream_->wire_bytes();
  stream_.record().upstream_wire_bytes_sent += bytes.sent;
  stream_.record().upstream_wire_bytes_received += bytes.received;
}

void Forwarder::OnReset(http::ResetReason reason) {
  CountWireBytes();
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
    stream_.record().upstream_remote = pick_.host->address;
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
  CountWireBytes();
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

void Forwarder::AddAttemptCount(filter::Reply& reply) const {
  if (!stream_.match().host->config->include_attempt_count_response) return;
  reply.headers.emplace_back("x-envoy-attempt-count", absl::StrCat(stream_.record().attempts));
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
  if (fault == Fault::kOverflow && !stream_.session().suppress_envoy_headers())
    reply.headers.emplace_back("x-envoy-overloaded", "true");
  AddAttemptCount(reply);
  stream_.record().culprit = fault == Fault::kOverflow || fault == Fault::kLocalReset
                                 ? observe::Culprit::kUs
                                 : observe::Culprit::kUpstream;
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
  AddAttemptCount(reply);
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
  if (state_ != State::kResponding && Retry(retry_.OnPerTryTimeout()))
    return DropAttempt(/*reset=*/true);
  AnswerTimeout("upstream_per_try_idle_timeout");
}

void Forwarder::Cancel() {
  for (uint64_t id : mirrors_) stream_.session().context().mirrors.Release(id);
  mirrors_.clear();
  if (state_ == State::kIdle || state_ == State::kDone) {
    state_ = State::kDone;
    return;
  }
  if (state_ == State::kLeasing && cluster_ != nullptr && lease_ != nullptr)
    cluster_->sheet().Add(cluster_->stats().rq_cancelled);
  state_ = State::kDone;
  global_.Stop();
  backoff_.Stop();
  DropAttempt(/*reset=*/true);
  body_.Clear();
  permit_ = upstream::RetryPermit();
}

}  // namespace heddle::proxy
