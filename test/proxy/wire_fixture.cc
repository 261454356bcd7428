#include "test/proxy/wire_fixture.h"

#include "source/http/h1/codec.h"
#include "source/http/h2/codec.h"
#include "source/upstream/builder.h"

namespace heddle::test {
namespace {

http::Headers Made(const Fields& fields) {
  http::Headers headers;
  for (const auto& [name, value] : fields) headers.Add(name, value);
  return headers;
}

Fields Taken(const http::Headers& headers) {
  Fields out;
  for (const auto& e : headers.entries())
    out.emplace_back(std::string(e.name), std::string(e.value));
  return out;
}

net::Fd ListenAnywhere() { return *net::Listen(*net::Address::FromIp("127.0.0.1", 0)); }

}  // namespace

// ---- Upstream

struct UpstreamConnection final : net::ConnectionEvents,
                                  http::ServerEvents,
                                  event::EndOfIteration,
                                  event::Destroyable {
  UpstreamConnection(Upstream& u, int fd, const net::Address& peer) : upstream(u) {
    connection = net::Connection::Accepted(u.loop_, fd, net::MakePlainTransport(), peer,
                                           {.half_close = u.half_close}, this);
  }
  void OnConnected() override {
    http::h1::Options h1;
    h1.enable_trailers = true;
    http::h2::Options h2;
    h2.allow_connect = true;
    h2.output_limit = 1024 * 1024;
    codec = upstream.protocol() == http::Protocol::kHttp2
                ? http::h2::MakeServerCodec(h2, &connection->out(), this)
                : http::h1::MakeServerCodec(h1, &connection->out(), this);
    OnOutput();
  }
  void OnData(base::Buffer& in, bool eof) override {
    if (!codec->Feed(in, eof).ok()) connection->Close(net::Connection::How::kFlush);
    OnOutput();
  }
  void OnWritable() override { codec->OnOutWritable(); }
  void OnClosed(net::CloseReason) override {
    closed = true;
    if (codec) codec->ResetAll(http::ResetReason::kConnectionClosed);
  }
  http::RequestEvents* OnRequest(http::ServerStream* stream, http::RequestHead head,
                                 bool end) override {
    auto exchange = std::make_unique<Exchange>(upstream, stream, std::move(head), end);
    Exchange* raw = exchange.get();
    raw->connection_ = this;
    upstream.exchanges.push_back(std::move(exchange));
    upstream.handle(*raw);
    return raw;
  }
  void OnMalformed(http::ServerStream*, const http::Malformed&) override {}
  void OnOutput() override { upstream.loop_.MarkDirty(this); }
  void AtEnd() override {
    if (closed || !codec) return;
    codec->PrepareFlush();
    connection->Flush();
    if (codec->finished()) return connection->Close(net::Connection::How::kFlush);
    if (upstream_reading) connection->SetReading(codec->wants_input());
  }
  Upstream& upstream;
  bool closed = false;
  bool upstream_reading = true;
  std::unique_ptr<net::Connection> connection;
  std::unique_ptr<http::ServerCodec> codec;
};

Upstream::Upstream(event::Loop& loop, http::Protocol protocol) : loop_(loop), protocol_(protocol) {
  listener_ = std::make_unique<net::Listener>(
      loop, ListenAnywhere(), net::ListenerOptions{}, [this](int fd, const net::Address& peer) {
        ++connections_made;
        connections_.push_back(std::make_unique<UpstreamConnection>(*this, fd, peer));
      });
}

Upstream::~Upstream() = default;

size_t Upstream::open_connections() const {
  size_t n = 0;
  for (const auto& c : connections_) n += c->closed ? 0 : 1;
  return n;
}

void Upstream::SetReading(bool on) {
  for (auto& c : connections_) {
    c->upstream_reading = on;
    if (!c->closed) c->connection->SetReading(on);
  }
}

void Exchange::OnBody(base::Buffer& data, bool end) {
  const size_t bytes = data.size();
  body += data.ToString();
  data.Clear();
  ended = end;
  if (!end && stream_ != nullptr && !hold_credit) stream_->Consumed(bytes);
  if (on_body) on_body();
  if (end) upstream_.handle(*this);
}
void Exchange::OnTrailers(http::Trailers t) {
  trailers = Taken(t);
  ended = true;
  upstream_.handle(*this);
}
void Exchange::OnReset(http::ResetReason) {
  reset = true;
  stream_ = nullptr;
}
void Exchange::SendHead(int status, const Fields& fields, bool end) {
  http::ResponseHead response;
  response.status = status;
  response.headers = Made(fields);
  auto* stream = stream_;
  if (end) stream_ = nullptr;
  if (stream != nullptr) stream->SendHead(response, end);
}
void Exchange::SendBody(absl::string_view bytes, bool end) {
  base::Buffer data(bytes);
  auto* stream = stream_;
  if (end) stream_ = nullptr;
  if (stream != nullptr) stream->SendBody(data, end);
}
void Exchange::SendTrailers(const Fields& fields) {
  if (auto* stream = std::exchange(stream_, nullptr)) stream->SendTrailers(Made(fields));
}
void Exchange::Reply(int status, absl::string_view text, const Fields& fields) {
  Fields all = fields;
  if (!text.empty()) all.emplace_back("content-length", std::to_string(text.size()));
  SendHead(status, all, text.empty());
  if (!text.empty()) SendBody(text, true);
}
void Exchange::Reset(http::ResetReason reason) {
  if (auto* stream = std::exchange(stream_, nullptr)) stream->Reset(reason);
  connection_->OnOutput();
}
void Exchange::CloseConnection(net::Connection::How how) { connection_->connection->Close(how); }

// ---- Client

void Call::OnHead(http::ResponseHead h, bool end) {
  if (h.informational() && h.status != 101) return informational.push_back(h.status);
  status = h.status;
  head = std::move(h);
  ended = end;
}
void Call::OnBody(base::Buffer& data, bool end) {
  const size_t bytes = data.size();
  body_bytes += bytes;
  if (keep_body) body += data.ToString();
  data.Clear();
  ended = end;
  if (end) return;
  if (hold_credit) {
    uncredited += bytes;
  } else {
    stream->Consumed(bytes);
  }
}
void Call::OnTrailers(http::Trailers t) {
  trailers = Taken(t);
  ended = true;
}
void Call::OnReset(http::ResetReason) {
  reset = true;
  stream = nullptr;
}
void Call::Send(absl::string_view bytes, bool end) {
  base::Buffer data(bytes);
  stream->SendBody(data, end);
}
void Call::SendTrailers(const Fields& fields) { stream->SendTrailers(Made(fields)); }
void Call::Cancel() { std::exchange(stream, nullptr)->Reset(http::ResetReason::kCancel); }

Client::Client(event::Loop& loop, const net::Address& to, http::Protocol protocol) : loop_(loop) {
  connection_ = net::Connection::Connect(loop, to, net::Address(), net::MakePlainTransport(),
                                         net::ConnectionOptions{}, this);
  http::h1::Options h1;
  h1.enable_trailers = true;
  http::h2::Options h2;
  h2.allow_connect = true;
  h2.output_limit = 1024 * 1024;
  codec_ = protocol == http::Protocol::kHttp2
               ? http::h2::MakeClientCodec(h2, &connection_->out(), this)
               : http::h1::MakeClientCodec(h1, &connection_->out(), this);
}
Client::~Client() = default;
void Client::OnConnected() {
  connected_ = true;
  loop_.MarkDirty(this);
}
void Client::OnData(base::Buffer& in, bool eof) {
  if (!codec_->Feed(in, eof).ok()) connection_->Close(net::Connection::How::kAbort);
  loop_.MarkDirty(this);
}
void Client::OnClosed(net::CloseReason) {
  closed_ = true;
  codec_->ResetAll(http::ResetReason::kConnectionClosed);
}
void Client::AtEnd() {
  if (closed_) return;
  codec_->PrepareFlush();
  if (connected_) connection_->Flush();
}
void Client::Close() { connection_->Close(net::Connection::How::kAbort); }

Call& Client::Send(const Ask& ask, absl::string_view body, bool end) {
  calls_.push_back(std::make_unique<Call>());
  Call& call = *calls_.back();
  call.stream = codec_->NewStream(&call);
  if (call.stream == nullptr) {
    call.reset = true;
    return call;
  }
  http::RequestHead head;
  head.SetMethod(ask.method);
  head.SetScheme("http");
  head.SetAuthority(ask.authority);
  head.SetPath(ask.path);
  head.protocol = head.headers.arena().Copy(ask.protocol);
  for (const auto& [name, value] : ask.fields) head.headers.Add(name, value);
  if (!body.empty() && end) head.headers.Add("content-length", std::to_string(body.size()));
  call.stream->SendHead(head, body.empty() && end);
  if (!body.empty()) call.Send(body, end);
  return call;
}

// ---- Wire

config::Route ForwardTo(const std::string& cluster, const std::string& prefix) {
  config::Route route;
  route.name = "r";
  route.match.text = prefix;
  route.forward.cluster = cluster;
  return route;
}

config::HttpFilterSpec Filter(std::function<std::unique_ptr<filter::HttpFilter>()> make) {
  config::HttpFilterSpec spec;
  spec.name = "test";
  spec.make = std::move(make);
  return spec;
}

Wire::Wire(const WireOptions& options) : sheet(registry.AddSheet()), options_(options) {
  for (size_t i = 0; i < options.upstreams; ++i)
    upstreams.push_back(std::make_unique<Upstream>(loop, options.upstream));
  hcm = std::make_shared<config::HttpConnectionManager>();
  hcm->stat_prefix = "test";
  hcm->http1.enable_trailers = true;
  hcm->http2.allow_connect = true;
  routes = std::make_shared<config::RouteConfiguration>();
  auto& host = routes->virtual_hosts.emplace_back();
  host.name = "vh";
  host.domains = {"*"};
  host.routes.push_back(ForwardTo("c"));
  cluster = std::make_shared<config::Cluster>();
  cluster->name = "c";
  cluster->connect_timeout = absl::Seconds(2);
  cluster->http.kind = options.upstream == http::Protocol::kHttp2
                           ? config::UpstreamHttp::Kind::kHttp2
                           : config::UpstreamHttp::Kind::kHttp1;
  cluster->http.http1.enable_trailers = true;
  cluster->http.http2.allow_connect = true;
  auto& locality = cluster->assignment.localities.emplace_back();
  for (const auto& u : upstreams) locality.endpoints.emplace_back().address = u->address();
  listener_config = std::make_shared<config::Listener>();
  listener_config->name = "l";
}

Wire::~Wire() {
  clients_.clear();
  listener_.reset();
  context.reset();
}

void Wire::Start() {
  // Every record is seen by a filter that is the first of the chain.
  struct Seer final : filter::HttpFilter {
    explicit Seer(Wire& w) : wire(w) {}
    void OnDone(const observe::AccessRecord& record) override { wire.records.push_back(record); }
    Wire& wire;
  };
  hcm->filters.insert(hcm->filters.begin(),
                      Filter([this] { return std::make_unique<Seer>(*this); }));
  config::HttpFilterSpec router;
  router.terminal = true;
  hcm->filters.push_back(router);
  auto& chain = listener_config->chains.emplace_back();
  if (tcp != nullptr) {
    chain.terminal = std::shared_ptr<const config::TcpProxy>(tcp);
  } else {
    chain.terminal = std::shared_ptr<const config::HttpConnectionManager>(hcm);
  }
  hcm->rds_name = "routes";
  auto spec = std::make_shared<proxy::ListenerSpec>();
  spec->config = listener_config;
  spec->stats = proxy::ListenerStats::Make(registry, "l");
  auto& chain_spec = spec->chains.emplace_back();
  chain_spec.config = &listener_config->chains[0];
  chain_spec.policies = policies;
  if (tcp != nullptr) {
    auto t = std::make_shared<proxy::TcpSpec>();
    t->config = tcp;
    for (const auto& w : tcp->weighted) t->total_weight += w.weight;
    t->stats = proxy::TcpStats::Make(registry, "test");
    t->logs = logs;
    chain_spec.tcp = t;
  } else {
    auto h = std::make_shared<proxy::HttpSpec>();
    h->config = hcm;
    h->stats = proxy::HttpStats::Make(registry, "test");
    h->logs = logs;
    h->tracer = tracer;
    chain_spec.http = h;
  }
  listener_spec = spec;
  context = std::make_unique<proxy::Context>(loop, sheet, random, base::SystemClock(),
                                             proxy::Context::KeepClusters(loop, sheet, random));
  Publish();
  listener_ = std::make_unique<net::Listener>(
      loop, ListenAnywhere(), net::ListenerOptions{}, [this](int fd, const net::Address& peer) {
        proxy::StartSession(*context, {.fd = fd,
                                       .remote = peer,
                                       .direct_remote = peer,
                                       .local = net::LocalAddress(fd),
                                       .listener = listener_spec,
                                       .chain = &listener_spec->chains[0]});
      });
}

void Wire::Publish() {
  auto snapshot = std::make_shared<proxy::Snapshot>();
  snapshot->version = ++version_;
  snapshot->listeners = {listener_spec};
  snapshot->routes["routes"] =
      proxy::RouteTable::Create(std::make_shared<config::RouteConfiguration>(*routes));
  auto copy = std::make_shared<config::Cluster>(*cluster);
  upstream::SpecParts parts;
  parts.config = copy;
  parts.transports.resize(1);
  parts.shared =
      cluster_spec != nullptr ? cluster_spec->shared : std::make_shared<upstream::SharedCluster>();
  parts.stats =
      cluster_spec != nullptr ? cluster_spec->stats : upstream::ClusterStats::Create(registry, "c");
  cluster_spec = upstream::MakeClusterSpec(std::move(parts), copy->assignment, cluster_spec.get());
  snapshot->clusters["c"] = cluster_spec;
  context->epochs.Adopt(snapshot);
}

Client& Wire::NewClient() {
  clients_.push_back(std::make_unique<Client>(loop, listener_->address(), options_.downstream));
  Client& client = *clients_.back();
  Run([&] { return client.open(); });
  return client;
}

Call& Wire::Do(const Ask& ask, absl::string_view body) {
  if (client_ == nullptr || client_->closed()) client_ = &NewClient();
  Call& call = client_->Send(ask, body);
  Run([&] { return call.done(); });
  return call;
}

net::Fd Wire::Dial() {
  auto fd = net::Dial(listener_->address());
  return std::move(*fd);
}

std::string Wire::Raw(int fd, absl::string_view text, absl::string_view until) {
  SendAll(loop, fd, text);
  std::string all;
  bool eof = false;
  Run([&] {
    all += Drain(fd, &eof);
    return eof || (!until.empty() && all.find(std::string(until)) != std::string::npos);
  });
  return all;
}

void Wire::Idle(absl::Duration time) {
  const absl::Time end = absl::Now() + time;
  Run([&] { return absl::Now() >= end; });
}

}  // namespace heddle::test
