// heddle-control put together: source -> World -> Hub -> gRPC, with the CA, the trace store and the
// admin pages beside. One object, so that a test can run it inside its own process.
//
//   auto control = Control::Start(options);
//   ... until a signal ...
//   (*control)->Stop();
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "control_plane/main/options.h"

namespace heddle::control {

class Control {
 public:
  // Everything listens when it returns; the configuration was read once. Fails with what to do
  // about it.
  static absl::StatusOr<std::unique_ptr<Control>> Start(const Options& options);
  ~Control();
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

  int grpc_port() const;
  int admin_port() const;
  // Ends the streams (proxies reconnect elsewhere or later) and every thread. Once.
  void Stop();

 private:
  struct Parts;
  Control();
  std::unique_ptr<Parts> parts_;
};

}  // namespace heddle::control
