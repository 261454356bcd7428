// From decoded objects to a World: a pure function that finds every problem, not only the first.
//
//   BuildResult result = BuildWorld(objects, {.trust_domain = "cluster.local"});
//   if (result.world != nullptr) serve(result.world);
//
// With a BuildMemory a build makes anew only the parts whose inputs differ from the last one's, and
// shares the rest with the World before; what comes out is the same.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "control_plane/model/problem.h"
#include "control_plane/model/world.h"

namespace google::protobuf {
class Message;
}

namespace heddle::model {

enum class Kind {
  kService,
  kHttpRoute,
  kWorkload,
  kMeshConfig,
  kBackendPolicy,
  kAuthorizationPolicy,
  kWorkloadPolicy,
  kEndpointSlice,
  kGrpcRoute,
  kReferenceGrant,
};
inline constexpr size_t kKinds = 10;

// What the document says: "HTTPRoute".
absl::string_view KindName(Kind kind);

// One object as the operator wrote it: its protobuf decoded, nothing else checked.
struct Object {
  Kind kind = Kind::kService;
  std::string file;
  // The 1-based line of a field path such as "spec.rules[0].name", or of its nearest parent that is
  // there; 0: not known. Called for problems only.
  std::function<int(absl::string_view path)> line_of;
  // heddle.v1.<KindName>. One body is of one object for all its life, and never changes.
  std::shared_ptr<const google::protobuf::Message> body;
  std::optional<Digest> digest = {};  // of the body; unset: computed
};

struct WorldOptions {
  std::string trust_domain = "cluster.local";
  // Where sidecars reach heddle-control, for spans; unset: spans need MeshConfig.tracing.collector.
  std::optional<HostPort> control_address;
  // The objects are those of a live cluster, each written and deleted by itself. What refers to
  // something that is not there is then a warning and has no effect (a route's share for it is
  // answered 500), never a reason to keep what was. Ports speak what the Services in front of them
  // say.
  bool live = false;
};

struct BuildResult {
  std::shared_ptr<const World> world;  // null when there is an error among the problems
  std::vector<Problem> problems;       // in the order of the objects
};

// Of the message's deterministic bytes: equal messages, equal digests.
Digest DigestOf(const google::protobuf::Message& message);

struct Memory;
// What the last build came to. Of builds with the same WorldOptions, one after the other.
class BuildMemory {
 public:
  BuildMemory();
  BuildMemory(BuildMemory&&) noexcept;
  BuildMemory& operator=(BuildMemory&&) noexcept;
  ~BuildMemory();

  // How many the last build made anew.
  struct Stats {
    size_t readings = 0;
    size_t services = 0;
    size_t workloads = 0;
  };
  Stats stats() const;

 private:
  friend BuildResult BuildWorld(const std::vector<const Object*>& objects,
                                const WorldOptions& options, BuildMemory* memory);
  std::unique_ptr<Memory> memory_;
};

BuildResult BuildWorld(const std::vector<Object>& objects, const WorldOptions& options);
// `memory` may be null.
BuildResult BuildWorld(const std::vector<const Object*>& objects, const WorldOptions& options,
                       BuildMemory* memory);

}  // namespace heddle::model
