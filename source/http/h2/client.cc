// HTTP/2, the side that sends requests.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "source/http/h2/codec.h"
#include "source/http/h2/pool.h"
#include "source/http/h2/session.h"

namespace heddle::http::h2 {
namespace {

// Informational heads before a final one; more is a peer that never answers.
constexpr int kMaxInformational = 64;

class Response final : public StreamState, public ClientStream {
 public:
  void Begin(ResponseEvents* receiver) { receiver_ = receiver; }
  void End();  // ready for the pool

  uint32_t id() const override { return h2_id() < 0 ? 0 : static_cast<uint32_t>(h2_id()); }
  void SendHead(const RequestHead& head, bool end) override;
  void SendBody(base::Buffer& data, bool end) override {
    SendData(data, end);
    if (end) ForgetIfOver();
  }
  void SendTrailers(const Trailers& trailers) override {
    SendLast(trailers);
    ForgetIfOver();
  }
  void Reset(ResetReason reason) override { ResetNow(reason); }
  void Consumed(size_t bytes) override { Credit(bytes); }
  size_t Pending() const override { return pending(); }
  WireBytes wire_bytes() const override { return {wire_sent_, wire_received_}; }
  void SetReading(bool) override {}

 private:
  void Deliver() override;
  absl::string_view TakeBlock(FieldBlock block) override;
  void Forget() override { receiver_ = nullptr; }
  StreamEvents* receiver() override { return receiver_; }
  void ForgetIfOver() {
    if (end_told_) Forget();
  }

  ResponseEvents* receiver_ = nullptr;
  std::vector<ResponseHead> heads_;  // not told yet
  int informational_ = 0;
  bool final_head_ = false;  // received
  bool upgrade_ = false;
};

void Response::End() {
  receiver_ = nullptr;
  heads_.clear();
  informational_ = 0;
  final_head_ = upgrade_ = false;
}

absl::string_view Response::TakeBlock(FieldBlock block) {
  constexpr absl::string_view kViolation = "http2.violation.of.messaging.rule";
  if (final_head_ || block.status < 100 || block.status > 599) return kViolation;
  ResponseHead head;
  head.status = upgrade_ && block.status == 200 ? 101 : block.status;
  head.version = Protocol::kHttp2;
  head.headers = std::move(block.headers);
  final_head_ = block.status >= 200;
  if (!final_head_ && (block.status == 101 || ++informational_ > kMaxInformational))
    return kViolation;
  heads_.push_back(std::move(head));
  return "";
}

void Response::Deliver() {
  if (!heads_.empty()) {
    std::vector<ResponseHead> heads = std::exchange(heads_, {});
    for (size_t i = 0; i < heads.size() && receiver_ != nullptr; ++i) {
      const bool last = i + 1 == heads.size();
      end_told_ = last && remote_ended_ && received_.empty() && !trailers_in_;
      receiver_->OnHead(std::move(heads[i]), end_told_);
    }
  }
  DeliverRest();
}

void Response::SendHead(const RequestHead& head, bool end) {
  if (head_sent_ || session_->dead()) return;
  head_sent_ = true;
  local_end_ = end;
  upgrade_ = head.upgrade();
  nghttp2_session* const raw = session_->raw();
  const uint32_t room =
      nghttp2_session_get_remote_settings(raw, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
  if (!session_->usable() || session_->active() > room)
    return session_->QueueReset(this, ResetReason::kRefused);
  if (upgrade_ && session_->settings_received() &&
      nghttp2_session_get_remote_settings(raw, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 0) {
    return session_->QueueReset(this, ResetReason::kHttp11Required);
  }
  const bool connect = !upgrade_ && head.method == "CONNECT";
  FieldList fields;
  fields.Add(":method", upgrade_ ? "CONNECT" : head.method);
  const std::string protocol = upgrade_ ? absl::AsciiStrToLower(head.protocol) : "";
  if (upgrade_) fields.Add(":protocol", protocol);
  if (!connect) {
    fields.Add(":scheme", head.scheme.empty() ? "http" : head.scheme);
    fields.Add(":path", head.path.empty() ? "/" : head.path);
  }
  fields.Add(":authority", head.authority);
  fields.AddAll(head.headers);
  const int32_t sent = session_->SendFields(this, fields.data(), fields.size(), end);
  // Not opened after all: nghttp2 took it and dropped it.
  if (sent < 0 ||
      nghttp2_session_get_stream_user_data(raw, sent) != static_cast<StreamState*>(this)) {
    session_->QueueReset(this, ResetReason::kRefused);
  }
}

thread_local StreamPool<Response> pool;

class Client final : public ClientCodec, private Session::Side {
 public:
  Client(const Options& options, base::Buffer* out, ClientEvents* events)
      : events_(events), session_(options, /*client=*/true, out, this) {}

  absl::Status Feed(base::Buffer& in, bool eof) override { return session_.Feed(in, eof); }
  void PrepareFlush() override { session_.PrepareFlush(); }
  void ResetAll(ResetReason reason) override { session_.ResetAll(reason); }
  void SendPing(uint64_t opaque) override { session_.SendPing(opaque); }
  Protocol protocol() const override { return Protocol::kHttp2; }
  ClientStream* NewStream(ResponseEvents* events) override {
    if (!session_.usable() || session_.active() >= max_streams()) return nullptr;
    Response* response = pool.Take();
    response->Begin(events);
    session_.Add(response, -1);
    return response;
  }
  size_t active_streams() const override { return session_.active(); }
  size_t max_streams() const override {
    // nghttp2 guesses 100 until the peer's SETTINGS came.
    return std::min(session_.options().max_concurrent_streams,
                    nghttp2_session_get_remote_settings(session_.raw(),
                                                        NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS));
  }
  bool reusable() const override { return session_.usable(); }
  void Drain() override { session_.Drain(); }
  void OnOutWritable() override { session_.OnOutWritable(); }
  bool wants_input() const override { return !session_.dead(); }

 private:
  StreamState* Accept(int32_t) override { return nullptr; }
  void Release(StreamState* stream) override {
    Response* response = static_cast<Response*>(stream);
    response->End();
    pool.Give(response);
  }
  void NotifyOutput() override { events_->OnOutput(); }
  void OnGoAway() override { events_->OnGoAway(); }
  void OnSettings() override {
    events_->OnSettings(nghttp2_session_get_remote_settings(
        session_.raw(), NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS));
  }
  void OnPong(uint64_t opaque) override { events_->OnPong(opaque); }

  ClientEvents* const events_;
  Session session_;
};

}  // namespace

std::unique_ptr<ClientCodec> MakeClientCodec(const Options& options, base::Buffer* out,
                                             ClientEvents* events) {
  return std::make_unique<Client>(options, out, events);
}

}  // namespace heddle::http::h2
