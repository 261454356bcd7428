#include "control_plane/kube/reflector.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "control_plane/kube/answer.h"
#include "control_plane/kube/client.h"
#include "control_plane/kube/json.h"
#include "source/base/status.h"

namespace heddle::kube {
namespace {

// A server that starts answers 404 for what it will serve a moment later.
constexpr int kNotFoundIsMissing = 3;
// A watch that fails this often in a row may be at a version that the server never had (a restored
// etcd): list.
constexpr int kWatchFailuresBeforeList = 3;
// A watch that ended sooner and said nothing counts as a failure.
constexpr absl::Duration kShortWatch = absl::Seconds(1);

std::string Selectors(const ReflectorOptions& options) {
  std::string out;
  if (!options.label_selector.empty())
    absl::StrAppend(&out, "&labelSelector=", Escape(options.label_selector));
  if (!options.field_selector.empty())
    absl::StrAppend(&out, "&fieldSelector=", Escape(options.field_selector));
  return out;
}

ObjectKey KeyOf(const Json& object) {
  return {TextAt(object, {"metadata", "namespace"}), TextAt(object, {"metadata", "name"})};
}

}  // namespace

Reflector::Reflector(ReflectorOptions options, Sink& sink, const base::Clock& clock,
                     base::Random& random)
    : options_(std::move(options)),
      sink_(sink),
      clock_(clock),
      random_(random),
      counted_(options_.counters != nullptr ? options_.counters
                                            : std::make_shared<ReflectorCounters>()),
      counters_(*counted_),
      page_size_(options_.page_size) {
  AskList("");
}

void Reflector::AskList(const std::string& continue_token) {
  ask_ = {.kind = Ask::Kind::kList,
          .path = absl::StrCat(options_.path, "?limit=", page_size_, Selectors(options_)),
          .wait = {},
          .timeout = {}};
  if (continue_token.empty()) {
    listed_.clear();
    ++counters_.lists;
  } else {
    absl::StrAppend(&ask_.path, "&continue=", Escape(continue_token));
  }
}

void Reflector::AskWatch() {
  const int64_t shortest = absl::ToInt64Seconds(options_.shortest_watch);
  const int64_t seconds =
      shortest + static_cast<int64_t>(random_.Below(static_cast<uint64_t>(shortest) + 1));
  ask_ = {.kind = Ask::Kind::kWatch,
          .path = absl::StrCat(options_.path, "?watch=1&allowWatchBookmarks=true&resourceVersion=",
                               Escape(version_), "&timeoutSeconds=", seconds, Selectors(options_)),
          .wait = {},
          .timeout = absl::Seconds(seconds + 30)};
  decoder_.emplace();
  watch_began_ = clock_.Now();
  events_before_ = counters_.events;
  ++counters_.watches;
}

void Reflector::AskWait(absl::Duration wait, After next) {
  ask_ = {.kind = Ask::Kind::kWait, .path = {}, .wait = wait, .timeout = {}};
  next_ = next;
}

// first_wait, doubled with each failure in a row, and half of it by chance: many clients that lost
// one server do not come back at once.
absl::Duration Reflector::Backoff() {
  absl::Duration wait = options_.first_wait;
  for (int i = 1; i < failures_ && wait < options_.longest_wait; ++i) wait *= 2;
  wait = std::min(wait, options_.longest_wait);
  return wait / 2 + absl::Microseconds(static_cast<int64_t>(random_.Below(
                        static_cast<uint64_t>(absl::ToInt64Microseconds(wait / 2)) + 1)));
}

void Reflector::Fail(const absl::Status& status, After next) {
  ++failures_;
  ++counters_.failures;
  last_failure_ = status;
  AskWait(std::max(Backoff(), RetryAfter(status)), next);
}

void Reflector::OnWaited() {
  if (next_ == After::kWatch) return AskWatch();
  AskList("");
}

absl::Status Reflector::TakeObject(const Json& object) {
  ObjectKey key = KeyOf(object);
  if (key.name.empty()) return absl::InternalError("an object without a name");
  std::string version = TextAt(object, {"metadata", "resourceVersion"});
  const auto [it, fresh] = known_.try_emplace(std::move(key));
  if (known_.size() > options_.max_objects) {
    known_.erase(it);
    return absl::ResourceExhaustedError(
        absl::StrCat("more than ", options_.max_objects, " objects"));
  }
  // Told again: after a relist, and by a watch that begins at the list.
  if (!fresh && !version.empty() && it->second == version) return absl::OkStatus();
  it->second = std::move(version);
  sink_.Put(it->first, object);
  return absl::OkStatus();
}

absl::Status Reflector::TakePage(absl::string_view body) {
  const std::optional<Json> page = ParseJson(body);
  if (!page.has_value() || !page->is_object())
    return absl::InternalError(absl::StrCat("LIST ", options_.path, ": not a JSON object"));
  const std::string version = TextAt(*page, {"metadata", "resourceVersion"});
  if (version.empty())
    return absl::InternalError(absl::StrCat("LIST ", options_.path, ": no resourceVersion"));
  for (const Json& object : ListAt(*page, {"items"})) {
    HEDDLE_RETURN_IF_ERROR(TakeObject(object));
    listed_.insert(KeyOf(object));
  }
  version_ = version;
  const std::string next = TextAt(*page, {"metadata", "continue"});
  if (next.empty()) {
    FinishList();
  } else {
    AskList(next);
  }
  return absl::OkStatus();
}

void Reflector::FinishList() {
  for (auto it = known_.begin(); it != known_.end();) {
    if (listed_.contains(it->first)) {
      ++it;
      continue;
    }
    const ObjectKey gone = it->first;
    it = known_.erase(it);
    sink_.Remove(gone);
  }
  listed_.clear();
  synced_ = true;
  sink_.Listed();
  AskWatch();
}

void Reflector::NotServed() {
  if (++not_found_ < kNotFoundIsMissing)
    return Fail(absl::NotFoundError(absl::StrCat(options_.path, ": not served")), After::kList);
  missing_ = true;
  failures_ = 0;
  listed_.clear();
  FinishList();
  AskWait(options_.look_for_missing, After::kList);
}

void Reflector::OnPage(const absl::StatusOr<std::string>& body) {
  if (absl::IsNotFound(body.status())) return NotServed();
  const absl::Status status = body.ok() ? TakePage(*body) : body.status();
  if (status.ok()) {
    not_found_ = 0;
    missing_ = false;
    failures_ = 0;
    return;
  }
  // The continue token is older than the server's memory: from the beginning, after a breath.
  if (absl::IsOutOfRange(status)) ++counters_.expired;
  if (absl::IsResourceExhausted(body.status())) page_size_ = std::max(1, page_size_ / 2);
  Fail(status, After::kList);
}

absl::Status Reflector::TakeEvent(const WatchEvent& event) {
  ++counters_.events;
  const std::string version = TextAt(*event.object, {"metadata", "resourceVersion"});
  if (version.empty()) return absl::InternalError("watch: an event without a resourceVersion");
  switch (event.type) {
    case WatchEvent::Type::kAdded:
    case WatchEvent::Type::kModified:
      HEDDLE_RETURN_IF_ERROR(TakeObject(*event.object));
      break;
    case WatchEvent::Type::kDeleted: {
      const ObjectKey key = KeyOf(*event.object);
      if (known_.erase(key) > 0) sink_.Remove(key);
      break;
    }
    case WatchEvent::Type::kBookmark:
      break;
  }
  version_ = version;
  return absl::OkStatus();
}

absl::Status Reflector::OnBytes(absl::string_view bytes) {
  return decoder_->Feed(bytes, [this](const WatchEvent& event) { return TakeEvent(event); });
}

void Reflector::OnEnd(const absl::Status& status) {
  decoder_.reset();
  const bool lived = counters_.events > events_before_ ||
                     clock_.Now() - watch_began_ >= base::ToMicros(kShortWatch);
  if (absl::IsOutOfRange(status)) {
    ++counters_.expired;
    last_failure_ = status;
    // Told in mid-life it is listed again at once; a server that says so each time is not hammered.
    if (failures_ == 0) {
      ++failures_;
      return AskList("");
    }
    return Fail(status, After::kList);
  }
  if (status.ok() || absl::IsDeadlineExceeded(status)) {
    if (lived) {
      failures_ = 0;
      return AskWatch();
    }
    return Fail(absl::UnavailableError("a watch ended as soon as it began"), After::kWatch);
  }
  if (lived) failures_ = 0;
  // A 404 on a watch, a broken line: only a list tells what is there.
  const bool relist = absl::IsNotFound(status) || absl::IsInternal(status) ||
                      absl::IsResourceExhausted(status) || failures_ >= kWatchFailuresBeforeList;
  Fail(status, relist ? After::kList : After::kWatch);
}

}  // namespace heddle::kube
