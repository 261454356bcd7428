// A proxy between a client and upstreams, all in one process on loopback and on one loop: real
// sockets, real codecs.
//
//   Wire wire({.upstream = Http2});
//   wire.upstream.handle = [](Exchange& x) { x.Reply(200, "hello"); };
//   wire.Start();
//   Call& call = wire.Send({.path = "/"}, "body");
//   REQUIRE(wire.Run([&] { return call.done(); }));
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "source/filter/filter.h"
#include "source/http/codec.h"
#include "source/net/connection.h"
#include "source/net/listener.h"
#include "source/proxy/context.h"
#include "source/proxy/snapshot.h"
#include "source/stats/stats.h"
#include "source/upstream/cluster.h"
#include "test/support/peer.h"

namespace heddle::test {

using Fields = std::vector<std::pair<std::string, std::string>>;

class Upstream;
struct UpstreamConnection;

// One request as an upstream sees it.
class Exchange final : public http::RequestEvents {
 public:
  Exchange(Upstream& upstream, http::ServerStream* stream, http::RequestHead h, bool end)
      : head(std::move(h)), ended(end), upstream_(upstream), stream_(stream) {}
  void OnBody(base::Buffer& data, bool end) override;
  void OnTrailers(http::Trailers t) override;
  void OnReset(http::ResetReason) override;

  void Reply(int status, absl::string_view body = "", const Fields& fields = {});
  void SendHead(int status, const Fields& fields = {}, bool end = false);
  void SendBody(absl::string_view bytes, bool end = false);
  void SendTrailers(const Fields& fields);
  void Reset(http::ResetReason reason = http::ResetReason::kInternal);
  // kFlush: after what was sent.
  void CloseConnection(net::Connection::How how = net::Connection::How::kAbort);
  std::string Field(absl::string_view name) const {
    return std::string(head.headers.Get(name).value_or("-"));
  }

  http::RequestHead head;
  std::string body;
  Fields trailers;
  bool ended = false, reset = false;
  bool hold_credit = false;  // does not give the window back
  std::function<void()> on_body;

 private:
  friend class Upstream;
  friend struct UpstreamConnection;
  Upstream& upstream_;
  http::ServerStream* stream_;
  UpstreamConnection* connection_ = nullptr;
};

class Upstream {
 public:
  Upstream(event::Loop& loop, http::Protocol protocol);
  ~Upstream();
  const net::Address& address() const { return listener_->address(); }
  void StopListening() { listener_->Close(); }
  void SetReading(bool on);
  // Called once the head is there, and again at the end of the request when it had a body (`ended`
  // says).
  std::function<void(Exchange&)> handle = [](Exchange& x) {
    if (x.ended) x.Reply(200, "ok");
  };
  std::list<std::unique_ptr<Exchange>> exchanges;
  size_t connections_made = 0;
  bool half_close = false;  // a client's FIN does not end the connection
  size_t open_connections() const;
  http::Protocol protocol() const { return protocol_; }

 private:
  friend class Exchange;
  friend struct UpstreamConnection;
  event::Loop& loop_;
  http::Protocol protocol_;
  std::list<std::unique_ptr<UpstreamConnection>> connections_;
  std::unique_ptr<net::Listener> listener_;
};

// One request as the client makes it, and what came back.
struct Call final : http::ResponseEvents {
  void OnHead(http::ResponseHead h, bool end) override;
  void OnBody(base::Buffer& data, bool end) override;
  void OnTrailers(http::Trailers t) override;
  void OnReset(http::ResetReason r) override;
  bool done() const { return ended || reset; }
  std::string Field(absl::string_view name) const {
    return std::string(head.headers.Get(name).value_or("-"));
  }
  void Send(absl::string_view bytes, bool end);
  void SendTrailers(const Fields& fields);
  void Cancel();

