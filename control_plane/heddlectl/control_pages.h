// The admin pages of heddle-control: of the one at --control, or of every replica in a cluster.
//
//   HEDDLE_ASSIGN_OR_RETURN(ControlPages control, ControlPages::Open(args));
//   HEDDLE_ASSIGN_OR_RETURN(std::vector<std::string> pages, control.GetAll("/status"));
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "control_plane/heddlectl/args.h"
#include "control_plane/heddlectl/http_client.h"
#include "control_plane/heddlectl/kubectl.h"

namespace heddle::heddlectl {

class ControlPages {
 public:
  // With a cluster: finds the replicas that are ready and forwards a port to each.
  static absl::StatusOr<ControlPages> Open(const Args& args);
  static absl::StatusOr<ControlPages> OpenCluster(const Kubectl& kubectl, const std::string& ns);

  // One body for each replica; a replica that does not answer 200 is an error.
  absl::StatusOr<std::vector<std::string>> GetAll(const std::string& path) const;
  // Of one replica, below size().
  absl::StatusOr<std::string> Get(size_t replica, const std::string& path) const;
  // Something that one replica does for all: asked of the first. Its answer, whatever its code.
  absl::StatusOr<Fetched> Post(const std::string& path) const;
  size_t size() const { return replicas_.size(); }

 private:
  struct Replica {
    std::string name;     // "pod heddle-system/heddle-control-7b9-x", or "heddle-control"
    std::string address;  // "127.0.0.1:15014"
    std::string advice;   // what to do when nobody is there
    std::shared_ptr<PortForward> forward;
  };

  static absl::StatusOr<Fetched> Ask(const Replica& replica, const std::string& path,
                                     const FetchOptions& options);

  std::vector<Replica> replicas_;
};

// The /status pages of several replicas as one: each sidecar as the replica sees it that it is
// connected to.
absl::StatusOr<std::string> MergeStatus(const std::vector<std::string>& pages);

}  // namespace heddle::heddlectl
