// A cluster with one worker on a loop whose time the test moves, real loopback sockets, and a codec
// of one-letter commands in place of HTTP: what the origin sends decides.
//
//   'r' the oldest stream gets its response      'g' GOAWAY      'x' a protocol error
#pragma once

#include <poll.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "source/net/socket.h"
#include "source/upstream/cluster.h"
#include "test/support/fake_clock.h"
#include "test/upstream/support.h"

namespace heddle::upstream {

class FakeCodec final : public http::ClientCodec {
 public:
  static inline size_t max_http2_streams = 100;
  static inline std::vector<FakeCodec*> live;

  FakeCodec(http::Protocol protocol, base::Buffer& out, http::ClientEvents* events)
      : protocol_(protocol), out_(out), events_(events) {
    live.push_back(this);
  }
  ~FakeCodec() override { live.erase(std::find(live.begin(), live.end(), this)); }

  absl::Status Feed(base::Buffer& in, bool eof) override {
    const std::string commands = in.ToString();
    in.Clear();
    for (const char c : commands) {
      if (c == 'r' && !streams_.empty()) Respond();
      if (c == 'g') {
        reusable_ = false;
        events_->OnGoAway();
      }
      if (c == 'x') {
        ResetAll(http::ResetReason::kProtocolError);
        return absl::InvalidArgumentError("x");
      }
    }
    (void)eof;
    return absl::OkStatus();
  }
  void PrepareFlush() override {}
  void ResetAll(http::ResetReason reason) override {
    while (!streams_.empty()) {
      http::ResponseEvents* events = streams_.front()->events;
      streams_.pop_front();
      events->OnReset(reason);
    }
  }
  void SendPing(uint64_t) override {
    ++pings;
    if (answers_pings) events_->OnPong(0);
  }
  http::Protocol protocol() const override { return protocol_; }
  http::ClientStream* NewStream(http::ResponseEvents* events) override {
    if (streams_.size() >= max_streams() || !reusable_) return nullptr;
    streams_.push_back(std::make_unique<Stream>(*this, events));
    out_.Append("Q");
    events_->OnOutput();
    return streams_.back().get();
  }
  size_t active_streams() const override { return streams_.size(); }
  size_t max_streams() const override {
    return protocol_ == http::Protocol::kHttp2 ? max_http2_streams : 1;
  }
  bool reusable() const override { return reusable_; }
  void Drain() override { out_.Append("G"); }
  void OnOutWritable() override {}
  bool wants_input() const override { return true; }

  int pings = 0;
  bool answers_pings = true;

 private:
  struct Stream final : http::ClientStream {
    Stream(FakeCodec& c, http::ResponseEvents* e) : codec(c), events(e) {}
    uint32_t id() const override { return 1; }
    void SendBody(base::Buffer& data, bool) override { data.Clear(); }
    void SendTrailers(const http::Trailers&) override {}
    void Reset(http::ResetReason) override {
      if (codec.protocol_ != http::Protocol::kHttp2) codec.reusable_ = false;
      FakeCodec& c = codec;
      c.streams_.remove_if([this](const auto& s) { return s.get() == this; });
    }
    void Consumed(size_t) override {}
    size_t Pending() const override { return 0; }
    WireBytes wire_bytes() const override { return {}; }
    void SetReading(bool) override {}
    void SendHead(const http::RequestHead&, bool) override {}
    FakeCodec& codec;
    http::ResponseEvents* events;
  };
  void Respond() {
    http::ResponseEvents* events = streams_.front()->events;
    streams_.pop_front();
    http::ResponseHead head;
    head.status = 200;
    events->OnHead(std::move(head), true);
  }

