#include "source/http/grpc/client.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "source/http/codec.h"
#include "source/http/grpc/frame.h"
#include "source/http/h2/codec.h"

namespace heddle::http::grpc {
namespace {

constexpr uint32_t kStreamWindow = 1024 * 1024;
constexpr uint32_t kConnectionWindow = 4 * 1024 * 1024;
constexpr size_t kBufferLimit = 1024 * 1024;

Status OfReset(ResetReason reason) {
  switch (reason) {
    case ResetReason::kCancel:
      return {Code::kCancelled, "call cancelled by the server"};
    case ResetReason::kRefused:
      return {Code::kUnavailable, "stream refused"};
    case ResetReason::kProtocolError:
      return {Code::kInternal, "HTTP/2 protocol error"};
    case ResetReason::kInternal:
      return {Code::kInternal, "stream reset by the server"};
    case ResetReason::kConnectionClosed:
      return {Code::kUnavailable, "connection closed"};
    case ResetReason::kFlowControl:
      return {Code::kInternal, "flow control error"};
    case ResetReason::kTooLarge:
      return {Code::kResourceExhausted, "response headers too large"};
    case ResetReason::kHttp11Required:
      return {Code::kUnavailable, "server wants HTTP/1.1"};
  }
  return {Code::kUnknown, ""};
}

// At most eight digits and a unit (gRPC over HTTP/2, "Timeout").
std::string TimeoutText(absl::Duration timeout) {
  const int64_t ms = std::max<int64_t>(1, absl::ToInt64Milliseconds(timeout));
  if (ms <= 99'999'999) return absl::StrCat(ms, "m");
  return absl::StrCat(std::min<int64_t>(ms / 1000, 99'999'999), "S");
}

class Http2Client;

class RunningCall final : public Call, private ResponseEvents {
 public:
  RunningCall(Http2Client* client, const CallOptions& options, CallEvents* events);

  void Send(absl::string_view message) override;
  void HalfClose() override;
  void Cancel() override;
  size_t Pending() const override {
    return held_.size() + (stream_ != nullptr ? stream_->Pending() : 0);
  }

  // Opens the stream and sends what was held. False when there is no room for it now.
  bool Begin(ClientCodec& codec, RequestHead& head);
  // The end: drops the stream, then tells the events.
  void Finish(const Status& status, const Trailers& trailers);
  bool started() const { return started_; }
  bool done() const { return done_; }
  const CallOptions& options() const { return options_; }
  void Own(std::unique_ptr<CallEvents> events) { owned_events_ = std::move(events); }

 private:
  void OnHead(ResponseHead head, bool end) override;
  void OnBody(base::Buffer& data, bool end) override;
  void OnTrailers(Trailers trailers) override;
  void OnReset(ResetReason reason) override;
  void TakeMessages(base::Buffer& data);
  void DropStream();

  Http2Client* const client_;
  const CallOptions options_;
  CallEvents* const events_;
  std::unique_ptr<CallEvents> owned_events_;  // of unary calls
  ClientStream* stream_ = nullptr;
  base::Buffer held_;  // before there is a stream
  Deframer deframer_;
  ResponseHead head_;
  event::Timer timeout_;
  bool started_ = false;
  bool half_closed_ = false;
  bool done_ = false;
};

class UnaryEvents final : public CallEvents {
 public:
  explicit UnaryEvents(Client::UnaryDone done) : done_(std::move(done)) {}
  void OnMessage(std::string message) override { reply_ = std::move(message); }
  void OnDone(const Status& status, const Trailers&) override {
    done_(status, status.ok() ? std::move(reply_) : std::string());
  }

