// HTTP/1, the side that receives requests.
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "source/base/status.h"
#include "source/http/h1/codec.h"
#include "source/http/h1/half.h"
#include "source/http/h1/target.h"

namespace heddle::http::h1 {
namespace {

// What is left of a request whose response has ended is read and dropped up to this; beyond it the
// connection ends.
constexpr uint64_t kDiscardLimit = 256 * 1024;

// The upgrade field without h2c, which is never offered upstream; empty when nothing remains.
std::string WithoutH2c(absl::string_view upgrade) {
  std::string kept;
  for (const absl::string_view element : absl::StrSplit(upgrade, ',')) {
    const absl::string_view token = absl::StripAsciiWhitespace(element);
    if (token.empty() || absl::EqualsIgnoreCase(token, "h2c")) continue;
    if (!kept.empty()) kept += ", ";
    absl::StrAppend(&kept, token);
  }
  return kept;
}

class Server final : public ServerCodec,
                     private ServerStream,
                     private Half<ServerEvents, RequestEvents> {
 public:
  Server(const Options& options, base::Buffer* out, ServerEvents* events)
      : Half(options, out, events) {}

  absl::Status Feed(base::Buffer& in, bool eof) override;
  bool ResetStalled() override { return false; }
  bool reading_head() const override { return state_ == State::kHead && !scanner_.idle(); }
  void GiveUp(const Malformed& what) override {
    if (state_ == State::kHead) Refuse(what);
  }
  void PrepareFlush() override { ClearOutputNotice(); }
  void ResetAll(ResetReason reason) override { EndStream(reason); }
  void SendPing(uint64_t) override {}
  Protocol protocol() const override { return Protocol::kHttp11; }
  size_t active_streams() const override { return response_ == Response::kNone ? 0 : 1; }
  void Drain() override { draining_ = true; }
  bool finished() const override { return state_ == State::kDone && response_ == Response::kNone; }
  void OnOutWritable() override { TellWritable(); }
  bool wants_input() const override;

 private:
  // What the next input byte is.
  enum class State : uint8_t {
    kHead,  // of a request; no stream
    kBody,
    kWait,       // of the next request, which waits for this response
    kUpgrading,  // of a tunnel or of the next request: the response decides
    kTunnel,
    kDiscard,  // body that nobody wants: its response has ended
    kDone,     // of no interest
  };
  enum class Response : uint8_t { kNone, kHead, kBody };

  uint32_t id() const override { return id_; }
  void SendHead(const ResponseHead& head, bool end) override;
  void SendBody(base::Buffer& data, bool end) override;
  void SendTrailers(const Trailers& trailers) override;
  void Reset(ResetReason) override;
  void Consumed(size_t) override {}
  size_t Pending() const override { return 0; }
  void SetReading(bool on) override { reading_ = on; }

  bool Step(base::Buffer& in, Failure* failure);  // false: no further progress with this input
  bool ReadHead(base::Buffer& in, Failure* failure);
  bool ReadBody(base::Buffer& in, Failure* failure);
  bool Discard(base::Buffer& in, Failure* failure);
  Failure StartRequest(RequestHead* head, const ParsedHead& parsed, Framing* framing);
  void TakeUpgrade(bool wanted, RequestHead* head);
  void OnEof();
  absl::Status Fail(const Failure& failure);
  void Refuse(const Malformed& what);
  void EndStream(ResetReason reason);
  bool StartTunnel(const ResponseHead& head, WireFields* wire);
  void StartBody(const ResponseHead& head, bool end, WireFields* wire);
  void EndResponse(bool complete);

  State state_ = State::kHead;
  Response response_ = Response::kNone;
  uint64_t discarded_ = 0;
  bool input_waits_ = false;  // in kWait or kUpgrading: bytes are there already
  bool draining_ = false;
  bool http10_ = false;
  std::string upgrade_;  // token of the request there is
};

bool Server::wants_input() const {
  switch (state_) {
    case State::kHead:
    case State::kDiscard:
      return true;
    case State::kBody:
    case State::kTunnel:
      return reading_;
    case State::kWait:
    case State::kUpgrading:
      return !input_waits_;
    case State::kDone:
      return false;
  }
  return false;
}

absl::Status Server::Feed(base::Buffer& in, bool eof) {
  const Failure failure =
      FeedBy(in, [this](base::Buffer& rest, Failure* wrong) { return Step(rest, wrong); });
  if (failure.failed()) return Fail(failure);
  input_waits_ = !in.empty();
  if (eof && (in.empty() || state_ == State::kHead)) OnEof();
  return absl::OkStatus();
}

bool Server::Step(base::Buffer& in, Failure* failure) {
  switch (state_) {
    case State::kHead:
      return ReadHead(in, failure);
    case State::kBody:
      return reading_ && ReadBody(in, failure);
    case State::kDiscard:
      return Discard(in, failure);
    case State::kTunnel:
      return PassTunnel(in);
    case State::kWait:
    case State::kUpgrading:
      return false;
    case State::kDone:
      in.Clear();
      return false;
  }
  return false;
}

bool Server::ReadHead(base::Buffer& in, Failure* failure) {
  if (scanner_.idle()) {
    // Empty lines before a request are ignored (RFC 9112 2.2).
    while (in.size() >= 2 && in.Linearize(2) == "\r\n") in.Consume(2);
    if (in.empty()) return false;
    const char first = in.Front()[0];
    if (first == '\r' && in.size() == 1) return false;
    if (LowerToken(first) == 0) {
      *failure = kBadRequest;
      return false;
    }
  }
  RequestHead head;
  ParsedHead parsed;
  Framing framing;
  const std::optional<Failure> taken =
      TakeHead(HeadKind::kRequest, scanner_, in, options_, &head.headers, &parsed);
  if (!taken.has_value()) return false;
  *failure = taken->failed() ? *taken : StartRequest(&head, parsed, &framing);
  if (failure->failed()) return false;

  ++id_;
  response_ = Response::kHead;
  const bool tunnel = connect_ || !upgrade_.empty();
  const bool end = framing.kind == BodyKind::kNone && !tunnel;
  state_ = framing.kind != BodyKind::kNone ? State::kBody
           : tunnel                        ? State::kUpgrading
                                           : State::kWait;
  body_.Start(framing);
  if (!keep_alive_) events_->OnPeerDraining();
  RequestEvents* receiver = events_->OnRequest(this, std::move(head), end);
  if (response_ != Response::kNone) receiver_ = receiver;
  return true;
}

Failure Server::StartRequest(RequestHead* head, const ParsedHead& parsed, Framing* framing) {
  head->method = parsed.method;
  http10_ = parsed.major == 1 && parsed.minor == 0;
  if (parsed.method == "PRI") return kBadRequest;
  if (parsed.major != 1 || parsed.minor > 1 || (http10_ && !options_.accept_http_10))
    return kLowVersion;
  head->version = http10_ ? Protocol::kHttp10 : Protocol::kHttp11;
  head_request_ = head->method == "HEAD";
  connect_ = head->method == "CONNECT";

  ConnectionFields connection;
  Failure failure = ExamineRequestFraming(connect_, options_, &head->headers, framing);
  // Chunked coding is not part of HTTP/1.0: whoever is behind might frame it otherwise.
  if (!failure.failed() && http10_ && framing->kind == BodyKind::kChunked) {
    failure = {400, "http1.transfer_encoding_not_allowed"};
  }
  if (!failure.failed()) failure = ExamineConnection(&head->headers, &connection);
  if (!failure.failed()) failure = ReadTarget(parsed.target, options_, head);
  if (failure.failed()) return failure;
  keep_alive_ = KeepsAlive(parsed, connection);
  head->keep_alive = keep_alive_;
  TakeUpgrade(connection.upgrade && !http10_ && !connect_, head);
  return {};
}

void Server::TakeUpgrade(bool wanted, RequestHead* head) {
  upgrade_.clear();
  const std::optional<absl::string_view> field = head->headers.Get(HeaderId::kUpgrade);
  if (field) {
    if (wanted) upgrade_ = WithoutH2c(*field);
    head->headers.Remove(HeaderId::kUpgrade);
  }
  head->headers.Remove(HeaderId::kHttp2Settings);
  if (!upgrade_.empty()) head->protocol = head->headers.arena().Copy(upgrade_);
}

bool Server::ReadBody(base::Buffer& in, Failure* failure) {
  base::Buffer data;
  Trailers trailers;
  const size_t before = in.size();
  const BodyReader::Result result = body_.Read(in, options_, &data, &trailers, failure);
  if (result == BodyReader::Result::kBroken) {
    // The body was whole, its trailers are not.
    if (body_.in_trailers() && !data.empty()) receiver_->OnBody(data, false);
    return false;
  }
  const bool progress = in.size() != before;
  const bool ended = result == BodyReader::Result::kEnd;
  const bool tunnel = connect_ || !upgrade_.empty();
  if (ended) state_ = tunnel ? State::kUpgrading : State::kWait;
  const bool end = ended && !tunnel;
  if (!data.empty() || (end && trailers.empty())) receiver_->OnBody(data, end && trailers.empty());
  if (end && !trailers.empty() && receiver_ != nullptr) receiver_->OnTrailers(std::move(trailers));
  return progress;
}

bool Server::Discard(base::Buffer& in, Failure* failure) {
  base::Buffer data;
  Trailers trailers;
  const size_t before = in.size();
  const BodyReader::Result result = body_.Read(in, options_, &data, &trailers, failure);
  if (result == BodyReader::Result::kBroken) return false;
  discarded_ += before - in.size();
  if (result == BodyReader::Result::kEnd) {
    state_ = State::kHead;
  } else if (discarded_ > kDiscardLimit) {
    state_ = State::kDone;
  }
  return in.size() != before;
}

void Server::OnEof() {
  switch (state_) {
    case State::kHead:
    case State::kDiscard:
      state_ = State::kDone;
      return;
    case State::kBody:
      return EndStream(ResetReason::kConnectionClosed);
    case State::kWait:
    case State::kUpgrading:
      // A client that only half-closed still gets its response.
      keep_alive_ = false;
      return;
    case State::kTunnel: {
      state_ = State::kWait;
      keep_alive_ = false;
      base::Buffer nothing;
      return receiver_->OnBody(nothing, true);
    }
    case State::kDone:
      return;
  }
}

absl::Status Server::Fail(const Failure& failure) {
  const Malformed what{.status = failure.status, .details = failure.detail};
  if (state_ == State::kHead) {
    Refuse(what);
  } else {
    state_ = State::kDone;
    keep_alive_ = false;
    if (receiver_ != nullptr) receiver_->OnMalformed(what);
  }
  EndStream(ResetReason::kProtocolError);
  return absl::InvalidArgumentError(failure.detail);
}

// A stream of the moment, for the answer to what never became a request.
void Server::Refuse(const Malformed& what) {
  state_ = State::kDone;
  response_ = Response::kHead;
  keep_alive_ = head_request_ = connect_ = http10_ = false;
  upgrade_.clear();
  body_.Start({});
  events_->OnMalformed(this, what);
  response_ = Response::kNone;
}

void Server::EndStream(ResetReason reason) {
  state_ = State::kDone;
  response_ = Response::kNone;
  if (RequestEvents* receiver = std::exchange(receiver_, nullptr); receiver != nullptr)
    receiver->OnReset(reason);
}

void Server::Reset(ResetReason) {
  state_ = State::kDone;
  response_ = Response::kNone;
  receiver_ = nullptr;
}

void Server::SendHead(const ResponseHead& head, bool end) {
  if (response_ != Response::kHead) return;
  WireFields wire;
  if (head.informational() && head.status != 101) {
    wire.drop_length = true;
    if (!http10_) AppendResponseHead(head, wire, out_);
    return NoteOutput();
  }
  if (!StartTunnel(head, &wire)) StartBody(head, end, &wire);
  wire.http10 = http10_;
  AppendResponseHead(head, wire, out_);
  NoteOutput();
  response_ = Response::kBody;
  if (end) EndResponse(writer_.Finish(nullptr, out_));
}

// True when this head turns the connection into a tunnel.
bool Server::StartTunnel(const ResponseHead& head, WireFields* wire) {
  const bool connected = connect_ && head.status >= 200 && head.status < 300;
  const bool upgraded = !upgrade_.empty() && head.status == 101;
  if (state_ != State::kUpgrading || (!connected && !upgraded)) return false;
  wire->drop_length = true;
  if (upgraded) {
    wire->connection = WireFields::Connection::kUpgrade;
    wire->upgrade = head.headers.Get(HeaderId::kUpgrade).value_or(upgrade_);
  }
  writer_.Start(BodyWriter::Mode::kRaw, 0);
  state_ = State::kTunnel;
  return true;
}

void Server::StartBody(const ResponseHead& head, bool end, WireFields* wire) {
  const std::optional<uint64_t> length = LengthOf(head.headers);
  const bool bodiless = head_request_ || head.status == 204 || head.status == 304;
  if (draining_ || !head.keep_alive || body_.left() > kDiscardLimit || head.status == 101)
    keep_alive_ = false;
  if (bodiless) {
    writer_.Start(BodyWriter::Mode::kDrop, 0);
    wire->drop_length = head.status == 204;
  } else if (end) {
    writer_.Start(BodyWriter::Mode::kDrop, 0);
    wire->zero_length = wire->drop_length = true;
  } else if (length) {
    writer_.Start(BodyWriter::Mode::kLength, *length);
  } else if (http10_) {
    writer_.Start(BodyWriter::Mode::kRaw, 0);
    keep_alive_ = false;
    wire->drop_length = true;
  } else {
    writer_.Start(BodyWriter::Mode::kChunked, 0);
    wire->chunked = true;
  }
  if (!keep_alive_) {
    wire->connection = WireFields::Connection::kClose;
  } else if (http10_) {
    wire->connection = WireFields::Connection::kKeepAlive;
  }
}

void Server::SendBody(base::Buffer& data, bool end) {
  if (response_ != Response::kBody) return data.Clear();
  writer_.Write(data, out_);
  NoteOutput();
  if (end) EndResponse(writer_.Finish(nullptr, out_));
}

void Server::SendTrailers(const Trailers& trailers) {
  if (response_ != Response::kBody) return;
  NoteOutput();
  EndResponse(writer_.Finish(options_.enable_trailers && !http10_ ? &trailers : nullptr, out_));
}

void Server::EndResponse(bool complete) {
  receiver_ = nullptr;
  response_ = Response::kNone;
  reading_ = true;
  if (!keep_alive_ || !complete) {
    state_ = State::kDone;
    return;
  }
  switch (state_) {
    case State::kBody:
      discarded_ = 0;
      state_ = State::kDiscard;
      return;
    case State::kWait:
    case State::kUpgrading:
      state_ = State::kHead;
      return;
    case State::kHead:
    case State::kTunnel:
    case State::kDiscard:
    case State::kDone:
      state_ = State::kDone;
      return;
  }
}

}  // namespace

std::unique_ptr<ServerCodec> MakeServerCodec(const Options& options, base::Buffer* out,
                                             ServerEvents* events) {
  return std::make_unique<Server>(options, out, events);
}

}  // namespace heddle::http::h1
