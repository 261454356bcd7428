// The work behind BuildWorld: reads each object, then resolves what refers to what. What an earlier
// build came to from the same is taken from its Memory. Used by build.cc only.
//
// What a part is made from, and so when it is made anew:
//   Reading        the object's body, and the MeshConfig where its reader looks at that
//   Workload       its reading, the policies on workloads, which Services there are; and what the
//                  Services that lead to it say its ports speak
//   Route          its reading and which of its references are good
//   Service        its reading, the MeshConfig, the BackendPolicies and routes attached to it, its
//                  slices, and the Workloads these name
#pragma once

#include <array>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "control_plane/model/build.h"
#include "control_plane/model/memory.h"
#include "control_plane/model/readers.h"

namespace heddle::model {

class Builder {
 public:
  Builder(const std::vector<const Object*>& objects, const WorldOptions& options, Memory& memory)
      : objects_(objects), options_(options), memory_(memory) {}

  BuildResult Build();

 private:
  template <typename T>
  struct Entry {
    const Object* object = nullptr;
    const Reading* reading = nullptr;
    const T* parts = nullptr;
  };
  // Sorted by key; of two with one name the first in the objects' order.
  template <typename T>
  using Table = std::vector<Entry<T>>;
  struct BackendPolicyBody {
    Key key;
    BackendPolicyParts target;
    BackendSettings settings;
  };
  // What is found out about a Service before its endpoints.
  struct ServiceWork {
    Digest::Builder digest;                          // of the Service but its endpoints
    std::vector<std::string> addresses_taken;        // by other Services
    std::vector<const BackendPolicyBody*> policies;  // later ones hold
    std::vector<std::shared_ptr<const Route>> routes;
    std::vector<const Entry<SliceParts>*> slices;
  };
  using ServiceEntry = Entry<ServiceParts>;

  // Reading, in the order of these lines: later kinds look at what earlier ones gave.
  template <typename T, typename Read>
  void ReadAll(Kind kind, const Digest& context, Table<T>* out, const Read& read);
  void ReadMesh();
  void ReadEverythingElse();

  // Resolving.
  // How bad it is that something refers to what is not there.
  Severity dangling() const { return options_.live ? Severity::kWarning : Severity::kError; }
  const ServiceEntry* FindService(const Key& key) const;  // null: none
  size_t IndexOf(const ServiceEntry& entry) const {
    return static_cast<size_t>(&entry - services_.data());
  }
  void CheckAddresses();
  void ApplyWorkloadPolicies();
  void ResolveWorkload(const Entry<Workload>& entry, WorkloadPart* out);
  void WorkloadChanged(const Workload& workload);
  std::shared_ptr<const EgressSet> ResolveEgress(const std::vector<std::string>& patterns,
                                                 const std::string& ns, bool allow_unlisted);
  void CheckEgressNames(const WorkloadSettings& settings, const std::string& ns, Checker& check);
  void ApplyBackendPolicies();
  void ApplyBackendPolicy(const Entry<BackendPolicyBody>& policy,
                          std::map<std::pair<Key, std::string>, Key>* taken);
  void AttachRoutes();
  void AttachRoutes(const Table<Route>& routes, std::vector<RoutePart>* parts);
  void CheckParent(const RouteParent& parent, const base::Path& at, Checker& check);
  // False: its share is answered 500.
  bool CheckBackend(const Route& route, const RouteBackend& backend, const base::Path& at,
                    Checker& check);
  bool MayName(const Route& route, const Key& service) const;
  // What the World says of a route's backend; of all rules, in order.
  struct BackendState {
    bool invalid = false, sticky = false;
  };
  std::vector<BackendState> CheckBackends(const Route& route, const base::Path& at, Checker& check);
  std::vector<RouteParent> NarrowParents(const Route& route, const base::Path& at, Checker& check);

  // Which addresses stand behind which port (endpoints.cc).
  void FindEndpoints();
  // Whether a Workload changed that the Service's endpoints are, or might be.
  bool Affected(const ServiceEntry& entry, const ServiceWork& work) const;
  void ResolveService(const ServiceEntry& entry, const ServiceWork& work, ServicePart* out);
  void FromSelector(const ServiceEntry& entry, size_t port, ServicePart* out, Service* service);
  void FromSlices(const ServiceEntry& entry, const ServiceWork& work, size_t port, ServicePart* out,
                  Service* service);
  // Null: the endpoint is nobody's.
  const Workload* WorkloadOf(const SliceEndpoint& endpoint, const std::string& ns);
  void CheckSpoken(const ServiceEntry& entry, size_t index, const Workload& workload, uint16_t port,
                   ServicePart* out);
  // What Services say of the ports of Workloads; of two that disagree the first by name holds.
  struct Said {
    size_t service = 0;  // index
    const Claim* claim = nullptr;
  };
  void ApplyClaims();
  void ApplyClaims(const std::vector<Said>& said, WorkloadPart* part);
  void Finish();

  const std::vector<const Object*>& Of(Kind kind) const {
    return of_kind_[static_cast<size_t>(kind)];
  }

  const std::vector<const Object*>& objects_;
  const WorldOptions& options_;
  Memory& memory_;
  std::array<std::vector<const Object*>, kKinds> of_kind_;
  std::vector<Problem> problems_;

  MeshParts mesh_;
  const Object* mesh_object_ = nullptr;
  Table<ServiceParts> services_;
  Table<Workload> workloads_;
  Table<WorkloadPolicyParts> workload_policies_;
  Table<BackendPolicyBody> backend_policies_;
  Table<Route> routes_, grpc_routes_;
  Table<AuthorizationPolicy> authorization_;
  Table<SliceParts> slices_;
  Table<GrantParts> grants_;
  // Service, namespace of the route, port.
  std::set<std::tuple<Key, std::string, uint16_t>> grpc_ports_;

  std::vector<ServiceWork> work_;             // by index of services_
  std::vector<WorkloadPart> workload_parts_;  // by index of workloads_
  std::vector<ServicePart> service_parts_;    // by index of services_

  // Workloads that are not as in the last build, or new, or gone: by namespace, and by address.
  absl::flat_hash_map<std::string, absl::flat_hash_set<std::string>> changed_;
  absl::flat_hash_set<std::string> changed_addresses_;
  // Of which other Services, or the same otherwise, say what their ports speak.
  absl::flat_hash_set<const Workload*> touched_;

  // "<namespace>\n<label>\n<value>" to the workloads that have it, and addresses; made when needed.
  absl::flat_hash_map<std::string, std::vector<const Workload*>> by_label_;
  absl::flat_hash_map<absl::string_view, const Workload*> by_address_;
  World world_;
};

}  // namespace heddle::model