 private:
  Client::UnaryDone done_;
  std::string reply_;
};

class Http2Client final : public Client,
                          private net::ConnectionEvents,
                          private ClientEvents,
                          private event::EndOfIteration {
 public:
  Http2Client(event::Loop& loop, const Options& options, ClientListener* listener);

  Call* Start(const CallOptions& options, CallEvents* events) override;
  void Unary(const CallOptions& options, absl::string_view request, UnaryDone done) override;
  bool connected() const override { return connected_; }
  bool closed() const override { return closed_; }
  const net::PeerInfo& peer() const override { return connection_->peer(); }
  size_t active_calls() const override;

  event::Loop& loop() { return loop_; }
  const std::string& why() const { return why_; }
  // There may be a call to begin or to bury.
  void Touch() { loop_.MarkDirty(this); }

 private:
  void OnConnected() override;
  void OnData(base::Buffer& in, bool eof) override;
  void OnWritable() override { codec_->OnOutWritable(); }
  void OnClosed(net::CloseReason reason) override;
  void OnGoAway() override;
  void OnSettings(uint32_t) override { Touch(); }
  void OnOutput() override { Touch(); }
  void OnPong(uint64_t) override { awaiting_pong_ = false; }
  void AtEnd() override;

  void BeginCalls();
  void FailAll(const Status& status);
  void Close(absl::string_view why);
  void OnKeepalive();
  RequestHead HeadOf(const CallOptions& call) const;

  event::Loop& loop_;
  Options options_;
  ClientListener* const listener_;
  bool secure_;
  std::unique_ptr<net::Connection> connection_;
  std::unique_ptr<ClientCodec> codec_;
  std::vector<std::unique_ptr<RunningCall>> calls_;
  event::Timer keepalive_;
  base::Micros last_input_ = 0;
  bool awaiting_pong_ = false;
  bool connected_ = false;
  bool closed_ = false;  // no new calls
  bool ended_ = false;   // OnClosed was told
  std::string why_;
};

// ---- A call

RunningCall::RunningCall(Http2Client* client, const CallOptions& options, CallEvents* events)
    : client_(client),
      options_(options),
      events_(events),
      deframer_({.max_message_bytes = options.max_message_bytes}),
      timeout_(client->loop(), [this] {
        Finish({Code::kDeadlineExceeded, "timed out"}, Trailers());
      }) {
  if (options_.timeout != absl::InfiniteDuration())
    timeout_.Start(std::max(options_.timeout, absl::ZeroDuration()));
}

void RunningCall::Send(absl::string_view message) {
  if (done_ || half_closed_) return;
  AppendFrame(message, &held_);
  if (stream_ != nullptr) stream_->SendBody(held_, false);
}

void RunningCall::HalfClose() {
  if (done_ || half_closed_) return;
  half_closed_ = true;
  if (stream_ != nullptr) stream_->SendBody(held_, true);
}

void RunningCall::Cancel() {
  if (done_) return;
  done_ = true;
  timeout_.Stop();
  DropStream();
  client_->Touch();
}

bool RunningCall::Begin(ClientCodec& codec, RequestHead& head) {
  stream_ = codec.NewStream(this);
  if (stream_ == nullptr) return false;
  started_ = true;
  stream_->SendHead(head, false);
  if (!held_.empty() || half_closed_) stream_->SendBody(held_, half_closed_);
  return true;
}

void RunningCall::DropStream() {
  if (ClientStream* stream = std::exchange(stream_, nullptr); stream != nullptr)
    stream->Reset(ResetReason::kCancel);
}

void RunningCall::Finish(const Status& status, const Trailers& trailers) {
  if (done_) return;
  done_ = true;
  timeout_.Stop();
  DropStream();
  client_->Touch();
  events_->OnDone(status, trailers);
}

void RunningCall::OnHead(ResponseHead head, bool end) {
  if (head.informational()) return;
  head_ = std::move(head);
  if (half_closed_ && end) stream_ = nullptr;
  if (end || head_.status != 200) return Finish(StatusOf(&head_, nullptr), head_.headers);
  events_->OnHead(head_);
}

void RunningCall::OnBody(base::Buffer& data, bool end) {
  const size_t bytes = data.size();
  TakeMessages(data);
  if (done_) return;
  if (!end) return stream_->Consumed(bytes);
  if (half_closed_) stream_ = nullptr;
  Finish(StatusOf(&head_, nullptr), Trailers());
}

void RunningCall::TakeMessages(base::Buffer& data) {
  absl::Status status = deframer_.Feed(data);
  while (status.ok() && !done_) {
    absl::StatusOr<std::optional<std::string>> message = deframer_.Next();
    status = message.status();
    if (!status.ok()) break;
    if (!*message) return;
    events_->OnMessage(*std::move(*message));
  }
  if (!done_) Finish({static_cast<Code>(status.code()), std::string(status.message())}, Trailers());
}

void RunningCall::OnTrailers(Trailers trailers) {
  if (half_closed_) stream_ = nullptr;
  Status status = StatusOf(&head_, &trailers);
  if (status.ok() && !deframer_.idle()) status = {Code::kInternal, "stream ended inside a message"};
  Finish(status, trailers);
}

void RunningCall::OnReset(ResetReason reason) {
  stream_ = nullptr;
  Status status = OfReset(reason);
  if (reason == ResetReason::kConnectionClosed && !client_->why().empty())
    status.message = client_->why();
  Finish(status, Trailers());
}

// ---- The connection

Http2Client::Http2Client(event::Loop& loop, const Options& options, ClientListener* listener)
    : loop_(loop),
      options_(options),
      listener_(listener),
      keepalive_(loop, [this] { OnKeepalive(); }) {
  if (options_.authority.empty()) options_.authority = options_.address.ToString();
  const net::TransportFactory* factory = std::exchange(options_.transport, nullptr);
  secure_ = factory != nullptr && factory->secure();
  std::unique_ptr<net::Transport> transport =
      factory == nullptr
          ? net::MakePlainTransport()
          : factory->Create(
                {.sni = options_.sni, .alpn = {"h2"}, .peer = options_.address.ToString()});
  net::DialOptions dial;
  dial.keepalive =
      net::Keepalive{.idle = absl::Seconds(30), .interval = absl::Seconds(10), .probes = 3};
  net::ConnectionOptions connection;
  connection.buffer_limit = kBufferLimit;
  connection.connect_timeout = options_.connect_timeout;
  connection_ = net::Connection::Connect(loop, options_.address, dial, std::move(transport),
                                         connection, this);
  codec_ = h2::MakeClientCodec({.max_concurrent_streams = 1000,
                                .initial_stream_window = kStreamWindow,
                                .initial_connection_window = kConnectionWindow,
                                .stream_error_on_invalid = true,
                                .output_limit = kBufferLimit},
                               &connection_->out(), this);
  Touch();
}

RequestHead Http2Client::HeadOf(const CallOptions& call) const {
  RequestHead head;
  head.method = "POST";
  head.scheme = secure_ ? "https" : "http";
  head.SetAuthority(options_.authority);
  head.SetPath(call.path);
  head.version = Protocol::kHttp2;
  head.headers.Add(HeaderId::kContentType, "application/grpc");
  head.headers.Add(HeaderId::kTe, "trailers");
  head.headers.Add(HeaderId::kUserAgent, options_.user_agent);
  if (call.timeout != absl::InfiniteDuration())
    head.headers.Add(HeaderId::kGrpcTimeout, TimeoutText(call.timeout));
  for (const auto& [name, value] : call.metadata) head.headers.AddLowering(name, value);
  return head;
}

Call* Http2Client::Start(const CallOptions& options, CallEvents* events) {
  if (closed_) return nullptr;
  calls_.push_back(std::make_unique<RunningCall>(this, options, events));
  Touch();
  return calls_.back().get();
}

void Http2Client::Unary(const CallOptions& options, absl::string_view request, UnaryDone done) {
  auto events = std::make_unique<UnaryEvents>(std::move(done));
  auto call = std::make_unique<RunningCall>(this, options, events.get());
  call->Own(std::move(events));
  call->Send(request);
  call->HalfClose();
  calls_.push_back(std::move(call));
  Touch();
}

size_t Http2Client::active_calls() const {
  return static_cast<size_t>(
      std::count_if(calls_.begin(), calls_.end(), [](const auto& call) { return !call->done(); }));
}

void Http2Client::AtEnd() {
  if (closed_) {
    FailAll({Code::kUnavailable, why_.empty() ? "connection closed" : why_});
  } else {
    BeginCalls();
  }
  calls_.erase(
      std::remove_if(calls_.begin(), calls_.end(), [](const auto& call) { return call->done(); }),
      calls_.end());
  if (ended_) return;
  codec_->PrepareFlush();
  connection_->Flush();
  if (closed_ && calls_.empty()) connection_->Close(net::Connection::How::kFlush);
}

void Http2Client::BeginCalls() {
  // By index: a call may end, or start another, while it begins.
  for (size_t i = 0; i < calls_.size(); ++i) {
    if (calls_[i]->done() || calls_[i]->started()) continue;
    RequestHead head = HeadOf(calls_[i]->options());
    if (!calls_[i]->Begin(*codec_, head)) return;
  }
}

// Calls that never began; the others hear from their streams.
void Http2Client::FailAll(const Status& status) {
  for (size_t i = 0; i < calls_.size(); ++i) {
    if (!calls_[i]->started()) calls_[i]->Finish(status, Trailers());
  }
}

void Http2Client::OnConnected() {
  const net::PeerInfo& peer = connection_->peer();
  if (peer.tls && !peer.alpn.empty() && peer.alpn != "h2")
    return Close(absl::StrCat("server speaks ", peer.alpn));
  connected_ = true;
  last_input_ = loop_.Now();
  if (options_.keepalive_interval > absl::ZeroDuration())
    keepalive_.Start(options_.keepalive_interval);
  Touch();
  if (listener_ != nullptr) listener_->OnConnected();
}

void Http2Client::OnData(base::Buffer& in, bool eof) {
  last_input_ = loop_.Now();
  const absl::Status status = codec_->Feed(in, eof);
  Touch();
  if (!status.ok()) Close(status.message());
}

void Http2Client::OnGoAway() {
  if (closed_) return;
  closed_ = true;
  why_ = "server is going away";
  Touch();
}

// OnClosed follows, from the loop.
void Http2Client::Close(absl::string_view why) {
  closed_ = true;
  if (why_.empty()) why_ = std::string(why);
  connection_->Close(net::Connection::How::kAbort);
}

void Http2Client::OnClosed(net::CloseReason reason) {
  if (why_.empty()) why_ = connection_->failure();
  if (why_.empty()) why_ = std::string(net::CloseReasonName(reason));
  closed_ = true;
  connected_ = false;
  keepalive_.Stop();
  codec_->ResetAll(ResetReason::kConnectionClosed);
  FailAll({Code::kUnavailable, why_});
  ended_ = true;
  if (listener_ != nullptr) listener_->OnClosed(why_);
}

void Http2Client::OnKeepalive() {
  if (closed_) return;
  const absl::Duration silence = absl::Microseconds(loop_.Now() - last_input_);
  if (awaiting_pong_ && silence >= options_.keepalive_timeout) return Close("keepalive timeout");
  awaiting_pong_ = false;
  if (silence < options_.keepalive_interval)
    return keepalive_.Start(options_.keepalive_interval - silence);
  awaiting_pong_ = true;
  codec_->SendPing(static_cast<uint64_t>(loop_.Now()));
  keepalive_.Start(options_.keepalive_timeout);
}

}  // namespace

std::unique_ptr<Client> Client::Connect(event::Loop& loop, const Options& options,
                                        ClientListener* listener) {
  return std::make_unique<Http2Client>(loop, options, listener);
}

}  // namespace heddle::http::grpc
