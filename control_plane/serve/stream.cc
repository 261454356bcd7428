#include "control_plane/serve/stream.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "control_plane/model/digest.h"
#include "source/base/status.h"

namespace heddle::serve {
namespace {

using translate::ResourceRef;

constexpr size_t kMaxErrorText = 4096;
// A client that reads but never answers is sent no more of that type.
constexpr size_t kMaxUnanswered = 16;

bool NameLess(const ResourceRef& resource, absl::string_view name) { return resource->name < name; }

const ResourceRef* FindIn(const std::vector<ResourceRef>& sorted, absl::string_view name) {
  const auto found = std::lower_bound(sorted.begin(), sorted.end(), name, NameLess);
  return found != sorted.end() && (*found)->name == name ? &*found : nullptr;
}

// Removing these while the client still routes to them would lose requests.
bool RemovedLast(Type type) { return type == Type::kCluster || type == Type::kEndpoints; }

// Looks up names that come in order, in a list that is sorted by name too: both are walked once,
// and where they hold the very same resources no name is compared.
class Beside {
 public:
  explicit Beside(const std::vector<ResourceRef>& sorted) : sorted_(sorted) {}

  // Null: none of that name.
  const ResourceRef* Find(const ResourceRef& resource) {
    if (next_ < sorted_.size() && sorted_[next_] == resource) return &sorted_[next_++];
    while (next_ < sorted_.size() && sorted_[next_]->name < resource->name) ++next_;
    return next_ < sorted_.size() && sorted_[next_]->name == resource->name ? &sorted_[next_++]
                                                                            : nullptr;
  }

