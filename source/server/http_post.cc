#include "source/server/http_post.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "source/http/codec.h"
#include "source/http/h1/codec.h"
#include "source/net/connection.h"

namespace heddle::server {
namespace {

class Post final : public HttpPost,
                   private net::ConnectionEvents,
                   private http::ClientEvents,
                   private http::ResponseEvents,
                   private event::EndOfIteration {
 public:
  Post(event::Loop& loop, Request request, std::function<void(absl::Status)> done)
      : loop_(loop),
        request_(std::move(request)),
        done_(std::move(done)),
        timer_(loop, [this] { Finish(absl::DeadlineExceededError("timeout")); }) {
    timer_.Start(request_.timeout);
    std::unique_ptr<net::Transport> transport =
        request_.transport != nullptr ? request_.transport->Create({}) : net::MakePlainTransport();
    net::ConnectionOptions options;
    options.connect_timeout = request_.timeout;
    connection_ = net::Connection::Connect(loop, request_.address, net::Address(),
                                           std::move(transport), options, this);
    codec_ = http::h1::MakeClientCodec({}, &connection_->out(), this);
  }

 private:
  void OnConnected() override {
    http::ClientStream* stream = codec_->NewStream(this);
    http::RequestHead head;
    head.method = "POST";
    head.scheme = "http";
    head.SetAuthority(request_.authority);
    head.SetPath(request_.path);
    head.headers.Add(http::HeaderId::kContentType, request_.content_type);
    head.headers.Add(http::HeaderId::kContentLength, absl::StrCat(request_.body.size()));
    stream->SendHead(head, false);
    base::Buffer body(request_.body);
    stream->SendBody(body, true);
  }
  void OnData(base::Buffer& in, bool eof) override {
    const absl::Status fed = codec_->Feed(in, eof);
    if (!fed.ok()) Finish(fed);
  }
  void OnClosed(net::CloseReason) override {
    Finish(absl::UnavailableError(
        absl::StrCat("connection to ", request_.address.ToString(), " failed")));
  }
  void OnOutput() override { loop_.MarkDirty(this); }
  void AtEnd() override {
    codec_->PrepareFlush();
    connection_->Flush();
  }
  void OnHead(http::ResponseHead head, bool) override {
    if (head.informational()) return;
    if (head.status / 100 == 2) return Finish(absl::OkStatus());
    Finish(absl::UnavailableError(absl::StrCat("status ", head.status)));
  }
  void OnBody(base::Buffer& data, bool) override { data.Clear(); }
  void OnTrailers(http::Trailers) override {}
  void OnReset(http::ResetReason) override { Finish(absl::UnavailableError("reset")); }

  void Finish(absl::Status status) {
    timer_.Stop();
    if (auto done = std::exchange(done_, nullptr)) done(std::move(status));
  }

  event::Loop& loop_;
  Request request_;
  std::function<void(absl::Status)> done_;
  event::Timer timer_;
  std::unique_ptr<net::Connection> connection_;
  std::unique_ptr<http::ClientCodec> codec_;
};

}  // namespace

std::unique_ptr<HttpPost> HttpPost::Start(event::Loop& loop, Request request,
                                          std::function<void(absl::Status)> done) {
  return std::make_unique<Post>(loop, std::move(request), std::move(done));
}

}  // namespace heddle::server