  const http::Protocol protocol_;
  base::Buffer& out_;
  http::ClientEvents* events_;
  std::list<std::unique_ptr<Stream>> streams_;
  bool reusable_ = true;
};

inline std::unique_ptr<http::ClientCodec> MakeFakeCodec(http::Protocol protocol,
                                                        const config::Cluster&,
                                                        net::Connection& connection,
                                                        http::ClientEvents* events) {
  return std::make_unique<FakeCodec>(protocol, connection.out(), events);
}

// One request of the proxy: leases, opens a stream, ends.
class TestRequest final : public HttpLeaseEvents, public http::ResponseEvents {
 public:
  enum class State { kWaiting, kOpen, kDone, kReset, kFailed };
  void Start(Cluster& cluster, const HttpLeaseOptions& options = {}) {
    StartAt(cluster, cluster.Choose({}), options);
  }
  void StartAt(Cluster& cluster, const Pick& pick, const HttpLeaseOptions& options = {}) {
    lease = cluster.LeaseHttp(pick, options, this);
    if (ended()) lease.reset();
  }
  void OnLeaseReady(const LeaseGrant& g) override {
    grant = g;
    reused = g.reused;
    state = State::kOpen;
    stream = g.codec->NewStream(this);
    CHECK(stream != nullptr);
  }
  void OnLeaseFailed(LeaseFailure f, absl::string_view why) override {
    failure = f;
    reason = std::string(why);
    End(State::kFailed);
  }
  void OnHead(http::ResponseHead, bool end) override {
    if (end) End(State::kDone);
  }
  void OnBody(base::Buffer& data, bool end) override {
    body += data.ToString();
    data.Clear();
    if (end) End(State::kDone);
  }
  void OnTrailers(http::Trailers) override { End(State::kDone); }
  void OnReset(http::ResetReason) override { End(State::kReset); }
  void Cancel() {
    if (state == State::kOpen) stream->Reset(http::ResetReason::kCancel);
    state = State::kReset;
    lease.reset();
  }
  bool ended() const { return state >= State::kDone; }

  State state = State::kWaiting;
  LeaseFailure failure = LeaseFailure::kOverflow;
  std::string reason, body;
  bool reused = false;
  LeaseGrant grant{};
  http::ClientStream* stream = nullptr;
  std::unique_ptr<HttpLease> lease;
  std::function<void()> on_end;

 private:
  void End(State s) {
    state = s;
    stream = nullptr;
    lease.reset();
    if (on_end != nullptr) on_end();
  }
};

// A listening socket that the test accepts from and writes to by hand.
class RawOrigin {
 public:
  RawOrigin() : listener_(*net::Listen(*net::Address::FromIp("127.0.0.1", 0))) {}
  std::string address() const { return net::LocalAddress(listener_.get()).ToString(); }
  // Takes what connections wait.
  size_t Accept() {
    while (true) {
      net::Fd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!fd.valid()) return peers.size();
      peers.push_back(std::move(fd));
    }
  }
  void Send(size_t peer, const std::string& bytes) {
    REQUIRE(write(peers[peer].get(), bytes.data(), bytes.size()) ==
            static_cast<ssize_t>(bytes.size()));
  }
  // What came, without waiting; "EOF" at the end.
  std::string Read(size_t peer) {
    char bytes[4096];
    std::string all;
    while (true) {
      const ssize_t n = read(peers[peer].get(), bytes, sizeof(bytes));
      if (n == 0) return all + "EOF";
      if (n < 0) return all;
      all.append(bytes, static_cast<size_t>(n));
    }
  }
  void Stop() { listener_.Reset(); }
  std::vector<net::Fd> peers;

 private:
  net::Fd listener_;
};

class Worker {
 public:
  explicit Worker(config::Cluster config, MakeCodec make_codec = MakeFakeCodec)
      : test(std::move(config)), make_codec_(make_codec) {}
  void Adopt(const std::vector<TestHost>& hosts) {
    spec = test.Spec(hosts);
    if (cluster == nullptr)
      cluster = std::make_unique<Cluster>(
          Cluster::Context{
              .loop = loop, .random = random, .sheet = test.sheet, .make_codec = make_codec_},
          spec);
    else
      cluster->Adopt(spec);
  }
  // Runs the loop until `done`, at most five seconds of real time; the loop's clock stands still.
  bool Until(const std::function<bool()>& done) {
    const absl::Time deadline = absl::Now() + absl::Seconds(5);
    while (!done()) {
      if (absl::Now() > deadline) return false;
      loop.RunOnce(false);
      usleep(100);
    }
    return true;
  }
  void Settle() {
    for (int i = 0; i < 20; ++i) {
      loop.RunOnce(false);
      usleep(100);
    }
  }
  const Usage& usage() const { return test.shared->limits.usage[0]; }
  uint64_t Count(stats::CounterId id) const { return test.Count(id); }
  const ClusterStats& stats() const { return *test.stats; }

  test::FakeClock clock;
  event::Loop loop{{.clock = &clock}};
  base::Random random{5};
  TestCluster test;
  std::shared_ptr<const ClusterSpec> spec;
  std::unique_ptr<Cluster> cluster;

 private:
  MakeCodec make_codec_;
};

}  // namespace heddle::upstream
