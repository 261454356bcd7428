// HTTP/2, the side that receives requests.
#include <charconv>
#include <utility>

#include "absl/strings/ascii.h"
#include "source/http/authority.h"
#include "source/http/h2/codec.h"
#include "source/http/h2/pool.h"
#include "source/http/h2/session.h"

namespace heddle::http::h2 {
namespace {

class Request final : public StreamState, public ServerStream {
 public:
  void Begin(ServerEvents* events) { events_ = events; }
  // Of a request whose fields are being read: they are its head's, and nobody was told of it.
  bool in_head() const { return !head_ready_ && !announced_; }
  void GiveUp(const Malformed& what) {
    announced_ = true;
    events_->OnMalformed(this, what);
    Forget();
  }
  void End();  // ready for the pool

  uint32_t id() const override { return static_cast<uint32_t>(h2_id()); }
  void SendHead(const ResponseHead& head, bool end) override;
  void SendBody(base::Buffer& data, bool end) override {
    SendData(data, end);
    if (end) Forget();
  }
  void SendTrailers(const Trailers& trailers) override {
    SendLast(trailers);
    Forget();
  }
  void Reset(ResetReason reason) override {
    SendPending();
    ResetNow(reason);
  }
  void Consumed(size_t bytes) override { Credit(bytes); }
  size_t Pending() const override { return pending(); }
  void SetReading(bool) override {}

 private:
  void Deliver() override;
  absl::string_view TakeBlock(FieldBlock block) override;
  void Forget() override {
    receiver_ = nullptr;
    over_ = true;
  }
  StreamEvents* receiver() override { return receiver_; }

  ServerEvents* events_ = nullptr;
  RequestEvents* receiver_ = nullptr;
  RequestHead head_;
  bool head_ready_ = false;
  bool announced_ = false;
  bool over_ = false;
  bool upgrade_ = false;
};

void Request::End() {
  events_ = nullptr;
  receiver_ = nullptr;
  head_ = RequestHead();
  head_ready_ = announced_ = over_ = upgrade_ = false;
}

absl::string_view Request::TakeBlock(FieldBlock block) {
  if (head_ready_) return "http2.violation.of.messaging.rule";
  head_ready_ = true;
  head_.headers = std::move(block.headers);
  if (block.authority.empty()) block.authority = head_.headers.Get(HeaderId::kHost).value_or("");
  head_.headers.Remove(HeaderId::kHost);
  head_.method = block.method;
  head_.scheme = block.scheme;
  head_.authority = block.authority;
  head_.path = block.path;
  head_.version = Protocol::kHttp2;
  if (!block.protocol.empty()) {
    upgrade_ = true;
    head_.method = "GET";
    head_.protocol = head_.headers.arena().Copy(absl::AsciiStrToLower(block.protocol));
  }
  return ValidAuthority(head_.authority) ? "" : "http2.invalid.header.field";
}

void Request::Deliver() {
  if (!malformed_.details.empty()) {
    const Malformed what = std::exchange(malformed_, {});
    if (!std::exchange(announced_, true)) {
      over_ = true;
      return events_->OnMalformed(nullptr, what);
    }
    if (receiver_ != nullptr) receiver_->OnMalformed(what);
  }
  if (!announced_) {
    if (!head_ready_ || reset_in_ || closed_) return;
    announced_ = true;
    end_told_ = remote_ended_ && received_.empty() && !trailers_in_;
    RequestEvents* const receiver = events_->OnRequest(this, std::move(head_), end_told_);
    if (!over_) receiver_ = receiver;
  }
  DeliverRest();
}

void Request::SendHead(const ResponseHead& head, bool end) {
  if (head_sent_ || over_ || closed_ || session_->dead()) return;
  const int status = head.status == 101 && upgrade_ ? 200 : head.status;
  if (status == 101) return ResetNow(ResetReason::kInternal);  // does not exist in HTTP/2
  char text[12];
  const auto written = std::to_chars(text, text + sizeof text, status);
  FieldList fields;
  fields.Add(":status", {text, static_cast<size_t>(written.ptr - text)});
  fields.AddAll(head.headers);
  if (status >= 200) {
    head_sent_ = true;
    local_end_ = end;
  }
  const bool sent =
      session_->SendFields(this, fields.data(), fields.size(), end && status >= 200) >= 0;
  if (!sent) return session_->QueueReset(this, ResetReason::kInternal);
  if (local_end_) Forget();
}

thread_local StreamPool<Request> pool;

class Server final : public ServerCodec, private Session::Side {
 public:
  Server(const Options& options, base::Buffer* out, ServerEvents* events)
      : events_(events), session_(options, /*client=*/false, out, this) {}

  absl::Status Feed(base::Buffer& in, bool eof) override { return session_.Feed(in, eof); }
  bool ResetStalled() override { return session_.ResetStalled(); }
  bool reading_head() const override {
    const auto* request = static_cast<const Request*>(session_.reading());
    return request != nullptr && request->in_head();
  }
  void GiveUp(const Malformed& what) override {
    if (!session_.dead() && reading_head()) static_cast<Request*>(session_.reading())->GiveUp(what);
  }
  void PrepareFlush() override { session_.PrepareFlush(); }
  void ResetAll(ResetReason reason) override { session_.ResetAll(reason); }
  void SendPing(uint64_t opaque) override { session_.SendPing(opaque); }
  Protocol protocol() const override { return Protocol::kHttp2; }
  size_t active_streams() const override { return session_.active(); }
  void Drain() override { session_.Drain(); }
  bool finished() const override { return session_.finished(); }
  void OnOutWritable() override { session_.OnOutWritable(); }
  bool wants_input() const override { return !session_.dead(); }

 private:
  StreamState* Accept(int32_t) override {
    Request* request = pool.Take();
    request->Begin(events_);
    return request;
  }
  void Release(StreamState* stream) override {
    Request* request = static_cast<Request*>(stream);
    request->End();
    pool.Give(request);
  }
  void NotifyOutput() override { events_->OnOutput(); }
  void OnGoAway() override { events_->OnPeerDraining(); }
  void OnSettings() override {}
  void OnPong(uint64_t opaque) override { events_->OnPong(opaque); }

  ServerEvents* const events_;
  Session session_;
};

}  // namespace

std::unique_ptr<ServerCodec> MakeServerCodec(const Options& options, base::Buffer* out,
                                             ServerEvents* events) {
  return std::make_unique<Server>(options, out, events);
}

}  // namespace heddle::http::h2
