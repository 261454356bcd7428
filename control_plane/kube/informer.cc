#include "control_plane/kube/informer.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "source/base/log.h"

namespace heddle::kube {

Informer::Informer(Client& client, ReflectorOptions options, Sink& sink)
    : client_(client), reflector_(std::move(options), sink, base::SystemClock(), random_) {
  Proceed();
}

Informer::~Informer() {
  *self_ = nullptr;
  if (running_ != 0) client_.Cancel(running_);
}

void Informer::LogFailure() {
  const uint64_t failures = reflector_.counters().failures;
  const absl::Status& why = reflector_.last_failure();
  // Powers of two: a server that is away for an hour is not an hour of lines.
  if ((failures & (failures - 1)) != 0 && failures % 64 != 0) return;
  HEDDLE_LOG(kWarning, "kube") << reflector_.options().path << ": " << why.message()
                               << (absl::IsPermissionDenied(why)
                                       ? " (the ClusterRole of heddle-control grants this; see "
                                         "docs/kubernetes.md)"
                                       : "");
}

void Informer::LogExpiry() {
  const uint64_t expired = reflector_.counters().expired;
  if (std::exchange(expired_, expired) == expired) return;
  HEDDLE_LOG(kInfo, "kube") << reflector_.options().path << ": the server has forgotten version "
                            << reflector_.resource_version() << " (410): listed again";
}

void Informer::Proceed() {
  LogExpiry();
  const Reflector::Ask ask = reflector_.Next();
  running_ = 0;
  const std::shared_ptr<Informer*> self = self_;
  switch (ask.kind) {
    case Reflector::Ask::Kind::kList:
      client_.Send({.path = ask.path, .timeout = absl::Minutes(1)},
                   [self](const absl::StatusOr<std::string>& body) {
                     if (*self == nullptr) return;
                     (*self)->reflector_.OnPage(body);
                     (*self)->Proceed();
                   });
      return;
    case Reflector::Ask::Kind::kWatch:
      Watch(ask);
      return;
    case Reflector::Ask::Kind::kWait:
      if (!reflector_.missing()) LogFailure();
      running_ = client_.After(ask.wait, [self] {
        (*self)->reflector_.OnWaited();
        (*self)->Proceed();
      });
      return;
  }
}

void Informer::Watch(const Reflector::Ask& ask) {
  const uint64_t watch = ++watch_;
  const std::shared_ptr<Informer*> self = self_;
  const auto end = [self, watch](const absl::Status& status) {
    if (*self == nullptr || (*self)->watch_ != watch) return;
    ++(*self)->watch_;  // nothing more of this one
    (*self)->reflector_.OnEnd(status);
    (*self)->Proceed();
  };
  const auto bytes = [self, watch](absl::string_view bytes) {
    if (*self == nullptr || (*self)->watch_ != watch) return;
    Informer& me = **self;
    const absl::Status status = me.reflector_.OnBytes(bytes);
    if (status.ok()) return;
    // Not here: the stream is calling.
    ++me.watch_;
    me.client_.Post([self, status, id = me.running_] {
      if (*self == nullptr) return;
      (*self)->client_.Cancel(id);
      (*self)->reflector_.OnEnd(status);
      (*self)->Proceed();
    });
  };
  running_ = client_.Stream({.path = ask.path, .timeout = ask.timeout}, bytes, end);
}

}  // namespace heddle::kube