 private:
  const std::vector<ResourceRef>& sorted_;
  size_t next_ = 0;
};

bool HasGone(const std::vector<ResourceRef>& held, const TypeSet& set) {
  Beside there(set.resources);
  return std::any_of(held.begin(), held.end(),
                     [&](const ResourceRef& resource) { return there.Find(resource) == nullptr; });
}

}  // namespace

std::string VersionOf(const std::vector<ResourceRef>& resources) {
  model::Digest::Builder builder;
  for (const ResourceRef& resource : resources) builder.Add(resource->name).Add(resource->version);
  return builder.Done().ToString().substr(0, 16);
}

std::shared_ptr<const TypeSet> TypeSet::Make(std::vector<ResourceRef> sorted, std::string version) {
  auto set = std::make_shared<TypeSet>();
  set->version = version.empty() ? VersionOf(sorted) : std::move(version);
  set->resources = std::move(sorted);
  return set;
}

const ResourceRef* TypeSet::Find(absl::string_view name) const { return FindIn(resources, name); }

const std::shared_ptr<const TypeSet>& View::Of(Type type) const {
  static const auto& empty = *new std::shared_ptr<const TypeSet>(TypeSet::Make({}));
  if (type == Type::kOther) return empty;
  const std::shared_ptr<const TypeSet>& set = sets[static_cast<size_t>(type)];
  return set == nullptr ? empty : set;
}

const ResourceRef* Stream::Held::Find(absl::string_view name) const {
  return FindIn(sorted_, name);
}

void Stream::Held::Put(ResourceRef resource) {
  const auto at =
      std::lower_bound(sorted_.begin(), sorted_.end(), absl::string_view(resource->name), NameLess);
  if (at != sorted_.end() && (*at)->name == resource->name)
    *at = std::move(resource);
  else
    sorted_.insert(at, std::move(resource));
}

void Stream::Held::Erase(absl::string_view name) {
  const auto at = std::lower_bound(sorted_.begin(), sorted_.end(), name, NameLess);
  if (at != sorted_.end() && (*at)->name == name) sorted_.erase(at);
}

absl::StatusOr<Stream::TypeState*> Stream::StateOf(absl::string_view url) {
  if (url.empty()) return absl::InvalidArgumentError("type_url: required on an aggregated stream");
  for (TypeState& state : types_)
    if (state.url == url) return &state;
  if (types_.size() >= options_.max_types || url.size() > 512)
    return absl::ResourceExhaustedError("type_url: too many different types on one stream");
  const Type type = TypeOf(url);
  const auto at = std::find_if(types_.begin(), types_.end(),
                               [&](const TypeState& state) { return state.type > type; });
  TypeState& state = *types_.emplace(at);
  state.url = std::string(url);
  state.type = type;
  state.report.type_url = state.url;
  return &state;
}

void Stream::Answered(TypeState& state, const Acknowledgement& answer, uint64_t nonce,
                      absl::Time now) {
  // Of a response that another one superseded before it was answered, only that is known.
  while (!state.waiting.empty() && state.waiting.front().nonce < nonce) state.waiting.pop_front();
  if (state.waiting.empty() || state.waiting.front().nonce != nonce) return;
  const Waiting response = std::move(state.waiting.front());
  state.waiting.pop_front();
  if (answer.rejected) {
    ++counters_.nacks;
    // Which of its resources the client took is unknown (clients differ); they count as rejected
    // until newer ones are acknowledged. Nothing is sent again before its content changes.
    for (const ResourceRef& resource : response.resources) state.rejected.insert(resource->name);
    if (response.resources.empty()) state.rejected.insert("");
    state.report.rejected_version = response.version;
    state.report.rejected_at = now;
    state.report.rejected_why = answer.error.substr(0, kMaxErrorText);
    return;
  }
  ++counters_.acks;
  if (AnswersAreWhole(state.type)) state.rejected.clear();
  state.rejected.erase("");
  for (const ResourceRef& resource : response.resources) state.rejected.erase(resource->name);
  for (const std::string& name : response.removed) state.rejected.erase(name);
  state.report.acked_version = response.version;
  state.report.acked_at = now;
}

void Stream::ForceEndpointsOf(const std::vector<ResourceRef>& clusters) {
  // A changed cluster warms anew until it sees an endpoint response, even when the endpoints are
  // the same (envoy#13009). Our clusters' endpoint resources have the clusters' names.
  for (TypeState& state : types_) {
    if (state.type != Type::kEndpoints) continue;
    for (const ResourceRef& cluster : clusters)
      if (state.names.contains(cluster->name)) state.force.insert(cluster->name);
    state.dirty = true;
  }
}

std::optional<Response> Stream::Try(TypeState& state, const std::shared_ptr<const TypeSet>& set,
                                    bool removing, absl::Time now) {
  if (!state.started || (state.done == set && !state.dirty)) return std::nullopt;
  if (state.waiting.size() >= kMaxUnanswered) return std::nullopt;
  Response response;
  if (!Collect(state, *set, removing, &response)) {
    if (!removing && HasGone(state.held.sorted(), *set)) return std::nullopt;
    state.done = set;
    state.dirty = false;
    state.force.clear();
    if (state.report.sent_version.empty() && !state.held.sorted().empty()) {
      // A reconnected client that has everything already.
      state.report.sent_version = state.report.acked_version = set->version;
      state.report.sent_at = state.report.acked_at = now;
    }
    return std::nullopt;
  }
  const uint64_t nonce = next_nonce_++;
  state.must_answer = false;
  state.force.clear();
  state.last_nonce = nonce;
  if (response.version.empty()) response.version = set->version;
  response.nonce = absl::StrCat(nonce);
  response.type_url = state.url;
  state.waiting.push_back({nonce, response.version, response.resources, response.removed});
  state.report.sent_version = response.version;
  state.report.sent_at = now;
  ++counters_.responses;
  return response;
}

bool Stream::MayRemove(absl::Time now) {
  if (held_since_ == absl::InfiniteFuture()) held_since_ = now;
  bool unanswered = false;
  for (const TypeState& state : types_) {
    if (state.type != Type::kListener && state.type != Type::kRoutes) continue;
    // It goes on with older listeners or routes, which may need what is to be removed.
    if (!state.rejected.empty()) return false;
    unanswered = unanswered || !state.waiting.empty();
  }
  return !unanswered || now - held_since_ >= options_.removal_patience;
}

std::optional<Response> Stream::Next(const View& view, absl::Time now) {
  bool removals = false;
  for (TypeState& state : types_) {
    const std::shared_ptr<const TypeSet>& set = view.Of(state.type);
    if (auto response = Try(state, set, !RemovedLast(state.type), now)) return response;
    removals = removals ||
               (RemovedLast(state.type) && state.started && (state.done != set || state.dirty));
  }
  if (!removals) {
    held_since_ = absl::InfiniteFuture();
    return std::nullopt;
  }
  if (!MayRemove(now)) return std::nullopt;
  for (TypeState& state : types_)
    if (RemovedLast(state.type))
      if (auto response = Try(state, view.Of(state.type), true, now)) return response;
  held_since_ = absl::InfiniteFuture();
  return std::nullopt;
}

bool Stream::Settled(const View& view) const {
  if (types_.empty()) return false;  // it has not asked for anything yet
  const bool answered = std::all_of(types_.begin(), types_.end(), [&](const TypeState& state) {
    return !state.started ||
           (state.waiting.empty() && !state.dirty && state.done == view.Of(state.type));
  });
  if (!answered) return false;
  const auto everything = [](const TypeState& state) { return state.wildcard; };
  if (Rejecting() || std::none_of(types_.begin(), types_.end(), everything)) return true;
  return Covers(view);
}

bool Stream::Covers(const View& view) const {
  for (const Type type : {Type::kCluster, Type::kEndpoints, Type::kListener, Type::kRoutes}) {
    const TypeSet& set = *view.Of(type);
    const auto state = std::find_if(types_.begin(), types_.end(),
                                    [&](const TypeState& one) { return one.type == type; });
    const bool started = state != types_.end() && state->started;
    if (!started && (HasWildcard(type) || !set.resources.empty())) return false;
    if (!started) continue;
    Beside held(state->held.sorted());
    for (const ResourceRef& resource : set.resources)
      if (held.Find(resource) == nullptr) return false;
  }
  return true;
}

bool Stream::Rejecting() const {
  return std::any_of(types_.begin(), types_.end(),
                     [](const TypeState& state) { return !state.rejected.empty(); });
}

bool Stream::Subscribed(Type type, absl::string_view name) const {
  for (const TypeState& state : types_)
    if (state.type == type && (state.wildcard || state.names.contains(name))) return true;
  return false;
}

std::vector<TypeReport> Stream::Report() const {
  std::vector<TypeReport> out;
  for (const TypeState& state : types_) {
    TypeReport report = state.report;
    report.wildcard = state.wildcard;
    report.names = state.names.size();
    report.resources = state.held.sorted().size();
    report.rejecting = !state.rejected.empty();
    report.waiting = !state.waiting.empty();
    out.push_back(std::move(report));
  }
  return out;
}

// ---- delta

absl::Status DeltaStream::OnRequest(const DeltaRequest& request, const View& view, absl::Time now) {
  HEDDLE_ASSIGN_OR_RETURN(TypeState* const found, StateOf(request.type_url));
  TypeState& state = *found;
  const size_t names = state.names.size() + request.subscribe.size();
  if (names > options_.max_names || request.initial_versions.size() > options_.max_names)
    return absl::ResourceExhaustedError(
        absl::StrCat(ShortName(state.url), ": more than ", options_.max_names, " names"));
  if (!state.started) {
    First(state, request, view);
    return absl::OkStatus();
  }
  uint64_t nonce = 0;
  if (!request.answer.nonce.empty() && absl::SimpleAtoi(request.answer.nonce, &nonce)) {
    counters_.stale += nonce != state.last_nonce;
    Answered(state, request.answer, nonce, now);
  }
  // Subscription changes count whatever the nonce says.
  for (const std::string& name : request.subscribe) {
    state.dirty = true;
    if (name == "*" && HasWildcard(state.type)) {
      state.wildcard = state.must_answer = true;
      continue;
    }
    state.names.insert(name);
    state.force.insert(name);  // "must resend even if it believes the client has it"
  }
  for (const std::string& name : request.unsubscribe) {
    state.dirty = true;
    if (name == "*" && HasWildcard(state.type)) {
      state.wildcard = false;
      std::vector<ResourceRef> kept;
      for (const ResourceRef& resource : state.held.sorted())
        if (state.names.contains(resource->name)) kept.push_back(resource);
      state.held.Assign(std::move(kept));
      continue;
    }
    state.names.erase(name);
    state.rejected.erase(name);
    if (state.wildcard) {
      state.force.insert(name);  // the client dropped it, but everything includes it
    } else {
      state.force.erase(name);
      state.held.Erase(name);
    }
  }
  return absl::OkStatus();
}

void DeltaStream::First(TypeState& state, const DeltaRequest& request, const View& view) {
  state.started = true;
  const TypeSet& set = *view.Of(state.type);
  const auto has_star = [&](const std::vector<std::string>& names) {
    return HasWildcard(state.type) && std::find(names.begin(), names.end(), "*") != names.end();
  };
  state.wildcard =
      has_star(request.subscribe) || (HasWildcard(state.type) && request.subscribe.empty());
  if (has_star(request.unsubscribe)) state.wildcard = false;
  state.must_answer = state.wildcard;
  for (const std::string& name : request.subscribe)
    if (name != "*" || !HasWildcard(state.type)) state.names.insert(name);
  for (const std::string& name : request.unsubscribe) state.names.erase(name);
  // Only what is subscribed too: the versions alone ask for nothing.
  for (const auto& [name, version] : request.initial_versions) {
    if (!state.wildcard && !state.names.contains(name)) continue;
    const ResourceRef* now = set.Find(name);
    if (now != nullptr && (*now)->version == version) {
      state.held.Put(*now);
      continue;
    }
    auto old = std::make_shared<translate::Resource>();
    old->name = name;
    old->version = version;
    state.held.Put(std::move(old));
  }
  const bool again = options_.resend_endpoints_on_reconnect && state.type == Type::kEndpoints;
  for (const std::string& name : state.names)
    if (again || state.held.Find(name) == nullptr) state.force.insert(name);
}

bool DeltaStream::Collect(TypeState& state, const TypeSet& set, bool removing, Response* out) {
  Beside all_held(state.held.sorted());
  for (const ResourceRef& resource : set.resources) {
    const ResourceRef* const held = all_held.Find(resource);
    // The same object is the same content.
    if (held != nullptr && *held == resource && state.force.empty()) continue;
    if (held != nullptr && (*held)->version == resource->version &&
        !state.force.contains(resource->name))
      continue;
    if (state.wildcard || state.names.contains(resource->name)) out->resources.push_back(resource);
  }
  for (const std::string& name : state.force)
    if (set.Find(name) == nullptr) out->removed.push_back(name);
  Beside there(set.resources);
  if (removing)
    for (const ResourceRef& held : state.held.sorted())
      if (there.Find(held) == nullptr && !state.force.contains(held->name))
        out->removed.push_back(held->name);
  if (out->resources.empty() && out->removed.empty() && !state.must_answer) return false;
  for (const ResourceRef& resource : out->resources) state.held.Put(resource);
  for (const std::string& name : out->removed) state.held.Erase(name);
  if (state.type == Type::kCluster) ForceEndpointsOf(out->resources);
  return true;
}

// ---- state of the world

absl::Status SotwStream::OnRequest(const SotwRequest& request, const View&, absl::Time now) {
  HEDDLE_ASSIGN_OR_RETURN(TypeState* const found, StateOf(request.type_url));
  TypeState& state = *found;
  if (request.names.size() > options_.max_names)
    return absl::ResourceExhaustedError(
        absl::StrCat(ShortName(state.url), ": more than ", options_.max_names, " names"));
  const bool initial = !state.started || request.answer.nonce.empty();
  if (!initial) {
    uint64_t nonce = 0;
    if (!absl::SimpleAtoi(request.answer.nonce, &nonce) || nonce != state.last_nonce) {
      ++counters_.stale;  // the client answers the newest response too: nothing is lost
      return absl::OkStatus();
    }
    Answered(state, request.answer, nonce, now);
  }
  state.started = true;
  Subscribe(state, request, initial);
  return absl::OkStatus();
}

void SotwStream::Subscribe(TypeState& state, const SotwRequest& request, bool initial) {
  absl::btree_set<std::string> names(request.names.begin(), request.names.end());
  const bool star = HasWildcard(state.type) && names.erase("*") > 0;
  state.ever_named = state.ever_named || !request.names.empty();
  const bool wildcard = star || (HasWildcard(state.type) && !state.ever_named);
  if (initial) {
    // Everything again, whatever version the client says it has: the set of names may have changed
    // meanwhile.
    state.held.Assign({});
    state.force = names;
    state.must_answer = HasWildcard(state.type);
    state.dirty = true;
  } else {
    for (const std::string& name : names) {
      if (state.names.contains(name)) continue;
      state.force.insert(name);
      state.must_answer = HasWildcard(state.type);
      state.dirty = true;
    }
    for (const std::string& name : state.names) {
      if (names.contains(name) || wildcard) continue;
      state.held.Erase(name);
      state.force.erase(name);
      state.rejected.erase(name);
    }
    if (wildcard && !state.wildcard) state.must_answer = state.dirty = true;
  }
  if (state.wildcard && !wildcard) {
    std::vector<ResourceRef> kept;
    for (const ResourceRef& resource : state.held.sorted())
      if (names.contains(resource->name)) kept.push_back(resource);
    state.held.Assign(std::move(kept));
  }
  state.wildcard = wildcard;
  state.names = std::move(names);
}

bool SotwStream::Collect(TypeState& state, const TypeSet& set, bool removing, Response* out) {
  std::vector<ResourceRef> wanted;
  if (state.wildcard) {
    wanted = set.resources;
  } else {
    for (const std::string& name : state.names)
      if (const ResourceRef* resource = set.Find(name)) wanted.push_back(*resource);
  }
  std::vector<ResourceRef> changed;
  for (const ResourceRef& resource : wanted) {
    const ResourceRef* held = state.held.Find(resource->name);
    if (held == nullptr || (*held)->version != resource->version ||
        state.force.contains(resource->name))
      changed.push_back(resource);
  }
  std::vector<ResourceRef> gone;
  for (const ResourceRef& held : state.held.sorted())
    if (set.Find(held->name) == nullptr) gone.push_back(held);
  out->version = state.wildcard ? set.version : VersionOf(wanted);

  if (!HasWildcard(state.type)) {
    // No way to say "removed" here: the client drops what nothing refers to. It is sent again if it
    // comes back.
    if (removing)
      for (const ResourceRef& resource : gone) {
        state.held.Erase(resource->name);
        state.rejected.erase(resource->name);
      }
    out->resources = std::move(changed);
    for (const ResourceRef& resource : out->resources) state.held.Put(resource);
    return !out->resources.empty();
  }
  // Absence is deletion, so every response is whole; what may not disappear yet is repeated as it
  // was.
  if (changed.empty() && !state.must_answer && !(removing && !gone.empty())) return false;
  if (!changed.empty() && state.type == Type::kCluster) ForceEndpointsOf(changed);
  out->resources = std::move(wanted);
  if (!removing) {
    for (ResourceRef& resource : gone) out->resources.push_back(std::move(resource));
    std::sort(out->resources.begin(), out->resources.end(),
              [](const ResourceRef& a, const ResourceRef& b) { return a->name < b->name; });
    if (!gone.empty()) out->version = VersionOf(out->resources);
  }
  state.held.Assign(out->resources);
  return true;
}

}  // namespace heddle::serve