  int status = 0;
  std::vector<int> informational;
  http::ResponseHead head;
  std::string body;
  size_t body_bytes = 0;
  bool keep_body = true;
  bool hold_credit = false;
  Fields trailers;
  bool ended = false, reset = false;
  http::ClientStream* stream = nullptr;
  size_t uncredited = 0;
};

struct Ask {
  std::string method = "GET";
  std::string path = "/";
  std::string authority = "shop";
  std::string protocol;  // upgrade token
  Fields fields;
};

// A client connection.
class Client final : public net::ConnectionEvents,
                     public http::ClientEvents,
                     private event::EndOfIteration {
 public:
  Client(event::Loop& loop, const net::Address& to, http::Protocol protocol);
  ~Client() override;
  Call& Send(const Ask& ask, absl::string_view body = "", bool end = true);
  void Close();
  bool closed() const { return closed_; }
  bool open() const { return connected_ && !closed_; }
  bool draining() const { return draining_; }
  net::Connection& connection() { return *connection_; }

 private:
  void OnConnected() override;
  void OnData(base::Buffer& in, bool eof) override;
  void OnWritable() override { codec_->OnOutWritable(); }
  void OnClosed(net::CloseReason reason) override;
  void OnGoAway() override { draining_ = true; }
  void OnOutput() override { loop_.MarkDirty(this); }
  void AtEnd() override;
  event::Loop& loop_;
  bool connected_ = false, closed_ = false, draining_ = false;
  std::unique_ptr<net::Connection> connection_;
  std::unique_ptr<http::ClientCodec> codec_;
  std::list<std::unique_ptr<Call>> calls_;
};

struct WireOptions {
  http::Protocol downstream = http::Protocol::kHttp11;
  http::Protocol upstream = http::Protocol::kHttp11;
  size_t upstreams = 1;
};

class Wire {
 public:
  explicit Wire(const WireOptions& options = {});
  ~Wire();
  // Freezes the configuration below and starts to listen.
  void Start();
  // New routes or clusters for the same listener.
  void Publish();
  bool Run(const std::function<bool()>& done) { return RunUntil(loop, done); }
  // One request on the shared client connection (HTTP/1: on one that is free), to its end.
  Call& Do(const Ask& ask = {}, absl::string_view body = "");
  Client& NewClient();
  // A raw socket to the proxy.
  net::Fd Dial();
  // Sends text, runs until `until` came or the peer closed.
  std::string Raw(int fd, absl::string_view text, absl::string_view until = "");
  uint64_t Count(stats::CounterId id) const { return registry.Total(id); }
  const upstream::ClusterStats& cluster_stats() const { return *cluster_spec->stats; }
  Upstream& upstream(size_t i = 0) { return *upstreams[i]; }
  void Idle(absl::Duration time);  // lets real time pass

  event::Loop loop;
  stats::Registry registry;
  stats::Sheet& sheet;
  base::Random random{42};
  std::vector<std::unique_ptr<Upstream>> upstreams;

  // Change these before Start.
  std::shared_ptr<config::HttpConnectionManager> hcm;
  std::shared_ptr<config::RouteConfiguration> routes;
  std::shared_ptr<config::Cluster> cluster;
  std::shared_ptr<config::Listener> listener_config;
  std::shared_ptr<config::TcpProxy> tcp;  // set: TCP instead of HTTP
  std::vector<std::shared_ptr<const filter::NetworkPolicy>> policies;
  std::vector<std::shared_ptr<const observe::AccessLogger>> logs;
  std::shared_ptr<const observe::Tracer> tracer;

  std::vector<observe::AccessRecord> records;  // what the last filter's OnDone saw
  std::shared_ptr<const upstream::ClusterSpec> cluster_spec;
  std::shared_ptr<const proxy::ListenerSpec> listener_spec;
  std::unique_ptr<proxy::Context> context;

 private:
  WireOptions options_;
  uint64_t version_ = 0;
  std::unique_ptr<net::Listener> listener_;
  std::list<std::unique_ptr<Client>> clients_;
  Client* client_ = nullptr;
};

config::Route ForwardTo(const std::string& cluster, const std::string& prefix = "/");
// A filter made of functions.
config::HttpFilterSpec Filter(std::function<std::unique_ptr<filter::HttpFilter>()> make);

}  // namespace heddle::test
