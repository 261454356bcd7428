#include "control_plane/kube/answer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "control_plane/kube/json.h"

namespace heddle::kube {
namespace {

constexpr char kRetryAfter[] = "heddle.dev/retry-after";
// A server that asks for more is asked again sooner.
constexpr absl::Duration kLongestRetryAfter = absl::Minutes(1);

absl::StatusCode CodeOf(int code, absl::string_view reason) {
  switch (code) {
    case 400:
    case 422:
      return absl::StatusCode::kInvalidArgument;
    case 401:
      return absl::StatusCode::kUnauthenticated;
    case 403:
      return absl::StatusCode::kPermissionDenied;
    case 404:
      return absl::StatusCode::kNotFound;
    case 409:
      return reason == "AlreadyExists" ? absl::StatusCode::kAlreadyExists
                                       : absl::StatusCode::kAborted;
    case 410:
      return absl::StatusCode::kOutOfRange;
    default:
      return code == 429 || code >= 500 ? absl::StatusCode::kUnavailable
                                        : absl::StatusCode::kUnknown;
  }
}

}  // namespace

absl::Status StatusOf(absl::string_view doing, int code, absl::string_view body,
                      absl::Duration retry_after) {
  if (code >= 200 && code < 300) return absl::OkStatus();
  std::string reason, message;
  if (const std::optional<Json> object = ParseJson(body); object.has_value()) {
    reason = TextAt(*object, {"reason"});
    message = TextAt(*object, {"message"});
  }
  if (message.empty()) message = std::string(body.substr(0, 200));
  absl::Status out(CodeOf(code, reason),
                   absl::StrCat(doing, ": ", code, reason.empty() ? "" : " ", reason,
                                message.empty() ? "" : ": ", message.substr(0, 1000)));
  if (retry_after > absl::ZeroDuration())
    out.SetPayload(kRetryAfter, absl::Cord(absl::StrCat(absl::ToInt64Milliseconds(
                                    std::min(retry_after, kLongestRetryAfter)))));
  return out;
}

absl::Status StatusOf(absl::string_view doing, absl::string_view status_object) {
  const std::optional<Json> object = ParseJson(status_object);
  const int64_t code = object.has_value() ? NumberAt(*object, {"code"}).value_or(500) : 500;
  if (code < 400 || code > 599) return StatusOf(doing, 500, status_object, absl::ZeroDuration());
  return StatusOf(doing, static_cast<int>(code), status_object, absl::ZeroDuration());
}

absl::Duration RetryAfter(const absl::Status& status) {
  const auto payload = status.GetPayload(kRetryAfter);
  int64_t ms = 0;
  if (!payload.has_value() || !absl::SimpleAtoi(std::string(*payload), &ms))
    return absl::ZeroDuration();
  return absl::Milliseconds(ms);
}

}  // namespace heddle::kube
