// Keeps a copy of all objects of one resource: lists them in pages, then watches, and lists again
// when the server forgot where the watch was. A pure state machine: it says what to ask for and is
// told what came; time and chance are handed in. informer.h gives it a Client.
//
//   Reflector reflector({.path = "/api/v1/pods"}, sink, clock, random);
//   for (;;) {
//     const Reflector::Ask ask = reflector.Next();
//     switch (ask.kind) {
//       case kList:  reflector.OnPage(get(ask.path)); break;         // a body or a failure
//       case kWatch: ... reflector.OnBytes(piece) ...; reflector.OnEnd(status); break;
//       case kWait:  wait(ask.wait); reflector.OnWaited(); break;
//     }
//   }
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "control_plane/kube/watch_decoder.h"
#include "source/base/clock.h"

namespace heddle::kube {

// "" for what has no namespace.
struct ObjectKey {
  std::string ns, name;
  friend auto operator<=>(const ObjectKey&, const ObjectKey&) = default;
};

// Who keeps the copy. Calls come on one thread.
class Sink {
 public:
  virtual ~Sink() = default;
  // New or changed; the whole object.
  virtual void Put(const ObjectKey& key, const nlohmann::json& object) = 0;
  virtual void Remove(const ObjectKey& key) = 0;
  // A list is complete: from the first one on the copy is whole.
  virtual void Listed() = 0;
};

// What a Reflector has done; written on its thread, read on any.
struct ReflectorCounters {
  std::atomic<uint64_t> lists{0}, watches{0}, events{0}, failures{0};
  std::atomic<uint64_t> expired{0};  // answers 410: the server has forgotten that version
};

struct ReflectorOptions {
  std::string path;                 // "/apis/discovery.k8s.io/v1/endpointslices"
  std::string label_selector = {};  // "kubernetes.io/service-name"; empty: all
  std::string field_selector = {};
  int page_size = 500;  // halved while pages are too large for the client
  size_t max_objects = 1000000;
  absl::Duration shortest_watch = absl::Minutes(5);  // asked of the server; up to twice as long
  absl::Duration first_wait = absl::Milliseconds(200);
  absl::Duration longest_wait = absl::Seconds(30);
  // A resource that is not served (its CRD is not installed) is empty, and looked for this often.
  absl::Duration look_for_missing = absl::Seconds(5);
  std::shared_ptr<ReflectorCounters> counters = nullptr;  // null: its own
};

class Reflector {
 public:
  struct Ask {
    enum class Kind { kList, kWatch, kWait } kind = Kind::kList;
    std::string path;        // with the query
    absl::Duration wait;     // of kWait
    absl::Duration timeout;  // of kWatch: after this long the server is not alive
  };
  // All outlive it.
  Reflector(ReflectorOptions options, Sink& sink, const base::Clock& clock, base::Random& random);

  Ask Next() const { return ask_; }
  void OnPage(const absl::StatusOr<std::string>& body);
  // Not OK: the watch is of no use any more; end it and call OnEnd with this.
  absl::Status OnBytes(absl::string_view bytes);
  void OnEnd(const absl::Status& status);
  void OnWaited();

  const ReflectorOptions& options() const { return options_; }
  bool synced() const { return synced_; }
  // The server does not know this resource.
  bool missing() const { return missing_; }
  size_t objects() const { return known_.size(); }
  const ReflectorCounters& counters() const { return counters_; }
  const absl::Status& last_failure() const { return last_failure_; }
  // As given by the server; opaque.
  const std::string& resource_version() const { return version_; }

 private:
  enum class After { kList, kWatch };

  absl::Status TakePage(absl::string_view body);
  absl::Status TakeObject(const nlohmann::json& object);
  absl::Status TakeEvent(const WatchEvent& event);
  void FinishList();
  void NotServed();
  void Fail(const absl::Status& status, After next);
  void AskList(const std::string& continue_token);
  void AskWatch();
  void AskWait(absl::Duration wait, After next);
  absl::Duration Backoff();

  const ReflectorOptions options_;
  Sink& sink_;
  const base::Clock& clock_;
  base::Random& random_;

  Ask ask_;
  After next_ = After::kList;               // after a wait
  std::map<ObjectKey, std::string> known_;  // to resourceVersion
  std::set<ObjectKey> listed_;              // of the list under way
  std::optional<WatchDecoder> decoder_;
  std::string version_;
  bool synced_ = false;
  bool missing_ = false;
  int failures_ = 0;  // in a row
  int not_found_ = 0;
  base::Micros watch_began_ = 0;
  uint64_t events_before_ = 0;
  const std::shared_ptr<ReflectorCounters> counted_;
  ReflectorCounters& counters_;  // *counted_
  int page_size_;
  absl::Status last_failure_;
};

}  // namespace heddle::kube
