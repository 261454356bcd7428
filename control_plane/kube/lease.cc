#include "control_plane/kube/lease.h"

#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "control_plane/kube/json.h"
#include "source/base/log.h"
#include "source/base/status.h"

namespace heddle::kube {
namespace {

constexpr char kMicroTime[] = "%Y-%m-%dT%H:%M:%E6SZ";

absl::Time TimeAt(const Json& value, JsonPath path) {
  absl::Time out = absl::UnixEpoch();
  std::string why;
  absl::ParseTime(absl::RFC3339_full, TextAt(value, path), &out, &why);
  return out;
}

std::string LeasePath(const ElectionOptions& options, bool named) {
  return absl::StrCat("/apis/coordination.k8s.io/v1/namespaces/", options.ns, "/leases",
                      named ? "/" + options.name : "");
}

}  // namespace

absl::StatusOr<LeaseRecord> ParseLease(absl::string_view text) {
  const std::optional<Json> object = ParseJson(text);
  if (!object.has_value() || TextAt(*object, {"metadata", "resourceVersion"}).empty())
    return absl::InternalError("a Lease without a resourceVersion");
  return LeaseRecord{
      .holder = TextAt(*object, {"spec", "holderIdentity"}),
      .duration = absl::Seconds(NumberAt(*object, {"spec", "leaseDurationSeconds"}).value_or(15)),
      .acquired = TimeAt(*object, {"spec", "acquireTime"}),
      .renewed = TimeAt(*object, {"spec", "renewTime"}),
      .transitions = NumberAt(*object, {"spec", "leaseTransitions"}).value_or(0),
      .resource_version = TextAt(*object, {"metadata", "resourceVersion"})};
}

std::string LeaseJson(const ElectionOptions& options, const LeaseRecord& record) {
  Json metadata = {{"name", options.name}, {"namespace", options.ns}};
  if (!record.resource_version.empty()) metadata["resourceVersion"] = record.resource_version;
  return Dump(
      {{"apiVersion", "coordination.k8s.io/v1"},
       {"kind", "Lease"},
       {"metadata", std::move(metadata)},
       {"spec",
        {{"holderIdentity", record.holder},
         {"leaseDurationSeconds", absl::ToInt64Seconds(record.duration)},
         {"acquireTime", absl::FormatTime(kMicroTime, record.acquired, absl::UTCTimeZone())},
         {"renewTime", absl::FormatTime(kMicroTime, record.renewed, absl::UTCTimeZone())},
         {"leaseTransitions", record.transitions}}}});
}

std::optional<LeaseRecord> Candidate::Look(const std::optional<LeaseRecord>& there) {
  const base::Micros now = clock_.Now();
  if (!seen_.has_value() || there != seen_) {
    seen_ = there;
    seen_at_ = now;
  }
  const bool ours = there.has_value() && there->holder == options_.identity;
  if (!ours) holds_ = false;
  if (there.has_value() && !ours && !there->holder.empty() &&
      now - seen_at_ < base::ToMicros(there->duration))
    return std::nullopt;
  LeaseRecord next = there.value_or(LeaseRecord{});
  next.renewed = clock_.WallNow();
  next.duration = options_.lease;
  if (!ours) {
    next.acquired = next.renewed;
    if (there.has_value()) ++next.transitions;
  }
  next.holder = options_.identity;
  writing_ = next;
  writing_at_ = now;
  return next;
}

void Candidate::Wrote(bool taken) {
  if (!taken || !writing_.has_value()) return;
  holds_ = true;
  // From before the write left: the server may have taken its time.
  renewed_at_ = writing_at_;
}

bool Candidate::leading() const {
  return holds_ && clock_.Now() - renewed_at_ < base::ToMicros(options_.renew_deadline);
}

struct Election::State {
  using Self = std::shared_ptr<State>;

  State(Client& client, ElectionOptions options, std::function<void(bool)> on_change)
      : client(client),
        options(std::move(options)),
        on_change(std::move(on_change)),
        candidate(this->options, base::SystemClock()) {}

  Client& client;
  const ElectionOptions options;
  const std::function<void(bool)> on_change;
  Candidate candidate;  // the client's thread only, as all that follows
  base::Random random;
  std::optional<LeaseRecord> release;
  std::atomic<bool> leads{false};
  bool over = false;

