// The work behind BuildWorld: reads each object, then resolves what refers to what. Used by
// build.cc only.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "control_plane/model/build.h"
#include "control_plane/model/readers.h"

namespace heddle::model {

class Builder {
 public:
  Builder(const std::vector<Object>& objects, const WorldOptions& options)
      : objects_(objects), options_(options) {}

  BuildResult Build();

 private:
  template <typename Parts>
  struct Entry {
    const Object* object = nullptr;
    Digest body;
    Parts parts;
  };
  struct BackendPolicyEntry {
    const Object* object = nullptr;
    Digest body;
    BackendPolicyParts target;
  };

  // Reading, in the order of these lines: later kinds look at what earlier ones gave.
  void ReadMesh();
  void ReadServices();
  void ReadWorkloads();
  void ReadPolicies();
  void ReadRoutes();
  void ReadSlicesAndGrants();
  template <typename Map>
  bool Insert(Map* map, const typename Map::key_type& key, typename Map::mapped_type value,
              Checker& check);

  // Resolving.
  // How bad it is that something refers to what is not there.
  Severity dangling() const { return options_.live ? Severity::kWarning : Severity::kError; }
  void CheckAddresses();
  void ApplyWorkloadPolicies();
  std::shared_ptr<const EgressSet> ResolveEgress(const std::vector<std::string>& patterns,
                                                 const std::string& ns, bool allow_unlisted);
  void CheckEgressNames(const WorkloadSettings& settings, const std::string& ns, Checker& check);
  void ApplyBackendPolicies();
  void ApplyBackendPolicy(const Key& key, const BackendPolicyEntry& policy,
                          std::map<std::pair<Key, std::string>, Key>* taken);
  void AttachRoutes();
  void CheckParent(const RouteParent& parent, const base::Path& at, Checker& check);
  // False: its share is answered 500.
  bool CheckBackend(const Route& route, const RouteBackend& backend, const base::Path& at,
                    Checker& check);
  bool MayName(const Route& route, const Key& service) const;
  std::vector<RouteParent> NarrowParents(const Route& route, const base::Path& at, Checker& check);

  // Which addresses stand behind which port (endpoints.cc).
  void FindEndpoints();
  void FromSelector(const Entry<ServiceParts>& entry, size_t port, Service* service);
  void FromSlices(const Entry<ServiceParts>& entry, size_t port, Service* service);
  void CheckSpoken(const Entry<ServiceParts>& entry, size_t index, Workload* workload,
                   uint16_t port);
  void IndexWorkloads();
  void Finish();

  const std::vector<Object>& objects_;
  const WorldOptions& options_;
  std::vector<Problem> problems_;

  MeshParts mesh_;
  const Object* mesh_object_ = nullptr;
  std::map<Key, Entry<ServiceParts>> services_;
  std::map<Key, Entry<Workload>> workloads_;
  std::map<Key, Entry<WorkloadPolicyParts>> workload_policies_;
  std::map<Key, BackendPolicyEntry> backend_policies_;
  // GRPCRoutes first: true is what is not one.
  std::map<std::pair<bool, Key>, Entry<std::shared_ptr<Route>>> routes_;
  std::map<Key, Entry<AuthorizationPolicy>> authorization_;
  std::map<Key, Entry<SliceParts>> slices_;
  std::map<Key, Entry<GrantParts>> grants_;
  // Service, namespace of the route, port.
  std::set<std::tuple<Key, std::string, uint16_t>> grpc_ports_;

  // "<namespace>\n<label>\n<value>" to the workloads that have it.
  std::map<std::string, std::vector<Workload*>> by_label_;
  std::map<std::string, Workload*> by_address_;
  std::map<Key, std::vector<const SliceParts*>> slices_of_;  // by Service
  std::map<std::pair<Key, uint16_t>, Key> spoken_;  // live: which Service said the protocol
  std::map<std::string, std::shared_ptr<const EgressSet>> egress_sets_;
  std::map<Key, Digest::Builder> service_digests_;
  World world_;
};

}  // namespace heddle::model
