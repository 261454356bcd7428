#include "source/proxy/stream.h"

#include <utility>

#include "absl/strings/match.h"
#include "source/http/h1/codec.h"
#include "source/observe/access_log.h"
#include "source/proxy/conn_manager.h"
#include "source/proxy/context.h"
#include "source/proxy/http_session.h"
#include "source/proxy/reply.h"
#include "source/proxy/rewrite.h"
#include "source/proxy/timeouts.h"

namespace heddle::proxy {
namespace {

using http::HeaderId;
using observe::Flag;

constexpr int kDeadlineExceeded = 4;  // of gRPC
constexpr uint32_t Bit(Flag flag) { return static_cast<uint32_t>(flag); }

}  // namespace

Stream::Stream(HttpSession& session, http::ServerStream* downstream, http::RequestHead head)
    : session_(session),
      downstream_(downstream),
      head_(std::move(head)),
      epoch_(session.context().epochs.Pin()),
      forwarder_(*this) {
  idle_.Init(this, [](void* self) { static_cast<Stream*>(self)->OnIdle(); });
  request_timeout_.Init(this, [](void* self) { static_cast<Stream*>(self)->OnRequestTimeout(); });
  max_duration_.Init(this, [](void* self) { static_cast<Stream*>(self)->OnMaxDuration(); });
}

Stream::~Stream() = default;

event::Loop& Stream::loop() { return session_.context().loop; }
base::Random& Stream::random() { return session_.context().random; }

// ---------------------------------------------------------------------------------------------------------
// Beginning

void Stream::Start(bool end) {
  request_.ended = end;
  record_.request = &head_;
  record_.protocol = head_.version;
  session_.Describe(record_);
  if (end) record_.request_received = record_.started;
  const config::HttpConnectionManager& config = session_.config();
  // Before anything that may answer: a reply is traced and logged like any response.
  auto refused = PrepareRequest(config, session_.client(), random(), head_, record_);
  if (session_.spec().tracer != nullptr) {
    span_ = session_.spec().tracer->Start(head_, random());
    session_.spec().tracer->Inject(*span_, &head_);
    record_.trace_id = span_->context.TraceIdHex();
    record_.span_id = span_->context.SpanIdHex();
  }
  if (refused != nullptr) {
    refused_ = refused->status == 400;
    return AnswerFrom(std::move(*refused), 0);
  }
  routes_ = session_.Routes(epoch_.get());
  MatchRoute();
  StartTimers();
  if (!end && !config.proxy_100_continue) AnswerExpect();
  // Without a route there is nothing to be upgraded: that is a 404 like any other.
  if ((head_.upgrade() || head_.method == "CONNECT") && match_.route != nullptr &&
      !UpgradeAllowed()) {
    context_stats().Add(session_.spec().stats.rq_ws_on_non_ws_route);
    return AnswerFrom({.status = 403, .details = "upgrade_failed"}, 0);
  }
  if (config.filters.size() > 1) MakeFilters();
  RequestHeadFrom(0);
}

// RFC 9110 10.1.1: 100-continue is the one expectation there is; others are somebody else's.
void Stream::AnswerExpect() {
  const auto expect = head_.headers.Get(HeaderId::kExpect);
  if (!expect || !absl::EqualsIgnoreCase(*expect, "100-continue")) return;
  head_.headers.Remove(HeaderId::kExpect);
  http::ResponseHead go_on;
  go_on.status = 100;
  downstream_->SendHead(go_on, false);
}

stats::Sheet& Stream::context_stats() { return session_.context().sheet; }

void Stream::MatchRoute() {
  match_ = {};
  weighted_ = -1;
  cluster_ = nullptr;
  record_.cluster = {};
  route_stale_ = false;
  if (routes_ == nullptr) return;
  match_ = routes_->Find(head_, random().Next());
  if (match_.host != nullptr) record_.virtual_host = match_.host->config->name;
  if (match_.route == nullptr || match_.tls_required) return;
  const config::Route& route = *match_.route->config;
  record_.route = route.name;
  if (!route.forward.weighted.empty())
    weighted_ = static_cast<int>(ChooseWeighted(route.forward, random().Next()));
  if (route.kind == config::Route::Kind::kForward) FindCluster(route.forward);
  if (span_ && !route.decorator.empty()) span_->name = route.decorator;
}

void Stream::FindCluster(const config::RouteAction& action) {
  absl::string_view name = action.cluster;
  if (weighted_ >= 0) {
    name = action.weighted[static_cast<size_t>(weighted_)].name;
  } else if (!action.cluster_header.empty()) {
    name = head_.headers.Get(action.cluster_header).value_or("");
  }
  if (!name.empty()) cluster_ = epoch_->FindCluster(name);
  if (cluster_ != nullptr) record_.cluster = name;
}

const config::Route* Stream::route() {
  if (route_stale_) MatchRoute();
  return match_.route == nullptr ? nullptr : match_.route->config;
}

const void* Stream::RouteConfig(absl::string_view name) {
  if (route_stale_) MatchRoute();
  return routes_ == nullptr ? nullptr : routes_->FilterConfig(match_, weighted_, name);
}

bool Stream::UpgradeAllowed() const {
  const absl::string_view wanted = head_.upgrade() ? head_.protocol : absl::string_view("connect");
  const auto asks =
      [&](const absl::flat_hash_map<std::string, bool>& upgrades) -> std::optional<bool> {
    for (const auto& [name, enabled] : upgrades) {
      if (absl::EqualsIgnoreCase(name, wanted)) return enabled;
    }
    return std::nullopt;
  };
  if (match_.route != nullptr) {
    if (const auto by_route = asks(match_.route->config->forward.upgrades)) return *by_route;
  }
  return asks(session_.config().upgrades).value_or(false);
}

void Stream::StartTimers() {
  const config::HttpConnectionManager& config = session_.config();
  Deadlines& deadlines = session_.context().deadlines;
  const base::Micros now = loop().Now();
  absl::Duration idle = config.stream_idle_timeout;
  base::Micros duration = base::ToMicros(config.common.max_stream_duration);
  if (match_.route != nullptr) {
    const config::RouteAction& action = match_.route->config->forward;
    if (action.idle_timeout) idle = *action.idle_timeout;
    duration = StreamDuration(action, duration, head_);
  }
  idle_after_ = base::ToMicros(idle);
  if (idle_after_ > 0) deadlines.Start(idle_, now, idle_after_);
  if (duration > 0) deadlines.Start(max_duration_, now, duration);
  if (config.request_timeout > absl::ZeroDuration() && !request_.ended) {
    deadlines.Start(request_timeout_, now, base::ToMicros(config.request_timeout));
  }
}

void Stream::MakeFilters() {
  for (const config::HttpFilterSpec& spec : session_.config().filters) {
    if (spec.terminal || spec.disabled || !spec.make) continue;
    if (auto filter = spec.make()) filters_.push_back(std::move(filter));
  }
}

void Stream::Touch() {
  if (idle_after_ > 0 && !finished_)
    session_.context().deadlines.Start(idle_, loop().Now(), idle_after_);
}

// ---------------------------------------------------------------------------------------------------------
// What the route says beside forwarding

bool Stream::AnswerRoute() {
  if (route_stale_) MatchRoute();
  if (match_.tls_required) {
    config::Route to_https;
    to_https.redirect.https_redirect = true;
    filter::Reply reply{.status = 301, .details = "direct_response"};
    reply.headers.emplace_back("location", RedirectUrl(to_https, head_));
    AnswerFrom(std::move(reply), filter_count());
    return true;
  }
  if (match_.route == nullptr) {
    context_stats().Add(session_.spec().stats.no_route);
    AnswerFrom({.status = 404, .details = "route_not_found", .flags = Bit(Flag::kNoRoute)},
               filter_count());
    return true;
  }
  const config::Route& route = *match_.route->config;
  filter::Reply reply;
  reply.details = "direct_response";
  switch (route.kind) {
    case config::Route::Kind::kForward:
      return false;
    case config::Route::Kind::kRedirect:
      reply.status = route.redirect.status;
      reply.headers.emplace_back("location", RedirectUrl(route, head_));
      break;
    case config::Route::Kind::kDirect:
      reply.status = route.direct.status;
      reply.body = route.direct.body;
      break;
    case config::Route::Kind::kNonForwarding:
      reply.status = 404;
      reply.details = "route_not_found";
      reply.flags = Bit(Flag::kNoRoute);
      break;
  }
  routed_reply_ = true;
  AnswerFrom(std::move(reply), filter_count());
  return true;
}

// ---------------------------------------------------------------------------------------------------------
// Ends

void Stream::OnIdle() {
  context_stats().Add(session_.spec().stats.rq_idle_timeout);
  record_.Set(Flag::kStreamIdleTimeout);
  Answer({.status = request_.ended ? 504 : 408,
          .body = "stream timeout",
          .details = "stream_idle_timeout"});
}

void Stream::OnRequestTimeout() {
  context_stats().Add(session_.spec().stats.rq_timeout);
  Answer({.status = 408, .body = "request timeout", .details = "request_overall_timeout"});
}

void Stream::OnMaxDuration() {
  context_stats().Add(session_.spec().stats.rq_max_duration);
  Answer({.status = request_.ended ? 504 : 408,
          .body = "downstream duration timeout",
          .details = "max_duration_timeout",
          .grpc_status = kDeadlineExceeded});
}

void Stream::OnReset(http::ResetReason reason) {
  downstream_ = nullptr;
  if (finished_) return;
  const bool http2 = head_.version == http::Protocol::kHttp2;
  if (reason == http::ResetReason::kProtocolError || reason == http::ResetReason::kTooLarge ||
      reason == http::ResetReason::kFlowControl) {
    // What OnMalformed said is better.
    if (!record_.Has(Flag::kDownstreamProtocolError))
      record_.details = http2 ? "http2.remote_reset" : "http1.codec_error";
    record_.Set(Flag::kDownstreamProtocolError);
  } else if (http2 && reason != http::ResetReason::kConnectionClosed) {
    record_.Set(Flag::kDownstreamReset);
    if (!response_.body_done) record_.details = "http2.remote_reset";
  } else {
    record_.Set(Flag::kDownstreamTermination);
    if (!response_.body_done) record_.details = "downstream_remote_disconnect";
  }
  record_.culprit = observe::Culprit::kClient;
  context_stats().Add(session_.spec().stats.rq_rx_reset);
  Finish();
}

void Stream::OnMalformed(const http::Malformed& what) {
  if (finished_) return;
  record_.Set(Flag::kDownstreamProtocolError);
  record_.culprit = observe::Culprit::kClient;
  if (what.status == 0 || response_.head_done) {
    record_.details = std::string(what.details);
    return;  // an OnReset follows
  }
  AnswerFrom({.status = what.status,
              .body = std::string(http::h1::ReasonPhrase(what.status)),
              .details = std::string(what.details)},
             filters_begun_);
}

void Stream::ResetDownstream() {
  if (finished_) return;
  context_stats().Add(session_.spec().stats.rq_tx_reset);
  if (auto* stream = std::exchange(downstream_, nullptr))
    stream->Reset(http::ResetReason::kInternal);
  Finish();
}

void Stream::CheckComplete() {
  if (finished_ || !response_.body_done) return;
  // The codec forgets a stream whose response is whole, and deals with the rest of its request by
  // itself.
  downstream_ = nullptr;
  Finish();
}

void Stream::Finish() {
  if (finished_) return;
  finished_ = true;
  idle_.Stop();
  request_timeout_.Stop();
  max_duration_.Stop();
  record_.finished = loop().Now();
  if (response_.body_done) record_.response_sent_last = record_.finished;
  forwarder_.Cancel();
  CountFinished();
  for (int i = 0; i < filters_begun_; ++i) filters_[static_cast<size_t>(i)]->OnDone(record_);
  for (const auto& log : session_.spec().logs) log->Write(record_);
  if (span_) session_.spec().tracer->Finish(*span_, record_);
  session_.OnStreamDone(this);
}

void Stream::CountFinished() {
  const HttpStats& stats = session_.spec().stats;
  stats::Sheet& sheet = context_stats();
  const int status = record_.status;
  if (status >= 100 && status < 600) sheet.Add(stats.rq_xx[static_cast<size_t>(status / 100)]);
  if (record_.response != nullptr) sheet.Add(stats.rq_completed);
  if (absl::StartsWith(record_.details, "rbac_access_denied")) sheet.Add(stats.rbac_denied);
  sheet.Record(stats.rq_time, static_cast<uint64_t>(record_.finished - record_.started));
}

// ---------------------------------------------------------------------------------------------------------
// Back-pressure

void Stream::UpdateRequestReading() {
  if (finished_ || downstream_ == nullptr) return;
  const size_t waiting = request_.waiting() + forwarder_.waiting();
  const bool on = request_.hold == Hold::kGather ||
                  (waiting <= session_.buffer_limit() && !forwarder_.above_limit());
  if (on && owed_ > 0) downstream_->Consumed(std::exchange(owed_, 0));
  if (on == reading_) return;
  reading_ = on;
  context_stats().Add(on ? session_.spec().stats.resumed_reading
                         : session_.spec().stats.paused_reading);
  downstream_->SetReading(on);
  session_.Touch();
}

void Stream::UpdateResponseReading() {
  if (finished_ || downstream_ == nullptr) return;
  const size_t waiting = response_.waiting() + downstream_->Pending();
  forwarder_.SetReading(waiting <= session_.buffer_limit() && !session_.connection().above_limit());
}

void Stream::OnWritable() { UpdateResponseReading(); }

}  // namespace heddle::proxy
