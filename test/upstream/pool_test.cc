#include <catch2/catch.hpp>

#include "test/upstream/pool_support.h"

namespace heddle::upstream {
namespace {

using State = TestRequest::State;
using Kind = config::UpstreamHttp::Kind;

config::Cluster Http1() { return {}; }
config::Cluster Http2() {
  config::Cluster config;
  config.http.kind = Kind::kHttp2;
  return config;
}

// Nothing is in use any more.
void CheckBalanced(const Worker& w, int64_t connections) {
  CHECK(w.usage().requests == 0);
  CHECK(w.usage().pending == 0);
  CHECK(w.usage().connections == connections);
  CHECK(w.test.Show(w.stats().rq_active) == 0);
  CHECK(w.test.Show(w.stats().rq_pending_active) == 0);
  CHECK(w.test.Show(w.stats().cx_active) == connections);
  for (const Host& host : w.spec->hosts) CHECK(host.state->active_requests == 0);
}

SCENARIO("HTTP/1: a request waits for its connection, and the next one uses it again") {
  RawOrigin origin;
  Worker w(Http1());
  w.Adopt({{origin.address()}});
  TestRequest a;
  a.Start(*w.cluster);
  CHECK(a.state == State::kWaiting);
  CHECK(w.usage().pending == 1);
  REQUIRE(w.Until([&] { return a.state == State::kOpen; }));
  CHECK(!a.reused);
  CHECK(w.usage().pending == 0);
  CHECK(w.usage().requests == 1);
  REQUIRE(w.Until([&] { return origin.Accept() == 1; }));
  REQUIRE(w.Until([&] { return origin.Read(0) == "Q"; }));
  origin.Send(0, "r");
  REQUIRE(w.Until([&] { return a.state == State::kDone; }));
  TestRequest b;
  b.Start(*w.cluster);
  CHECK(b.state == State::kOpen);
  CHECK(b.reused);
  origin.Send(0, "r");
  REQUIRE(w.Until([&] { return b.state == State::kDone; }));
  CheckBalanced(w, 1);
  CHECK(w.Count(w.stats().cx_total) == 1);
  CHECK(w.Count(w.stats().cx_http1_total) == 1);
  CHECK(w.Count(w.stats().rq_total) == 2);
  CHECK(w.Count(w.stats().rq_pending_total) == 1);
}

SCENARIO("HTTP/1: one stream to a connection; the last one returned is taken first") {
  RawOrigin origin;
  Worker w(Http1());
  w.Adopt({{origin.address()}});
  TestRequest a, b;
  a.Start(*w.cluster);
  b.Start(*w.cluster);
  REQUIRE(w.Until([&] { return a.state == State::kOpen && b.state == State::kOpen; }));
  REQUIRE(w.Until([&] { return origin.Accept() == 2; }));
  CHECK(a.grant.connection != b.grant.connection);
  net::Connection* last = b.grant.connection;
  const std::string mine = a.grant.connection->local_address().ToString();
  const bool first_is_a = net::PeerAddress(origin.peers[0].get()).ToString() == mine;
  origin.Send(first_is_a ? 0 : 1, "r");
  REQUIRE(w.Until([&] { return a.state == State::kDone; }));
  origin.Send(first_is_a ? 1 : 0, "r");
  REQUIRE(w.Until([&] { return b.state == State::kDone; }));
  TestRequest c;
  c.Start(*w.cluster);
  CHECK(c.grant.connection == last);
  c.Cancel();
  CheckBalanced(w, 1);  // a cancelled HTTP/1 exchange costs its connection
}

SCENARIO("an idle connection that the origin closes is dropped at once") {
  RawOrigin origin;
  Worker w(Http1());
  w.Adopt({{origin.address()}});
  TestRequest a;
  a.Start(*w.cluster);
  REQUIRE(w.Until([&] { return a.state == State::kOpen && origin.Accept() == 1; }));
  origin.Send(0, "r");
  REQUIRE(w.Until([&] { return a.state == State::kDone; }));
  origin.peers[0].Reset();
  REQUIRE(w.Until([&] { return w.cluster->open_connections() == 0; }));
  CheckBalanced(w, 0);
  CHECK(w.Count(w.stats().cx_destroy_remote) == 1);
  CHECK(w.Count(w.stats().cx_destroy_with_active_rq) == 0);
}

SCENARIO("a request on a reused connection that dies is reset and says reused") {
  RawOrigin origin;
  Worker w(Http1());
  w.Adopt({{origin.address()}});
  TestRequest a;
  a.Start(*w.cluster);
  REQUIRE(w.Until([&] { return a.state == State::kOpen && origin.Accept() == 1; }));
  origin.Send(0, "r");
  REQUIRE(w.Until([&] { return a.state == State::kDone; }));
  TestRequest b;
  b.Start(*w.cluster);
  REQUIRE(b.state == State::kOpen);
  origin.peers[0].Reset();
  REQUIRE(w.Until([&] { return b.state == State::kReset; }));
  CHECK(b.reused);
  CheckBalanced(w, 0);
  CHECK(w.Count(w.stats().cx_destroy_remote_with_active_rq) == 1);
}

SCENARIO("a failed connect fails all who wait, and says why") {
  RawOrigin origin;
  Worker w(Http1());
  w.Adopt({{origin.address()}});
  origin.Stop();
  TestRequest a, b;
  a.Start(*w.cluster);
  b.Start(*w.cluster);
  REQUIRE(w.Until([&] { return a.ended() && b.ended(); }));
  CHECK(a.state == State::kFailed);
  CHECK(a.failure == LeaseFailure::kConnectFailed);
  CHECK(a.reason.find("refused") != std::string::npos);
  CHECK(w.Count(w.stats().rq_pending_failure_eject) == 2);
  CHECK(w.Count(w.stats().cx_connect_fail) == 2);
  CHECK(w.spec->hosts[0].state->connect_failures == 2);
  w.Settle();
  CheckBalanced(w, 0);
}

SCENARIO("who tries again from inside the failure gets a new connection") {
  RawOrigin origin;
  Worker w(Http1());
  w.Adopt({{origin.address()}});
  origin.Stop();
  TestRequest a, b;
  a.on_end = [&] { b.Start(*w.cluster); };
  a.Start(*w.cluster);
  REQUIRE(w.Until([&] { return b.ended(); }));
  CHECK(b.state == State::kFailed);
  CHECK(w.Count(w.stats().cx_connect_fail) == 2);
}

SCENARIO("connect timeout") {
  // A listener with a full backlog answers nobody.
  net::Fd full = *net::Listen(*net::Address::FromIp("127.0.0.1", 0));
  REQUIRE(listen(full.get(), 0) == 0);
  std::vector<net::Fd> fill;
  for (int i = 0; i < 4; ++i) fill.push_back(*net::Dial(net::LocalAddress(full.get())));
  config::Cluster config;
  config.connect_timeout = absl::Seconds(2);
  Worker w(config);
  w.Adopt({{net::LocalAddress(full.get()).ToString()}});
  TestRequest a;
  a.Start(*w.cluster);
  w.Settle();
  REQUIRE(!a.ended());
  test::Advance(w.loop, w.clock, absl::Seconds(3));
  REQUIRE(a.state == State::kFailed);
  CHECK(a.failure == LeaseFailure::kConnectTimeout);
  CHECK(w.Count(w.stats().cx_connect_timeout) == 1);
  CHECK(w.Count(w.stats().cx_connect_fail) == 1);
}

SCENARIO("limits: requests, then pending, then connections, with one connection always allowed") {
  RawOrigin origin;
  config::Cluster config;
  config.limits = {.max_connections = 1, .max_pending = 1, .max_requests = 2};
  Worker w(config);
  w.Adopt({{origin.address()}});
  TestRequest a, b, c;
  a.Start(*w.cluster);
  b.Start(*w.cluster);
  CHECK(b.state == State::kFailed);  // pending is full
  CHECK(b.failure == LeaseFailure::kOverflow);
  CHECK(w.Count(w.stats().rq_pending_overflow) == 1);
  CHECK(w.test.Show(w.stats().rq_pending_open[0]) == 1);
  REQUIRE(w.Until([&] { return a.state == State::kOpen; }));
  CHECK(w.test.Show(w.stats().rq_pending_open[0]) == 0);
  CHECK(w.test.Show(w.stats().cx_open[0]) == 1);
  c.Start(*w.cluster);  // waits: no second connection
  CHECK(c.state == State::kWaiting);
  CHECK(w.Count(w.stats().cx_overflow) == 1);
  CHECK(w.Count(w.stats().cx_total) == 1);
  REQUIRE(w.Until([&] { return origin.Accept() == 1; }));
  origin.Send(0, "r");
  REQUIRE(w.Until([&] { return c.state == State::kOpen; }));
  origin.Send(0, "r");
  REQUIRE(w.Until([&] { return c.state == State::kDone; }));
  // Another pool's connections do not starve this one.
  TestRequest high, other;
  a.state = State::kWaiting;
  a.Start(*w.cluster);
  REQUIRE(a.state == State::kOpen);
  RawOrigin second;
  w.Adopt({{origin.address()}, {second.address()}});
  other.StartAt(*w.cluster, {.host = w.spec->hosts[1].state, .adoption = 99});
  REQUIRE(w.Until([&] { return other.state == State::kOpen; }));
  // Two requests run: the third is refused although its connection is ready.
  CHECK(w.usage().requests == 2);
  CHECK(w.test.Show(w.stats().rq_open[0]) == 1);
  // The high priority has limits of its own.
  high.Start(*w.cluster, {.priority = Priority::kHigh});
  CHECK(high.state == State::kWaiting);
  high.Cancel();
  a.Cancel();
  other.Cancel();
}

SCENARIO("the limit on requests holds for ready connections too") {
  RawOrigin origin;
  config::Cluster config = Http2();
  config.limits.max_requests = 1;
  Worker w(config);
  w.Adopt({{origin.address()}});
  TestRequest a, b, c;
  a.Start(*w.cluster);
  b.Start(*w.cluster);
  // Both waited for one connection; only one fits.
  REQUIRE(w.Until([&] { return b.ended(); }));
  CHECK(a.state == State::kOpen);
  CHECK(b.failure == LeaseFailure::kOverflow);
  c.Start(*w.cluster);
  CHECK(c.failure == LeaseFailure::kOverflow);
  CHECK(c.state == State::kFailed);
  CHECK(w.Count(w.stats().rq_pending_overflow) == 2);
  a.Cancel();
  CheckBalanced(w, 1);
}

SCENARIO("HTTP/2: streams share a connection until it is full") {
  RawOrigin origin;
  FakeCodec::max_http2_streams = 2;
  config::Cluster config = Http2();
  config.http.http2.max_concurrent_streams = 2;
  Worker w(config);
  w.Adopt({{origin.address()}});
  std::vector<TestRequest> r(3);
  for (TestRequest& request : r) request.Start(*w.cluster);
  REQUIRE(w.Until([&] {
    return r[0].state == State::kOpen && r[1].state == State::kOpen && r[2].state == State::kOpen;
  }));
  CHECK(w.Count(w.stats().cx_total) == 2);
  CHECK(r[0].grant.connection == r[1].grant.connection);
  CHECK(r[2].grant.connection != r[0].grant.connection);
  for (TestRequest& request : r) request.Cancel();
  CheckBalanced(w, 2);
  FakeCodec::max_http2_streams = 100;
}

SCENARIO("GOAWAY: no new streams there, the old ones finish, then it closes") {
  RawOrigin origin;
  Worker w(Http2());
  w.Adopt({{origin.address()}});
  TestRequest a, b;
  a.Start(*w.cluster);
  REQUIRE(w.Until([&] { return a.state == State::kOpen && origin.Accept() == 1; }));
  origin.Send(0, "g");
  REQUIRE(w.Until([&] { return w.Count(w.stats().cx_close_notify) == 1; }));
  b.Start(*w.cluster);
  REQUIRE(w.Until([&] { return b.state == State::kOpen; }));
  CHECK(b.grant.connection != a.grant.connection);
  origin.Send(0, "r");
  REQUIRE(w.Until([&] { return a.state == State::kDone; }));
  CHECK(w.cluster->open_connections() == 1);
  b.Cancel();
}

SCENARIO("a protocol error ends the connection") {
  RawOrigin origin;
  Worker w(Http2());
  w.Adopt({{origin.address()}});
  TestRequest a;
  a.Start(*w.cluster);
  REQUIRE(w.Until([&] { return a.state == State::kOpen && origin.Accept() == 1; }));
  origin.Send(0, "x");
  REQUIRE(w.Until([&] { return a.state == State::kReset; }));
  w.Settle();
  CheckBalanced(w, 0);
  CHECK(w.Count(w.stats().cx_protocol_error) == 1);
}

SCENARIO("max_requests_per_connection closes after the last of them") {
  RawOrigin origin;
  config::Cluster config = Http1();
  config.http.common.max_requests_per_connection = 1;
  Worker w(config);
  w.Adopt({{origin.address()}});
  TestRequest a;
  a.Start(*w.cluster);
  REQUIRE(w.Until([&] { return a.state == State::kOpen && origin.Accept() == 1; }));
  origin.Send(0, "r");
  REQUIRE(w.Until([&] { return a.state == State::kDone && w.cluster->open_connections() == 0; }));
  CHECK(w.Count(w.stats().cx_max_requests) == 1);
}

SCENARIO("idle connections close after the idle timeout, with GOAWAY") {
  RawOrigin origin;
  config::Cluster config = Http2();
  config.http.common.idle_timeout = absl::Seconds(60);
  Worker w(config);
  w.Adopt({{origin.address()}});
  TestRequest a;
  a.Start(*w.cluster);
  REQUIRE(w.Until([&] { return a.state == State::kOpen && origin.Accept() == 1; }));
  test::Advance(w.loop, w.clock, absl::Seconds(100));
  CHECK(w.cluster->open_connections() == 1);  // in use
  origin.Send(0, "r");
  REQUIRE(w.Until([&] { return a.state == State::kDone; }));
  test::Advance(w.loop, w.clock, absl::Seconds(59));
  CHECK(w.cluster->open_connections() == 1);
  test::Advance(w.loop, w.clock, absl::Seconds(1));
  CHECK(w.cluster->open_connections() == 0);
  CHECK(w.Count(w.stats().cx_idle_timeout) == 1);
  w.Settle();
  CHECK(origin.Read(0) == "QGEOF");
}

SCENARIO("keepalive: pings go out, and silence closes the connection") {
  RawOrigin origin;
  config::Cluster config = Http2();
  config.http.http2.keepalive_interval = absl::Seconds(30);
  config.http.http2.keepalive_timeout = absl::Seconds(10);
  Worker w(config);
  w.Adopt({{origin.address()}});
  TestRequest a;
  a.Start(*w.cluster);
  REQUIRE(w.Until([&] { return a.state == State::kOpen; }));
  FakeCodec* codec = FakeCodec::live.back();
  test::Advance(w.loop, w.clock, absl::Seconds(95));
  CHECK(codec->pings == 3);
  CHECK(a.state == State::kOpen);
  codec->answers_pings = false;
  test::Advance(w.loop, w.clock, absl::Seconds(40));
  CHECK(a.state == State::kReset);
  CHECK(w.cluster->open_connections() == 0);
}

SCENARIO("max_connection_duration drains") {
  RawOrigin origin;
  config::Cluster config = Http2();
  config.http.common.max_connection_duration = absl::Seconds(60);
  Worker w(config);
  w.Adopt({{origin.address()}});
  TestRequest a, b;
  a.Start(*w.cluster);
  REQUIRE(w.Until([&] { return a.state == State::kOpen && origin.Accept() == 1; }));
  test::Advance(w.loop, w.clock, absl::Seconds(60));
  CHECK(w.Count(w.stats().cx_max_duration_reached) == 1);
  CHECK(a.state == State::kOpen);
  b.Start(*w.cluster);
  CHECK(b.state == State::kWaiting);
  origin.Send(0, "r");
  REQUIRE(w.Until([&] { return a.state == State::kDone && b.state == State::kOpen; }));
  CHECK(w.cluster->open_connections() == 1);
  b.Cancel();
}

SCENARIO("a waiting request that is cancelled leaves the queue; its connection serves the next") {
  RawOrigin origin;
  Worker w(Http1());
  w.Adopt({{origin.address()}});
  TestRequest a, b;
  a.Start(*w.cluster);
  a.Cancel();
  CHECK(w.usage().pending == 0);
  REQUIRE(w.Until([&] { return origin.Accept() == 1; }));
  w.Settle();
  b.Start(*w.cluster);
  CHECK(b.state == State::kOpen);
  CHECK(!b.reused);
  b.Cancel();
}

SCENARIO("new endpoints: hosts that stay keep their connections, others finish what they have") {
  RawOrigin stays, goes;
  Worker w(Http1());
  w.Adopt({{stays.address()}, {goes.address()}});
  std::vector<TestRequest> r(2);
  r[0].StartAt(*w.cluster, {.host = w.spec->hosts[0].state});
  r[1].StartAt(*w.cluster, {.host = w.spec->hosts[1].state});
  REQUIRE(w.Until([&] { return r[0].state == State::kOpen && r[1].state == State::kOpen; }));
  REQUIRE(w.Until([&] { return stays.Accept() == 1 && goes.Accept() == 1; }));
  auto gone = w.spec->hosts[1].state;
  w.Adopt({{stays.address()}});
  CHECK(w.cluster->open_connections() == 2);
  stays.Send(0, "r");
  goes.Send(0, "r");
  REQUIRE(w.Until([&] { return r[0].state == State::kDone && r[1].state == State::kDone; }));
  REQUIRE(w.Until([&] { return w.cluster->open_connections() == 1; }));
  CHECK(gone->active_connections == 0);
  TestRequest late, again;
  late.StartAt(*w.cluster, {.host = gone});  // chosen before the push
  CHECK(late.state == State::kFailed);
  again.Start(*w.cluster);
  CHECK(again.reused);
  again.Cancel();
}

SCENARIO("changed configuration drains the pools; an equal hash keeps them") {
  RawOrigin origin;
  config::Cluster config = Http1();
  config.hash = 7;
  Worker w(config);
  w.Adopt({{origin.address()}});
  TestRequest a, b, c;
  a.Start(*w.cluster);
  REQUIRE(w.Until([&] { return a.state == State::kOpen && origin.Accept() == 1; }));
  origin.Send(0, "r");
  REQUIRE(w.Until([&] { return a.state == State::kDone; }));
  w.test.SetConfig(config);
  w.Adopt({{origin.address()}});
  b.Start(*w.cluster);
  CHECK(b.reused);
  config.hash = 8;
  w.test.SetConfig(config);
  w.Adopt({{origin.address()}});
  c.Start(*w.cluster);
  CHECK(c.state == State::kWaiting);
  origin.Send(0, "r");
  REQUIRE(w.Until([&] { return b.state == State::kDone && c.state == State::kOpen; }));
  c.Cancel();
  REQUIRE(w.Until([&] { return w.cluster->open_connections() == 0; }));
  CheckBalanced(w, 0);
}

SCENARIO("draining serves who waits, then closes everything") {
  RawOrigin origin;
  Worker w(Http2());
  w.Adopt({{origin.address()}});
  TestRequest a;
  a.Start(*w.cluster);
  w.cluster->Drain();
  REQUIRE(w.Until([&] { return a.state == State::kOpen && origin.Accept() == 1; }));
  origin.Send(0, "r");
  REQUIRE(w.Until([&] { return a.state == State::kDone && w.cluster->open_connections() == 0; }));
}

SCENARIO("a cluster that goes away tells everybody") {
  RawOrigin origin;
  Worker w(Http1());
  w.Adopt({{origin.address()}});
  TestRequest open, waiting;
  open.Start(*w.cluster);
  REQUIRE(w.Until([&] { return open.state == State::kOpen; }));
  waiting.Start(*w.cluster);
  w.cluster.reset();
  CHECK(open.state == State::kReset);
  CHECK(waiting.state == State::kFailed);
  CheckBalanced(w, 0);
}

SCENARIO("ejection is noticed without a push, and takes the host's connections") {
  RawOrigin a, b;
  Worker w(Http1());
  w.Adopt({{a.address()}, {b.address()}});
  TestRequest first;
  first.StartAt(*w.cluster, {.host = w.spec->hosts[0].state});
  REQUIRE(w.Until([&] { return first.state == State::kOpen && a.Accept() == 1; }));
  w.spec->hosts[0].state->ejected = true;
  ++w.test.shared->generation;
  for (int i = 0; i < 10; ++i) CHECK(w.cluster->Choose({}).host == w.spec->hosts[1].state);
  CHECK(first.state == State::kOpen);  // what runs is finished
  a.Send(0, "r");
  REQUIRE(w.Until([&] { return first.state == State::kDone; }));
  CHECK(w.cluster->open_connections() == 0);
  // In panic it may be chosen, by fresh connections that stay while nothing changes.
  w.spec->hosts[1].state->ejected = true;
  ++w.test.shared->generation;
  TestRequest second;
  second.StartAt(*w.cluster, w.cluster->Choose({}));
  REQUIRE(w.Until([&] { return second.state == State::kOpen; }));
  ++w.test.shared->generation;
  w.cluster->Choose({});
  CHECK(w.cluster->open_connections() == 1);
  second.Cancel();
}

SCENARIO("ORIGINAL_DST: hosts are made on demand and cleaned up") {
  RawOrigin origin;
  config::Cluster config = Http1();
  config.discovery = config::Cluster::Discovery::kOriginalDst;
  Worker w(config);
  w.Adopt({});
  CHECK(w.cluster->Choose({}).host == nullptr);
  CHECK(w.Count(w.stats().original_dst_host_invalid) == 1);
  const LoadContext context{.original_destination = At(origin.address())};
  const Pick pick = w.cluster->Choose(context);
  REQUIRE(pick.host != nullptr);
  CHECK(w.cluster->Choose(context).host == pick.host);
  TestRequest a;
  a.StartAt(*w.cluster, pick);
  REQUIRE(w.Until([&] { return a.state == State::kOpen && origin.Accept() == 1; }));
  test::Advance(w.loop, w.clock, absl::Seconds(20));
  CHECK(w.cluster->Choose(context).host == pick.host);  // in use
  origin.Send(0, "r");
  REQUIRE(w.Until([&] { return a.state == State::kDone; }));
  origin.peers[0].Reset();
  REQUIRE(w.Until([&] { return w.cluster->open_connections() == 0; }));
  test::Advance(w.loop, w.clock, absl::Seconds(20));
  CHECK(w.cluster->Choose(context).host != pick.host);
}

SCENARIO("retries are limited") {
  Worker w(Http1());
  w.Adopt({});
  std::vector<RetryPermit> permits;
  for (int i = 0; i < 3; ++i) permits.push_back(w.cluster->AcquireRetry(Priority::kDefault));
  CHECK(permits[2]);
  CHECK(!w.cluster->AcquireRetry(Priority::kDefault));
  CHECK(w.Count(w.stats().rq_retry_overflow) == 1);
  CHECK(w.cluster->AcquireRetry(Priority::kHigh));
  permits.pop_back();
  CHECK(w.cluster->AcquireRetry(Priority::kDefault));
}

// Plain bytes that say they are TLS, with the ALPN a test wants; remembers what was asked of it.
class FakeTls final : public net::TransportFactory {
 public:
  explicit FakeTls(std::string alpn, std::vector<std::string> sans = {})
      : alpn_(std::move(alpn)), sans_(std::move(sans)) {}
  std::unique_ptr<net::Transport> Create(const Options& options) const override {
    asked.push_back(options);
    return std::make_unique<Tls>(alpn_, sans_);
  }
  bool secure() const override { return true; }
  mutable std::vector<Options> asked;

