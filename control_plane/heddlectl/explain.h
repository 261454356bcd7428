// What would happen to a request, from the policies alone: which route, cluster and endpoints,
// under which settings, and what each destination's AuthorizationPolicies would say. Computed from
// the very resources that proxies are given.
#pragma once

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "control_plane/model/world.h"

namespace heddle::heddlectl {

struct Question {
  model::Key from;     // the calling workload
  std::string target;  // "http://reviews:9080/path?query", "reviews/path" or "tcp://redis:6379"
  std::string method = "GET";
  std::map<std::string, std::string> headers;  // lower-case names
  bool intercept = false;
};

// Text for a person. NotFound when there is no such workload, InvalidArgument when the target
// cannot be read.
absl::StatusOr<std::string> Explain(const model::World& world, const Question& question);

}  // namespace heddle::heddlectl
