#include <catch2/catch.hpp>

#include "source/upstream/codec_factory.h"
#include "test/upstream/origin.h"
#include "test/upstream/pool_support.h"

namespace heddle::upstream {
namespace {

using Kind = config::UpstreamHttp::Kind;

config::Cluster With(Kind kind) {
  config::Cluster config;
  config.http.kind = kind;
  return config;
}

http::Protocol ProtocolOf(Kind kind) {
  return kind == Kind::kHttp2 ? http::Protocol::kHttp2 : http::Protocol::kHttp11;
}

// A request of the proxy with real bytes.
class Exchange final : public HttpLeaseEvents, public http::ResponseEvents {
 public:
  Exchange(std::string path, std::string body) : path_(std::move(path)), body_(std::move(body)) {}
  void Start(Cluster& cluster, const HttpLeaseOptions& options = {}) {
    lease_ = cluster.LeaseHttp(cluster.Choose({}), options, this);
  }
  void OnLeaseReady(const LeaseGrant& grant) override {
    reused = grant.reused;
    stream_ = grant.codec->NewStream(this);
    REQUIRE(stream_ != nullptr);
    http::RequestHead head;
    head.SetMethod(body_.empty() ? "GET" : "POST");
    head.SetScheme("http");
    head.SetAuthority("origin");
    head.SetPath(path_);
    if (!body_.empty()) head.headers.Add("content-length", std::to_string(body_.size()));
    stream_->SendHead(head, body_.empty());
    if (body_.empty()) return;
    base::Buffer body(body_);
    stream_->SendBody(body, true);
  }
  void OnLeaseFailed(LeaseFailure, absl::string_view) override { failed = done = true; }
  void OnHead(http::ResponseHead head, bool end) override {
    status = head.status;
    if (end) Finish();
  }
  void OnBody(base::Buffer& data, bool end) override {
    got += data.ToString();
    if (!end) stream_->Consumed(data.size());
    data.Clear();
    if (end) Finish();
  }
  void OnTrailers(http::Trailers) override { Finish(); }
  void OnReset(http::ResetReason r) override {
    reset = r;
    Finish();
  }
  void Cancel() {
    stream_->Reset(http::ResetReason::kCancel);
    lease_.reset();
  }
  int status = 0;
  std::string got;
  bool done = false, failed = false, reused = false;
  std::optional<http::ResetReason> reset;

