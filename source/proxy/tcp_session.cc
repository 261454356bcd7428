#include "source/proxy/tcp_session.h"

#include "source/observe/access_log.h"
#include "source/proxy/context.h"

namespace heddle::proxy {

using How = net::Connection::How;
using observe::Flag;

TcpSession::TcpSession(Context& context, const Accepted& accepted)
    : Session(context, accepted), epoch_(context.epochs.Pin()) {
  idle_.Init(this, [](void* self) { static_cast<TcpSession*>(self)->OnIdle(); });
  duration_.Init(this, [](void* self) { static_cast<TcpSession*>(self)->OnMaxDuration(); });
  again_.Init(this, [](void* self) { static_cast<TcpSession*>(self)->Connect(); });
  context_.sheet.Add(spec().stats.cx_total);
  context_.sheet.Add(spec().stats.cx_active);
  record_.start = context_.clock.WallNow();
  record_.started = context_.loop.Now();
  record_.listener = listener().config->name;
  record_.filter_chain = chain().config->name;
  record_.downstream_remote = remote();
  record_.downstream_direct_remote = direct_remote();
  record_.downstream_local = local();
  net::ConnectionOptions options;
  options.buffer_limit = listener().config->buffer_limit;
  options.half_close = true;
  if (chain().config->transport_connect_timeout > absl::ZeroDuration())
    options.handshake_timeout = chain().config->transport_connect_timeout;
  downstream_ = net::Connection::Accepted(context_.loop, accepted.fd, MakeTransport(chain()),
                                          accepted.direct_remote, options, this);
  // Nothing is read before there is somewhere to send it.
  downstream_->SetReading(false);
}

TcpSession::~TcpSession() { context_.sheet.Sub(spec().stats.cx_active); }

// ---------------------------------------------------------------------------------------------------------
// Connecting

void TcpSession::OnConnected() {
  record_.connection_id = downstream_->id();
  record_.downstream_tls = downstream_->peer().tls ? &downstream_->peer() : nullptr;
  if (!PoliciesAllow(downstream_->peer(), &record_.termination_details))
    return CloseBoth(How::kAbort);
  const absl::Duration duration = spec().config->max_connection_duration;
  if (duration > absl::ZeroDuration())
    context_.deadlines.Start(duration_, context_.loop.Now(), base::ToMicros(duration));
  record_.cluster = ChooseCluster();
  cluster_ = epoch_.get() == nullptr ? nullptr : epoch_->FindCluster(record_.cluster);
  if (cluster_ == nullptr) {
    context_.sheet.Add(spec().stats.cx_no_route);
    return Refuse(Flag::kNoCluster, "cluster_not_found");
  }
  state_ = State::kConnecting;
  Connect();
}

absl::string_view TcpSession::ChooseCluster() {
  const config::TcpProxy& config = *spec().config;
  if (config.weighted.empty() || spec().total_weight == 0) return config.cluster;
  uint64_t left = context_.random.Below(spec().total_weight);
  for (const auto& choice : config.weighted) {
    if (left < choice.weight) return choice.name;
    left -= choice.weight;
  }
  return config.weighted.back().name;
}

void TcpSession::Connect() {
  if (state_ != State::kConnecting) return;
  ++record_.attempts;
  upstream::LoadContext load;
  load.original_destination = local();
  const upstream::Pick pick = cluster_->Choose(load);
  if (pick.host == nullptr) return Refuse(Flag::kNoHealthyUpstream, "no_healthy_upstream");
  record_.upstream_remote = pick.host->address;
  upstream::LeaseFailure failure{};
  lease_ = cluster_->ConnectTcp(pick, {}, &upstream_events_, &failure);
  if (lease_ == nullptr) return Refuse(Flag::kUpstreamOverflow, "upstream_overflow");
  upstream_open_ = true;
}

void TcpSession::Refuse(Flag flag, absl::string_view details) {
  record_.Set(flag);
  record_.details = std::string(details);
  CloseBoth(How::kFlush);
}

void TcpSession::OnUpstreamConnected() {
  if (state_ != State::kConnecting) return;
  state_ = State::kRelaying;
  record_.upstream_local = upstream()->local_address();
  // The client half-closed while we connected; it had sent nothing, or OnData would still be due.
  if (downstream_eof_) upstream()->ShutdownWrite();
  Touch();
  UpdateReading();
}

// ---------------------------------------------------------------------------------------------------------
// Relaying

void TcpSession::OnData(base::Buffer& in, bool eof) {
  downstream_eof_ = downstream_eof_ || eof;
  if (state_ == State::kConnecting) return;  // stays in the connection until the upstream is there
  if (state_ != State::kRelaying || !upstream_open_) return in.Clear();
  record_.bytes_received += in.size();
  context_.sheet.Add(spec().stats.rx_bytes, in.size());
  upstream()->out().Move(in);
  upstream()->Flush();
  if (downstream_eof_) upstream()->ShutdownWrite();
  Touch();
  UpdateReading();
}

void TcpSession::OnUpstreamData(base::Buffer& in, bool eof) {
  upstream_eof_ = upstream_eof_ || eof;
  if (state_ != State::kRelaying) return in.Clear();
  record_.bytes_sent += in.size();
  context_.sheet.Add(spec().stats.tx_bytes, in.size());
  downstream_->out().Move(in);
  downstream_->Flush();
  if (upstream_eof_) downstream_->ShutdownWrite();
  Touch();
  UpdateReading();
}

void TcpSession::UpdateReading() {
  if (state_ != State::kRelaying) return;
  downstream_->SetReading(!upstream_open_ || !upstream()->above_limit());
  if (upstream_open_) upstream()->SetReading(!downstream_->above_limit());
}

void TcpSession::Touch() {
  const absl::Duration idle = spec().config->idle_timeout;
  if (idle > absl::ZeroDuration())
    context_.deadlines.Start(idle_, context_.loop.Now(), base::ToMicros(idle));
}

// ---------------------------------------------------------------------------------------------------------
// Ends

void TcpSession::OnUpstreamClosed(net::CloseReason reason) {
  upstream_open_ = false;
  if (state_ == State::kConnecting) {
    record_.upstream_failure = upstream()->failure();
    if (record_.attempts < spec().config->max_connect_attempts) {
      // The lease cannot be replaced from inside its own event.
      return context_.deadlines.Start(again_, context_.loop.Now(), 0);
    }
    return Refuse(Flag::kUpstreamConnectFailure, "upstream_connection_failure");
  }
  if (state_ == State::kRelaying) {
    if (reason == net::CloseReason::kReset) record_.Set(Flag::kUpstreamTermination);
    state_ = State::kClosing;
    downstream_->Close(reason == net::CloseReason::kReset ? How::kReset : How::kFlush);
  }
  if (downstream_->closed()) Finish();
}

void TcpSession::OnClosed(net::CloseReason reason) {
  if (state_ == State::kRelaying && reason != net::CloseReason::kLocal && !upstream_eof_)
    record_.Set(Flag::kDownstreamTermination);
  if (state_ == State::kConnecting) record_.Set(Flag::kDownstreamTermination);
  if (!upstream_open_) return Finish();
  if (state_ == State::kRelaying && reason != net::CloseReason::kReset) {
    // What the client sent is still to be delivered; the upstream's OnClosed ends the session.
    context_.sheet.Add(spec().stats.upstream_flush_total);
    state_ = State::kClosing;
    return upstream()->Close(How::kFlush);
  }
  state_ = State::kClosing;
  upstream()->Close(reason == net::CloseReason::kReset ? How::kReset : How::kAbort);
}

void TcpSession::CloseBoth(How how) {
  if (state_ == State::kClosed) return;
  state_ = State::kClosing;
  again_.Stop();
  downstream_->Close(how);
  if (upstream_open_) upstream()->Close(how);
}

void TcpSession::OnIdle() {
  context_.sheet.Add(spec().stats.idle_timeout);
  record_.Set(Flag::kStreamIdleTimeout);
  CloseBoth(How::kAbort);
}

void TcpSession::OnMaxDuration() {
  context_.sheet.Add(spec().stats.max_duration);
  record_.Set(Flag::kDurationTimeout);
  CloseBoth(How::kFlush);
}

void TcpSession::Abort() { CloseBoth(How::kAbort); }

void TcpSession::Finish() {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  record_.finished = context_.loop.Now();
  for (const auto& log : spec().logs) log->Write(record_);
  context_.sessions.Remove(this);
}

}  // namespace heddle::proxy
