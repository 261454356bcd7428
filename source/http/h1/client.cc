// HTTP/1, the side that sends requests: one at a time.
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "source/base/status.h"
#include "source/http/h1/codec.h"
#include "source/http/h1/half.h"

namespace heddle::http::h1 {
namespace {

// Informational heads before a final one; more is a peer that never answers.
constexpr int kMaxInformational = 64;

// Requests whose missing body is not worth a content-length: 0 (RFC 9110 8.6).
bool ExpectsNoBody(absl::string_view method) {
  return method == "GET" || method == "HEAD" || method == "DELETE" || method == "TRACE" ||
         method == "CONNECT";
}

class Client final : public ClientCodec,
                     private ClientStream,
                     private Half<ClientEvents, ResponseEvents> {
 public:
  Client(const Options& options, base::Buffer* out, ClientEvents* events)
      : Half(options, out, events) {}

  absl::Status Feed(base::Buffer& in, bool eof) override;
  void PrepareFlush() override { ClearOutputNotice(); }
  void ResetAll(ResetReason reason) override { EndStream(reason); }
  void SendPing(uint64_t) override {}
  Protocol protocol() const override { return Protocol::kHttp11; }
  ClientStream* NewStream(ResponseEvents* events) override;
  size_t active_streams() const override { return receiver_ == nullptr ? 0 : 1; }
  size_t max_streams() const override { return 1; }
  bool reusable() const override { return reusable_; }
  void Drain() override { reusable_ = false; }
  void OnOutWritable() override { TellWritable(); }
  bool wants_input() const override { return state_ == State::kDone || !InBody() || reading_; }

 private:
  // What the next input byte is.
  enum class State : uint8_t {
    kIdle,  // of nothing: an error
    kHead,
    kBody,
    kTunnel,
    kDone,  // of no interest: the connection is at its end
  };
  enum class Request : uint8_t { kNone, kHead, kBody, kEnded };

  uint32_t id() const override { return id_; }
  void SendHead(const RequestHead& head, bool end) override;
  void SendBody(base::Buffer& data, bool end) override;
  void SendTrailers(const Trailers& trailers) override;
  void Reset(ResetReason) override;
  void Consumed(size_t) override {}
  size_t Pending() const override { return held_.size(); }
  WireBytes wire_bytes() const override { return wire_; }
  void SetReading(bool on) override { reading_ = on; }

  bool InBody() const { return state_ == State::kBody || state_ == State::kTunnel; }
  bool Step(base::Buffer& in, Failure* failure);  // false: no further progress with this input
  bool ReadHead(base::Buffer& in, Failure* failure);
  Failure StartResponse(ResponseHead* head, const ParsedHead& parsed, Framing* framing);
  bool ReadBody(base::Buffer& in, Failure* failure);
  void StartTunnel();
  void OnEof();
  absl::Status Fail(const Failure& failure);
  void EndStream(ResetReason reason);
  void EndRequest(bool complete);
  void EndResponse();

  base::Buffer held_;  // bytes for a tunnel that the peer has not accepted yet
  State state_ = State::kIdle;
  Request request_ = Request::kNone;
  WireBytes wire_;
  int informational_ = 0;
  bool reusable_ = true;
  bool upgrade_ = false;
  bool held_end_ = false;  // the request ended while held
};

ClientStream* Client::NewStream(ResponseEvents* events) {
  if (state_ != State::kIdle || receiver_ != nullptr || !reusable_) return nullptr;
  receiver_ = events;
  request_ = Request::kHead;
  wire_ = {};
  ++id_;
  return this;
}

absl::Status Client::Feed(base::Buffer& in, bool eof) {
  const Failure failure =
      FeedBy(in, [this](base::Buffer& rest, Failure* wrong) { return Step(rest, wrong); });
  if (failure.failed()) return Fail(failure);
  if (eof && (in.empty() || !InBody())) OnEof();
  return absl::OkStatus();
}

bool Client::Step(base::Buffer& in, Failure* failure) {
  switch (state_) {
    case State::kIdle:
      // Bytes nobody asked for, maybe an answer out of step (408 before close): never a response to
      // the next request.
      *failure = {502, "http1.unexpected_data"};
      return false;
    case State::kHead:
      return ReadHead(in, failure);
    case State::kBody:
      return reading_ && ReadBody(in, failure);
    case State::kTunnel:
      if (reading_) wire_.received += in.size();
      return PassTunnel(in);
    case State::kDone:
      in.Clear();
      return false;
  }
  return false;
}

bool Client::ReadHead(base::Buffer& in, Failure* failure) {
  if (request_ == Request::kHead) {
    *failure = {502, "http1.unexpected_data"};
    return false;
  }
  if (scanner_.idle() && in.Front()[0] != 'H') {
    *failure = kBrokenResponse;
    return false;
  }
  ResponseHead head;
  ParsedHead parsed;
  Framing framing;
  const size_t waiting = in.size();
  const std::optional<Failure> taken =
      TakeHead(HeadKind::kResponse, scanner_, in, options_, &head.headers, &parsed);
  if (!taken.has_value()) return false;
  wire_.received += waiting - in.size();
  *failure = taken->failed() ? *taken : StartResponse(&head, parsed, &framing);
  if (failure->failed()) return false;

  if (head.informational() && head.status != 101) {
    receiver_->OnHead(std::move(head), false);
    return true;
  }
  if (head.status == 101 || (connect_ && head.status / 100 == 2)) {
    state_ = State::kTunnel;
    keep_alive_ = false;
    receiver_->OnHead(std::move(head), false);
    if (state_ == State::kTunnel) StartTunnel();
    return true;
  }
  // A tunnel was refused: what was held for it must never reach this connection.
  if (!held_.empty() || held_end_) keep_alive_ = false;
  held_.Clear();
  const bool end = framing.kind == BodyKind::kNone;
  if (framing.kind == BodyKind::kUntilEof) keep_alive_ = false;
  if (!keep_alive_) reusable_ = false;
  if (!end) {
    state_ = State::kBody;
    body_.Start(framing);
    receiver_->OnHead(std::move(head), false);
    return true;
  }
  ResponseEvents* receiver = receiver_;
  EndResponse();
  receiver->OnHead(std::move(head), true);
  return true;
}

Failure Client::StartResponse(ResponseHead* head, const ParsedHead& parsed, Framing* framing) {
  if (parsed.major != 1 || parsed.minor > 1 || parsed.status < 100 || parsed.status > 599)
    return kBrokenResponse;
  head->status = parsed.status;
  head->version = parsed.minor == 0 ? Protocol::kHttp10 : Protocol::kHttp11;
  if (head->status == 101 && !upgrade_) return kBrokenResponse;
  if (head->informational() && ++informational_ > kMaxInformational) return kBrokenResponse;
  const bool tunnel = connect_ && head->status / 100 == 2;
  Failure failure = ExamineResponseFraming(head->status, head_request_, tunnel, options_,
                                           &head->headers, framing);
  if (!failure.failed() && parsed.minor == 0 && framing->kind == BodyKind::kChunked) {
    failure = {502, "http1.transfer_encoding_not_allowed"};
  }
  ConnectionFields connection;
  if (!failure.failed()) failure = ExamineConnection(&head->headers, &connection);
  if (failure.failed()) return failure;
  if (head->status != 101) head->headers.Remove(HeaderId::kUpgrade);
  head->keep_alive = KeepsAlive(parsed, connection);
  if (!head->informational()) keep_alive_ = head->keep_alive;
  return {};
}

bool Client::ReadBody(base::Buffer& in, Failure* failure) {
  base::Buffer data;
  Trailers trailers;
  const size_t before = in.size();
  const BodyReader::Result result = body_.Read(in, options_, &data, &trailers, failure);
  wire_.received += before - in.size();
  if (result == BodyReader::Result::kBroken) return false;
  const bool progress = in.size() != before;
  const bool end = result == BodyReader::Result::kEnd;
  ResponseEvents* receiver = receiver_;
  if (end && !trailers.empty()) {
    if (!data.empty()) receiver->OnBody(data, false);
    if (receiver_ != receiver) return progress;  // reset meanwhile
    EndResponse();
    receiver->OnTrailers(std::move(trailers));
    return progress;
  }
  if (end) EndResponse();
  if (end || !data.empty()) receiver->OnBody(data, end);
  return progress;
}

void Client::StartTunnel() {
  writer_.Start(BodyWriter::Mode::kRaw, 0);
  if (!held_.empty()) {
    wire_.sent += held_.size();
    out_->Move(held_);
    NoteOutput();
  }
  if (held_end_) events_->OnHalfClose();
}

void Client::OnEof() {
  reusable_ = false;
  switch (state_) {
    case State::kIdle:
      state_ = State::kDone;
      if (receiver_ != nullptr) EndStream(ResetReason::kConnectionClosed);
      return;
    case State::kHead:
      // An orderly end in the middle of a message is a broken message.
      return EndStream(scanner_.idle() ? ResetReason::kConnectionClosed
                                       : ResetReason::kProtocolError);
    case State::kBody: {
      if (body_.kind() != BodyKind::kUntilEof) return EndStream(ResetReason::kProtocolError);
      ResponseEvents* receiver = receiver_;
      EndResponse();
      base::Buffer nothing;
      return receiver->OnBody(nothing, true);
    }
    case State::kTunnel: {
      ResponseEvents* receiver = receiver_;
      EndResponse();
      base::Buffer nothing;
      return receiver->OnBody(nothing, true);
    }
    case State::kDone:
      return;
  }
}

absl::Status Client::Fail(const Failure& failure) {
  reusable_ = false;
  EndStream(failure.status == 431 ? ResetReason::kTooLarge : ResetReason::kProtocolError);
  return absl::InvalidArgumentError(failure.detail);
}

void Client::EndStream(ResetReason reason) {
  ResponseEvents* receiver = receiver_;
  Reset(reason);
  if (receiver != nullptr) receiver->OnReset(reason);
}

void Client::Reset(ResetReason) {
  // Nothing was sent yet: the connection is as good as before.
  if (request_ == Request::kHead && state_ == State::kIdle && reusable_) {
    receiver_ = nullptr;
    request_ = Request::kNone;
    return;
  }
  state_ = State::kDone;
  reusable_ = false;
  receiver_ = nullptr;
  request_ = Request::kNone;
  held_.Clear();
}

void Client::SendHead(const RequestHead& head, bool end) {
  if (request_ != Request::kHead) return;
  head_request_ = head.method == "HEAD";
  upgrade_ = head.upgrade();
  connect_ = !upgrade_ && head.method == "CONNECT";
  informational_ = 0;
  keep_alive_ = true;
  reading_ = true;
  held_end_ = false;

  WireFields wire;
  const std::optional<uint64_t> length = LengthOf(head.headers);
  if (connect_) {
    wire.drop_length = true;
    writer_.Start(BodyWriter::Mode::kLength, 0);
  } else if (upgrade_) {
    wire.connection = WireFields::Connection::kUpgrade;
    wire.upgrade = head.protocol;
    writer_.Start(BodyWriter::Mode::kLength, length.value_or(0));
  } else if (end) {
    writer_.Start(BodyWriter::Mode::kDrop, 0);
    wire.drop_length = true;
    wire.zero_length = length || !ExpectsNoBody(head.method);
  } else if (length) {
    writer_.Start(BodyWriter::Mode::kLength, *length);
  } else {
    writer_.Start(BodyWriter::Mode::kChunked, 0);
    wire.chunked = true;
  }
  const size_t before = out_->size();
  AppendRequestHead(head, wire, out_);
  wire_.sent += out_->size() - before;
  NoteOutput();
  state_ = State::kHead;
  request_ = Request::kBody;
  if (end) EndRequest(writer_.Finish(nullptr, out_));
}

void Client::SendBody(base::Buffer& data, bool end) {
  if (request_ != Request::kBody) return data.Clear();
  const bool awaiting = (upgrade_ || connect_) && state_ == State::kHead;
  const size_t before = out_->size();
  if (awaiting && writer_.left() < data.size()) {
    out_->Move(data, static_cast<size_t>(writer_.left()));
    writer_.Start(BodyWriter::Mode::kLength, 0);
    held_.Move(data);
    held_end_ = held_end_ || end;
  } else {
    writer_.Write(data, out_);
  }
  NoteOutput();
  const bool complete = end && (awaiting || writer_.Finish(nullptr, out_));
  wire_.sent += out_->size() - before;
  if (end) EndRequest(complete);
}

void Client::SendTrailers(const Trailers& trailers) {
  if (request_ != Request::kBody) return;
  NoteOutput();
  const size_t before = out_->size();
  const bool complete = writer_.Finish(options_.enable_trailers ? &trailers : nullptr, out_);
  wire_.sent += out_->size() - before;
  EndRequest(complete);
}

void Client::EndRequest(bool complete) {
  request_ = Request::kEnded;
  if (!complete) reusable_ = false;
  if (state_ == State::kTunnel) events_->OnHalfClose();
  if (state_ == State::kIdle || state_ == State::kDone) receiver_ = nullptr;
}

// The response is whole. The next request may go only when this one was sent wholly, too.
void Client::EndResponse() {
  if (!keep_alive_ || request_ != Request::kEnded || state_ == State::kTunnel || upgrade_ ||
      connect_) {
    reusable_ = false;
  }
  state_ = reusable_ ? State::kIdle : State::kDone;
  if (request_ != Request::kEnded) return;
  receiver_ = nullptr;
  request_ = Request::kNone;
}

}  // namespace

std::unique_ptr<ClientCodec> MakeClientCodec(const Options& options, base::Buffer* out,
                                             ClientEvents* events) {
  return std::make_unique<Client>(options, out, events);
}

}  // namespace heddle::http::h1
