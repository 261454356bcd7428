// One xDS stream's subscriptions as a pure state machine: requests and snapshots in, responses out.
// No gRPC, no clock of its own, no locks; whoever owns it calls from one thread at a time.
//
//   DeltaStream stream(options);
//   stream.OnRequest(request, view, now);
//   while (auto response = stream.Next(view, now)) Send(*response);   // again after each request
//   and each new view
//
// Next gives one response at a time, always of the newest view, so a slow reader has at most one
// push waiting and never sees the configurations it missed. Order: clusters, endpoints, listeners,
// routes, secrets; then what must disappear: clusters and endpoints are removed only after the
// listeners and routes of the same view were answered (or StreamOptions::removal_patience ran out),
// and not while the client holds on to older ones because it rejected the new.
//
// Rules and their sources: the xDS protocol document of Envoy; comments at each rule.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "control_plane/serve/request.h"

namespace heddle::serve {

// All resources of one type that one proxy is to have. Immutable, shared between proxies and
// between views.
struct TypeSet {
  std::vector<translate::ResourceRef> resources;  // sorted by name
  std::string version;                            // over names and versions

  // `version`: empty, made from them; else one that equal sets share and others do not have.
  static std::shared_ptr<const TypeSet> Make(std::vector<translate::ResourceRef> sorted,
                                             std::string version = {});
  const translate::ResourceRef* Find(absl::string_view name) const;  // null: none
};
// Over names and versions, order included.
std::string VersionOf(const std::vector<translate::ResourceRef>& resources);

// What one proxy is to have now.
struct View {
  std::array<std::shared_ptr<const TypeSet>, kServedTypes> sets;  // null: empty

  const std::shared_ptr<const TypeSet>& Of(Type type) const;  // never null
};

// What is known about one type on one stream, for the status page.
struct TypeReport {
  std::string type_url;
  bool wildcard = false;
  size_t names = 0;      // subscribed by name
  size_t resources = 0;  // sent and still there
  std::string sent_version, acked_version, rejected_version;
  absl::Time sent_at = absl::InfinitePast();
  absl::Time acked_at = absl::InfinitePast();
  absl::Time rejected_at = absl::InfinitePast();
  std::string rejected_why;  // of the latest rejection, kept after it was superseded
  bool rejecting = false;    // the latest answer was a rejection
  bool waiting = false;      // an answer is outstanding
};

struct StreamCounters {
  uint64_t responses = 0;
  uint64_t acks = 0;
  uint64_t nacks = 0;
  uint64_t stale = 0;  // requests with a nonce that is not the newest
};

struct StreamOptions {
  absl::Duration removal_patience = absl::Seconds(5);
  // Envoy forgets, when a stream breaks, which clusters were still waiting for endpoints
  // (envoy#33607): then every endpoint resource is sent again on the new stream, also those whose
  // version it has.
  bool resend_endpoints_on_reconnect = false;
  size_t max_names = 100000;  // subscribed per type
  size_t max_types = 16;
};

// What delta and state of the world share.
class Stream {
 public:
  explicit Stream(StreamOptions options) : options_(options) {}
  virtual ~Stream() = default;

  // The next response to send, or nothing. Counts as sent.
  std::optional<Response> Next(const View& view, absl::Time now);
  // Nothing to send and every response answered: the client has `view`. A client of everything (a
  // sidecar) must also have come to ask for all that the view holds: right after it took the
  // clusters it has yet to ask for their endpoints.
  bool Settled(const View& view) const;
  // Some type's latest answer was a rejection.
  bool Rejecting() const;
  bool Subscribed(Type type, absl::string_view name) const;
  // Whether the newest responses of this view wait for a removal; then Next wants to be called
  // again later.
  bool HoldingBack() const { return held_since_ != absl::InfiniteFuture(); }

  std::vector<TypeReport> Report() const;
  const StreamCounters& counters() const { return counters_; }

 protected:
  // What the client holds of one type: by name, as last sent.
  class Held {
   public:
    const translate::ResourceRef* Find(absl::string_view name) const;
    void Put(translate::ResourceRef resource);
    void Erase(absl::string_view name);
    void Assign(std::vector<translate::ResourceRef> sorted) { sorted_ = std::move(sorted); }
    const std::vector<translate::ResourceRef>& sorted() const { return sorted_; }

   private:
    std::vector<translate::ResourceRef> sorted_;
  };

  // A response that was not answered yet.
  struct Waiting {
    uint64_t nonce;
    std::string version;
    std::vector<translate::ResourceRef> resources;
    std::vector<std::string> removed;
  };

  struct TypeState {
    std::string url;
    Type type = Type::kOther;
    bool started = false;  // a request of this type was seen
    bool wildcard = false;
    bool ever_named = false;
    absl::btree_set<std::string> names;  // explicit subscriptions, also to what does not exist yet
    absl::btree_set<std::string> force;  // to be sent although the client may have them
    Held held;
    bool must_answer = false;     // the client waits for a response even if it is empty
    uint64_t last_nonce = 0;      // 0: none sent
    std::deque<Waiting> waiting;  // oldest first
    // Names whose latest version the client refused; "" for a response without resources.
    absl::btree_set<std::string> rejected;
    std::shared_ptr<const TypeSet> done;  // for which nothing was left to send; saves the walk
    bool dirty = true;                    // subscriptions changed since `done`
    TypeReport report;
  };

  // Null and an error when the client asks for more types than any client has.
  absl::StatusOr<TypeState*> StateOf(absl::string_view url);
  // Books an ACK or NACK of the response with this nonce and of all before it.
  void Answered(TypeState& state, const Acknowledgement& answer, uint64_t nonce, absl::Time now);
  // Clusters that changed make the client wait for their endpoints again, even if those did not
  // change.
  void ForceEndpointsOf(const std::vector<translate::ResourceRef>& clusters);

  // Fills `out` and books it as sent when the type has something to send; removals only if
  // `removing`.
  virtual bool Collect(TypeState& state, const TypeSet& set, bool removing, Response* out) = 0;
  // Whether each response of the type is everything the client is to have.
  virtual bool AnswersAreWhole(Type type) const = 0;

  const StreamOptions options_;
  std::deque<TypeState> types_;  // in push order
  StreamCounters counters_;

 private:
  bool Covers(const View& view) const;
  bool MayRemove(absl::Time now);
  std::optional<Response> Try(TypeState& state, const std::shared_ptr<const TypeSet>& set,
                              bool removing, absl::Time now);

  uint64_t next_nonce_ = 1;
  absl::Time held_since_ = absl::InfiniteFuture();
};

class DeltaStream final : public Stream {
 public:
  using Stream::Stream;
  absl::Status OnRequest(const DeltaRequest& request, const View& view, absl::Time now);

 private:
  bool Collect(TypeState& state, const TypeSet& set, bool removing, Response* out) override;
  bool AnswersAreWhole(Type) const override { return false; }
  void First(TypeState& state, const DeltaRequest& request, const View& view);
};

class SotwStream final : public Stream {
 public:
  using Stream::Stream;
  absl::Status OnRequest(const SotwRequest& request, const View& view, absl::Time now);

 private:
  bool Collect(TypeState& state, const TypeSet& set, bool removing, Response* out) override;
  bool AnswersAreWhole(Type type) const override { return HasWildcard(type); }
  void Subscribe(TypeState& state, const SotwRequest& request, bool initial);
};

}  // namespace heddle::serve
