#include "control_plane/kube/events.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "control_plane/kube/json.h"
#include "source/base/log.h"

namespace heddle::kube {
namespace {

constexpr size_t kMaxMessage = 1023;

std::string Rfc3339(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

std::string Key(const Event& event) {
  return absl::StrCat(event.object.kind, "\n", event.object.ns, "\n", event.object.name, "\n",
                      event.object.uid, "\n", event.reason, "\n", event.message);
}

}  // namespace

EventLedger::EventLedger(EventOptions options, const base::Clock& clock)
    : options_(std::move(options)), clock_(clock), tokens_(options_.burst) {
  refilled_ = clock_.Now();
}

bool EventLedger::Allowed(base::Micros now) {
  tokens_ = std::min<double>(
      options_.burst, tokens_ + static_cast<double>(now - refilled_) / 1e6 * options_.per_second);
  refilled_ = now;
  if (tokens_ < 1) {
    ++dropped_;
    return false;
  }
  tokens_ -= 1;
  return true;
}

Request EventLedger::Add(const Event& event) {
  const base::Micros now = clock_.Now();
  const absl::Time wall = clock_.WallNow();
  const std::string ns = event.object.ns.empty() ? "default" : event.object.ns;
  const std::string path = absl::StrCat("/api/v1/namespaces/", ns, "/events");
  const std::string key = Key(event);
  if (const auto it = known_.find(key); it != known_.end()) {
    Known& known = it->second;
    ++known.count;
    if (now - known.began < base::ToMicros(options_.same_for)) {
      if (now - known.written < base::ToMicros(options_.repeat_every) || !Allowed(now)) return {};
      known.written = now;
      return {.method = "PATCH",
              .path = absl::StrCat(path, "/", known.name),
              .body = Dump({{"count", known.count}, {"lastTimestamp", Rfc3339(wall)}}),
              .content_type = kMergePatch};
    }
    order_.erase(std::find(order_.begin(), order_.end(), key));
    known_.erase(it);
  }
  if (!Allowed(now)) return {};
  Known known{.name = absl::StrFormat("%s.%x%04x", event.object.name.substr(0, 200),
                                      absl::ToUnixMicros(wall), sequence_++ & 0xffff),
              .first = wall,
              .began = now,
              .written = now};
  const Json object = {
      {"apiVersion", "v1"},
      {"kind", "Event"},
      {"metadata", {{"name", known.name}, {"namespace", ns}}},
      {"involvedObject",
       {{"apiVersion", event.object.api_version},
        {"kind", event.object.kind},
        {"namespace", event.object.ns},
        {"name", event.object.name},
        {"uid", event.object.uid}}},
      {"type", event.warning ? "Warning" : "Normal"},
      {"reason", event.reason},
      {"message", event.message.substr(0, kMaxMessage)},
      {"source", {{"component", options_.component}}},
      {"reportingComponent", options_.component},
      {"reportingInstance", options_.instance},
      {"firstTimestamp", Rfc3339(wall)},
      {"lastTimestamp", Rfc3339(wall)},
      {"count", 1},
  };
  if (order_.size() >= options_.remembered) {
    known_.erase(order_.front());
    order_.pop_front();
  }
  order_.push_back(key);
  known_.emplace(key, std::move(known));
  return {.method = "POST", .path = path, .body = Dump(object)};
}

struct EventRecorder::State {
  State(Client& client, EventOptions options)
      : client(client), ledger(std::move(options), base::SystemClock()) {}
  Client& client;
  EventLedger ledger;  // the client's thread only
};

EventRecorder::EventRecorder(Client& client, EventOptions options)
    : state_(std::make_shared<State>(client, std::move(options))) {}

void EventRecorder::Record(Event event) {
  state_->client.Post([state = state_, event = std::move(event)] {
    Request request = state->ledger.Add(event);
    if (request.path.empty()) return;
    state->client.Send(std::move(request), [](const absl::StatusOr<std::string>& body) {
      if (!body.ok()) HEDDLE_LOG(kInfo, "kube") << "event: " << body.status().ToString();
    });
  });
}

}  // namespace heddle::kube