  // Each hands `self` on to the answer it waits for.
  static void Round(const Self& self);
  static void OnRead(const Self& self, const absl::StatusOr<std::string>& body);
  static void Write(const Self& self, const LeaseRecord& record);
  static void Rest(const Self& self);
  void Tell();
};

void Election::State::Round(const Self& self) {
  if (self->over) return;
  self->Tell();
  self->client.Send({.path = LeasePath(self->options, true), .timeout = self->options.retry * 2},
                    [self](const absl::StatusOr<std::string>& body) {
                      if (!self->over) OnRead(self, body);
                    });
}

void Election::State::OnRead(const Self& self, const absl::StatusOr<std::string>& body) {
  std::optional<LeaseRecord> there;
  if (body.ok()) {
    absl::StatusOr<LeaseRecord> read = ParseLease(*body);
    if (!read.ok()) return Rest(self);
    there = *std::move(read);
  } else if (!absl::IsNotFound(body.status())) {
    HEDDLE_LOG(kDebug, "kube") << "lease: " << body.status().ToString();
    return Rest(self);
  }
  const std::optional<LeaseRecord> next = self->candidate.Look(there);
  if (!next.has_value()) return Rest(self);
  Write(self, *next);
}

void Election::State::Write(const Self& self, const LeaseRecord& record) {
  const bool fresh = record.resource_version.empty();
  self->client.Send(
      {.method = fresh ? "POST" : "PUT",
       .path = LeasePath(self->options, !fresh),
       .body = LeaseJson(self->options, record),
       .timeout = self->options.retry * 2},
      [self](const absl::StatusOr<std::string>& body) {
        if (self->over) return;
        if (!body.ok() && !absl::IsAborted(body.status()) && !absl::IsAlreadyExists(body.status()))
          HEDDLE_LOG(kWarning, "kube") << "lease: " << body.status().ToString();
        self->candidate.Wrote(body.ok());
        if (body.ok()) {
          if (absl::StatusOr<LeaseRecord> now = ParseLease(*body); now.ok()) {
            now->holder.clear();
            now->duration = absl::Seconds(1);
            self->release = *std::move(now);
          }
        }
        Rest(self);
      });
}

void Election::State::Tell() {
  const bool now = candidate.leading();
  if (leads.exchange(now) == now) return;
  HEDDLE_LOG(kInfo, "kube") << "lease " << options.ns << "/" << options.name << ": "
                            << (now ? "leading" : "not leading any more");
  on_change(now);
}

void Election::State::Rest(const Self& self) {
  if (self->over) return;
  self->Tell();
  // A fifth by chance, so that replicas do not ask in step.
  const absl::Duration retry = self->options.retry;
  const auto spread = static_cast<uint64_t>(absl::ToInt64Microseconds(retry / 5)) + 1;
  const absl::Duration wait =
      retry - retry / 10 + absl::Microseconds(static_cast<int64_t>(self->random.Below(spread)));
  self->client.After(wait, [self] { Round(self); });
}

Election::Election(Client& client, ElectionOptions options, std::function<void(bool)> on_change)
    : state_(std::make_shared<State>(client, std::move(options), std::move(on_change))) {
  client.Post([state = state_] { State::Round(state); });
}

Election::~Election() {
  state_->client.Post([state = state_] { state->over = true; });
}

bool Election::leading() const { return state_->leads.load(); }

void Election::Resign() {
  const std::shared_ptr<State> state = state_;
  // By way of the client's thread: what it remembers is its own.
  struct Answer {
    absl::Mutex mutex;
    bool done ABSL_GUARDED_BY(mutex) = false;
  };
  auto answer = std::make_shared<Answer>();
  const auto finish = [answer] {
    absl::MutexLock lock(&answer->mutex);
    answer->done = true;
  };
  state->client.Post([state, finish] {
    state->over = true;
    const bool held = state->candidate.leading() && state->release.has_value();
    state->leads = false;
    if (!held) return finish();
    state->client.Send({.method = "PUT",
                        .path = LeasePath(state->options, true),
                        .body = LeaseJson(state->options, *state->release),
                        .timeout = absl::Seconds(2)},
                       [finish](const absl::StatusOr<std::string>&) { finish(); });
  });
  absl::MutexLock lock(&answer->mutex);
  answer->mutex.AwaitWithTimeout(absl::Condition(&answer->done), absl::Seconds(2));
}

}  // namespace heddle::kube
