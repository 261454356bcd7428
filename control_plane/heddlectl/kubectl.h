// A cluster as the operator's own kubectl sees it: every way to log in that kubectl knows works
// here too, exec plugins included, and port forwarding needs no protocol of ours. kubectl is looked
// for on PATH.
//
//   Kubectl kubectl = Kubectl::FromArgs(args);          // --kubeconfig, --context
//   HEDDLE_ASSIGN_OR_RETURN(Json pods, kubectl.Get("/api/v1/namespaces/shop/pods"));
//   HEDDLE_ASSIGN_OR_RETURN(auto forward, kubectl.Forward("shop", "web-1", 15000));
//   Fetch(forward->address(), "/clusters");             // until `forward` is destroyed
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "control_plane/heddlectl/args.h"
#include "control_plane/heddlectl/json_value.h"

namespace heddle::heddlectl {

inline constexpr FlagSpec kKubeconfig = {"kubeconfig", "FILE",
                                         "Ask the cluster of this kubeconfig, by kubectl."};
inline constexpr FlagSpec kContext = {"context", "NAME",
                                      "Ask the cluster of this context of kubectl's."};
inline constexpr FlagSpec kKubernetes = {"kubernetes", "",
                                         "Ask the cluster of kubectl's current context."};

// Whether one of these three flags was given.
bool WantsCluster(const Args& args);

// A child process that forwards one local port. Ends with this object.
class PortForward {
 public:
  // Takes over the process and the read ends of its output and errors.
  PortForward(pid_t pid, int output, int errors, int port)
      : pid_(pid), output_(output), errors_(errors), port_(port) {}
  ~PortForward();
  PortForward(const PortForward&) = delete;
  PortForward& operator=(const PortForward&) = delete;

  std::string address() const;  // "127.0.0.1:40123"

 private:
  const pid_t pid_;
  const int output_, errors_;  // kept open so that it can write
  const int port_;
};

class Kubectl {
 public:
  struct Options {
    std::string program = "kubectl";
    std::string kubeconfig;  // empty: kubectl's own default
    std::string context;     // empty: the current one
    absl::Duration timeout = absl::Seconds(30);
  };
  explicit Kubectl(Options options) : options_(std::move(options)) {}
  static Kubectl FromArgs(const Args& args);

  // GET of a path of the API. NotFound, PermissionDenied, Unavailable, or FailedPrecondition when
  // there is no kubectl.
  absl::StatusOr<Json> Get(const std::string& path) const;
  // POST of a JSON document.
  absl::StatusOr<Json> Create(const std::string& path, const std::string& body) const;
  // Standard output of `kubectl <flags> words...`.
  absl::StatusOr<std::string> Run(const std::vector<std::string>& words,
                                  const std::string& input = {}) const;
  absl::StatusOr<std::unique_ptr<PortForward>> Forward(const std::string& ns,
                                                       const std::string& pod, int port) const;

  // The whole command line, for tests and messages.
  std::vector<std::string> CommandLine(const std::vector<std::string>& words) const;

 private:
  const Options options_;
};

// The local port in "Forwarding from 127.0.0.1:40123 -> 15014"; 0: not in there.
int ForwardedPort(const std::string& output);

}  // namespace heddle::heddlectl
