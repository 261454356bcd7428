// What is written to the status of routes and policies: pure functions from what is wrong to
// conditions, and from those and the object as it is to a patch.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "control_plane/ingest/kube_object.h"
#include "control_plane/model/problem.h"
#include "control_plane/serve/hub.h"

namespace heddle::status {

inline constexpr char kControllerName[] = "heddle.dev/mesh";
inline constexpr char kFieldManager[] = "heddle-control";

enum class Truth { kFalse, kTrue, kUnknown };

inline constexpr char kProgrammed[] = "Programmed";

struct Condition {
  std::string type;  // "Accepted", "ResolvedRefs", "Programmed"
  Truth status = Truth::kTrue;
  std::string reason, message;
  friend bool operator==(const Condition&, const Condition&) = default;
};

bool IsRoute(const ingest::StatusTarget& target);
// Of a policy one list; of a route one per parent. `problems` are those of this object.
std::vector<std::vector<Condition>> ConditionsOf(const ingest::StatusTarget& target,
                                                 const std::vector<model::Problem>& problems);

// Whether the proxies have it: how far the configuration came that holds this generation of a
// policy. `accepted` is the condition of that name; `replica` is whom the proxies are connected to.
Condition ProgrammedOf(const Condition& accepted, const serve::Spread& spread,
                       absl::string_view replica);
// The object as the API server has it is Programmed in this generation.
bool IsProgrammed(const ingest::StatusTarget& target, absl::string_view object);

// What to write so that the object, as the API server has it, has these conditions; nullopt when it
// has them. A route's entries of other controllers stay as they are, and the write is refused by
// the server (Aborted) when somebody else wrote meanwhile; a policy's status is applied. What once
// was Programmed in this generation stays so, as a policy that was taken over is not taken back by
// a proxy that comes later; `spread` is written beside it.
struct StatusPatch {
  std::string content_type;
  std::string query;  // of the path
  std::string body;
};
absl::StatusOr<std::optional<StatusPatch>> PatchFor(
    const ingest::StatusTarget& target, const std::vector<std::vector<Condition>>& conditions,
    absl::string_view object, absl::Time now, const serve::Spread* spread = nullptr);

}  // namespace heddle::status
