#include "control_plane/status/steward.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "control_plane/ingest/last_good.h"
#include "control_plane/kube/json.h"
#include "control_plane/status/conditions.h"
#include "source/base/log.h"
#include "source/base/status.h"

namespace heddle::status {
namespace {

constexpr char kBundleName[] = "heddle-root";
constexpr absl::Duration kRetry = absl::Seconds(5);

// Asking for the next object would only wait, too.
bool IsAway(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsCancelled(status);
}

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
      absl::StrAppend(&out, "\n", one.type, static_cast<int>(one.status), one.reason, one.message);
  }
  return out;
}

}  // namespace

Steward::Steward(kube::Client& client, StewardOptions options, Look look, SpreadOf spread_of)
    : client_(client),
      options_(std::move(options)),
      look_(std::move(look)),
      spread_of_(std::move(spread_of)),
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
      last_good_.reset();
    }
    led_ = wanted.leading;
    if (led_) Round(wanted);
  } while (Rest(options_.look_every));
}

// Not longer than options_.round: meanwhile another one may lead, or the process is to end. The
// rest is written in the next one.
void Steward::Round(const Wanted& wanted) {
  round_until_ = absl::Now() + options_.round;
  WriteBundles(wanted);
  if (!wanted.problems_known) return;
  WriteLastGood(wanted);
  WriteStatuses(wanted);
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
    if (!Rest(options_.between_writes) || Enough() || IsAway(answer.status())) return;
  }
  std::erase_if(bundles_,
                [&](const auto& one) { return !wanted.view->meshed.contains(one.first); });
}

// Looks first: in most clusters there is nothing to note, ever.
absl::Status Steward::PutLastGood(const std::string& text) {
  const std::string folder =
      absl::StrCat("/api/v1/namespaces/", options_.system_namespace, "/configmaps/");
  if (!last_good_.has_value()) {
    const absl::StatusOr<std::string> there =
        client_.Call({.path = absl::StrCat(folder, ingest::kLastGoodName),
                      .timeout = absl::Seconds(5),
                      .max_bytes = 4 << 20});
    if (!there.ok() && !absl::IsNotFound(there.status())) return there.status();
    last_good_ = there.ok() ? ingest::LastGoodOf(*there) : "[]";
    if (*last_good_ == text) return absl::OkStatus();
  }
  kube::Json metadata = {{"name", ingest::kLastGoodName}};
  metadata["labels"]["app.kubernetes.io/part-of"] = "heddle";
  HEDDLE_RETURN_IF_ERROR(
      client_
          .Call({.method = "PATCH",
                 .path = absl::StrCat(folder, ingest::kLastGoodName,
                                      "?fieldManager=", kFieldManager, "&force=true"),
                 .body = kube::Dump({{"apiVersion", "v1"},
                                     {"kind", "ConfigMap"},
                                     {"metadata", std::move(metadata)},
                                     {"data", {{ingest::kLastGoodKey, text}}}}),
                 .content_type = kube::kApplyPatch,
                 .timeout = absl::Seconds(5)})
          .status());
  last_good_ = text;
  Count(&Counters::last_goods);
  return absl::OkStatus();
}

void Steward::WriteLastGood(const Wanted& wanted) {
  if (options_.system_namespace.empty() || absl::Now() < last_good_retry_) return;
  std::vector<std::string> left_out;
  const std::string text = ingest::LastGoodText(wanted.kept, ingest::kMaxLastGood, &left_out);
  if (last_good_ == text) return;
  const absl::Status status = PutLastGood(text);
  if (!status.ok()) {
    Count(&Counters::failures);
    last_good_retry_ = absl::Now() + kRetry;
    HEDDLE_LOG(kWarning, "steward")
        << "ConfigMap " << ingest::kLastGoodName << ": " << status.ToString();
  } else if (!left_out.empty()) {
    HEDDLE_LOG(kWarning, "steward")
        << "ConfigMap " << ingest::kLastGoodName
        << " is full; a heddle-control that starts now will not know what these said before: "
        << absl::StrJoin(left_out, ", ").substr(0, 2000);
  }
}

