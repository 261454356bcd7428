// heddle-control's admin pages: what is at which path. Everything but POST /rotate only reads;
// nothing shows a secret.
#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "control_plane/status/http_server.h"
#include "control_plane/status/pages.h"
#include "control_plane/trace/store.h"

namespace heddle::status {

// What the pages ask of the rest of the process. Called on the admin thread.
struct AdminSource {
  std::function<Overview()> overview;
  const trace::Store* traces = nullptr;
  // "": every workload renews its certificate. "prepare", "activate", "retire": a step of the
  // root's rotation. The text says what happened.
  std::function<absl::StatusOr<std::string>(const std::string& root_step)> rotate;
};

HttpReply AnswerAdmin(const AdminSource& source, const HttpRequest& request);

}  // namespace heddle::status
