#include "source/proxy/reply.h"

#include <catch2/catch.hpp>

#include "source/proxy/fault.h"

namespace heddle::proxy {
namespace {

using http::HeaderId;

SCENARIO("a plain reply has a length and a type") {
  const Reply reply{.status = 503, .body = "no healthy upstream"};
  absl::string_view body;
  const http::ResponseHead head = MakeReplyHead(reply, false, &body);
  CHECK(head.status == 503);
  CHECK(body == "no healthy upstream");
  CHECK(*head.headers.Get(HeaderId::kContentLength) == "19");
  CHECK(*head.headers.Get(HeaderId::kContentType) == "text/plain");
}

SCENARIO("a gRPC client gets status 200 with grpc-status and no body") {
  const Reply reply{.status = 503, .body = "50% down\n"};
  absl::string_view body;
  const http::ResponseHead head = MakeReplyHead(reply, true, &body);
  CHECK(head.status == 200);
  CHECK(body.empty());
  CHECK(*head.headers.Get(HeaderId::kGrpcStatus) == "14");
  CHECK(*head.headers.Get(HeaderId::kGrpcMessage) == "50%25 down%0A");
  CHECK(*head.headers.Get(HeaderId::kContentType) == "application/grpc");
  const Reply given{.status = 200, .body = "", .grpc_status = 7};
  CHECK(*MakeReplyHead(given, true, &body).headers.Get(HeaderId::kGrpcStatus) == "7");
}

SCENARIO("HTTP and gRPC status map to each other as in Envoy") {
  const std::pair<int, int> to_grpc[] = {{400, 13}, {401, 16}, {403, 7},  {404, 12}, {429, 14},
                                         {502, 14}, {503, 14}, {504, 14}, {418, 2}};
  for (const auto& [http, grpc] : to_grpc) CHECK(GrpcFromHttp(http) == grpc);
  const std::pair<int, int> to_http[] = {{0, 200},  {1, 499},  {4, 504},  {7, 403},
                                         {12, 501}, {14, 503}, {16, 401}, {99, 500}};
  for (const auto& [grpc, http] : to_http) CHECK(HttpFromGrpc(grpc) == http);
}

SCENARIO("reset texts are Envoy's") {
  CHECK(ResetBody(Fault::kConnectFailed, false, "") ==
        "upstream connect error or disconnect/reset before headers. reset reason: remote "
        "connection failure");
  CHECK(ResetBody(Fault::kTermination, true, "TLS_error") ==
        "upstream connect error or disconnect/reset before headers. retried and the latest reset "
        "reason: connection termination, transport failure reason: TLS_error");
  CHECK(ResetDetails(Fault::kConnectFailed, false, "delayed connect error: 111") ==
        "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_"
        "111}");
  CHECK(ResetDetails(Fault::kRemoteReset, true, "") ==
        "upstream_reset_after_response_started{remote_reset}");
  CHECK(StatusOf(Fault::kProtocolError) == 502);
  CHECK(FlagOf(Fault::kOverflow) == observe::Flag::kUpstreamOverflow);
}

}  // namespace
}  // namespace heddle::proxy
