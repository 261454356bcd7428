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

SCENARIO("grpc-timeout counts when max_grpc_timeout is configured, up to it") {
  config::RouteAction action;
  CHECK(TimeoutsOf(action, nullptr, Grpc("1S")).global == 15'000'000);
  action.max_grpc_timeout = absl::Seconds(5);
  CHECK(TimeoutsOf(action, nullptr, Grpc("1S")).global == 1'000'000);
  CHECK(TimeoutsOf(action, nullptr, Grpc("60S")).global == 5'000'000);
  CHECK(TimeoutsOf(action, nullptr, Grpc()).global == 5'000'000);
  action.max_grpc_timeout = absl::ZeroDuration();
  CHECK(TimeoutsOf(action, nullptr, Grpc("60S")).global == 60'000'000);
  CHECK(TimeoutsOf(action, nullptr, Grpc()).global == 0);
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
  WriteTimeoutHeaders({.global = 5'000'000, .rewrite_grpc = true}, 0, headers);
  CHECK(*headers.Get(HeaderId::kGrpcTimeout) == "5000m");
}

}  // namespace
}  // namespace heddle::proxy
