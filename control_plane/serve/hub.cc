#include "control_plane/serve/hub.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "source/base/log.h"
#include "source/base/status.h"

namespace heddle::serve {
namespace {

constexpr size_t kMaxDeparted = 10000;
constexpr size_t kMaxIssued = 100000;
constexpr size_t kMaxRejections = 3;

absl::StatusOr<model::Key> WorkloadOf(const std::string& node_id) {
  const std::vector<std::string> parts = absl::StrSplit(node_id, '/');
  if (parts.size() != 2 || parts[0].empty() || parts[1].empty())
    return absl::InvalidArgumentError(
        absl::StrCat("node.id: \"", node_id.substr(0, 200), "\"; want \"<namespace>/<workload>\""));
  return model::Key{.ns = parts[0], .name = parts[1]};
}

Type ServedType(translate::ResourceType type) {
  switch (type) {
    case translate::ResourceType::kCluster:
      return Type::kCluster;
    case translate::ResourceType::kEndpoints:
      return Type::kEndpoints;
    case translate::ResourceType::kListener:
      return Type::kListener;
    case translate::ResourceType::kRoutes:
      return Type::kRoutes;
  }
  return Type::kOther;
}

constexpr std::array<translate::ResourceType, translate::kResourceTypes> kTranslated = {
    translate::ResourceType::kCluster, translate::ResourceType::kEndpoints,
    translate::ResourceType::kListener, translate::ResourceType::kRoutes};

}  // namespace

Hub::Hub(HubOptions options, Secrets& secrets, const base::Clock& clock)
    : options_(std::move(options)),
      secrets_(secrets),
      clock_(clock),
      stream_tokens_(2 * options_.new_streams_per_second),
      tokens_at_(clock.Now()) {}

Hub::~Hub() = default;

absl::StatusOr<Session::Push> Hub::PushFor(const model::Key& workload, const Peer& peer,
                                           const translate::ProxyFacts& facts) {
  if (world_ == nullptr) return absl::UnavailableError("no valid configuration yet");
  const model::Workload* found = world_->FindWorkload(workload);
  if (found == nullptr)
    return absl::PermissionDeniedError(
        absl::StrCat("there is no Workload ", workload.ToString(), " in the configuration"));
  if (peer.id.ns != workload.ns || peer.id.service_account != found->service_account)
    return absl::PermissionDeniedError(
        absl::StrCat("Workload ", workload.ToString(), " runs as service account ",
                     found->service_account, ", but the peer proved to be ", peer.id.Uri()));
  HEDDLE_ASSIGN_OR_RETURN(const translate::ProxyView proxy,
                          translate::MakeProxyView(*world_, workload, facts));
  const std::shared_ptr<const translate::Snapshot> snapshot = translator_.Translate(*world_, proxy);
  Session::Push push{
      .view = {}, .generation = generation_, .made_at = made_at_, .notices = snapshot->notices};
  const auto [at, fresh] = views_.try_emplace(snapshot->version);
  if (fresh) {
    for (const translate::ResourceType type : kTranslated) {
      // A set that did not change keeps its address, by which a stream sees that there is nothing
      // to do.
      const std::string& version = snapshot->versions[static_cast<size_t>(type)];
      const auto [known, added] = sets_.try_emplace(absl::StrCat(static_cast<int>(type), version));
      if (added) known->second = TypeSet::Make(snapshot->Of(type), version);
      at->second.sets[static_cast<size_t>(ServedType(type))] = known->second;
    }
  }
  push.view = at->second;
  return push;
}

void Hub::SetWorld(std::shared_ptr<const model::World> world, uint64_t generation) {
  std::vector<std::pair<std::shared_ptr<Session>, absl::StatusOr<Session::Push>>> gifts;
  const absl::Time began = Now();
  {
    absl::MutexLock lock(&mutex_);
    if (world_ != nullptr && world != nullptr && world_->digest == world->digest) return;
    world_ = std::move(world);
    generation_ = generation;
    made_at_ = began;
    views_.clear();
    // Sets that nobody but this table holds belong to configurations that are gone.
    for (auto at = sets_.begin(); at != sets_.end();)
      if (at->second.use_count() == 1)
        sets_.erase(at++);
      else
        ++at;
    for (const auto& [id, member] : members_)
      if (!member.workload.name.empty())
        gifts.emplace_back(member.session,
                           PushFor(member.workload, member.session->peer(), member.facts));
    absl::MutexLock tally(&tally_mutex_);
    outstanding_.clear();
    for (const auto& [session, push] : gifts)
      if (push.ok()) outstanding_.insert(session->id());
    convergence_ = {.generation = generation,
                    .made_at = began,
                    .proxies = outstanding_.size(),
                    .outstanding = outstanding_.size(),
                    .time = {}};
  }
  HEDDLE_LOG(kInfo, "config") << "generation " << generation << " for " << gifts.size()
                              << " proxies, translated in " << absl::FormatDuration(Now() - began);
  for (const auto& [session, push] : gifts) {
    if (push.ok())
      session->Give(*push);
    else
      session->End(push.status());
  }
}

std::shared_ptr<const model::World> Hub::world() const {
  absl::MutexLock lock(&mutex_);
  return world_;
}

absl::StatusOr<std::shared_ptr<Session>> Hub::Open(Peer peer, Session::Variant variant,
                                                   Outlet* outlet) {
  absl::MutexLock lock(&mutex_);
  const base::Micros now = clock_.Now();
  stream_tokens_ = std::min(2 * options_.new_streams_per_second,
                            stream_tokens_ + options_.new_streams_per_second *
                                                 static_cast<double>(now - tokens_at_) / 1e6);
  tokens_at_ = now;
  if (closed_) return absl::UnavailableError("heddle-control is stopping");
  if (members_.size() >= options_.max_streams || stream_tokens_ < 1) {
    counters_.streams_refused++;
    return absl::ResourceExhaustedError(
        members_.size() >= options_.max_streams
            ? absl::StrCat("more than ", options_.max_streams, " streams")
            : "too many new streams at once; try again");
  }
  stream_tokens_ -= 1;
  counters_.streams_opened++;
  const uint64_t id = next_session_++;
  auto session = std::make_shared<Session>(*this, id, std::move(peer), variant, outlet, Now());
  members_[id] = {.session = session, .workload = {}, .facts = {}};
  return session;
}

absl::StatusOr<Session::Push> Hub::Admit(const Session& session, const Node& node) {
  absl::MutexLock lock(&mutex_);
  HEDDLE_ASSIGN_OR_RETURN(const model::Key workload, WorkloadOf(node.id));
  const auto others = streams_of_.find(workload);
  if (others != streams_of_.end() && others->second >= options_.max_streams_per_workload)
    return absl::ResourceExhaustedError(absl::StrCat("Workload ", workload.ToString(), " has ",
                                                     options_.max_streams_per_workload,
                                                     " streams already"));
  const translate::ProxyFacts facts{.intercept = node.intercept};
  HEDDLE_ASSIGN_OR_RETURN(Session::Push push, PushFor(workload, session.peer(), facts));
  Member& member = members_.at(session.id());
  member.workload = workload;
  member.facts = facts;
  ++streams_of_[workload];
  departed_.erase(node.id);
  HEDDLE_LOG(kInfo, "ads") << node.id << " connected: " << session.peer().id.Uri() << " by "
                           << (session.peer().proof == Peer::Proof::kCertificate ? "certificate"
                                                                                 : "token")
                           << " from " << session.peer().address << ", "
                           << (node.agent.empty() ? "unnamed agent" : node.agent) << " "
                           << node.agent_version;
  return push;
}

void Hub::Leave(const Session& session) {
  SessionReport last = session.Report();
  {
    absl::MutexLock lock(&mutex_);
    const auto found = members_.find(session.id());
    if (found == members_.end()) return;
    const model::Key workload = found->second.workload;
    members_.erase(found);
    if (!workload.name.empty()) {
      const auto count = streams_of_.find(workload);
      const bool another = --count->second > 0;
      if (!another) streams_of_.erase(count);
      if (!another && departed_.size() < kMaxDeparted) departed_[last.node_id] = last;
      HEDDLE_LOG(kInfo, "ads") << last.node_id << " disconnected: " << last.ended_why;
    }
  }
  Settled(session.id(), 0, Now());
}

void Hub::Settled(uint64_t session, uint64_t generation, absl::Time now) {
  absl::MutexLock lock(&tally_mutex_);
  if (generation != 0) {
    const absl::Duration took = now - convergence_.made_at;
    if (generation == convergence_.generation && outstanding_.contains(session)) {
      const double seconds = absl::ToDoubleSeconds(took);
      const auto* bucket =
          std::lower_bound(HubCounters::kBuckets.begin(), HubCounters::kBuckets.end(), seconds);
      counters_.settle_buckets[static_cast<size_t>(bucket - HubCounters::kBuckets.begin())]++;
      counters_.settle_micros +=
          static_cast<uint64_t>(std::max<int64_t>(0, absl::ToInt64Microseconds(took)));
    }
    if (generation != convergence_.generation) return;
  }
  if (outstanding_.erase(session) == 0) return;
  convergence_.outstanding = outstanding_.size();
  if (!outstanding_.empty()) return;
  convergence_.time = now - convergence_.made_at;
  HEDDLE_LOG(kInfo, "config") << "generation " << convergence_.generation << " answered by all "
                              << convergence_.proxies << " proxies after "
                              << absl::FormatDuration(convergence_.time);
}

void Hub::CountRequest() { counters_.requests++; }

void Hub::CountRejection(const Rejection& rejection) {
  counters_.rejections++;
  if (options_.on_rejection) options_.on_rejection(rejection);
}

void Hub::CountPush(const Response& response) {
  counters_.pushes[static_cast<size_t>(TypeOf(response.type_url))]++;
}

void Hub::CountIssued(const identity::WorkloadId& id, const std::string& serial,
                      absl::Time not_after, absl::Time now) {
  counters_.certificates++;
  absl::MutexLock lock(&tally_mutex_);
  if (issued_.size() >= kMaxIssued && issued_.find(id.Uri()) == issued_.end()) return;
  Issued& issued = issued_[id.Uri()];
  issued.serial_hex = serial;
  issued.not_after = not_after;
  issued.at = now;
  ++issued.count;
}

std::vector<std::shared_ptr<Session>> Hub::Sessions() const {
  absl::MutexLock lock(&mutex_);
  std::vector<std::shared_ptr<Session>> out;
  out.reserve(members_.size());
  for (const auto& [id, member] : members_) out.push_back(member.session);
  return out;
}

void Hub::SecretsChanged() {
  for (const auto& session : Sessions()) session->SecretsChanged();
}

void Hub::Tick() {
  const absl::Time now = Now();
  for (const auto& session : Sessions()) session->Tick(now);
}

void Hub::Shutdown() {
  {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
  }
  for (const auto& session : Sessions())
    session->End(absl::UnavailableError("heddle-control is stopping"));
}

HubReport Hub::Report() const {
  HubReport out;
  for (const auto& session : Sessions()) {
    SessionReport report = session->Report();
    if (!report.node_id.empty() && report.generation != 0)
      out.sessions.push_back(std::move(report));
  }
  std::sort(out.sessions.begin(), out.sessions.end(),
            [](const SessionReport& a, const SessionReport& b) { return a.node_id < b.node_id; });
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [id, report] : departed_) out.departed.push_back(report);
  }
  absl::MutexLock lock(&tally_mutex_);
  out.convergence = convergence_;
  out.issued = issued_;
  return out;
}

uint64_t Hub::generation() const {
  absl::MutexLock lock(&mutex_);
  return generation_;
}

Spread Hub::SpreadOf(uint64_t generation) const {
  Spread out;
  for (const auto& session : Sessions()) session->AddTo(generation, &out);
  std::sort(out.rejections.begin(), out.rejections.end(),
            [](const Rejection& a, const Rejection& b) {
              return std::tie(a.node_id, a.type) < std::tie(b.node_id, b.type);
            });
  if (out.rejections.size() > kMaxRejections) out.rejections.resize(kMaxRejections);
  return out;
}

translate::Translator::Stats Hub::translation() const {
  absl::MutexLock lock(&mutex_);
  return translator_.stats();
}

}  // namespace heddle::serve
