#include "source/upstream/tcp_lease.h"

#include <utility>

#include "source/upstream/intake.h"

namespace heddle::upstream {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

class Lease final : public TcpLease, private net::ConnectionEvents {
 public:
  Lease(TcpLeaseContext context, const TcpOptions& options, net::ConnectionEvents* events)
      : context_(std::move(context)),
        priority_(options.priority),
        events_(events),
        started_(context_.loop.Now()) {
    Count(+1);
    context_.sheet.Add(stats().cx_total);
    context_.sheet.Add(stats().rq_total);
    context_.host->total_connections.fetch_add(1, kRelaxed);
    context_.host->total_requests.fetch_add(1, kRelaxed);
    const config::Cluster& config = *context_.spec->config;
    connection_ = net::Connection::Connect(
        context_.loop, context_.host->address, config.bind_source,
        context_.transport == nullptr
            ? net::MakePlainTransport()
            : context_.transport->Create(
                  {.sni = Sni(options), .alpn = options.alpn, .peer = context_.host->address_text}),
        {.buffer_limit = config.buffer_limit,
         .half_close = options.half_close,
         .connect_timeout = config.connect_timeout},
        this);
  }

  ~Lease() override {
    const bool local = !connection_->closed();
    connection_->SetEvents(nullptr);
    Count(-1);
    context_.sheet.Add(stats().cx_destroy);
    context_.sheet.Add(local ? stats().cx_destroy_local : stats().cx_destroy_remote);
    context_.sheet.Add(stats().cx_rx_bytes_total, connection_->bytes_read());
    context_.sheet.Add(stats().cx_tx_bytes_total, connection_->bytes_written());
    context_.sheet.Record(stats().cx_length_ms,
                          static_cast<uint64_t>(context_.loop.Now() - started_));
    if (local) connection_->Close(net::Connection::How::kAbort);
    context_.loop.Destroy(std::move(connection_));
  }

  net::Connection* connection() override { return connection_.get(); }

 private:
  std::string Sni(const TcpOptions& options) const {
    if (!options.sni.empty()) return std::string(options.sni);
    const auto& tls = context_.spec->config->transport.upstream_tls;
    return tls != nullptr && tls->auto_host_sni ? context_.host->hostname : "";
  }

  // Takes or gives back one place.
  void Count(int by) {
    Usage& usage = context_.spec->shared->limits.usage[static_cast<size_t>(priority_)];
    const uint32_t n = static_cast<uint32_t>(by);
    usage.connections.fetch_add(n, kRelaxed);
    usage.requests.fetch_add(n, kRelaxed);
    context_.host->active_connections.fetch_add(n, kRelaxed);
    context_.host->active_requests.fetch_add(n, kRelaxed);
    context_.sheet.Add(stats().cx_active, by);
    context_.sheet.Add(stats().rq_active, by);
    context_.sheet.Set(stats().cx_open[static_cast<size_t>(priority_)],
                       usage.connections.load(kRelaxed) >=
                           LimitsOf(*context_.spec->config, priority_).max_connections);
  }

  void Tell(Result::Kind kind) {
    TakeResult(*context_.spec->config, *context_.spec->shared, context_.host, {.kind = kind});
  }

  // Until the connection is up its events pass through here; then the owner hears them directly.
  void OnConnected() override {
    context_.sheet.Record(stats().cx_connect_ms,
                          static_cast<uint64_t>(context_.loop.Now() - started_));
    Tell(Result::Kind::kConnectDone);
    connection_->SetEvents(events_);
    events_->OnConnected();
  }
  void OnData(base::Buffer& in, bool eof) override { events_->OnData(in, eof); }
  void OnWritable() override { events_->OnWritable(); }
  void OnClosed(net::CloseReason reason) override {
    const bool timeout = reason == net::CloseReason::kConnectTimeout;
    context_.sheet.Add(stats().cx_connect_fail);
    if (timeout) context_.sheet.Add(stats().cx_connect_timeout);
    context_.host->connect_failures.fetch_add(1, kRelaxed);
    Tell(timeout ? Result::Kind::kTimeout : Result::Kind::kConnectFailed);
    events_->OnClosed(reason);
  }

  const ClusterStats& stats() const { return *context_.spec->stats; }

  TcpLeaseContext context_;
  const Priority priority_;
  net::ConnectionEvents* const events_;
  const base::Micros started_;
  std::unique_ptr<net::Connection> connection_;
};

}  // namespace

std::unique_ptr<TcpLease> MakeTcpLease(TcpLeaseContext context, const TcpOptions& options,
                                       net::ConnectionEvents* events) {
  return std::make_unique<Lease>(std::move(context), options, events);
}

}  // namespace heddle::upstream
