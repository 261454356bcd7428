#include "control_plane/inject/inject.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "control_plane/inject/containers.h"
#include "control_plane/inject/json.h"
#include "control_plane/inject/probes.h"
#include "source/base/status.h"

namespace heddle::inject {
namespace {

constexpr char kDefaultContainer[] = "kubectl.kubernetes.io/default-container";
constexpr const char* kContainerLists[] = {"initContainers", "containers"};

absl::Status Wrong(absl::string_view what) { return absl::InvalidArgumentError(what); }

// What the rest of this file relies on.
absl::Status CheckShape(const Json& pod) {
  if (!pod.is_object() || !At(pod, "spec").is_object()) return Wrong("spec: found no map");
  const Json& metadata = At(pod, "metadata");
  if (!metadata.is_null() && !metadata.is_object()) return Wrong("metadata: found no map");
  for (const char* field : {"labels", "annotations"}) {
    const Json& map = At(metadata, field);
    if (!map.is_null() && !map.is_object())
      return Wrong(absl::StrCat("metadata.", field, ": found no map"));
    if (!map.is_object()) continue;
    for (const auto& [key, value] : map.items())
      if (!value.is_string())
        return Wrong(absl::StrCat("metadata.", field, "[\"", key.substr(0, 100),
                                  "\"]: found no string; write the value with quotes"));
  }
  for (const char* field : {"initContainers", "containers", "volumes", "imagePullSecrets"}) {
    const Json& list = At(At(pod, "spec"), field);
    if (!list.is_null() && !list.is_array())
      return Wrong(absl::StrCat("spec.", field, ": found no list"));
    std::set<std::string> names;
    for (size_t i = 0; i < list.size(); ++i) {
      const std::string name = TextAt(list[i], "name");
      if (name.empty()) return Wrong(absl::StrCat("spec.", field, "[", i, "].name: required"));
      if (!names.insert(name).second)
        return Wrong(absl::StrCat("spec.", field, "[", i, "].name: \"", name.substr(0, 100),
                                  "\" is there already"));
    }
  }
  if (At(At(pod, "spec"), "containers").empty()) return Wrong("spec.containers: required");
  return absl::OkStatus();
}

// The array, made when it is not there.
Json& ListOf(Json& spec, const char* field) {
  Json& list = spec[field];
  if (!list.is_array()) list = Json::array();
  return list;
}

// Takes the entry of this name out of the list; null when there is none.
Json Take(Json& spec, const char* field, absl::string_view name, size_t* index = nullptr) {
  const auto found = spec.find(field);
  if (found == spec.end() || !found->is_array()) return nullptr;
  for (size_t i = 0; i < found->size(); ++i) {
    if (TextAt((*found)[i], "name") != name) continue;
    Json out = std::move((*found)[i]);
    found->erase(i);
    if (index != nullptr) *index = i;
    return out;
  }
  return nullptr;
}

void EraseIfEmpty(Json& object, const char* field) {
  if (const auto found = object.find(field); found != object.end() && found->empty())
    object.erase(field);
}

// What Inject did, as it is kept in the status annotation: all that Remove needs.
struct Status {
  Json volumes = Json::array();
  Json image_pull_secrets = Json::array();
  Json annotations = Json::array();
  Json port_names = Json::object();
  // Containers of ours that the pod had itself: {"list", "index", "container"}.
  Json own = Json::array();
};

std::string Print(const Status& status, const PodOptions& options) {
  Json out = {{"version", 1}, {"sidecar", options.sidecar}, {"volumes", status.volumes}};
  if (options.interception == "init") out["initContainers"].push_back(kInitName);
  out[options.classic() ? "containers" : "initContainers"].push_back(kProxyName);
  const std::pair<const char*, const Json*> more[] = {
      {"imagePullSecrets", &status.image_pull_secrets},
      {"annotations", &status.annotations},
      {"portNames", &status.port_names},
      {"own", &status.own}};
  for (const auto& [key, value] : more)
    if (!value->empty()) out[key] = *value;
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json EnvValue(const Json& container, absl::string_view name) {
  for (const Json& one : Items(At(container, "env")))
    if (TextAt(one, "name") == name) return At(one, "value");
  return nullptr;
}

// Every container of the two lists.
template <typename Do>
void EachContainer(Json& spec, const Do& visit) {
  for (const char* field : kContainerLists) {
    const auto list = spec.find(field);
    if (list == spec.end() || !list->is_array()) continue;
    for (Json& container : *list) visit(field, container);
  }
}

// `field` is runAsUser or runAsGroup.
absl::Status CheckRunAs(const char* field, int64_t taken, const Json& pod_context,
                        const Json& container) {
  const Json& own = At(At(container, "securityContext"), field);
  if ((own.is_null() ? At(pod_context, field) : own) != taken) return absl::OkStatus();
  return Wrong(absl::StrCat("container ", TextAt(container, "name"), " runs as ",
                            absl::string_view(field) == "runAsUser" ? "user " : "group ", taken,
                            ", which is the sidecar's: its traffic would bypass the mesh. Give it "
                            "another securityContext.",
                            field));
}

absl::Status CheckPorts(const Json& container) {
  for (const Json& port : Items(At(container, "ports")))
    for (const int taken : kProxyPorts)
      if (At(port, "containerPort") == taken && TextAt(port, "protocol") != "UDP")
        return Wrong(absl::StrCat("container ", TextAt(container, "name"), " has port ", taken,
                                  ", which is the sidecar's (15000, 15001, 15006 and 15021 are)"));
  return absl::OkStatus();
}

// What of the pod itself cannot be together with a sidecar. Containers of ours are out already.
absl::Status CheckConflicts(const PodOptions& options, int64_t proxy_uid, Json& spec) {
  absl::Status status;
  const Json pod_context = At(spec, "securityContext");
  EachContainer(spec, [&](const char*, Json& container) {
    if (status.ok()) status = CheckRunAs("runAsUser", proxy_uid, pod_context, container);
    if (status.ok() && options.interception_mode == "tproxy")
      status = CheckRunAs("runAsGroup", kProxyUid, pod_context, container);
    if (status.ok()) status = CheckPorts(container);
  });
  HEDDLE_RETURN_IF_ERROR(status);
  for (const Json& volume : Items(At(spec, "volumes"))) {
    const std::string name = TextAt(volume, "name");
    if (name == "heddle-token" || name == "heddle-root" || name == "heddle-state")
      return Wrong(absl::StrCat("volume ", name, " has the name of one of the sidecar's (",
                                "heddle-token, heddle-root, heddle-state); give it another"));
  }
  return absl::OkStatus();
}

void WarnOf(const Json& pod, const PodOptions& options, std::vector<std::string>* warnings) {
  const std::string dns = TextAt(At(pod, "spec"), "dnsPolicy");
  if (dns == "None" || dns == "Default")
    warnings->push_back(absl::StrCat("dnsPolicy is ", dns, ": the sidecar finds heddle-control ",
                                     "only if this DNS knows the cluster's services"));
  if (!options.classic()) return;
  for (const Json& owner : Items(At(At(pod, "metadata"), "ownerReferences")))
    if (TextAt(owner, "kind") == "Job")
      warnings->push_back(absl::StrCat("the pod is of a Job, and ", kPrefix,
                                       "sidecar is classic: the Job will not end by itself"));
}

// Takes a container of ours that the pod wrote itself, to be merged over what we put in.
absl::StatusOr<Json> TakeWishes(Json& spec, const char* name, Status* status) {
  Json out;
  for (const char* field : kContainerLists) {
    size_t index = 0;
    Json wishes = Take(spec, field, name, &index);
    if (wishes.is_null()) continue;
    if (!out.is_null())
      return Wrong(absl::StrCat("container ", name,
                                " is both among the containers and the init containers"));
    status->own.push_back({{"list", field}, {"index", index}, {"container", wishes}});
    out = std::move(wishes);
  }
  return out;
}

// Whom the sidecar runs as: interception tells its traffic from the application's by that.
absl::StatusOr<int64_t> ProxyUid(const PodOptions& options, const Json& wishes) {
  const Json& uid = At(At(wishes, "securityContext"), "runAsUser");
  const bool tproxy = options.interception_mode == "tproxy";
  if (uid.is_null() || (tproxy && uid == 0)) return kProxyUid;
  if (!tproxy && uid.is_number_integer() && uid >= 1 && uid < 4294967295) return uid.get<int64_t>();
  return Wrong(absl::StrCat("container ", kProxyName, ": securityContext.runAsUser: found ",
                            uid.dump().substr(0, 40), ", allowed ",
                            tproxy ? "0, which tproxy needs"
                                   : "1 to 4294967294: the sidecar is told from the application "
                                     "by its user"));
}

// Whether `there` says everything that `fresh` says, and perhaps more: defaults that the API server
// filled in, a mount that its ServiceAccount plugin added, limits of a LimitRange.
bool Covers(const Json& there, const Json& fresh) {
  if (fresh.is_object() && there.is_object()) {
    for (const auto& [key, value] : fresh.items())
      if (!there.contains(key) || !Covers(there[key], value)) return false;
    return true;
  }
  if (!fresh.is_array() || !there.is_array()) return there == fresh;
  // In the same order, others may stand between.
  size_t at = 0;
  for (const Json& value : fresh) {
    while (at < there.size() && !Covers(there[at], value)) ++at;
    if (at++ == there.size()) return false;
  }
  return true;
}

// What an earlier injection put in and others have added to since stays with these additions, as
// far as it still says what we would say. Otherwise being asked twice for one pod, which the API
// server does when others change it after us, would take away what they did.
void KeepAdditions(const Json& before, Json* after) {
  const Json& old_spec = At(before, "spec");
  Json& spec = (*after)["spec"];
  for (const char* field : {"initContainers", "containers", "volumes"}) {
    if (!spec.contains(field)) continue;
    for (Json& fresh : spec[field])
      for (const Json& there : Items(At(old_spec, field)))
        if (absl::StartsWith(TextAt(fresh, "name"), "heddle-") &&
            TextAt(there, "name") == TextAt(fresh, "name") && Covers(there, fresh))
          fresh = there;
  }
  // Volumes have no order that means anything.
  const Json& old_volumes = At(old_spec, "volumes");
  if (old_volumes.is_array() && spec.contains("volumes") &&
      std::is_permutation(old_volumes.begin(), old_volumes.end(), spec["volumes"].begin(),
                          spec["volumes"].end()))
    spec["volumes"] = old_volumes;
}

class Injector {
 public:
  Injector(const Settings& settings, PodOptions options)
      : settings_(settings), options_(std::move(options)) {}

  absl::Status Run(Json* pod) {
    Json& spec = (*pod)["spec"];
    HEDDLE_ASSIGN_OR_RETURN(const Json init_wishes, TakeWishes(spec, kInitName, &status_));
    HEDDLE_ASSIGN_OR_RETURN(const Json proxy_wishes, TakeWishes(spec, kProxyName, &status_));
    HEDDLE_ASSIGN_OR_RETURN(const int64_t proxy_uid, ProxyUid(options_, proxy_wishes));
    HEDDLE_RETURN_IF_ERROR(CheckConflicts(options_, proxy_uid, spec));
    if (options_.rewrite_probes) Rewrite(spec);
    const PodContext context{.has_resources = !At(spec, "resources").empty(),
                             .proxy_uid = proxy_uid,
                             .probes = &probes_.handlers};
    Json init = InitContainer(options_, context);
    if (init_wishes.is_object()) MergeOver(init_wishes, &init);
    Json proxy = ProxyContainer(options_, settings_, context);
    if (proxy_wishes.is_object()) MergeOver(proxy_wishes, &proxy);
    Place(spec, std::move(init), std::move(proxy));
    AddVolumes(spec);
    Annotate(pod);
    return absl::OkStatus();
  }

  const std::vector<std::string>& warnings() const { return probes_.warnings; }

 private:
  void Rewrite(Json& spec) {
    const Intercepted ports{.include_ports = options_.include_inbound_ports,
                            .exclude_ports = options_.exclude_inbound_ports};
    EachContainer(spec, [&](const char* field, Json& container) {
      // Init containers run before a classic sidecar, which could not answer for them.
      if (options_.classic() && absl::string_view(field) == "initContainers") return;
      RewriteProbes(ports, &container, &probes_);
    });
  }

  // Native: heddle-init, heddle-proxy, then the pod's init containers, which so have the mesh.
  // Classic: heddle-init is the last, so that those before it have the network as it was.
  void Place(Json& spec, Json init, Json proxy) {
    const bool with_init = options_.interception == "init";
    if (options_.classic()) {
      Json& containers = ListOf(spec, "containers");
      containers.insert(containers.begin(), std::move(proxy));
      if (with_init) ListOf(spec, "initContainers").push_back(std::move(init));
      return;
    }
    Json& list = ListOf(spec, "initContainers");
    list.insert(list.begin(), std::move(proxy));
    if (with_init) list.insert(list.begin(), std::move(init));
  }

  void AddVolumes(Json& spec) {
    Json& volumes = ListOf(spec, "volumes");
    for (Json& volume : Volumes(settings_)) {
      status_.volumes.push_back(volume["name"]);
      volumes.push_back(std::move(volume));
    }
    for (const std::string& secret : settings_.image_pull_secrets) {
      Json& list = ListOf(spec, "imagePullSecrets");
      const bool there = std::any_of(
          list.begin(), list.end(), [&](const Json& one) { return TextAt(one, "name") == secret; });
      if (there) continue;
      list.push_back({{"name", secret}});
      status_.image_pull_secrets.push_back(secret);
    }
  }

  void Annotate(Json* pod) {
    Json& annotations = (*pod)["metadata"]["annotations"];
    if (!annotations.is_object()) annotations = Json::object();
    // kubectl logs and exec mean the first container, which a classic sidecar now is.
    const Json& containers = (*pod)["spec"]["containers"];
    if (options_.classic() && containers.size() > 1 && !annotations.contains(kDefaultContainer)) {
      annotations[kDefaultContainer] = TextAt(containers[1], "name");
      status_.annotations.push_back(kDefaultContainer);
    }
    status_.port_names = probes_.port_names;
    annotations[kStatusAnnotation] = Print(status_, options_);
  }

  const Settings& settings_;
  const PodOptions options_;
  Probes probes_;
  Status status_;
};

}  // namespace

bool IsInjected(const Json& pod) {
  return At(At(At(pod, "metadata"), "annotations"), kStatusAnnotation).is_string();
}

absl::Status Remove(Json* pod) {
  if (!IsInjected(*pod)) return absl::OkStatus();
  HEDDLE_RETURN_IF_ERROR(CheckShape(*pod));
  Json& annotations = (*pod)["metadata"]["annotations"];
  Json& spec = (*pod)["spec"];
  const Json status =
      Json::parse(annotations[kStatusAnnotation].get<std::string>(), nullptr, false);
  if (!status.is_object() || At(status, "version") != 1)
    return Wrong(absl::StrCat("annotation ", kStatusAnnotation,
                              ": not written by a Heddle that this one knows; remove the sidecar "
                              "from the pod by hand"));
  Probes probes;
  for (const char* field : kContainerLists) {
    Take(spec, field, kInitName);
    const Json proxy = Take(spec, field, kProxyName);
    if (proxy.is_object()) probes.handlers = ReadProbes(EnvValue(proxy, "HEDDLE_APP_PROBES"));
  }
  probes.port_names = At(status, "portNames");
  EachContainer(spec, [&](const char*, Json& container) { RestoreProbes(probes, &container); });
  // Names of ours only, whatever the annotation says: somebody may have written it by hand.
  for (const char* volume : {"heddle-token", "heddle-root", "heddle-state"})
    Take(spec, "volumes", volume);
  for (const Json& secret : Items(At(status, "imagePullSecrets")))
    if (secret.is_string()) Take(spec, "imagePullSecrets", secret.get<std::string>());
  // Backwards, because each index was right when those before it had been taken out.
  const Json::array_t& all = Items(At(status, "own"));
  for (auto it = all.rbegin(); it != all.rend(); ++it) {
    const Json& own = *it;
    const std::string name = TextAt(At(own, "container"), "name");
    const std::string field = TextAt(own, "list");
    const bool known = field == "containers" || field == "initContainers";
    if (!known || (name != kProxyName && name != kInitName) ||
        !At(own, "index").is_number_unsigned())
      continue;
    Json& list = ListOf(spec, field.c_str());
    const size_t index = std::min<size_t>(At(own, "index").get<size_t>(), list.size());
    list.insert(list.begin() + static_cast<Json::difference_type>(index), At(own, "container"));
  }
  for (const Json& annotation : Items(At(status, "annotations")))
    if (annotation == kDefaultContainer) annotations.erase(kDefaultContainer);
  annotations.erase(kStatusAnnotation);
  for (const char* field : {"initContainers", "volumes", "imagePullSecrets"})
    EraseIfEmpty(spec, field);
  EraseIfEmpty((*pod)["metadata"], "annotations");
  EraseIfEmpty(*pod, "metadata");
  return absl::OkStatus();
}

absl::Status Inject(const Settings& settings, Json* pod, std::vector<std::string>* warnings) {
  HEDDLE_RETURN_IF_ERROR(CheckShape(*pod));
  Json out = *pod;
  HEDDLE_RETURN_IF_ERROR(Remove(&out));
  std::vector<std::string> found;
  PodOptions options = settings.defaults;
  HEDDLE_RETURN_IF_ERROR(
      ReadAnnotations(TextMap(At(At(out, "metadata"), "annotations")), &options, &found));
  WarnOf(out, options, &found);
  Injector injector(settings, std::move(options));
  HEDDLE_RETURN_IF_ERROR(injector.Run(&out));
  found.insert(found.end(), injector.warnings().begin(), injector.warnings().end());
  if (IsInjected(*pod)) KeepAdditions(*pod, &out);
  *pod = std::move(out);
  warnings->insert(warnings->end(), found.begin(), found.end());
  return absl::OkStatus();
}

}  // namespace heddle::inject
