// heddle-control: reads policies, computes each sidecar's configuration, pushes it, signs workload
// certificates.
#include <signal.h>

#include <iostream>

#include "control_plane/main/control.h"
#include "control_plane/main/options.h"
#include "control_plane/status/version.h"
#include "source/base/log.h"

int main(int argc, char** argv) {
  namespace control = heddle::control;
  const auto options = control::ParseOptions(argc, argv);
  if (!options.ok()) {
    std::cerr << "heddle-control: " << options.status().message() << "\n";
    return 1;
  }
  if (options->help) {
    std::cout << control::HelpText();
    return 0;
  }
  if (options->version) {
    std::cout << "heddle-control " << heddle::kControlVersion << "\n";
    return 0;
  }
  heddle::base::LogLevel level;
  heddle::base::ParseLogLevel(options->log_level, &level);
  heddle::base::SetLogLevel(level);

  // Taken by sigwait below; blocked in every thread, which inherit this mask.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  auto running = control::Control::Start(*options);
  if (!running.ok()) {
    std::cerr << "heddle-control: " << running.status().message() << "\n";
    return 1;
  }
  int signal_number = 0;
  sigwait(&signals, &signal_number);
  HEDDLE_LOG(kInfo, "main") << (signal_number == SIGTERM ? "SIGTERM" : "SIGINT")
                            << ": stopping; proxies keep their configuration";
  // A second signal does not wait for the streams to end.
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  (*running)->Stop();
  return 0;
}
