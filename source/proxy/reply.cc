#include "source/proxy/reply.h"

#include <array>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace heddle::proxy {

int GrpcFromHttp(int http_status) {
  switch (http_status) {
    case 400:
      return 13;
    case 401:
      return 16;
    case 403:
      return 7;
    case 404:
      return 12;
    case 429:
    case 502:
    case 503:
    case 504:
      return 14;
    default:
      return 2;
  }
}

int HttpFromGrpc(int grpc_status) {
  static constexpr std::array<int, 17> kHttp = {200, 499, 500, 400, 504, 404, 409, 403, 429,
                                                400, 409, 400, 501, 500, 503, 500, 401};
  if (grpc_status < 0 || grpc_status >= static_cast<int>(kHttp.size())) return 500;
  return kHttp[static_cast<size_t>(grpc_status)];
}

std::string PercentEncode(absl::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= ' ' && byte <= '~' && c != '%') {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

http::ResponseHead MakeReplyHead(const Reply& reply, bool grpc, absl::string_view* body) {
  using http::HeaderId;
  http::ResponseHead head;
  head.status = grpc ? 200 : reply.status;
  *body = {};
  for (const auto& [name, value] : reply.headers) head.headers.Add(name, value);
  if (grpc) {
    head.headers.Set(HeaderId::kContentType, "application/grpc");
    const int status = reply.grpc_status >= 0 ? reply.grpc_status : GrpcFromHttp(reply.status);
    head.headers.Set(HeaderId::kGrpcStatus, absl::StrCat(status));
    if (!reply.body.empty()) head.headers.Set(HeaderId::kGrpcMessage, PercentEncode(reply.body));
    return head;
  }
  if (!reply.body.empty()) {
    *body = reply.body;
    head.headers.Set(HeaderId::kContentLength, absl::StrCat(reply.body.size()));
    if (!head.headers.Has(HeaderId::kContentType))
      head.headers.Add(HeaderId::kContentType, "text/plain");
  }
  return head;
}

std::optional<int> GrpcStatusOf(const http::Headers& headers) {
  const auto text = headers.Get(http::HeaderId::kGrpcStatus);
  int status = 0;
  if (!text || !absl::SimpleAtoi(*text, &status) || status < 0) return std::nullopt;
  return status;
}

}  // namespace heddle::proxy
