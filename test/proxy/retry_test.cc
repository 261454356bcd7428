#include "source/proxy/retry.h"

#include <catch2/catch.hpp>

namespace heddle::proxy {
namespace {

using config::RetryPolicy;
using Decision = RetryState::Decision;

http::RequestHead Request() {
  http::RequestHead head;
  head.method = "GET";
  head.path = "/";
  return head;
}

http::ResponseHead Response(int status) {
  http::ResponseHead head;
  head.status = status;
  return head;
}

Decision OnStatus(uint32_t on, int status) {
  RetryPolicy policy;
  policy.on = on;
  policy.retriable_status_codes = {418, 425};
  return RetryState(&policy, Request()).OnResponse(Response(status));
}

Decision OnFaultOf(uint32_t on, Fault fault, bool sent = true) {
  RetryPolicy policy;
  policy.on = on;
  return RetryState(&policy, Request()).OnFault(fault, sent);
}

SCENARIO("which responses are retried under which policy") {
  struct Case {
    uint32_t on;
    int status;
    Decision decision;
  };
  const Case cases[] = {
      {0, 503, Decision::kNo},
      {RetryPolicy::k5xx, 500, Decision::kRetry},
      {RetryPolicy::k5xx, 599, Decision::kRetry},
      {RetryPolicy::k5xx, 499, Decision::kNo},
      {RetryPolicy::kGatewayError, 500, Decision::kNo},
      {RetryPolicy::kGatewayError, 502, Decision::kRetry},
      {RetryPolicy::kGatewayError, 504, Decision::kRetry},
      {RetryPolicy::kGatewayError, 505, Decision::kNo},
      {RetryPolicy::kRetriable4xx, 409, Decision::kRetry},
      {RetryPolicy::kRetriable4xx, 404, Decision::kNo},
      {RetryPolicy::kRetriableStatusCodes, 418, Decision::kRetry},
      {RetryPolicy::kRetriableStatusCodes, 419, Decision::kNo},
      {RetryPolicy::kRetriableStatusCodes, 425, Decision::kRetryNow},
      {RetryPolicy::kConnectFailure | RetryPolicy::kReset | RetryPolicy::kRefusedStream, 503,
       Decision::kNo},
  };
  for (const Case& c : cases) {
    CAPTURE(c.on, c.status);
    CHECK(OnStatus(c.on, c.status) == c.decision);
  }
}

SCENARIO("which failures are retried under which policy") {
  struct Case {
    uint32_t on;
    Fault fault;
    bool sent;
    Decision decision;
  };
  const Case cases[] = {
      {RetryPolicy::k5xx, Fault::kOverflow, false, Decision::kNo},
      {RetryPolicy::k5xx, Fault::kConnectFailed, false, Decision::kRetry},
      {RetryPolicy::k5xx, Fault::kRemoteReset, true, Decision::kRetry},
      {RetryPolicy::kGatewayError, Fault::kTermination, true, Decision::kRetry},
      {RetryPolicy::kConnectFailure, Fault::kConnectFailed, false, Decision::kRetry},
      {RetryPolicy::kConnectFailure, Fault::kConnectTimeout, false, Decision::kRetry},
      {RetryPolicy::kConnectFailure, Fault::kRemoteReset, true, Decision::kNo},
      {RetryPolicy::kRefusedStream, Fault::kRemoteRefused, true, Decision::kRetry},
      {RetryPolicy::kRefusedStream, Fault::kRemoteReset, true, Decision::kNo},
      {RetryPolicy::kReset, Fault::kProtocolError, true, Decision::kRetry},
      {RetryPolicy::kResetBeforeRequest, Fault::kRemoteReset, true, Decision::kNo},
      {RetryPolicy::kResetBeforeRequest, Fault::kConnectFailed, false, Decision::kRetry},
      {RetryPolicy::kRetriable4xx, Fault::kRemoteReset, true, Decision::kNo},
  };
  for (const Case& c : cases) {
    CAPTURE(c.on, static_cast<int>(c.fault), c.sent);
    CHECK(OnFaultOf(c.on, c.fault, c.sent) == c.decision);
  }
}

SCENARIO("a rate-limited answer is retried only when asked for") {
  RetryPolicy policy;
  policy.on = RetryPolicy::k5xx;
  auto limited = Response(503);
  limited.headers.Add(http::HeaderId::kXEnvoyRatelimited, "true");
  CHECK(RetryState(&policy, Request()).OnResponse(limited) == Decision::kNo);
  policy.on |= RetryPolicy::kEnvoyRatelimited;
  CHECK(RetryState(&policy, Request()).OnResponse(limited) == Decision::kRetry);
}

SCENARIO("gRPC conditions look at grpc-status in the head") {
  RetryPolicy policy;
  policy.on = RetryPolicy::kGrpcUnavailable | RetryPolicy::kGrpcCancelled;
  for (const auto& [status, decision] : {std::pair{"14", Decision::kRetry},
                                         {"1", Decision::kRetry},
                                         {"4", Decision::kNo},
                                         {"0", Decision::kNo}}) {
    auto head = Response(200);
    head.headers.Add(http::HeaderId::kGrpcStatus, status);
    CHECK(RetryState(&policy, Request()).OnResponse(head) == decision);
  }
  CHECK(RetryState(&policy, Request()).OnResponse(Response(200)) == Decision::kNo);
}

SCENARIO("retries run out; the last outcome says so") {
  RetryPolicy policy;
  policy.on = RetryPolicy::k5xx;
  policy.num_retries = 2;
  RetryState state(&policy, Request());
  CHECK(state.OnResponse(Response(503)) == Decision::kRetry);
  CHECK(state.OnFault(Fault::kConnectFailed, false) == Decision::kRetry);
  CHECK(state.OnResponse(Response(200)) == Decision::kNo);
  CHECK(state.OnResponse(Response(503)) == Decision::kNoneLeft);
}

SCENARIO("the client's headers add to the policy") {
  auto head = Request();
  head.headers.Add(http::HeaderId::kXEnvoyRetryOn,
                   "gateway-error, retriable-status-codes,nonsense");
  head.headers.Add(http::HeaderId::kXEnvoyRetryGrpcOn, "unavailable");
  head.headers.Add(http::HeaderId::kXEnvoyMaxRetries, "3");
  head.headers.Add(http::HeaderId::kXEnvoyRetriableStatusCodes, "429,x,404");
  RetryState state(nullptr, head);
  CHECK(state.enabled());
  CHECK(state.remaining() == 3);
  CHECK(state.OnResponse(Response(503)) == Decision::kRetry);
  CHECK(state.OnResponse(Response(429)) == Decision::kRetry);
  CHECK(state.OnResponse(Response(500)) == Decision::kNo);
  StripRetryHeaders(head.headers);
  CHECK(head.headers.empty());
}

SCENARIO("without a policy and without headers nothing is retried") {
  RetryState state(nullptr, Request());
  CHECK_FALSE(state.enabled());
  CHECK(state.OnResponse(Response(503)) == Decision::kNo);
  CHECK(state.OnFault(Fault::kConnectFailed, false) == Decision::kNo);
}

SCENARIO("a request that does not match retriable_request_headers is not retried") {
  RetryPolicy policy;
  policy.on = RetryPolicy::k5xx;
  policy.retriable_request_headers.emplace_back().name = "x-idempotent";
  CHECK_FALSE(RetryState(&policy, Request()).enabled());
  auto head = Request();
  head.headers.Add("x-idempotent", "1");
  CHECK(RetryState(&policy, head).enabled());
}

SCENARIO("an abandoned request is never retried") {
  RetryPolicy policy;
  policy.on = RetryPolicy::k5xx;
  RetryState state(&policy, Request());
  state.Abandon();
  CHECK(state.OnResponse(Response(503)) == Decision::kNo);
  CHECK(state.OnPerTryTimeout() == Decision::kNo);
}

SCENARIO("a per-try timeout is retried under 5xx, gateway-error and reset only") {
  for (const auto& [on, decision] : {std::pair{uint32_t{RetryPolicy::k5xx}, Decision::kRetry},
                                     {uint32_t{RetryPolicy::kGatewayError}, Decision::kRetry},
                                     {uint32_t{RetryPolicy::kReset}, Decision::kRetry},
                                     {uint32_t{RetryPolicy::kConnectFailure}, Decision::kNo}}) {
    RetryPolicy policy;
    policy.on = on;
    CHECK(RetryState(&policy, Request()).OnPerTryTimeout() == decision);
  }
}

SCENARIO("backoff is random below 25, 50, 100, 200, 250, 250 ms") {
  RetryPolicy policy;
  policy.on = RetryPolicy::k5xx;
  base::Micros longest[6] = {};
  base::Random random(11);
  for (int round = 0; round < 2000; ++round) {
    RetryState state(&policy, Request());
    for (base::Micros& most : longest) most = std::max(most, state.Backoff(random));
  }
  const base::Micros bounds[6] = {25'000, 50'000, 100'000, 200'000, 250'000, 250'000};
  for (int i = 0; i < 6; ++i) {
    CHECK(longest[i] < bounds[i]);
    CHECK(longest[i] > bounds[i] * 9 / 10);
  }
}

}  // namespace
}  // namespace heddle::proxy
