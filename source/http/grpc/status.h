// gRPC's status: its 17 codes, how it travels in headers and trailers, and how it maps to and from
// HTTP.
//
//   Status status = StatusOf(response_head, trailers);       // of a finished call
//   if (!status.ok()) LOG << CodeName(status.code) << ": " << status.message;
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "source/http/headers.h"

namespace heddle::http::grpc {

// Numbers of the gRPC protocol; the same as absl::StatusCode.
enum class Code : uint8_t {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

struct Status {
  Code code = Code::kOk;
  std::string message;  // percent-decoded
  bool ok() const { return code == Code::kOk; }
  absl::Status ToAbsl() const { return absl::Status(static_cast<absl::StatusCode>(code), message); }
};

absl::string_view CodeName(Code code);  // "UNAVAILABLE"
Code CodeOfHttp(int http_status);       // 503 -> kUnavailable; kUnknown for the rest
int HttpOfCode(Code code);              // kUnavailable -> 503
// Envoy's Grpc::Common::getGrpcStatus: trailers, then head, then (not 200, or no status at all) the
// HTTP status. Either may be null.
Status StatusOf(const ResponseHead* head, const Trailers* trailers);
// None when the field is absent; kUnknown when it is there but is no number of 0..16.
std::optional<Code> ParseCode(const Headers& headers);

// RFC-like percent-encoding of grpc-message: bytes outside 0x20..0x7e and '%' become %XX.
std::string EncodeMessage(absl::string_view text);
std::string DecodeMessage(absl::string_view text);  // a bad escape stays as it is

}  // namespace heddle::http::grpc
