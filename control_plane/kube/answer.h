// What an API server's refusal means: its HTTP code and Status object as one absl::Status.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace heddle::kube {

// 2xx: Ok. 404 NotFound; 409 AlreadyExists or Aborted (reason Conflict: read again, try again);
// 410 OutOfRange (the resourceVersion is too old: list again); 401 Unauthenticated; 403
// PermissionDenied; 400 and 422 InvalidArgument; 429 and 5xx Unavailable. The message is the
// server's, after `doing` ("GET /api/v1/pods").
absl::Status StatusOf(absl::string_view doing, int code, absl::string_view body,
                      absl::Duration retry_after);
// For a Status object that comes inside a watch (event type ERROR).
absl::Status StatusOf(absl::string_view doing, absl::string_view status_object);

// What the server's Retry-After asked for; zero: nothing.
absl::Duration RetryAfter(const absl::Status& status);

}  // namespace heddle::kube
