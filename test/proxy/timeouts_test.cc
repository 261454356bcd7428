#include "source/proxy/timeouts.h"

#include <catch2/catch.hpp>

namespace heddle::proxy {
namespace {

using http::HeaderId;

http::RequestHead Grpc(const char* timeout = nullptr) {
  http::RequestHead head;
  head.headers.Add(HeaderId::kContentType, "application/grpc");
  if (timeout != nullptr) head.headers.Add(HeaderId::kGrpcTimeout, timeout);
  return head;
}

SCENARIO("a request may take 15 s unless its route or its client says otherwise") {
  config::RouteAction action;
  http::RequestHead head;
  CHECK(TimeoutsOf(action, nullptr, head).global == 15'000'000);
  action.timeout = absl::ZeroDuration();
  CHECK(TimeoutsOf(action, nullptr, head).global == 0);
  action.timeout = absl::Seconds(3);
  CHECK(TimeoutsOf(action, nullptr, head).global == 3'000'000);
  head.headers.Add(HeaderId::kXEnvoyUpstreamRqTimeoutMs, "250");
  CHECK(TimeoutsOf(action, nullptr, head).global == 250'000);
}

SCENARIO("a per-try timeout counts only below the whole") {
  config::RouteAction action;
  config::RetryPolicy retry;
  retry.per_try_timeout = absl::Seconds(1);
  http::RequestHead head;
  CHECK(TimeoutsOf(action, &retry, head).per_try == 1'000'000);
  action.timeout = absl::Seconds(1);
  CHECK(TimeoutsOf(action, &retry, head).per_try == 0);
  action.timeout = absl::ZeroDuration();
  CHECK(TimeoutsOf(action, &retry, head).per_try == 1'000'000);
  head.headers.Add(HeaderId::kXEnvoyUpstreamRqPerTryTimeoutMs, "30");
  CHECK(TimeoutsOf(action, &retry, head).per_try == 30'000);
}

SCENARIO("a route with a stream duration has no other timeout, but what the client asks for") {
  config::RouteAction action;
  action.stream_duration = true;
  action.timeout = absl::Seconds(3);
  http::RequestHead head;
  CHECK(TimeoutsOf(action, nullptr, head).global == 0);
  head.headers.Add(HeaderId::kXEnvoyUpstreamRqTimeoutMs, "250");
  CHECK(TimeoutsOf(action, nullptr, head).global == 250'000);
}

SCENARIO("a stream may take what its route says, or the connection manager") {
  config::RouteAction action;
  http::RequestHead head;
  CHECK(StreamDuration(action, 0, head) == 0);
  CHECK(StreamDuration(action, 7, head) == 7);
  action.max_stream_duration = absl::Seconds(1);
  CHECK(StreamDuration(action, 7, head) == 1'000'000);
  action.max_stream_duration = absl::ZeroDuration();
  CHECK(StreamDuration(action, 7, head) == 0);
}

SCENARIO("grpc-timeout counts where the route says so, up to what it says") {
  struct Case {
    const char* header;
    absl::Duration cap;
    base::Micros duration;
    const char* passed;
  };
  const Case cases[] = {
      {"1S", absl::Seconds(5), 1'000'000, "1S"},
      {"60S", absl::Seconds(5), 5'000'000, "5000m"},
      {"0m", absl::Seconds(5), 5'000'000, "0m"},
      {"60S", absl::ZeroDuration(), 60'000'000, "60S"},
      {"0m", absl::ZeroDuration(), 0, "0m"},
      {"soon", absl::Seconds(5), 9'000'000, "soon"},
      {nullptr, absl::Seconds(5), 9'000'000, "9000m"},
      {"99999999H", absl::Hours(50'000), 180'000'000'000'000, "99999999S"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.header == nullptr ? "none" : c.header);
    config::RouteAction action;
    auto head = Grpc(c.header);
    CHECK(StreamDuration(action, 0, head) == 0);
    action.max_grpc_timeout = c.cap;
    action.max_stream_duration = absl::Seconds(9);
    CHECK(StreamDuration(action, 0, head) == c.duration);
    CHECK(head.headers.Get(HeaderId::kGrpcTimeout) == c.passed);
    http::RequestHead other;  // that it is not gRPC makes no difference, but for the header
    if (c.header != nullptr) other.headers.Add(HeaderId::kGrpcTimeout, c.header);
    CHECK(StreamDuration(action, 0, other) == c.duration);
    CHECK(other.headers.Has(HeaderId::kGrpcTimeout) == (c.header != nullptr));
  }
}

SCENARIO("grpc-timeout text") {
  CHECK(ParseGrpcTimeout("1H") == 3'600'000'000);
  CHECK(ParseGrpcTimeout("2M") == 120'000'000);
  CHECK(ParseGrpcTimeout("100m") == 100'000);
  CHECK(ParseGrpcTimeout("100u") == 100);
  CHECK(ParseGrpcTimeout("1000n") == 1);
  for (const char* bad : {"", "S", "1", "1x", "123456789S", "-1S", "1.5S"}) {
    CAPTURE(bad);
    CHECK_FALSE(ParseGrpcTimeout(bad));
  }
}

SCENARIO("the upstream is told what time is left") {
  http::Headers headers;
  const auto told = [&](const Timeouts& timeouts, base::Micros elapsed) {
    WriteTimeoutHeaders(timeouts, elapsed, headers);
    return std::string(headers.Get(HeaderId::kXEnvoyExpectedRqTimeoutMs).value_or("none"));
  };
  CHECK(told({}, 0) == "none");
  CHECK(told({.global = 15'000'000}, 0) == "15000");
  CHECK(told({.global = 15'000'000, .per_try = 2'000'000}, 0) == "2000");
  CHECK(told({.global = 15'000'000, .per_try = 2'000'000}, 14'000'000) == "1000");
  CHECK(told({.global = 15'000'000}, 20'000'000) == "1");
}

}  // namespace
}  // namespace heddle::proxy
