// A Reflector on a Client: lists and watches until it is destroyed. Lives on the client's thread.
#pragma once

#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "control_plane/kube/client.h"
#include "control_plane/kube/reflector.h"
#include "source/base/clock.h"

namespace heddle::kube {

class Informer {
 public:
  // `client` and `sink` outlive it. Begins at once.
  Informer(Client& client, ReflectorOptions options, Sink& sink);
  ~Informer();
  Informer(const Informer&) = delete;
  Informer& operator=(const Informer&) = delete;

  const Reflector& reflector() const { return reflector_; }

 private:
  void Proceed();
  void LogFailure();
  void Watch(const Reflector::Ask& ask);
  void LogExpiry();

  Client& client_;
  base::Random random_;
  Reflector reflector_;
  Client::Id running_ = 0;  // stream or timer; 0: a list is under way
  uint64_t watch_ = 0;      // counts them, so that what comes late is known
  uint64_t expired_ = 0;    // of the reflector's counter, logged so far
  // Answers that come after the destruction find it null.
  std::shared_ptr<Informer*> self_ = std::make_shared<Informer*>(this);
};

}  // namespace heddle::kube
