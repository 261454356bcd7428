#include "source/http/grpc/status.h"

#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace heddle::http::grpc {
namespace {

struct CodeRow {
  absl::string_view name;
  int http;
};

// By code (Envoy's Grpc::Utility::grpcToHttpStatus).
constexpr std::array<CodeRow, 17> kCodes = {{
    {"OK", 200},
    {"CANCELLED", 499},
    {"UNKNOWN", 500},
    {"INVALID_ARGUMENT", 400},
    {"DEADLINE_EXCEEDED", 504},
    {"NOT_FOUND", 404},
    {"ALREADY_EXISTS", 409},
    {"PERMISSION_DENIED", 403},
    {"RESOURCE_EXHAUSTED", 429},
    {"FAILED_PRECONDITION", 400},
    {"ABORTED", 409},
    {"OUT_OF_RANGE", 400},
    {"UNIMPLEMENTED", 501},
    {"INTERNAL", 500},
    {"UNAVAILABLE", 503},
    {"DATA_LOSS", 500},
    {"UNAUTHENTICATED", 401},
}};

Status FromFields(Code code, const Headers& headers) {
  return {code, DecodeMessage(headers.Get(HeaderId::kGrpcMessage).value_or(""))};
}

int HexDigit(char c) {
  if (absl::ascii_isdigit(static_cast<unsigned char>(c))) return c - '0';
  const char lower = absl::ascii_tolower(static_cast<unsigned char>(c));
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

absl::string_view CodeName(Code code) { return kCodes[static_cast<size_t>(code)].name; }
int HttpOfCode(Code code) { return kCodes[static_cast<size_t>(code)].http; }

Code CodeOfHttp(int http_status) {
  switch (http_status) {
    case 400:
      return Code::kInternal;
    case 401:
      return Code::kUnauthenticated;
    case 403:
      return Code::kPermissionDenied;
    case 404:
      return Code::kUnimplemented;
    case 429:
    case 502:
    case 503:
    case 504:
      return Code::kUnavailable;
    default:
      return Code::kUnknown;
  }
}

std::optional<Code> ParseCode(const Headers& headers) {
  const std::optional<absl::string_view> text = headers.Get(HeaderId::kGrpcStatus);
  if (!text) return std::nullopt;
  uint32_t number = 0;
  if (!absl::SimpleAtoi(*text, &number) || number >= kCodes.size()) return Code::kUnknown;
  return static_cast<Code>(number);
}

Status StatusOf(const ResponseHead* head, const Trailers* trailers) {
  if (trailers != nullptr) {
    if (const std::optional<Code> code = ParseCode(*trailers)) return FromFields(*code, *trailers);
  }
  if (head == nullptr) return {Code::kUnknown, "no response"};
  if (const std::optional<Code> code = ParseCode(head->headers))
    return FromFields(*code, head->headers);
  if (head->status != 200)
    return {CodeOfHttp(head->status), absl::StrCat("HTTP status ", head->status)};
  return {Code::kUnknown, "no grpc-status"};
}

std::string EncodeMessage(absl::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (c >= 0x20 && c <= 0x7e && c != '%') {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  return out;
}

std::string DecodeMessage(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      const int high = HexDigit(text[i + 1]);
      const int low = HexDigit(text[i + 2]);
      if (high >= 0 && low >= 0) {
        out += static_cast<char>(high * 16 + low);
        i += 2;
        continue;
      }
    }
    out += text[i];
  }
  return out;
}

}  // namespace heddle::http::grpc
