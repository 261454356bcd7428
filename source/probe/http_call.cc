#include "source/probe/http_call.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "source/http/codec.h"
#include "source/http/h1/codec.h"
#include "source/net/connection.h"

namespace heddle::probe {
namespace {

class Call final : public HttpCall,
                   private net::ConnectionEvents,
                   private http::ClientEvents,
                   private http::ResponseEvents,
                   private event::EndOfIteration {
 public:
  Call(event::Loop& loop, Request request, Done done)
      : loop_(loop), request_(std::move(request)), done_(std::move(done)), timer_(loop, [this] {
          Finish(absl::DeadlineExceededError(
              absl::StrCat("no answer within ", absl::FormatDuration(request_.timeout))));
        }) {
    timer_.Start(request_.timeout);
    std::unique_ptr<net::Transport> transport =
        request_.transport != nullptr ? request_.transport->Create({}) : net::MakePlainTransport();
    request_.transport = nullptr;
    net::ConnectionOptions options;
    options.connect_timeout = request_.timeout;
    connection_ = net::Connection::Connect(loop, request_.address, net::Address(),
                                           std::move(transport), options, this);
    http::h1::Options codec;
    codec.accept_http_10 = true;
    codec_ = http::h1::MakeClientCodec(codec, &connection_->out(), this);
  }

 private:
  void OnConnected() override {
    http::ClientStream* stream = codec_->NewStream(this);
    http::RequestHead head;
    head.method = request_.method;
    head.scheme = "http";
    head.SetAuthority(request_.authority.empty() ? request_.address.ToString()
                                                 : request_.authority);
    head.SetPath(request_.path);
    for (const auto& [name, value] : request_.headers) head.headers.Add(name, value);
    const bool reading = request_.method == "GET";
    if (!reading)
      head.headers.Add(http::HeaderId::kContentLength, absl::StrCat(request_.body.size()));
    const bool end = reading || request_.body.empty();
    stream->SendHead(head, end);
    if (end) return;
    base::Buffer body(request_.body);
    stream->SendBody(body, true);
  }
  void OnData(base::Buffer& in, bool eof) override {
    const absl::Status fed = codec_->Feed(in, eof);
    if (!fed.ok()) Finish(fed);
  }
  void OnClosed(net::CloseReason reason) override {
    const std::string& why = connection_->failure();
    const std::string text =
        why.empty() ? absl::StrCat("the connection to ", request_.address.ToString(), " was closed")
                    : why;
    Finish(reason == net::CloseReason::kConnectFailed ? absl::UnavailableError(text)
                                                      : absl::AbortedError(text));
  }
  void OnOutput() override { loop_.MarkDirty(this); }
  void AtEnd() override {
    codec_->PrepareFlush();
    connection_->Flush();
  }
  void OnHead(http::ResponseHead head, bool end) override {
    if (head.informational()) return;
    reply_.status = head.status;
    if (end || request_.max_body == 0) Finish(absl::OkStatus());
  }
  void OnBody(base::Buffer& data, bool end) override {
    reply_.body.append(data.ToString(), 0, request_.max_body - reply_.body.size());
    data.Clear();
    if (end || reply_.body.size() >= request_.max_body) Finish(absl::OkStatus());
  }
  void OnTrailers(http::Trailers) override { Finish(absl::OkStatus()); }
  void OnReset(http::ResetReason) override { Finish(absl::AbortedError("the answer broke off")); }

  void Finish(const absl::Status& status) {
    timer_.Stop();
    const Done done = std::exchange(done_, nullptr);
    if (done == nullptr) return;
    if (status.ok()) {
      done(std::move(reply_));
    } else {
      done(status);
    }
  }

  event::Loop& loop_;
  Request request_;
  Done done_;
  Reply reply_;
  event::Timer timer_;
  std::unique_ptr<net::Connection> connection_;
  std::unique_ptr<http::ClientCodec> codec_;
};

}  // namespace

std::unique_ptr<HttpCall> HttpCall::Start(event::Loop& loop, Request request, Done done) {
  return std::make_unique<Call>(loop, std::move(request), std::move(done));
}

}  // namespace heddle::probe
