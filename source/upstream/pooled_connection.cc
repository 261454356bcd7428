#include "source/upstream/pooled_connection.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "source/base/log.h"

namespace heddle::upstream {
namespace {

using UpstreamKind = config::UpstreamHttp::Kind;
constexpr auto kRelaxed = std::memory_order_relaxed;

// What ALPN to offer where the TLS context names none.
std::vector<std::string> AlpnOf(UpstreamKind kind, const config::TransportSocket& socket) {
  if (kind == UpstreamKind::kAuto) return {"h2", "http/1.1"};
  if (socket.upstream_tls != nullptr && !socket.upstream_tls->common.alpn.empty()) return {};
  if (kind == UpstreamKind::kHttp2) return {"h2"};
  return {"http/1.1"};
}

// auto_san_validation: the certificate must be for the name the client asked for (RFC 6125: a
// wildcard stands for one whole label on the left).
bool Names(const net::PeerInfo& peer, absl::string_view name) {
  if (!peer.certificate_verified || name.empty()) return false;
  for (const std::string& san : peer.dns_sans) {
    if (absl::EqualsIgnoreCase(san, name)) return true;
    if (!absl::StartsWith(san, "*.")) continue;
    const size_t dot = name.find('.');
    if (dot != 0 && dot != absl::string_view::npos &&
        absl::EqualsIgnoreCase(name.substr(dot), absl::string_view(san).substr(1)))
      return true;
  }
  return false;
}

}  // namespace

PooledConnection::PooledConnection(HttpPool& pool) : pool_(&pool), loop_(pool.options().loop) {}

PooledConnection::~PooledConnection() = default;

void PooledConnection::Start() {
  const PoolOptions& options = pool_->options();
  const config::Cluster& config = *options.config;
  started_ = loop_.Now();
  std::unique_ptr<net::Transport> transport =
      options.transport == nullptr
          ? net::MakePlainTransport()
          : options.transport->Create({.sni = options.sni,
                                       .alpn = AlpnOf(options.kind, config.transport),
                                       .peer = options.host->address_text});
  // Half-close: the codec decides what an end means, and must have all bytes before it.
  connection_ = net::Connection::Connect(loop_, options.host->address, config.bind_source,
                                         std::move(transport),
                                         {.buffer_limit = config.buffer_limit,
                                          .half_close = true,
                                          .connect_timeout = config.connect_timeout},
                                         this);
}

uint64_t PooledConnection::Capacity() const {
  if (state_ != State::kOpen || !codec_->reusable()) return 0;
  const bool http2 = codec_->protocol() == http::Protocol::kHttp2;
  if (feeding_ && !http2) return 0;  // the codec may not have finished the exchange it speaks of
  const uint64_t used = std::max<uint64_t>(streams_, codec_->active_streams());
  const uint64_t max = codec_->max_streams();
  return used >= max ? 0 : max - used;
}

void PooledConnection::Attach(PoolLease* lease) {
  leases_.PushBack(lease);
  ++streams_;
  ++served_;
  idle_ = false;
  const uint32_t max = pool_->options().config->http.common.max_requests_per_connection;
  if (max != 0 && served_ >= max) {
    sheet().Add(stats().cx_max_requests);
    state_ = State::kDraining;
  }
  if (Capacity() == 0) Unlink();
}

void PooledConnection::Return(PoolLease* lease) {
  lease->Unlink();
  --streams_;
  ReleaseCounts();
  Settle();
}

void PooledConnection::ReleaseCounts() {
  const PoolOptions& options = pool_->options();
  pool_->usage().requests.fetch_sub(1, kRelaxed);
  options.host->active_requests.fetch_sub(1, kRelaxed);
  options.sheet.Sub(options.stats->rq_active);
  pool_->ShowRequests();
}

void PooledConnection::UpdateReading() {
  if (state_ == State::kOpen || state_ == State::kDraining)
    connection_->SetReading(codec_->wants_input());
}

void PooledConnection::Drain() {
  switch (state_) {
    case State::kConnecting:
      // Whoever waits is served by it still; Settle closes it afterwards.
      if (pool_->waiting() == 0) Close(Cause::kLocal);
      return;
    case State::kOpen:
      state_ = State::kDraining;
      Unlink();
      Settle();
      return;
    case State::kDraining:
    case State::kClosed:
      return;
  }
}

void PooledConnection::Settle() {
  if (feeding_ || state_ == State::kConnecting || state_ == State::kClosed) return;
  if (state_ == State::kOpen && !codec_->reusable()) state_ = State::kDraining;
  if (!busy() && (state_ == State::kDraining || (pool_->draining() && pool_->waiting() == 0)))
    return Close(Cause::kLocal);
  // HTTP/1, and the exchange was given up half way: nothing else can follow on this connection.
  if (streams_ == 0 && busy() && codec_->protocol() != http::Protocol::kHttp2)
    return Close(Cause::kLocal);
  if (!busy() && !idle_) {
    idle_ = true;
    idle_since_ = loop_.Now();
    connection_->SetReading(true);
    if (const auto timeout = pool_->options().config->http.common.idle_timeout;
        timeout > absl::ZeroDuration())
      pool_->ScheduleUpkeep(idle_since_ + base::ToMicros(timeout));
  }
  if (Capacity() == 0) return Unlink();
  if (!linked()) pool_->ready_.PushFront(this);
  pool_->ServeWaiting();
}

void PooledConnection::Close(Cause cause) {
  if (state_ == State::kClosed) return;
  const bool was_connecting = state_ == State::kConnecting;
  const bool local = cause == Cause::kLocal;
  state_ = State::kClosed;
  Unlink();
  sheet().Add(stats().cx_destroy);
  sheet().Add(local ? stats().cx_destroy_local : stats().cx_destroy_remote);
  if (streams_ > 0) {
    sheet().Add(stats().cx_destroy_with_active_rq);
    sheet().Add(local ? stats().cx_destroy_local_with_active_rq
                      : stats().cx_destroy_remote_with_active_rq);
  }
  sheet().Record(stats().cx_length_ms, static_cast<uint64_t>(loop_.Now() - started_));
  HttpPool* pool = pool_;
  if (was_connecting) --pool->connecting_;
  // Its place is free before anybody retries from inside OnReset.
  pool->Remove(this);
  connection_->SetEvents(nullptr);
  if (codec_ != nullptr) {
    if (local && !connection_->closed()) {
      if (codec_->reusable()) codec_->Drain();  // GOAWAY
      codec_->PrepareFlush();
      connection_->ShutdownWrite();  // at the end of the iteration, before the late destruction
    }
    codec_->ResetAll(http::ResetReason::kConnectionClosed);
  }
  while (PoolLease* lease = leases_.Front()) {
    lease->Unlink();
    lease->state_ = PoolLease::State::kDead;
    --streams_;
    ReleaseCounts();
  }
  CountBytes();
  pool_ = nullptr;
  pool->AfterClose();
}

void PooledConnection::CountBytes() {
  sheet().Add(stats().cx_rx_bytes_total, connection_->bytes_read() - counted_in_);
  sheet().Add(stats().cx_tx_bytes_total, connection_->bytes_written() - counted_out_);
  counted_in_ = connection_->bytes_read();
  counted_out_ = connection_->bytes_written();
}

base::Micros PooledConnection::Upkeep(base::Micros now) {
  if (state_ == State::kConnecting || state_ == State::kClosed) return 0;
  const config::UpstreamHttp& http = pool_->options().config->http;
  base::Micros next = 0;
  const auto due = [&](base::Micros at) {
    if (at <= now) return true;
    if (next == 0 || at < next) next = at;
    return false;
  };
  const base::Micros idle = base::ToMicros(http.common.idle_timeout);
  if (idle_ && idle > 0 && due(idle_since_ + idle)) {
    sheet().Add(stats().cx_idle_timeout);
    Close(Cause::kLocal);
    return 0;
  }
  const base::Micros age = base::ToMicros(http.common.max_connection_duration);
  if (age > 0 && state_ == State::kOpen && due(connected_ + age)) {
    sheet().Add(stats().cx_max_duration_reached);
    Drain();
    if (state_ == State::kClosed) return 0;
  }
  if (pong_due_ != 0 && due(pong_due_)) {
    HEDDLE_LOG(kDebug, "upstream")
        << pool_->options().host->address_text << ": no answer to a keepalive ping, closing";
    Close(Cause::kLocal);
    return 0;
  }
  if (ping_due_ != 0 && due(ping_due_)) {
    if (pong_due_ == 0) pong_due_ = now + base::ToMicros(http.http2.keepalive_timeout);
    codec_->SendPing(static_cast<uint64_t>(now));  // the answer may be here at once
    if (pong_due_ != 0) due(pong_due_);
    ping_due_ = now + base::ToMicros(http.http2.keepalive_interval);
    due(ping_due_);
  }
  return next;
}

// -------------------------------------------------------------------------------------------------
// events

void PooledConnection::OnConnected() {
  const PoolOptions& options = pool_->options();
  if (options.config->http.auto_san_validation && !Names(connection_->peer(), options.sni))
    return ConnectFailed(LeaseFailure::kTransportFailed,
                         absl::StrCat("the certificate does not name \"", options.sni, "\""));
  http::Protocol protocol = http::Protocol::kHttp11;
  if (options.kind == UpstreamKind::kHttp2 ||
      (options.kind == UpstreamKind::kAuto && connection_->peer().alpn == "h2"))
    protocol = http::Protocol::kHttp2;
  const bool http2 = protocol == http::Protocol::kHttp2;
  state_ = State::kOpen;
  --pool_->connecting_;
  pool_->expect_http2_ = http2;
  connected_ = loop_.Now();
  sheet().Add(http2 ? stats().cx_http2_total : stats().cx_http1_total);
  sheet().Record(stats().cx_connect_ms, static_cast<uint64_t>(connected_ - started_));
  codec_ = options.make_codec(protocol, *options.config, *connection_, this);
  OnOutput();  // the preface
  const config::UpstreamHttp& http = options.config->http;
  if (const auto age = base::ToMicros(http.common.max_connection_duration); age > 0)
    pool_->ScheduleUpkeep(connected_ + age);
  if (const auto interval = base::ToMicros(http.http2.keepalive_interval); http2 && interval > 0) {
    ping_due_ = connected_ + interval;
    pool_->ScheduleUpkeep(ping_due_);
  }
  HttpPool* pool = pool_;
  Settle();
  pool->ConnectWhatIsNeeded();  // it may carry less than was expected
}

void PooledConnection::OnData(base::Buffer& in, bool eof) {
  if (state_ != State::kOpen && state_ != State::kDraining) return in.Clear();
  eof_ = eof_ || eof;
  feeding_ = true;
  const absl::Status status = codec_->Feed(in, eof_);
  feeding_ = false;
  if (state_ == State::kClosed) return;
  CountBytes();
  if (!status.ok()) {
    HEDDLE_LOG(kDebug, "upstream")
        << pool_->options().host->address_text << ": " << status.message();
    sheet().Add(stats().cx_protocol_error);
    return Close(Cause::kLocal);
  }
  // An end that the codec has not come to yet, because its reader paused, is told again.
  if (eof_ && (in.empty() || codec_->wants_input())) return Close(Cause::kRemote);
  connection_->SetReading(codec_->wants_input());
  Settle();
}

void PooledConnection::OnWritable() {
  if (state_ == State::kOpen || state_ == State::kDraining) codec_->OnOutWritable();
}

void PooledConnection::OnClosed(net::CloseReason reason) {
  if (state_ == State::kClosed) return;
  if (state_ != State::kConnecting)
    return Close(reason == net::CloseReason::kLocal ? Cause::kLocal : Cause::kRemote);
  LeaseFailure failure = LeaseFailure::kConnectFailed;
  if (reason == net::CloseReason::kConnectTimeout) failure = LeaseFailure::kConnectTimeout;
  if (reason == net::CloseReason::kTransportFailed) failure = LeaseFailure::kTransportFailed;
  // Envoy's words; the address stays out of what a client may read.
  std::string why(connection_->transport_error());
  if (why.empty() && failure == LeaseFailure::kConnectFailed) {
    const std::string text(connection_->failure());
    const size_t colon = text.rfind(": ");
    why = absl::StrCat("delayed connect error: ",
                       colon == std::string::npos ? text : text.substr(colon + 2));
  }
  ConnectFailed(failure, why);
}

void PooledConnection::ConnectFailed(LeaseFailure failure, absl::string_view why) {
  sheet().Add(stats().cx_connect_fail);
  if (failure == LeaseFailure::kConnectTimeout) sheet().Add(stats().cx_connect_timeout);
  HttpPool* pool = pool_;
  pool->options().host->connect_failures.fetch_add(1, kRelaxed);
  HEDDLE_LOG(kDebug, "upstream") << pool->options().host->address_text
                                 << ": cannot connect: " << why;
  // First the queue, so that closing does not connect for leases that are about to fail.
  pool->FailWaiting(failure, why);
  Close(Cause::kRemote);
}

void PooledConnection::OnGoAway() {
  if (state_ == State::kClosed) return;
  sheet().Add(stats().cx_close_notify);
  if (state_ == State::kOpen) {
    state_ = State::kDraining;
    Unlink();
  }
  HttpPool* pool = pool_;
  Settle();
  if (pool_ != nullptr) pool->ConnectWhatIsNeeded();
}

void PooledConnection::OnSettings(uint32_t) { Settle(); }

void PooledConnection::OnOutput() {
  if (state_ != State::kClosed) loop_.MarkDirty(this);
}

void PooledConnection::OnPong(uint64_t) { pong_due_ = 0; }

void PooledConnection::AtEnd() {
  if (state_ != State::kOpen && state_ != State::kDraining) return;
  codec_->PrepareFlush();
  connection_->Flush();
}

}  // namespace heddle::upstream
