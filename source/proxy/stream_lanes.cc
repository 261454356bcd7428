// The two lanes of a Stream; see stream.h.
#include <algorithm>
#include <utility>

#include "source/proxy/conn_manager.h"
#include "source/proxy/context.h"
#include "source/proxy/forwarder_head.h"
#include "source/proxy/http_session.h"
#include "source/proxy/reply.h"
#include "source/proxy/stream.h"

namespace heddle::proxy {
namespace {

using filter::Verdict;

}  // namespace

// ---------------------------------------------------------------------------------------------------------
// Request: client -> filters 0, 1, 2 ... -> Forwarder

void Stream::OnBody(base::Buffer& data, bool end) {
  record_.bytes_received += data.size();
  owed_ += data.size();
  Touch();
  if (end) {
    request_.ended = true;
    record_.request_received = loop().Now();
    request_timeout_.Stop();
  }
  if (local_reply_) {  // nobody wants it any more
    data.Clear();
    return UpdateRequestReading();
  }
  request_.arrived.Move(data);
  RequestBody();
  UpdateRequestReading();
}

void Stream::OnTrailers(http::Trailers trailers) {
  Touch();
  request_.ended = true;
  record_.request_received = loop().Now();
  request_timeout_.Stop();
  if (local_reply_) return;
  request_.trailers = std::move(trailers);
  RequestBody();
}

void Stream::RequestHeadFrom(size_t at) {
  for (size_t i = at; i < filters_.size(); ++i) {
    filter::HttpFilter& filter = *filters_[i];
    if (const size_t wanted = filter.GatherRequestBody(); wanted > 0 && !request_.ended) {
      request_.hold = Hold::kGather;
      request_.at = static_cast<int>(i);
      request_.gather = wanted;
      return;
    }
    filters_begun_ = static_cast<int>(i) + 1;
    Verdict verdict = filter.OnRequestHead(head_, *this);
    switch (verdict.kind()) {
      case Verdict::Kind::kNext:
        break;
      case Verdict::Kind::kHold:
        request_.hold = Hold::kHead;
        request_.at = static_cast<int>(i);
        return;
      case Verdict::Kind::kAnswer:
        return AnswerFrom(std::move(verdict.reply()), static_cast<int>(i));
    }
  }
  if (AnswerRoute()) return;
  request_.head_done = true;
  const bool end = request_.ended && request_.arrived.empty() && !request_.trailers;
  if (end) request_.body_done = true;
  forwarder_.Start(end);
  if (!end) RequestBody();
}

// Everything that has arrived, from the first filter on; also ends gathering.
void Stream::RequestBody() {
  if (finished_ || local_reply_) return;
  if (request_.hold == Hold::kGather) {
    if (request_.arrived.size() > request_.gather) {
      context_stats().Add(session_.spec().stats.rq_too_large);
      return AnswerFrom(
          {.status = 413, .body = "Payload Too Large", .details = "request_payload_too_large"},
          request_.at);
    }
    if (!request_.ended) return;
    request_.hold = Hold::kNone;
    return RequestHeadFrom(static_cast<size_t>(request_.at));
  }
  if (!request_.head_done || request_.hold != Hold::kNone || request_.body_done) return;
  if (request_.arrived.empty() && !request_.ended) return;
  base::Buffer data = std::move(request_.arrived);
  RequestBodyFrom(0, data);
}

void Stream::RequestBodyFrom(size_t at, base::Buffer& data) {
  // Nothing of the body follows `data`.
  const bool last = request_.ended && request_.arrived.empty();
  for (size_t i = at; i < filters_.size(); ++i) {
    Verdict verdict = filters_[i]->OnRequestBody(data, last, *this);
    switch (verdict.kind()) {
      case Verdict::Kind::kNext:
        break;
      case Verdict::Kind::kHold:
        request_.held.Move(data);
        request_.hold = Hold::kBody;
        request_.at = static_cast<int>(i);
        return;
      case Verdict::Kind::kAnswer:
        return AnswerFrom(std::move(verdict.reply()), static_cast<int>(i));
    }
  }
  if (!last) {
    if (!data.empty()) forwarder_.SendBody(data, false);
    return;
  }
  request_.body_done = true;
  if (!request_.trailers) return forwarder_.SendBody(data, true);
  if (!data.empty()) forwarder_.SendBody(data, false);
  if (!finished_) forwarder_.SendTrailers(*std::move(request_.trailers));
}

void Stream::ResumeRequest() {
  const Hold hold = std::exchange(request_.hold, Hold::kNone);
  const auto next = static_cast<size_t>(request_.at) + 1;
  if (hold == Hold::kHead) {
    RequestHeadFrom(next);
  } else {
    base::Buffer data = std::move(request_.held);
    RequestBodyFrom(next, data);
    RequestBody();
  }
  UpdateRequestReading();
}

void Stream::Resume(std::unique_ptr<filter::Reply> reply) {
  if (finished_) return;
  const bool request = request_.hold == Hold::kHead || request_.hold == Hold::kBody;
  if (!request && response_.hold == Hold::kNone) return;
  if (reply != nullptr) return AnswerFrom(std::move(*reply), request ? request_.at : response_.at);
  if (request) return ResumeRequest();
  ResumeResponse();
}

void Stream::ClearRoute() { route_stale_ = true; }

// ---------------------------------------------------------------------------------------------------------
// Response: Forwarder -> filters ... 2, 1, 0 -> client

void Stream::SendInformational(http::ResponseHead head) {
  if (finished_ || downstream_ == nullptr || head_.version == http::Protocol::kHttp10) return;
  if (head.status == 100 && !session_.config().proxy_100_continue) return;
  downstream_->SendHead(head, false);
}

void Stream::OnResponseHead(http::ResponseHead head, bool end) {
  if (finished_) return;
  response_head_ = std::move(head);
  response_.ended = end;
  record_.details = "via_upstream";
  ResponseHeadFrom(filter_count() - 1);
}

void Stream::ResponseHeadFrom(int at) {
  for (int i = at; i >= 0; --i) {
    Verdict verdict = filters_[static_cast<size_t>(i)]->OnResponseHead(response_head_, *this);
    switch (verdict.kind()) {
      case Verdict::Kind::kNext:
        break;
      case Verdict::Kind::kHold:
        response_.hold = Hold::kHead;
        response_.at = i;
        return;
      case Verdict::Kind::kAnswer:
        return AnswerFrom(std::move(verdict.reply()), i);
    }
  }
  PassResponseHead();
}

void Stream::PassResponseHead() {
  Context& context = session_.context();
  response_.head_done = true;
  // An HTTP/1 connection whose request may never end is of no further use.
  response_head_.keep_alive = request_.ended && !refused_;
  PrepareResponse(session_.config(), head_, context.date.At(record_.start), response_head_);
  record_.response = &response_head_;
  record_.status = response_head_.status;
  record_.response_sent_first = loop().Now();
  // Without one, what the HTTP status stands for; trailers may know better.
  if (head_.grpc())
    record_.grpc_status =
        GrpcStatusOf(response_head_.headers).value_or(GrpcFromHttp(response_head_.status));
  const bool end = response_.ended && response_.arrived.empty() && !response_.trailers;
  downstream_->SendHead(response_head_, end);
  if (end) {
    response_.body_done = true;
    return CheckComplete();
  }
  ResponseBody();
}

void Stream::OnResponseBody(base::Buffer& data, bool end) {
  if (finished_) return data.Clear();
  Touch();
  response_.ended = end;
  response_.arrived.Move(data);
  ResponseBody();
}

void Stream::OnResponseTrailers(http::Trailers trailers) {
  if (finished_) return;
  Touch();
  response_.ended = true;
  response_.trailers = std::move(trailers);
  ResponseBody();
}

void Stream::ResponseBody() {
  if (!response_.head_done || response_.hold != Hold::kNone || response_.body_done || finished_)
    return;
  if (response_.arrived.empty() && !response_.ended) return;
  base::Buffer data = std::move(response_.arrived);
  ResponseBodyFrom(filter_count() - 1, data);
  UpdateResponseReading();
}

void Stream::ResponseBodyFrom(int at, base::Buffer& data) {
  const bool last = response_.ended && response_.arrived.empty();
  const size_t passed = data.size();
  // A local reply passes only the filters before the one that made it.
  const int from = local_reply_ ? std::min(at, reply_at_ - 1) : at;
  for (int i = from; i >= 0; --i) {
    Verdict verdict = filters_[static_cast<size_t>(i)]->OnResponseBody(data, last, *this);
    switch (verdict.kind()) {
      case Verdict::Kind::kNext:
        break;
      case Verdict::Kind::kHold:
        response_.held.Move(data);
        response_.hold = Hold::kBody;
        response_.at = i;
        return;
      case Verdict::Kind::kAnswer:
        return AnswerFrom(std::move(verdict.reply()), i);
    }
  }
  forwarder_.Consumed(passed);
  PassResponseBody(data, last);
}

void Stream::PassResponseBody(base::Buffer& data, bool last) {
  record_.bytes_sent += data.size();
  if (!last) {
    if (!data.empty()) downstream_->SendBody(data, false);
    return;
  }
  response_.body_done = true;
  if (!response_.trailers) {
    downstream_->SendBody(data, true);
    return CheckComplete();
  }
  if (!data.empty()) downstream_->SendBody(data, false);
  response_trailers_ = *std::move(response_.trailers);
  record_.response_trailers = &response_trailers_;
  if (head_.grpc())
    record_.grpc_status = GrpcStatusOf(response_trailers_).value_or(record_.grpc_status);
  downstream_->SendTrailers(response_trailers_);
  CheckComplete();
}

void Stream::ResumeResponse() {
  const Hold hold = std::exchange(response_.hold, Hold::kNone);
  if (hold == Hold::kHead) return ResponseHeadFrom(response_.at - 1);
  base::Buffer data = std::move(response_.held);
  ResponseBodyFrom(response_.at - 1, data);
  ResponseBody();
}

// ---------------------------------------------------------------------------------------------------------
// Replies of our own

void Stream::Answer(filter::Reply reply) { AnswerFrom(std::move(reply), filters_begun_); }

// By value: the filter that gave it may go meanwhile.
// NOLINTNEXTLINE(performance-unnecessary-value-param)
void Stream::AnswerFrom(filter::Reply reply, int at) {
  if (finished_) return;
  record_.flags |= reply.flags;
  if (!reply.details.empty()) record_.details = reply.details;
  if (response_.head_done) return ResetDownstream();
  if (downstream_ == nullptr) return Finish();
  local_reply_ = true;
  reply_at_ = at;
  forwarder_.Cancel();
  request_.hold = response_.hold = Hold::kNone;
  request_.arrived.Clear();
  request_.held.Clear();
  response_.arrived.Clear();
  response_.held.Clear();
  response_.trailers.reset();
  absl::string_view body;
  response_head_ = MakeReplyHead(reply, head_.grpc(), &body);
  record_.status = response_head_.status;  // for %RESPONSE_CODE% in a header
  const bool routed =
      routed_reply_ || (match_.route != nullptr && !match_.tls_required &&
                        match_.route->config->kind == config::Route::Kind::kForward);
  if (routed) MutateResponse(*routes_, match_, weighted_, record_, response_head_.headers);
  response_.ended = true;
  if (head_.method != "HEAD") response_.arrived.Append(body);
  ResponseHeadFrom(at - 1);
  UpdateRequestReading();
}

}  // namespace heddle::proxy
