#include "control_plane/status/steward.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "control_plane/kube/json.h"
#include "control_plane/status/conditions.h"
#include "source/base/log.h"
#include "source/base/status.h"

namespace heddle::status {
namespace {

constexpr char kBundleName[] = "heddle-root";
constexpr absl::Duration kRetry = absl::Seconds(5);

std::string BundleJson(const std::string& ns, const std::string& bundle) {
  kube::Json metadata = {{"name", kBundleName}, {"namespace", ns}};
  metadata["labels"]["app.kubernetes.io/part-of"] = "heddle";
  return kube::Dump({{"apiVersion", "v1"},
                     {"kind", "ConfigMap"},
                     {"metadata", std::move(metadata)},
                     {"data", {{"ca.crt", bundle}}}});
}

std::string Summary(const ingest::StatusTarget& target,
                    const std::vector<std::vector<Condition>>& lists) {
  std::string out = absl::StrCat(target.uid, "\n", target.generation);
  for (size_t i = 0; i < lists.size(); ++i) {
    if (i < target.parents.size()) absl::StrAppend(&out, "\n", target.parents[i]);
    for (const Condition& one : lists[i])
      absl::StrAppend(&out, "\n", one.type, one.status, one.reason, one.message);
  }
  return out;
}

}  // namespace

Steward::Steward(kube::Client& client, StewardOptions options, Look look)
    : client_(client),
      options_(std::move(options)),
      look_(std::move(look)),
      events_(client, {.instance = options_.instance}),
      thread_([this] { Run(); }) {}

Steward::~Steward() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

Steward::Counters Steward::counters() const {
  absl::MutexLock lock(&mutex_);
  return counters_;
}

void Steward::Count(uint64_t Counters::*which) {
  absl::MutexLock lock(&mutex_);
  ++(counters_.*which);
}

bool Steward::Rest(absl::Duration how_long) {
  absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(&stopping_), how_long);
  return !stopping_;
}

void Steward::Run() {
  do {
    const Wanted wanted = look_();
    // A new term knows nothing of what the one before wrote.
    if (wanted.leading && !led_) {
      bundles_.clear();
      written_.clear();
    }
    led_ = wanted.leading;
    if (led_) Round(wanted);
  } while (Rest(options_.look_every));
}

void Steward::Round(const Wanted& wanted) {
  WriteBundles(wanted);
  if (wanted.problems_known) WriteStatuses(wanted);
}

void Steward::WriteBundles(const Wanted& wanted) {
  const absl::Time now = absl::Now();
  for (const std::string& ns : wanted.view->meshed) {
    auto& [bundle, until] = bundles_[ns];
    if (bundle == wanted.bundle && now < until) continue;
    const absl::StatusOr<std::string> answer =
        client_.Call({.method = "PATCH",
                      .path = absl::StrCat("/api/v1/namespaces/", ns, "/configmaps/", kBundleName,
                                           "?fieldManager=", kFieldManager, "&force=true"),
                      .body = BundleJson(ns, wanted.bundle),
                      .content_type = kube::kApplyPatch,
                      .timeout = absl::Seconds(5)});
    bundle = wanted.bundle;
    until = now + (answer.ok() ? options_.again_after : kRetry);
    if (answer.ok()) {
      Count(&Counters::bundles);
    } else {
      Count(&Counters::failures);
      HEDDLE_LOG(kWarning, "steward")
          << "ConfigMap " << ns << "/" << kBundleName << ": " << answer.status().ToString();
    }
    if (!Rest(options_.between_writes)) return;
  }
  std::erase_if(bundles_,
                [&](const auto& one) { return !wanted.view->meshed.contains(one.first); });
}

absl::Status Steward::WriteStatus(const ingest::StatusTarget& target,
                                  const std::vector<model::Problem>& problems, std::string* what) {
  const std::vector<std::vector<Condition>> conditions = ConditionsOf(target, problems);
  std::string summary = Summary(target, conditions);
  if (*what == summary) return absl::OkStatus();
  const std::string path = ingest::ObjectPath(*target.resource, target.ns, target.name);
  HEDDLE_ASSIGN_OR_RETURN(const std::string object,
                          client_.Call({.path = path, .timeout = absl::Seconds(5)}));
  HEDDLE_ASSIGN_OR_RETURN(const std::optional<StatusPatch> patch,
                          PatchFor(target, conditions, object, absl::Now()));
  if (patch.has_value()) {
    HEDDLE_RETURN_IF_ERROR(client_
                               .Call({.method = "PATCH",
                                      .path = absl::StrCat(path, "/status", patch->query),
                                      .body = patch->body,
                                      .content_type = patch->content_type,
                                      .timeout = absl::Seconds(5)})
                               .status());
    Count(&Counters::statuses);
    for (const std::vector<Condition>& list : conditions)
      for (const Condition& one : list)
        if (!one.status)
          events_.Record({.object = {target.resource->api_version, target.resource->name, target.ns,
                                     target.name, target.uid},
                          .warning = true,
                          .reason = one.reason,
                          .message = one.message});
  }
  *what = std::move(summary);
  return absl::OkStatus();
}

void Steward::WriteStatuses(const Wanted& wanted) {
  std::map<std::string, std::vector<model::Problem>> problems;
  for (const model::Problem& one : wanted.problems) problems[one.file].push_back(one);
  for (const auto& [file, target] : wanted.view->targets) {
    Written& written = written_[file];
    if (absl::Now() < written.retry) continue;
    const std::string before = written.what;
    const absl::Status status = WriteStatus(target, problems[file], &written.what);
    if (!status.ok()) {
      written.retry = absl::Now() + (absl::IsAborted(status) ? options_.look_every : kRetry);
      // Gone or changed since: the news is on its way.
      if (absl::IsNotFound(status) || absl::IsAborted(status)) continue;
      Count(&Counters::failures);
      HEDDLE_LOG(kWarning, "steward") << "status of " << file << ": " << status.ToString();
    }
    if (written.what != before && !Rest(options_.between_writes)) return;
  }
  std::erase_if(written_,
                [&](const auto& one) { return !wanted.view->targets.contains(one.first); });
}

}  // namespace heddle::status
