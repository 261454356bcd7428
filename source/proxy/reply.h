// Replies that the proxy makes itself, and the mapping between HTTP and gRPC status
// (proxy_semantics.md 2.12). Source: Envoy, source/common/http/utility.cc prepareLocalReply and
// source/common/grpc/status.cc.
#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "source/filter/filter.h"
#include "source/http/headers.h"

namespace heddle::proxy {

using filter::Reply;

int GrpcFromHttp(int http_status);
int HttpFromGrpc(int grpc_status);

// The reply as it goes to the client. gRPC requests get status 200, grpc-status and grpc-message
// and no body. `body` receives what is to be sent behind the head (empty: the head ends the
// response).
http::ResponseHead MakeReplyHead(const Reply& reply, bool grpc, absl::string_view* body);

// gRPC: percent-encoding of grpc-message.
std::string PercentEncode(absl::string_view text);

// grpc-status of a response's headers or trailers; none when absent or not a number.
std::optional<int> GrpcStatusOf(const http::Headers& headers);

}  // namespace heddle::proxy
