// Retries, timeouts and back-pressure through a real proxy on loopback.
#include <catch2/catch.hpp>

#include "test/proxy/wire_fixture.h"

namespace heddle::test {
namespace {

using config::RetryPolicy;
using http::Protocol;
using observe::Flag;

std::shared_ptr<RetryPolicy> Policy(uint32_t on, uint32_t retries = 1) {
  auto policy = std::make_shared<RetryPolicy>();
  policy->on = on;
  policy->num_retries = retries;
  policy->backoff_base = absl::Milliseconds(1);
  policy->backoff_max = absl::Milliseconds(2);
  return policy;
}

config::RouteAction& Action(Wire& wire) { return wire.routes->virtual_hosts[0].routes[0].forward; }

SCENARIO("a failed request is sent again, with its body, and succeeds") {
  for (const Protocol up : {Protocol::kHttp11, Protocol::kHttp2}) {
    Wire wire({.upstream = up});
    Action(wire).retry = Policy(RetryPolicy::k5xx, 3);
    wire.routes->virtual_hosts[0].include_attempt_count_request = true;
    wire.routes->virtual_hosts[0].include_attempt_count_response = true;
    int seen = 0;
    wire.upstream().handle = [&](Exchange& x) {
      if (!x.ended) return;
      CHECK(x.body == "the body");
      CHECK(x.Field("x-envoy-attempt-count") == std::to_string(++seen));
      if (seen == 1) return x.Reply(503, "no");
      if (seen == 2) return x.Reset();
      x.Reply(200, "yes");
    };
    wire.Start();
    Call& call = wire.Do({.method = "POST"}, "the body");
    CHECK(call.status == 200);
    CHECK(call.body == "yes");
    CHECK(call.Field("x-envoy-attempt-count") == "3");
    CHECK(seen == 3);
    CHECK(wire.records.at(0).attempts == 3);
    CHECK(wire.records.at(0).flags == 0);
    CHECK(wire.Count(wire.cluster_stats().rq_retry) == 2);
    CHECK(wire.Count(wire.cluster_stats().rq_retry_success) == 1);
    CHECK(wire.Count(wire.cluster_stats().retry_rq_xx[5]) == 1);
    CHECK(wire.Count(wire.cluster_stats().rq_xx[5]) == 0);
  }
}

SCENARIO("when no retry is left the last answer stands, flagged URX") {
  Wire wire;
  Action(wire).retry = Policy(RetryPolicy::k5xx, 2);
  wire.upstream().handle = [](Exchange& x) { x.Reply(500, "broken"); };
  wire.Start();
  Call& call = wire.Do();
  CHECK(call.status == 500);
  CHECK(call.body == "broken");
  CHECK(wire.upstream().exchanges.size() == 3);
  CHECK(wire.records.at(0).Has(Flag::kRetryLimit));
  CHECK(wire.Count(wire.cluster_stats().rq_retry_limit_exceeded) == 1);
}

SCENARIO("a connect failure goes to another host") {
  Wire wire({.upstreams = 2});
  auto policy = Policy(RetryPolicy::kConnectFailure, 1);
  policy->previous_hosts = true;
  policy->host_selection_attempts = 5;
  Action(wire).retry = policy;
  wire.upstream(0).StopListening();
  wire.Start();
  for (int i = 0; i < 10; ++i) CHECK(wire.Do().status == 200);
  CHECK(wire.upstream(1).exchanges.size() == 10);
}

SCENARIO("the text of a failure after retries says so") {
  Wire wire;
  Action(wire).retry = Policy(RetryPolicy::kReset, 1);
  wire.upstream().handle = [](Exchange& x) { x.CloseConnection(); };
  wire.Start();
  CHECK(wire.Do().body ==
        "upstream connect error or disconnect/reset before headers. retried and the latest reset "
        "reason: connection termination");
}

SCENARIO("retries over the breaker's limit are not made") {
  Wire wire;
  Action(wire).retry = Policy(RetryPolicy::k5xx, 3);
  wire.cluster->limits.max_retries = 0;
  wire.upstream().handle = [](Exchange& x) { x.Reply(503); };
  wire.Start();
  CHECK(wire.Do().status == 503);
  CHECK(wire.upstream().exchanges.size() == 1);
  CHECK(wire.records.at(0).Has(Flag::kUpstreamOverflow));
  CHECK(wire.Count(wire.cluster_stats().rq_retry_overflow) == 1);
}

SCENARIO("never again after the response began") {
  Wire wire;
  Action(wire).retry = Policy(RetryPolicy::k5xx | RetryPolicy::kReset, 3);
  wire.upstream().handle = [](Exchange& x) {
    x.SendHead(200, {{"content-length", "100"}});
    x.SendBody("part");
  };
  wire.Start();
  Call& call = wire.NewClient().Send({});
  REQUIRE(wire.Run([&] { return call.body == "part"; }));
  wire.upstream().exchanges.back()->CloseConnection();
  REQUIRE(wire.Run([&] { return call.done(); }));
  CHECK(call.reset);
  CHECK(wire.upstream().exchanges.size() == 1);
}

SCENARIO("a body beyond the limit is not kept: no retry, and 507 when one was due") {
  Wire wire;
  wire.listener_config->buffer_limit = 64 * 1024;
  Action(wire).retry = Policy(RetryPolicy::k5xx, 3);
  wire.upstream().handle = [](Exchange& x) {
    if (x.ended) x.Reply(503, "first answer");
  };
  wire.Start();
  Call& call = wire.Do({.method = "POST"}, std::string(200 * 1024, 'x'));
  CHECK(call.status == 503);
  CHECK(call.body == "first answer");
  CHECK(wire.upstream().exchanges.size() == 1);
  CHECK(wire.Count(wire.cluster_stats().retry_or_shadow_abandoned) == 1);

  Wire late;
  late.listener_config->buffer_limit = 64 * 1024;
  auto policy = Policy(RetryPolicy::k5xx, 3);
  policy->backoff_base = policy->backoff_max = absl::Seconds(20);
  late.routes->virtual_hosts[0].routes[0].forward.retry = policy;
  late.upstream().handle = [](Exchange& x) { x.Reply(503); };
  late.Start();
  Client& client = late.NewClient();
  Call& half =
      client.Send({.method = "POST", .fields = {{"content-length", "200000"}}}, "start", false);
  REQUIRE(late.Run([&] { return late.Count(late.cluster_stats().rq_retry) == 1; }));
  half.Send(std::string(199995, 'y'), true);
  REQUIRE(late.Run([&] { return half.done() || half.status != 0; }));
  CHECK(half.status == 507);
  CHECK(late.records.at(0).details == "request_payload_exceeded_retry_buffer_limit");
}

SCENARIO("the route's timeout answers 504 and resets the upstream") {
  for (const Protocol up : {Protocol::kHttp11, Protocol::kHttp2}) {
    Wire wire({.upstream = up});
    Action(wire).timeout = absl::Milliseconds(30);
    wire.upstream().handle = [](Exchange&) {};
    wire.Start();
    Call& call = wire.Do();
    CHECK(call.status == 504);
    CHECK(call.body == "upstream request timeout");
    CHECK(wire.records.at(0).details == "response_timeout");
    CHECK(wire.records.at(0).Has(Flag::kUpstreamTimeout));
    CHECK(wire.Count(wire.cluster_stats().rq_timeout) == 1);
    CHECK(wire.Run([&] { return wire.upstream().exchanges.front()->reset; }));
  }
}

SCENARIO("a timeout after the head has gone down resets the client") {
  Wire wire({.downstream = Protocol::kHttp2});
  Action(wire).timeout = absl::Milliseconds(30);
  wire.upstream().handle = [](Exchange& x) { x.SendHead(200, {}); };
  wire.Start();
  Call& call = wire.Do();
  CHECK(call.status == 200);
  CHECK(call.reset);
  CHECK(wire.records.at(0).Has(Flag::kUpstreamTimeout));
}

SCENARIO("a per-try timeout is retried and then answered") {
  Wire wire;
  auto policy = Policy(RetryPolicy::k5xx, 1);
  policy->per_try_timeout = absl::Milliseconds(30);
  Action(wire).retry = policy;
  wire.upstream().handle = [](Exchange& x) {
    CHECK(x.Field("x-envoy-expected-rq-timeout-ms") == "30");
  };
  wire.Start();
  Call& call = wire.Do();
  CHECK(call.status == 504);
  CHECK(wire.upstream().exchanges.size() == 2);
  CHECK(wire.records.at(0).details == "upstream_per_try_timeout");
  CHECK(wire.records.at(0).Has(Flag::kUpstreamTimeout));
  CHECK(wire.records.at(0).Has(Flag::kRetryLimit));
  CHECK(wire.Count(wire.cluster_stats().rq_per_try_timeout) == 2);
}

SCENARIO("stream idle and maximum duration timeouts") {
  Wire idle;
  idle.hcm->stream_idle_timeout = absl::Milliseconds(30);
  idle.upstream().handle = [](Exchange&) {};
  idle.Start();
  Call& complete = idle.Do();
  CHECK(complete.status == 504);
  CHECK(complete.body == "stream timeout");
  CHECK(idle.records.at(0).Has(Flag::kStreamIdleTimeout));
  Client& client = idle.NewClient();
  Call& half = client.Send({.method = "POST", .fields = {{"content-length", "10"}}}, "x", false);
  REQUIRE(idle.Run([&] { return half.status != 0; }));
  CHECK(half.status == 408);

  Wire longest;
  longest.hcm->common.max_stream_duration = absl::Milliseconds(30);
  longest.upstream().handle = [](Exchange&) {};
  longest.Start();
  CHECK(longest.Do().status == 504);
  CHECK(longest.records.at(0).details == "max_duration_timeout");
}

SCENARIO("idle connections and slow heads are ended") {
  Wire wire;
  wire.hcm->common.idle_timeout = absl::Milliseconds(30);
  wire.Start();
  net::Fd fd = wire.Dial();
  CHECK(wire.Raw(fd.get(), "").empty());
  Wire slow;
  slow.hcm->request_headers_timeout = absl::Milliseconds(30);
  slow.Start();
  net::Fd other = slow.Dial();
  CHECK(slow.Raw(other.get(), "GET / HTTP/1.1\r\nhost:").rfind("HTTP/1.1 408 ", 0) == 0);
}

SCENARIO("a client that does not read holds the upstream back") {
  for (const Protocol down : {Protocol::kHttp11, Protocol::kHttp2}) {
    for (const Protocol up : {Protocol::kHttp11, Protocol::kHttp2}) {
      CAPTURE(std::string(http::ProtocolName(down)), std::string(http::ProtocolName(up)));
      constexpr size_t kTotal = 64 * 1024 * 1024;
      Wire wire({.downstream = down, .upstream = up});
      wire.listener_config->buffer_limit = 256 * 1024;
      wire.cluster->buffer_limit = 256 * 1024;
      wire.cluster->http.http2.initial_stream_window = 1024 * 1024;
      wire.cluster->http.http2.initial_connection_window = 1024 * 1024;
      wire.hcm->http2.initial_stream_window = 1024 * 1024;
      wire.upstream().handle = [&](Exchange& x) {
        x.SendHead(200, {{"content-length", std::to_string(kTotal)}});
        x.SendBody(std::string(kTotal, 'z'), true);
      };
      wire.Start();
      Client& client = wire.NewClient();
      Call& call = client.Send({});
      call.keep_body = false;
      REQUIRE(wire.Run([&] { return call.status == 200; }));
      client.connection().SetReading(false);
      wire.Idle(absl::Milliseconds(200));
      size_t held = 0;
      wire.context->sessions.ForEach([&](proxy::Session& s) { (void)s; });
      held = base::Buffer::UsedBlocks() * base::Buffer::kBlockBytes;
      // The upstream's own 64 MiB wait in this process too; the proxy may add its limits on both
      // sides, not the body.
      CHECK(held < kTotal + 24 * 1024 * 1024);
      CHECK(call.body_bytes < kTotal);
      client.connection().SetReading(true);
      REQUIRE(wire.Run([&] { return call.done(); }));
      CHECK(call.body_bytes == kTotal);
    }
  }
}

SCENARIO("an upstream that does not read holds the client back") {
  for (const Protocol down : {Protocol::kHttp11, Protocol::kHttp2}) {
    for (const Protocol up : {Protocol::kHttp11, Protocol::kHttp2}) {
      CAPTURE(std::string(http::ProtocolName(down)), std::string(http::ProtocolName(up)));
      constexpr size_t kTotal = 32 * 1024 * 1024;
      Wire wire({.downstream = down, .upstream = up});
      wire.listener_config->buffer_limit = 256 * 1024;
      wire.cluster->buffer_limit = 256 * 1024;
      wire.hcm->http2.initial_stream_window = 1024 * 1024;
      wire.hcm->http2.initial_connection_window = 1024 * 1024;
      wire.upstream().handle = [&](Exchange& x) {
        if (x.ended) x.Reply(200, std::to_string(x.body.size()));
      };
      wire.Start();
      REQUIRE(wire.Do().status == 200);
      wire.upstream().SetReading(false);
      Client& client = wire.NewClient();
      Call& call = client.Send({.method = "POST"}, std::string(kTotal, 'z'));
      wire.Idle(absl::Milliseconds(200));
      const uint64_t read = wire.Count(wire.listener_spec->chains[0].http->stats.cx_rx_bytes);
      CHECK(read < 12 * 1024 * 1024);
      CHECK(wire.Count(wire.listener_spec->chains[0].http->stats.paused_reading) >= 1);
      wire.upstream().SetReading(true);
      REQUIRE(wire.Run([&] { return call.done(); }));
      CHECK(call.body == std::to_string(kTotal));
    }
  }
}

}  // namespace
}  // namespace heddle::test
