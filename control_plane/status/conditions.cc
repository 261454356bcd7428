#include "control_plane/status/conditions.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "control_plane/kube/client.h"
#include "control_plane/kube/json.h"

namespace heddle::status {
namespace {

using ingest::KubeKind;
using kube::Json;
using kube::ListAt;
using kube::TextAt;
using model::Problem;
using model::Severity;

// A condition's message is at most 32 KiB; a person reads less.
constexpr size_t kMaxMessage = 2000;
constexpr size_t kMaxRefusal = 400;  // of one proxy's

bool IsAboutBackends(const Problem& problem) {
  return problem.reason == "BackendNotFound" || problem.reason == "RefNotPermitted" ||
         problem.reason == "InvalidKind" || problem.reason == "UnsupportedProtocol";
}

void Fail(const Problem& problem, absl::string_view reason, Condition* out) {
  std::string said = absl::StrCat(problem.path, problem.path.empty() ? "" : ": ", problem.message);
  if (out->status == Truth::kTrue) {
    out->status = Truth::kFalse;
    out->reason = std::string(reason);
    out->message = std::move(said);
  } else if (out->message.size() + said.size() < kMaxMessage) {
    absl::StrAppend(&out->message, "; ", said);
  }
}

std::vector<Condition> Conditions(const ingest::StatusTarget& target,
                                  const std::vector<Problem>& problems, size_t parent) {
  const bool route = IsRoute(target);
  const std::string mine = absl::StrCat("spec.parentRefs[", parent, "]");
  Condition accepted{"Accepted", Truth::kTrue, "Accepted", ""};
  Condition resolved{"ResolvedRefs", Truth::kTrue, "ResolvedRefs", ""};
  for (const Problem& one : problems) {
    if (one.severity == Severity::kError && one.reason.empty()) {
      Fail(one, route ? "UnsupportedValue" : "Invalid", &accepted);
    } else if (IsAboutBackends(one)) {
      Fail(one, one.reason, &resolved);
    } else if (!one.reason.empty()) {
      if (route && !absl::StartsWith(one.path, mine)) continue;
      Fail(one, one.reason, &accepted);
    }
  }
  return {std::move(accepted), std::move(resolved)};
}

std::string Rfc3339(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

const char* Word(Truth truth) {
  switch (truth) {
    case Truth::kFalse:
      return "False";
    case Truth::kTrue:
      return "True";
    case Truth::kUnknown:
      return "Unknown";
  }
  return "";
}

// As JSON; what did not change keeps the time of its last change.
Json ToJson(const std::vector<Condition>& conditions, const Json& before, int64_t generation,
            absl::Time now) {
  Json out = Json::array();
  for (const Condition& one : conditions) {
    const char* const status = Word(one.status);
    std::string changed = Rfc3339(now);
    for (const Json& old : before)
      if (TextAt(old, {"type"}) == one.type && TextAt(old, {"status"}) == status &&
          !TextAt(old, {"lastTransitionTime"}).empty())
        changed = TextAt(old, {"lastTransitionTime"});
    out.push_back({{"type", one.type},
                   {"status", status},
                   {"reason", one.reason},
                   {"message", one.message},
                   {"observedGeneration", generation},
                   {"lastTransitionTime", changed}});
  }
  return out;
}

// Each of ours is there as it should be. Conditions of others in the same list do not count.
bool Has(const Json& there, const Json& ours) {
  return std::all_of(ours.begin(), ours.end(), [&](const Json& one) {
    return std::find(there.begin(), there.end(), one) != there.end();
  });
}

std::optional<StatusPatch> PatchRoute(const ingest::StatusTarget& target,
                                      const std::vector<std::vector<Condition>>& conditions,
                                      const Json& object, absl::Time now) {
  Json parents = Json::array();
  Json ours = Json::array();
  for (const Json& one : ListAt(object, {"status", "parents"})) {
    if (TextAt(one, {"controllerName"}) == kControllerName) {
      ours.push_back(one);
    } else {
      parents.push_back(one);
    }
  }
  Json wanted = Json::array();
  for (size_t i = 0; i < target.parents.size() && i < conditions.size(); ++i) {
    const std::optional<Json> ref = kube::ParseJson(target.parents[i]);
    if (!ref.has_value()) continue;
    Json before = Json::array();
    for (const Json& one : ours)
      if (kube::ObjectAt(one, {"parentRef"}) == *ref) before = ListAt(one, {"conditions"});
    wanted.push_back({{"parentRef", *ref},
                      {"controllerName", kControllerName},
                      {"conditions", ToJson(conditions[i], before, target.generation, now)}});
  }
  if (ours == wanted) return std::nullopt;
  for (Json& one : wanted) parents.push_back(std::move(one));
  return StatusPatch{
      .content_type = kube::kMergePatch,
      .query = absl::StrCat("?fieldManager=", kFieldManager),
      .body = kube::Dump(
          {{"metadata", {{"resourceVersion", TextAt(object, {"metadata", "resourceVersion"})}}},
           {"status", {{"parents", std::move(parents)}}}})};
}

// Where the object is Programmed in this generation and is accepted still, that condition is as it
// was.
bool KeepProgrammed(const Json& object, int64_t generation, Json* wanted) {
  const auto is = [&](const Json& one, const char* type) {
    return TextAt(one, {"type"}) == type && TextAt(one, {"status"}) == "True" &&
           kube::NumberAt(one, {"observedGeneration"}).value_or(0) == generation;
  };
  if (std::none_of(wanted->begin(), wanted->end(),
                   [&](const Json& one) { return is(one, "Accepted"); }))
    return false;
  for (const Json& there : ListAt(object, {"status", "conditions"})) {
    if (!is(there, kProgrammed)) continue;
    for (Json& one : *wanted)
      if (TextAt(one, {"type"}) == kProgrammed) one = there;
    return true;
  }
  return false;
}

bool Programmed(const Json& object, int64_t generation) {
  Json wanted = {{{"type", "Accepted"}, {"status", "True"}, {"observedGeneration", generation}}};
  return KeepProgrammed(object, generation, &wanted);
}

std::optional<StatusPatch> ApplyPolicy(const ingest::StatusTarget& target,
                                       const std::vector<Condition>& conditions, const Json& object,
                                       absl::Time now, const serve::Spread* spread) {
  const Json& before = ListAt(object, {"status", "conditions"});
  Json wanted = ToJson(conditions, before, target.generation, now);
  Json status = {{"observedGeneration", target.generation}};
  if (spread != nullptr)
    status["proxies"] = {
        {"total", spread->total}, {"acked", spread->acked}, {"nacked", spread->nacked}};
  if (KeepProgrammed(object, target.generation, &wanted) &&
      kube::Find(object, {"status", "proxies"}) != nullptr)
    status["proxies"] = *kube::Find(object, {"status", "proxies"});
  if (Has(before, wanted)) return std::nullopt;
  status["conditions"] = std::move(wanted);
  Json metadata = {{"name", target.name}};
  if (!target.ns.empty()) metadata["namespace"] = target.ns;
  return StatusPatch{.content_type = kube::kApplyPatch,
                     .query = absl::StrCat("?fieldManager=", kFieldManager, "&force=true"),
                     .body = kube::Dump({{"apiVersion", target.resource->api_version},
                                         {"kind", target.resource->name},
                                         {"metadata", std::move(metadata)},
                                         {"status", std::move(status)}})};
}

}  // namespace

bool IsRoute(const ingest::StatusTarget& target) {
  return target.resource->kind == KubeKind::kHttpRoute ||
         target.resource->kind == KubeKind::kGrpcRoute;
}

std::vector<std::vector<Condition>> ConditionsOf(const ingest::StatusTarget& target,
                                                 const std::vector<Problem>& problems) {
  std::vector<std::vector<Condition>> out;
  const size_t lists = IsRoute(target) ? target.parents.size() : 1;
  for (size_t i = 0; i < lists; ++i) out.push_back(Conditions(target, problems, i));
  return out;
}

absl::StatusOr<std::optional<StatusPatch>> PatchFor(
    const ingest::StatusTarget& target, const std::vector<std::vector<Condition>>& conditions,
    absl::string_view text, absl::Time now, const serve::Spread* spread) {
  const std::optional<Json> object = kube::ParseJson(text);
  if (!object.has_value()) return absl::InternalError("an object that is not JSON");
  // Made anew meanwhile, or changed: what is known of it is on its way.
  if (TextAt(*object, {"metadata", "uid"}) != target.uid ||
      kube::NumberAt(*object, {"metadata", "generation"}).value_or(0) != target.generation)
    return absl::AbortedError("the object changed meanwhile");
  if (IsRoute(target)) return PatchRoute(target, conditions, *object, now);
  return ApplyPolicy(target, conditions.front(), *object, now, spread);
}

bool IsProgrammed(const ingest::StatusTarget& target, absl::string_view text) {
  const std::optional<Json> object = kube::ParseJson(text);
  return object.has_value() && Programmed(*object, target.generation);
}

Condition ProgrammedOf(const Condition& accepted, const serve::Spread& spread,
                       absl::string_view replica) {
  Condition out{kProgrammed, Truth::kFalse, "", ""};
  const std::string at = absl::StrCat(" sidecars connected to ", replica);
  if (accepted.status != Truth::kTrue) {
    out.reason = "Invalid";
    out.message = "not accepted";
  } else if (spread.total == 0) {
    out.status = Truth::kUnknown;
    out.reason = "NoProxies";
    out.message = absl::StrCat("no sidecar is connected to ", replica);
  } else if (spread.nacked > 0) {
    out.reason = "Rejected";
    out.message = absl::StrCat("rejected by ", spread.nacked, " of ", spread.total, at);
    for (const serve::Rejection& one : spread.rejections)
      absl::StrAppend(&out.message, "; ", one.node_id, ": ", one.type, ": ",
                      one.why.substr(0, kMaxRefusal));
  } else if (spread.acked < spread.total) {
    out.reason = "Pending";
    out.message = absl::StrCat("not answered yet by all", at);
  } else {
    out.status = Truth::kTrue;
    out.reason = kProgrammed;
    out.message = absl::StrCat("taken over by all ", spread.total, at);
  }
  return out;
}

}  // namespace heddle::status