 private:
  class Tls final : public net::Transport {
   public:
    Tls(const std::string& alpn, const std::vector<std::string>& sans) {
      info_.tls = true;
      info_.alpn = alpn;
      info_.certificate_verified = true;
      info_.dns_sans = sans;
    }
    net::IoResult Read(int fd, base::Buffer& in, size_t max) override {
      return plain_->Read(fd, in, max);
    }
    net::IoResult Write(int fd, base::Buffer& out) override { return plain_->Write(fd, out); }
    bool ready() const override { return true; }
    void Shutdown(int fd) override { plain_->Shutdown(fd); }
    const net::PeerInfo& peer() const override { return info_; }
    absl::string_view error() const override { return plain_->error(); }

   private:
    std::unique_ptr<net::Transport> plain_ = net::MakePlainTransport();
    net::PeerInfo info_;
  };
  const std::string alpn_;
  const std::vector<std::string> sans_;
};

config::Cluster Auto() {
  config::Cluster config;
  config.http.kind = Kind::kAuto;
  return config;
}

SCENARIO("ALPN decides: HTTP/2 carries all who wait") {
  RawOrigin origin;
  Worker w(Auto());
  auto tls = std::make_shared<FakeTls>("h2");
  w.test.transports = {tls};
  w.Adopt({{origin.address()}});
  std::vector<TestRequest> r(3);
  for (TestRequest& request : r) request.Start(*w.cluster, {.sni = "reviews"});
  REQUIRE(w.Until([&] { return r[2].state == State::kOpen; }));
  CHECK(w.Count(w.stats().cx_total) == 1);
  CHECK(w.Count(w.stats().cx_http2_total) == 1);
  REQUIRE(tls->asked.size() == 1);
  CHECK(tls->asked[0].alpn == std::vector<std::string>{"h2", "http/1.1"});
  CHECK(tls->asked[0].sni == "reviews");
  for (TestRequest& request : r) request.Cancel();
}

SCENARIO("ALPN decides: HTTP/1 needs as many connections as there are requests") {
  RawOrigin origin;
  Worker w(Auto());
  w.test.transports = {std::make_shared<FakeTls>("http/1.1")};
  w.Adopt({{origin.address()}});
  std::vector<TestRequest> r(3);
  for (TestRequest& request : r) request.Start(*w.cluster);
  CHECK(w.Count(w.stats().cx_total) == 1);  // HTTP/2 was hoped for
  REQUIRE(w.Until([&] { return r[2].state == State::kOpen; }));
  CHECK(w.Count(w.stats().cx_http1_total) == 3);
  for (TestRequest& request : r) request.Cancel();
}

SCENARIO("each name asked for by auto_sni has connections of its own, within bounds") {
  RawOrigin origin;
  Worker w(Http2());
  auto tls = std::make_shared<FakeTls>("h2");
  w.test.transports = {tls};
  w.Adopt({{origin.address()}});
  std::vector<TestRequest> r(65);
  for (int i = 0; i < 64; ++i) r[i].Start(*w.cluster, {.sni = std::to_string(i)});
  REQUIRE(w.Until([&] { return r[63].state == State::kOpen; }));
  CHECK(tls->asked.size() == 64);
  r[64].Start(*w.cluster, {.sni = "more"});
  CHECK(r[64].failure == LeaseFailure::kOverflow);
  CHECK(w.Count(w.stats().cx_pool_overflow) == 1);
  r[7].Cancel();  // its name makes room
  r[64].state = State::kWaiting;
  r[64].Start(*w.cluster, {.sni = "more"});
  REQUIRE(w.Until([&] { return r[64].state == State::kOpen; }));
  for (TestRequest& request : r) request.Cancel();
  w.Settle();
  CHECK(w.cluster->open_connections() == 64);
}

SCENARIO("auto_san_validation: a certificate for another name is no connection") {
  struct Row {
    std::string sni;
    bool allowed;
  };
  for (const Row& row : {Row{"a.example", true}, Row{"A.Example", true}, Row{"x.b.example", true},
                         Row{"b.example", false}, Row{"y.x.b.example", false},
                         Row{"c.example", false}, Row{"", false}}) {
    RawOrigin origin;
    config::Cluster config = Http2();
    config.http.auto_san_validation = true;
    Worker w(config);
    w.test.transports = {
        std::make_shared<FakeTls>("h2", std::vector<std::string>{"a.example", "*.b.example"})};
    w.Adopt({{origin.address()}});
    TestRequest a;
    a.Start(*w.cluster, {.sni = row.sni});
    REQUIRE(w.Until([&] { return a.state != State::kWaiting; }));
    CAPTURE(row.sni, a.reason);
    CHECK((a.state == State::kOpen) == row.allowed);
    if (!row.allowed) CHECK(a.failure == LeaseFailure::kTransportFailed);
    if (row.allowed) a.Cancel();
  }
}

SCENARIO("new certificates serve new connections; the old ones stay") {
  RawOrigin origin;
  config::Cluster config = Http1();
  config.hash = 1;
  Worker w(config);
  auto before = std::make_shared<FakeTls>("");
  auto after = std::make_shared<FakeTls>("");
  w.test.transports = {before};
  w.Adopt({{origin.address()}});
  TestRequest a, b;
  a.Start(*w.cluster);
  REQUIRE(w.Until([&] { return a.state == State::kOpen; }));
  w.test.transports = {after};
  w.Adopt({{origin.address()}});
  CHECK(a.state == State::kOpen);
  b.Start(*w.cluster);
  REQUIRE(w.Until([&] { return b.state == State::kOpen; }));
  CHECK(before->asked.size() == 1);
  CHECK(after->asked.size() == 1);
  a.Cancel();
  b.Cancel();
}

// -------------------------------------------------------------------------------------------------
// TCP

class Session final : public net::ConnectionEvents {
 public:
  void OnConnected() override { connected = true; }
  void OnData(base::Buffer& in, bool eof) override {
    data += in.ToString();
    in.Clear();
    if (eof) data += "EOF";
  }
  void OnClosed(net::CloseReason r) override { closed = r; }
  bool connected = false;
  std::string data;
  std::optional<net::CloseReason> closed;
};

SCENARIO("TCP: a connection of its own, counted while it is held") {
  RawOrigin origin;
  config::Cluster config;
  config.limits.max_connections = 1;
  Worker w(config);
  w.Adopt({{origin.address()}});
  Session session;
  LeaseFailure failure;
  auto lease = w.cluster->ConnectTcp(w.cluster->Choose({}), {}, &session, &failure);
  REQUIRE(lease != nullptr);
  REQUIRE(w.Until([&] { return session.connected && origin.Accept() == 1; }));
  CHECK(w.usage().connections == 1);
  CHECK(w.spec->hosts[0].state->active_requests == 1);
  CHECK(w.spec->hosts[0].state->total_successes == 1);
  Session second;
  CHECK(w.cluster->ConnectTcp(w.cluster->Choose({}), {}, &second, &failure) == nullptr);
  CHECK(failure == LeaseFailure::kOverflow);
  CHECK(w.Count(w.stats().cx_overflow) == 1);
  origin.Send(0, "hello");
  REQUIRE(w.Until([&] { return session.data == "hello"; }));
  lease.reset();
  w.Settle();
  CHECK(origin.Read(0) == "EOF");
  CHECK(!session.closed);
  CheckBalanced(w, 0);
  CHECK(w.Count(w.stats().cx_rx_bytes_total) == 5);
}

SCENARIO("TCP: a refused connection is told, counted and reported") {
  RawOrigin origin;
  Worker w({});
  w.Adopt({{origin.address()}});
  origin.Stop();
  Session session;
  LeaseFailure failure;
  auto lease = w.cluster->ConnectTcp(w.cluster->Choose({}), {}, &session, &failure);
  REQUIRE(w.Until([&] { return session.closed.has_value(); }));
  CHECK(*session.closed == net::CloseReason::kConnectFailed);
  CHECK(w.Count(w.stats().cx_connect_fail) == 1);
  CHECK(w.spec->hosts[0].state->total_errors == 1);
  lease.reset();
  CheckBalanced(w, 0);
}

}  // namespace
}  // namespace heddle::upstream