const serve::Spread* Steward::AddProgrammed(const ingest::StatusTarget& target, uint64_t served,
                                            std::vector<Condition>* conditions, Written* written) {
  std::string version = absl::StrCat(target.uid, "/", target.generation);
  const bool accepted = conditions->front().status == Truth::kTrue;
  if (!accepted || written->version != version) {
    written->programmed = false;
    written->since = 0;
    written->version = std::move(version);
  }
  if (accepted && written->since == 0) written->since = served;
  static const serve::Spread* const kNone = new serve::Spread();
  if (written->programmed || !accepted) {
    // Frozen: nothing of it changes what was written.
    conditions->push_back(written->programmed
                              ? Condition{kProgrammed, Truth::kTrue, kProgrammed, ""}
                              : ProgrammedOf(conditions->front(), *kNone, options_.instance));
    return kNone;
  }
  const absl::Time now = absl::Now();
  if (now >= spreads_until_) {
    spreads_.clear();
    spreads_until_ = now + absl::Seconds(1);
  }
  const auto [spread, fresh] = spreads_.try_emplace(written->since);
  if (fresh) spread->second = spread_of_(written->since);
  conditions->push_back(ProgrammedOf(conditions->front(), spread->second, options_.instance));
  return &spread->second;
}

absl::Status Steward::WriteStatus(const ingest::StatusTarget& target,
                                  const std::vector<model::Problem>& problems, uint64_t served,
                                  Written* written) {
  std::vector<std::vector<Condition>> conditions = ConditionsOf(target, problems);
  const serve::Spread* const spread =
      IsRoute(target) ? nullptr : AddProgrammed(target, served, &conditions.front(), written);
  std::string summary = Summary(target, conditions);
  if (written->what == summary) return absl::OkStatus();
  const std::string path = ingest::ObjectPath(*target.resource, target.ns, target.name);
  HEDDLE_ASSIGN_OR_RETURN(const std::string object,
                          client_.Call({.path = path, .timeout = absl::Seconds(5)}));
  HEDDLE_ASSIGN_OR_RETURN(const std::optional<StatusPatch> patch,
                          PatchFor(target, conditions, object, absl::Now(), spread));
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
        if (one.status == Truth::kFalse && one.type != kProgrammed)
          events_.Record({.object = {target.resource->api_version, target.resource->name, target.ns,
                                     target.name, target.uid},
                          .warning = true,
                          .reason = one.reason,
                          .message = one.message});
  }
  written->what = std::move(summary);
  if (spread != nullptr && conditions.front().front().status == Truth::kTrue &&
      (conditions.front().back().status == Truth::kTrue || IsProgrammed(target, object)))
    written->programmed = true;
  return absl::OkStatus();
}

void Steward::WriteStatuses(const Wanted& wanted) {
  std::map<std::string, std::vector<model::Problem>> problems;
  for (const model::Problem& one : wanted.problems) problems[one.file].push_back(one);
  for (const auto& [file, target] : wanted.view->targets) {
    Written& written = written_[file];
    if (absl::Now() < written.retry) continue;
    const std::string before = written.what;
    const absl::Status status = WriteStatus(target, problems[file], wanted.served, &written);
    if (!status.ok()) {
      written.retry = absl::Now() + (absl::IsAborted(status) ? options_.look_every : kRetry);
      // Gone or changed since: the news is on its way.
      if (absl::IsNotFound(status) || absl::IsAborted(status)) continue;
      Count(&Counters::failures);
      HEDDLE_LOG(kWarning, "steward") << "status of " << file << ": " << status.ToString();
      if (IsAway(status)) return;
    }
    if (Enough() || (written.what != before && !Rest(options_.between_writes))) return;
  }
  std::erase_if(written_,
                [&](const auto& one) { return !wanted.view->targets.contains(one.first); });
}

}  // namespace heddle::status
