// The router: sends one request to a cluster and brings its response back. Chooses an endpoint,
// leases a stream, keeps the body for another try while it may be needed, enforces the timeouts,
// and turns failures into retries or replies. A member of its Stream; one attempt at a time.
//
//   kIdle -> kLeasing -> kWaiting (head sent) -> kResponding -> kDone
//              |  ^          |
//              v  |          v
//            kBackoff <- a retriable outcome
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/container/inlined_vector.h"
#include "source/filter/filter.h"
#include "source/http/codec.h"
#include "source/proxy/deadlines.h"
#include "source/proxy/fault.h"
#include "source/proxy/retry.h"
#include "source/proxy/timeouts.h"
#include "source/upstream/cluster.h"

namespace heddle::proxy {

class Stream;

class Forwarder final : private http::ResponseEvents, private upstream::HttpLeaseEvents {
 public:
  explicit Forwarder(Stream& stream);
  ~Forwarder() override;

  // The request's head has passed the filters. `end`: nothing follows it.
  void Start(bool end);
  void SendBody(base::Buffer& data, bool end);  // takes all of data
  void SendTrailers(http::Trailers trailers);
  // Gives the upstream up: the stream is over.
  void Cancel();

  // Facts for the request's back-pressure.
  size_t waiting() const;
  bool above_limit() const { return connection_ != nullptr && connection_->above_limit(); }
  // Whether the upstream's response may be read on now.
  void SetReading(bool on);
  // `bytes` of response body left the lane.
  void Consumed(size_t bytes);

 private:
  enum class State : uint8_t { kIdle, kLeasing, kWaiting, kResponding, kBackoff, kDone };

  // upstream::HttpLeaseEvents
  void OnLeaseReady(const upstream::LeaseGrant& grant) override;
  void OnLeaseFailed(upstream::LeaseFailure failure, absl::string_view transport_reason) override;
  // http::ResponseEvents
  void OnHead(http::ResponseHead head, bool end) override;
  void OnBody(base::Buffer& data, bool end) override;
  void OnTrailers(http::Trailers trailers) override;
  void OnReset(http::ResetReason reason) override;
  void OnWritable() override;

  bool FindCluster();
  void StartMirrors(bool end);
  void Attempt();
  upstream::Pick Choose();
  void SendRequest();
  void OnRequestComplete();
  void StartAttemptTimers();
  // `sent`: the request's head went to the upstream.
  void OnFault(Fault fault, absl::string_view transport_reason, bool sent);
  // True when another attempt is on its way.
  bool Retry(RetryState::Decision decision);
  void DropAttempt(bool reset);
  void AbandonReplay();
  void CountWireBytes();
  void AddAttemptCount(filter::Reply& reply) const;
  void AnswerFault(Fault fault, absl::string_view transport_reason);
  void AnswerTimeout(absl::string_view details);
  bool RetryResponse(const http::ResponseHead& head, bool end);
  void BeginResponse(http::ResponseHead head, bool end);
  void FinishHead(http::ResponseHead& head);
  void ResponseEnded();
  void OnGlobalTimeout();
  void OnPerTryTimeout();
  void OnPerTryIdle();
  void Report(const upstream::Result& result);

  Stream& stream_;
  State state_ = State::kIdle;
  const config::RouteAction* action_ = nullptr;
  upstream::Cluster* cluster_ = nullptr;
  upstream::Priority priority_ = upstream::Priority::kDefault;
  Timeouts timeouts_;
  RetryState retry_;
  std::shared_ptr<const config::RetryPolicy> cluster_retry_;  // when retry_ follows the cluster's
  upstream::RetryPermit permit_;
  std::optional<std::pair<Fault, std::string>> lease_failed_;  // inside that call
  upstream::Pick pick_;
  absl::InlinedVector<std::shared_ptr<upstream::HostState>, 2> tried_;
  std::unique_ptr<upstream::HttpLease> lease_;
  http::ClientStream* upstream_ = nullptr;  // null: none open
  net::Connection* connection_ = nullptr;   // of upstream_
  base::Buffer body_;                       // unsent; with keep_: everything so far, sent or not
  std::optional<http::Trailers> trailers_;
  bool keep_ = false;         // the body is kept for another attempt
  bool ended_ = false;        // the request is complete (as far as we were told)
  bool sent_end_ = false;     // ... and sent
  bool timeout_204_ = false;  // x-envoy-upstream-rq-timeout-alt-response
  bool lease_call_ = false;   // inside Cluster::LeaseHttp
  bool reported_ = false;
  base::Micros first_attempt_ = 0, attempt_began_ = 0;
  size_t owed_ = 0;  // response bytes passed on while reading is off
  bool reading_ = true;
  absl::InlinedVector<uint64_t, 1> mirrors_;  // ids in Context::mirrors
  Deadline global_, per_try_, per_try_idle_, backoff_;
};

}  // namespace heddle::proxy
