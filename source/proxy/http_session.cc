#include "source/proxy/http_session.h"

#include <sys/ioctl.h>

#include <algorithm>
#include <utility>

#include "source/base/log.h"
#include "source/base/status.h"
#include "source/http/h1/codec.h"
#include "source/http/h2/codec.h"
#include "source/observe/access_log.h"
#include "source/proxy/context.h"
#include "source/proxy/reply.h"

namespace heddle::proxy {
namespace {

constexpr absl::string_view kHeaderTimeout = "request header timeout";  // body
constexpr absl::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
observe::Flag FlagOf(http::Malformed::Kind kind) {
  return kind == http::Malformed::Kind::kReset ? observe::Flag::kDownstreamReset
                                               : observe::Flag::kDownstreamProtocolError;
}

http::h1::Options H1Options(const config::HttpConnectionManager& config, bool secure) {
  using Underscores = http::h1::Options::Underscores;
  http::h1::Options options;
  options.accept_http_10 = config.http1.accept_http_10;
  options.default_host_for_http_10 = config.http1.default_host_for_http_10;
  options.allow_absolute_url = config.http1.allow_absolute_url;
  options.allow_chunked_length = config.http1.allow_chunked_length;
  options.enable_trailers = config.http1.enable_trailers;
  options.underscores = static_cast<Underscores>(config.common.underscores);
  options.max_headers_count = config.common.max_headers_count;
  options.max_headers_bytes = config.max_request_headers_kb * 1024;
  options.secure = secure;
  return options;
}

http::h2::Options H2Options(const config::HttpConnectionManager& config, size_t buffer_limit) {
  using Underscores = http::h2::Options::Underscores;
  http::h2::Options options;
  options.max_concurrent_streams = config.http2.max_concurrent_streams;
  options.initial_stream_window = config.http2.initial_stream_window;
  options.initial_connection_window = config.http2.initial_connection_window;
  options.hpack_table_size = config.http2.hpack_table_size;
  options.allow_connect = config.http2.allow_connect;
  options.stream_error_on_invalid =
      config.http2.stream_error_on_invalid || config.stream_error_on_invalid;
  options.underscores = static_cast<Underscores>(config.common.underscores);
  options.max_headers_count = config.common.max_headers_count;
  options.max_headers_bytes = config.max_request_headers_kb * 1024;
  options.output_limit = buffer_limit;
  return options;
}

}  // namespace

HttpSession::HttpSession(Context& context, const Accepted& accepted) : Session(context, accepted) {
  idle_.Init(this, [](void* self) { static_cast<HttpSession*>(self)->OnIdle(); });
  duration_.Init(this, [](void* self) {
    auto* session = static_cast<HttpSession*>(self);
    session->context_.sheet.Add(session->spec().stats.cx_max_duration);
    session->Drain();
  });
  drain_gap_.Init(this, [](void* self) { static_cast<HttpSession*>(self)->OnDrainGap(); });
  header_.Init(this, [](void* self) { static_cast<HttpSession*>(self)->OnHeaderTimeout(); });
  flush_.Init(this, [](void* self) { static_cast<HttpSession*>(self)->OnFlushTimeout(); });
  const HttpStats& stats = spec().stats;
  context_.sheet.Add(stats.cx_total);
  context_.sheet.Add(stats.cx_active);
  net::ConnectionOptions options;
  options.buffer_limit = buffer_limit();
  options.linger = config().delayed_close_timeout;
  if (chain().config->transport_connect_timeout > absl::ZeroDuration())
    options.handshake_timeout = chain().config->transport_connect_timeout;
  connection_ = net::Connection::Accepted(context_.loop, accepted.fd, MakeTransport(chain()),
                                          accepted.direct_remote, options, this);
}

HttpSession::~HttpSession() {
  // Streams first: they look at the connection while they end.
  context_.sheet.Sub(spec().stats.rq_active, static_cast<int64_t>(streams_.size()));
  streams_.clear();
  const HttpStats& stats = spec().stats;
  context_.sheet.Add(stats.cx_destroy);
  context_.sheet.Sub(stats.cx_active);
  if (client_ && client_->secure) context_.sheet.Sub(stats.cx_ssl_active);
  context_.sheet.Record(stats.cx_length,
                        static_cast<uint64_t>(context_.loop.Now() - connection_->created()));
}

// ---------------------------------------------------------------------------------------------------------
// The connection

void HttpSession::OnConnected() {
  const net::PeerInfo& peer = connection_->peer();
  client_.emplace(config(), remote(), peer);
  if (peer.tls) {
    context_.sheet.Add(spec().stats.cx_ssl);
    context_.sheet.Add(spec().stats.cx_ssl_active);
  }
  if (!PoliciesAllow(peer)) return Close(net::Connection::How::kAbort);
  using Codec = config::HttpConnectionManager::Codec;
  if (config().codec == Codec::kHttp2 || (config().codec == Codec::kAuto && peer.alpn == "h2")) {
    MakeCodec(true);
  } else if (config().codec == Codec::kHttp1 || peer.alpn == "http/1.1") {
    MakeCodec(false);
  }
  StartIdle();
  const absl::Duration duration = config().common.max_connection_duration;
  if (duration > absl::ZeroDuration())
    context_.deadlines.Start(duration_, context_.loop.Now(), base::ToMicros(duration));
}

bool HttpSession::ChooseCodec(const base::Buffer& in, bool eof) {
  iovec run[4];
  const int runs = in.Slices(run, 4);
  size_t seen = 0;
  for (int i = 0; i < runs && seen < kPreface.size(); ++i) {
    const absl::string_view piece(static_cast<const char*>(run[i].iov_base), run[i].iov_len);
    const absl::string_view head = piece.substr(0, kPreface.size() - seen);
    if (kPreface.substr(seen, head.size()) != head) {
      MakeCodec(false);
      return true;
    }
    seen += head.size();
  }
  // "PRI" alone could still be the start of an HTTP/1 request with an odd method.
  if (seen < kPreface.size() && !eof) return false;
  MakeCodec(seen == kPreface.size());
  return true;
}

void HttpSession::MakeCodec(bool http2) {
  context_.sheet.Add(http2 ? spec().stats.cx_http2 : spec().stats.cx_http1);
  if (http2) {
    codec_ =
        http::h2::MakeServerCodec(H2Options(config(), buffer_limit()), &connection_->out(), this);
  } else {
    codec_ = http::h1::MakeServerCodec(H1Options(config(), connection_->peer().tls),
                                       &connection_->out(), this);
  }
  if (state_ == State::kDraining) codec_->Drain();
  Touch();
}

void HttpSession::OnData(base::Buffer& in, bool eof) {
  if (state_ == State::kClosing || state_ == State::kClosed) return in.Clear();
  if (codec_ == nullptr && (in.empty() || !ChooseCodec(in, eof))) return;
  // A client that half-closes is gone: OnClosed follows (as in Envoy).
  const absl::Status status = codec_->Feed(in, /*eof=*/false);
  paused_ = !in.empty() && !codec_->wants_input();
  Touch();
  if (status.ok()) return WatchHead();
  HEDDLE_LOG(kDebug, "http") << connection_->peer_address().ToString() << ": "
                             << std::string(status.message());
  context_.sheet.Add(spec().stats.cx_protocol_error);
  codec_->PrepareFlush();
  Close(net::Connection::How::kFlush);
}

// request_headers_timeout: from the first byte of a head to its last.
void HttpSession::WatchHead() {
  const absl::Duration timeout = config().request_headers_timeout;
  if (timeout <= absl::ZeroDuration() || state_ == State::kClosing || state_ == State::kClosed)
    return;
  if (!codec_->reading_head()) {
    header_.Stop();
  } else if (!header_.running()) {
    context_.deadlines.Start(header_, context_.loop.Now(), base::ToMicros(timeout));
  }
}

void HttpSession::OnWritable() {
  if (codec_ == nullptr || state_ == State::kClosed) return;
  codec_->OnOutWritable();
  for (size_t i = streams_.size(); i-- > 0;) {
    if (i < streams_.size()) streams_[i]->OnWritable();  // it may end, and others with it
  }
  Touch();
}

void HttpSession::OnClosed(net::CloseReason reason) {
  if (reason == net::CloseReason::kLocal) {
    context_.sheet.Add(spec().stats.cx_destroy_local);
  } else {
    context_.sheet.Add(spec().stats.cx_destroy_remote);
  }
  state_ = State::kClosed;
  CountBytes();
  if (codec_ != nullptr) codec_->ResetAll(http::ResetReason::kConnectionClosed);
  context_.sessions.Remove(this);
}

void HttpSession::Touch() {
  if (state_ != State::kClosed) context_.loop.MarkDirty(this);
}

void HttpSession::AtEnd() {
  if (state_ == State::kClosed || state_ == State::kClosing || codec_ == nullptr) return;
  codec_->PrepareFlush();
  connection_->Flush();
  CountBytes();
  if (codec_->finished() && streams_.empty()) return Close(net::Connection::How::kFlush);
  // HTTP/1: a client that sends requests and reads no responses is held back between two of them.
  const bool full = !http2() && streams_.empty() && connection_->above_limit();
  const bool on = codec_->wants_input() && !full;
  // What the codec left is told again only when reading is turned on: so turn it off, even if it
  // was never off between.
  if (on && std::exchange(paused_, false)) connection_->SetReading(false);
  connection_->SetReading(on);
}

void HttpSession::Close(net::Connection::How how) {
  if (state_ == State::kClosed) return;
  state_ = State::kClosing;
  connection_->Close(how);
}

void HttpSession::CountBytes() {
  const HttpStats& stats = spec().stats;
  context_.sheet.Add(stats.cx_rx_bytes, connection_->bytes_read() -
                                            std::exchange(counted_in_, connection_->bytes_read()));
  context_.sheet.Add(
      stats.cx_tx_bytes,
      connection_->bytes_written() - std::exchange(counted_out_, connection_->bytes_written()));
}

// ---------------------------------------------------------------------------------------------------------
// Streams

http::RequestEvents* HttpSession::OnRequest(http::ServerStream* downstream, http::RequestHead head,
                                            bool end) {
  header_.Stop();
  ++requests_;
  const HttpStats& stats = spec().stats;
  context_.sheet.Add(stats.rq_total);
  context_.sheet.Add(http2() ? stats.rq_http2 : stats.rq_http1);
  context_.sheet.Add(stats.rq_active);
  const uint32_t max = config().common.max_requests_per_connection;
  if (max != 0 && requests_ >= max) Drain();
  auto* stream = new Stream(*this, downstream, std::move(head));
  stream->slot = streams_.size();
  streams_.emplace_back(stream);
  stream->Start(end);
  return stream;
}

void HttpSession::Describe(observe::AccessRecord& record) const {
  record.start = context_.clock.WallNow();
  record.started = context_.loop.Now();
  record.downstream_remote = remote();
  record.downstream_direct_remote = direct_remote();
  record.downstream_local = local();
  record.downstream_tls = client_->secure ? &connection_->peer() : nullptr;
  record.connection_id = connection_->id();
  record.listener = listener().config->name;
  record.filter_chain = chain().config->name;
}

void HttpSession::OnMalformed(http::ServerStream* stream, const http::Malformed& what) {
  header_.Stop();
  const HttpStats& stats = spec().stats;
  context_.sheet.Add(stats.rq_total);
  context_.sheet.Add(http2() ? stats.rq_http2 : stats.rq_http1);
  const http::RequestHead nothing;
  observe::AccessRecord record;
  record.request = &nothing;
  record.protocol = codec_->protocol();
  record.details = std::string(what.details);
  record.culprit = observe::Culprit::kClient;
  const bool late = what.kind == http::Malformed::Kind::kLate;
  if (!late) record.Set(FlagOf(what.kind));
  Describe(record);
  std::optional<observe::Span> span;
  if (spec().tracer != nullptr) {
    span = spec().tracer->Start(nothing, context_.random);
    record.trace_id = span->context.TraceIdHex();
    record.span_id = span->context.SpanIdHex();
  }
  http::ResponseHead head;
  if (stream != nullptr && what.status != 0) {
    const filter::Reply reply{.status = what.status,
                              .body = late ? std::string(kHeaderTimeout)
                                           : std::string(http::h1::ReasonPhrase(what.status))};
    absl::string_view body;
    head = MakeReplyHead(reply, /*grpc=*/false, &body);
    PrepareResponse(config(), nothing, context_.date.At(record.start), head);
    head.keep_alive = false;
    record.status = head.status;
    record.response = &head;
    record.response_sent_first = context_.loop.Now();
    record.bytes_sent = body.size();
    stream->SendHead(head, /*end=*/false);
    base::Buffer data(body);
    stream->SendBody(data, /*end=*/true);
    context_.sheet.Add(stats.rq_xx[static_cast<size_t>(head.status / 100)]);
    context_.sheet.Add(stats.rq_completed);
  }
  record.finished = context_.loop.Now();
  for (const auto& log : spec().logs) log->Write(record);
  if (span) spec().tracer->Finish(*span, record);
}

void HttpSession::OnStreamDone(Stream* stream) {
  const size_t slot = stream->slot;
  HEDDLE_CHECK(slot < streams_.size() && streams_[slot].get() == stream)
      << "a stream is listed until it is done";
  context_.loop.Destroy(std::move(streams_[slot]));
  streams_[slot] = std::move(streams_.back());
  streams_.pop_back();
  if (slot < streams_.size()) streams_[slot]->slot = slot;
  context_.sheet.Sub(spec().stats.rq_active);
  if (streams_.empty()) StartIdle();
  if (http2() && !flush_.running() && codec_->active_streams() > streams_.size()) StartFlush();
  Touch();
}

const RouteTable* HttpSession::Routes(Epoch* epoch) {
  if (spec().routes != nullptr) return spec().routes.get();
  if (epoch == nullptr) return nullptr;
  const uint64_t version = epoch->snapshot().version;
  if (version == 0 || version != routes_version_) {
    routes_ = epoch->FindRoutes(config().rds_name);
    routes_version_ = version;
  }
  return routes_;
}

// ---------------------------------------------------------------------------------------------------------
// Its end

void HttpSession::StartIdle() {
  const absl::Duration idle = config().common.idle_timeout;
  if (idle > absl::ZeroDuration())
    context_.deadlines.Start(idle_, context_.loop.Now(), base::ToMicros(idle));
}

// The last bytes of a response may wait for a window that the client never opens: as long as any
// stream may be idle, and no longer.
void HttpSession::StartFlush() {
  const absl::Duration idle = config().stream_idle_timeout;
  if (idle > absl::ZeroDuration())
    context_.deadlines.Start(flush_, context_.loop.Now(), base::ToMicros(idle));
}

void HttpSession::OnFlushTimeout() {
  if (codec_ == nullptr || state_ == State::kClosed) return;
  if (codec_->ResetStalled()) StartFlush();
  Touch();
}

void HttpSession::OnIdle() {
  if (!streams_.empty()) return;  // begins again with the last stream's end
  context_.sheet.Add(spec().stats.cx_idle_timeout);
  if (!http2()) return Close(net::Connection::How::kFlush);
  Drain();
}

void HttpSession::Drain() {
  if (state_ != State::kOpen) return;
  state_ = State::kDraining;
  if (codec_ == nullptr) return;
  context_.sheet.Add(spec().stats.cx_drain_close);
  codec_->Drain();
  if (http2()) {
    // RFC 9113 6.8: the client may have streams on their way; the last GOAWAY comes when they have
    // arrived.
    context_.deadlines.Start(drain_gap_, context_.loop.Now(),
                             base::ToMicros(config().drain_timeout));
  }
  Touch();
}

void HttpSession::OnDrainGap() {
  if (codec_ == nullptr || state_ != State::kDraining) return;
  codec_->Drain();
  Touch();
}

void HttpSession::CloseIdle() {
  if (!streams_.empty() || (state_ != State::kOpen && state_ != State::kDraining)) return;
  // A request that has arrived and was not read yet is answered; it says `connection: close`.
  int unread = 0;
  if (ioctl(connection_->fd(), FIONREAD, &unread) == 0 && unread > 0) return;
  Close(net::Connection::How::kFlush);
}

void HttpSession::Abort() { Close(net::Connection::How::kAbort); }

void HttpSession::OnHeaderTimeout() {
  if (state_ == State::kClosing || state_ == State::kClosed || !codec_->reading_head()) return;
  context_.sheet.Add(spec().stats.rq_header_timeout);
  codec_->GiveUp(
      {.status = 408, .details = "request_header_timeout", .kind = http::Malformed::Kind::kLate});
  // The rest of the head never came, so nothing else does on this connection; but responses that
  // run are finished.
  if (!streams_.empty()) return Drain();
  if (http2()) {
    codec_->Drain();
    codec_->Drain();
  }
  codec_->PrepareFlush();
  Close(net::Connection::How::kFlush);
}

}  // namespace heddle::proxy