 private:
  void Finish() {
    done = true;
    lease_.reset();
  }
  const std::string path_, body_;
  http::ClientStream* stream_ = nullptr;
  std::unique_ptr<HttpLease> lease_;
};

struct World {
  explicit World(Kind kind)
      : worker(With(kind), MakeUpstreamCodec), origin(worker.loop, ProtocolOf(kind)) {
    worker.Adopt({{origin.address()}});
  }
  std::unique_ptr<Exchange> Go(std::string path, std::string body = "") {
    auto exchange = std::make_unique<Exchange>(std::move(path), std::move(body));
    exchange->Start(*worker.cluster);
    return exchange;
  }
  std::unique_ptr<Exchange> Finish(std::string path, std::string body = "") {
    auto exchange = Go(std::move(path), std::move(body));
    REQUIRE(worker.Until([&] { return exchange->done; }));
    return exchange;
  }
  Worker worker;
  Origin origin;
};

SCENARIO("requests and bodies pass over one connection, both protocols") {
  for (const Kind kind : {Kind::kHttp1, Kind::kHttp2}) {
    World w(kind);
    for (const size_t size : {0u, 1u, 1000u, 300000u}) {
      const std::string body(size, 'b');
      auto exchange = w.Finish("/echo", body);
      CHECK(exchange->status == 200);
      CHECK(exchange->got == body);
      CHECK(!exchange->reset);
    }
    CHECK(w.worker.Count(w.worker.stats().cx_total) == 1);
    CHECK(w.worker.Count(w.worker.stats().rq_total) == 4);
    CHECK(w.worker.usage().requests == 0);
    CHECK(w.origin.errors.empty());
  }
}

SCENARIO("a hundred at once") {
  for (const Kind kind : {Kind::kHttp1, Kind::kHttp2}) {
    World w(kind);
    std::vector<std::unique_ptr<Exchange>> all;
    for (int i = 0; i < 100; ++i) all.push_back(w.Go("/echo", std::string(i * 37, 'x')));
    REQUIRE(w.worker.Until([&] {
      return std::all_of(all.begin(), all.end(), [](const auto& e) { return e->done; });
    }));
    for (int i = 0; i < 100; ++i) CHECK(all[i]->got.size() == i * 37u);
    CHECK(w.worker.Count(w.worker.stats().cx_total) == (kind == Kind::kHttp1 ? 100 : 1));
  }
}

SCENARIO("a connection that the origin resets under a request") {
  for (const Kind kind : {Kind::kHttp1, Kind::kHttp2}) {
    World w(kind);
    auto first = w.Finish("/die");
    REQUIRE(first->reset);
    CHECK(!first->reused);
    w.Finish("/echo");
    auto second = w.Finish("/die");
    CHECK(second->reset == http::ResetReason::kConnectionClosed);
    CHECK(second->reused);
    CHECK(w.worker.cluster->open_connections() == 0);
  }
}

SCENARIO("the origin says it goes away") {
  for (const Kind kind : {Kind::kHttp1, Kind::kHttp2}) {
    World w(kind);
    auto exchange = w.Finish("/goaway", "bye");
    CHECK(exchange->got == "bye");
    CHECK(!exchange->reset);
    w.Finish("/echo");
    CHECK(w.worker.Count(w.worker.stats().cx_total) == 2);
    REQUIRE(w.worker.Until([&] { return w.origin.connections[0]->closed(); }));
  }
}

SCENARIO("a cancelled request resets its stream; HTTP/1 gives up the connection for it") {
  for (const Kind kind : {Kind::kHttp1, Kind::kHttp2}) {
    World w(kind);
    auto exchange = w.Go("/hang");
    REQUIRE(w.worker.Until([&] { return w.origin.requests == 1; }));
    exchange->Cancel();
    REQUIRE(w.worker.Until([&] { return w.origin.resets == 1; }));
    CHECK(w.worker.cluster->open_connections() == (kind == Kind::kHttp1 ? 0 : 1));
    CHECK(w.worker.usage().requests == 0);
    w.Finish("/echo");
  }
}

SCENARIO("idle HTTP/2 connections are kept alive by real pings") {
  config::Cluster config = With(Kind::kHttp2);
  config.http.http2.keepalive_interval = absl::Seconds(30);
  config.http.http2.keepalive_timeout = absl::Seconds(10);
  Worker worker(config, MakeUpstreamCodec);
  Origin origin(worker.loop, http::Protocol::kHttp2);
  worker.Adopt({{origin.address()}});
  Exchange first("/echo", "");
  first.Start(*worker.cluster);
  REQUIRE(worker.Until([&] { return first.done; }));
  for (int i = 0; i < 5; ++i) {
    test::Advance(worker.loop, worker.clock, absl::Seconds(30));
    worker.Settle();
  }
  CHECK(worker.cluster->open_connections() == 1);
}

SCENARIO("the protocol of the client decides where configuration says so") {
  Worker worker(With(Kind::kDownstream), MakeUpstreamCodec);
  Origin origin(worker.loop, http::Protocol::kHttp2);
  worker.Adopt({{origin.address()}});
  Exchange exchange("/echo", "b");
  exchange.Start(*worker.cluster, {.downstream = http::Protocol::kHttp2});
  REQUIRE(worker.Until([&] { return exchange.done; }));
  CHECK(exchange.got == "b");
}

}  // namespace
}  // namespace heddle::upstream
