// Answers to the API server's admission reviews (admission.k8s.io/v1): bytes in, bytes out. Knows
// nothing of sockets.
//
//   /inject            pods: the namespace's labels are asked for
//   /inject/namespace  pods of namespaces that the API server found to be labelled "enabled"
//   /inject/pod        pods with a label of their own in other namespaces
//   /validate          objects of our kinds
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "control_plane/inject/decide.h"
#include "control_plane/inject/settings.h"
#include "control_plane/model/build.h"

namespace heddle::admit {

// Why a pod was or was not injected, for an Event on whoever asked for the pod.
struct Injection {
  inject::Verdict verdict = inject::Verdict::kSkip;
  std::string reason;   // "host-network", as in metrics
  std::string message;  // a sentence, with warnings
  std::string ns;
  std::string pod;  // its name, or "web-7d4b9c-" when the API server is still to make one
  // The pod's controller (a ReplicaSet, a Job), or the pod itself where there is none: then without
  // a uid.
  struct Object {
    std::string api_version, kind, name, uid;
  } about;
  // The short form for an Event's reason: "Injected", "NotInjected", "InjectionRefused".
  absl::string_view EventReason() const;
};

struct ReviewSource {
  // The labels of a namespace as far as they are known; called on the server's thread.
  std::function<std::optional<std::map<std::string, std::string>>(const std::string& ns)>
      namespace_labels = {};
  // Not called for dry runs. On the server's thread: must not block.
  std::function<void(const Injection&)> on_injection = {};
  // Every object in force now, so that references can be looked up; unset: they are not.
  std::function<std::vector<model::Object>()> objects = {};
  model::WorldOptions world = {};
};

struct Answer {
  int code = 200;
  std::string body;  // JSON with 200, else a line of text
};

// Thread-safe.
class Reviewer {
 public:
  Reviewer(inject::Settings settings, ReviewSource source);

  // Reviews that follow go by these.
  void SetSettings(inject::Settings settings);

  // Of a POST. 404: another path, 415: not JSON by its type, 400: not a review.
  Answer Review(absl::string_view path, absl::string_view content_type, absl::string_view body);

  // Prometheus text: heddle_injections_total{outcome,reason}, heddle_validations_total{outcome},
  // heddle_admission_errors_total{code}.
  std::string Metrics() const;

  struct Parts;  // of one review

 private:
  void Inject(absl::string_view path, Parts* parts);
  void Validate(Parts* parts);
  std::vector<std::string> UnresolvedReferences(const model::Object& object) const;
  void Count(const std::string& metric, const std::string& labels);

  const ReviewSource source_;
  mutable absl::Mutex mutex_;
  std::shared_ptr<const inject::Settings> settings_ ABSL_GUARDED_BY(mutex_);
  std::map<std::pair<std::string, std::string>, uint64_t> counts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace heddle::admit
