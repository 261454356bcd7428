#include "control_plane/inject/containers.h"

#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "control_plane/inject/json.h"
#include "control_plane/inject/probes.h"

namespace heddle::inject {
namespace {

Json Restricted() {
  return {{"allowPrivilegeEscalation", false},
          {"capabilities", {{"drop", {"ALL"}}}},
          {"readOnlyRootFilesystem", true},
          {"seccompProfile", {{"type", "RuntimeDefault"}}}};
}

void SetResources(const PodOptions& options, Json* container) {
  const auto set = [&](const char* kind, const char* what, const std::string& value) {
    if (!value.empty()) (*container)["resources"][kind][what] = value;
  };
  set("requests", "cpu", options.proxy_cpu_request);
  set("requests", "memory", options.proxy_memory_request);
  set("limits", "cpu", options.proxy_cpu_limit);
  set("limits", "memory", options.proxy_memory_limit);
}

Json FieldEnv(const char* name, const char* field) {
  return {{"name", name}, {"valueFrom", {{"fieldRef", {{"fieldPath", field}}}}}};
}

Json HealthProbe() {
  return {{"httpGet", {{"path", "/healthz/ready"}, {"port", kHealthPort}}}, {"timeoutSeconds", 3}};
}

Json Exec(const char* subcommand) {
  return {{"exec", {{"command", {"heddle-proxy", subcommand}}}}};
}

// By which field the entries of a list are told apart when it is merged; null: it is replaced.
const char* EntryKey(const std::string& list) {
  if (list == "env") return "name";
  if (list == "volumeMounts") return "mountPath";
  if (list == "ports") return "containerPort";
  if (list == "volumeDevices") return "devicePath";
  return nullptr;
}

bool IsHandler(const std::string& field) {
  return field == "startupProbe" || field == "readinessProbe" || field == "livenessProbe" ||
         field == "postStart" || field == "preStop";
}

void MergeList(const Json& wishes, const char* key, Json* list) {
  for (const Json& wish : wishes) {
    Json* found = nullptr;
    for (Json& one : *list)
      if (At(one, key) == At(wish, key)) found = &one;
    if (found == nullptr) {
      list->push_back(wish);
    } else {
      *found = wish;
    }
  }
}

// A quantity that the pod wrote must not end on the wrong side of one that was ours.
void DropContradictions(const Json& wishes, Json* container) {
  for (const char* what : {"cpu", "memory"}) {
    for (const auto& [mine, theirs] :
         {std::pair("requests", "limits"), std::pair("limits", "requests")}) {
      const Json& wished = At(wishes, "resources");
      if (At(At(wished, theirs), what).is_null() || !At(At(wished, mine), what).is_null()) continue;
      Json& resources = (*container)["resources"];
      const auto found = resources.find(mine);
      if (found == resources.end() || !found->is_object()) continue;
      found->erase(what);
      if (found->empty()) resources.erase(found);
    }
  }
}

}  // namespace

Json InitContainer(const PodOptions& options, const PodContext& pod) {
  Json args = {
      "intercept",   "--outbound-port",           "15001",  "--inbound-port",          "15006",
      "--proxy-uid", absl::StrCat(pod.proxy_uid), "--mode", options.interception_mode, "--ipv6",
      options.ipv6};
  // A sidecar that runs as root is told from the application by its group.
  if (options.interception_mode == "tproxy") {
    args.push_back("--proxy-gid");
    args.push_back(absl::StrCat(kProxyUid));
  }
  const std::pair<const char*, const std::string&> lists[] = {
      {"--include-inbound-ports", options.include_inbound_ports},
      {"--exclude-inbound-ports", options.exclude_inbound_ports},
      {"--include-outbound-ports", options.include_outbound_ports},
      {"--exclude-outbound-ports", options.exclude_outbound_ports},
      {"--include-outbound-cidrs", options.include_outbound_cidrs},
      {"--exclude-outbound-cidrs", options.exclude_outbound_cidrs},
      {"--exclude-interfaces", options.exclude_interfaces},
      {"--exclude-uids", options.exclude_uids},
  };
  for (const auto& [flag, value] : lists) {
    // To include nothing is something to say; to exclude nothing is not.
    if (value.empty() && absl::StartsWith(flag, "--exclude")) continue;
    args.push_back(flag);
    args.push_back(value);
  }
  Json security = Restricted();
  security["capabilities"]["add"] = {"NET_ADMIN", "NET_RAW"};
  security["runAsUser"] = 0;
  security["runAsGroup"] = 0;
  security["runAsNonRoot"] = false;
  Json out = {{"name", kInitName},
              {"image", options.proxy_image},
              {"imagePullPolicy", options.proxy_image_pull_policy},
              {"args", std::move(args)},
              {"securityContext", std::move(security)}};
  if (!pod.has_resources) SetResources(options, &out);
  return out;
}

Json ProxyContainer(const PodOptions& options, const Settings& settings, const PodContext& pod) {
  // Kubernetes gives a capability to processes of user 0 only.
  const bool tproxy = options.interception_mode == "tproxy";
  Json security = Restricted();
  security["runAsUser"] = tproxy ? 0 : pod.proxy_uid;
  security["runAsGroup"] = tproxy ? kProxyUid : pod.proxy_uid;
  security["runAsNonRoot"] = !tproxy;
  if (tproxy) security["capabilities"]["add"] = Json::array({"NET_ADMIN"});
  Json env = {FieldEnv("POD_NAME", "metadata.name"),
              FieldEnv("POD_NAMESPACE", "metadata.namespace"), FieldEnv("POD_IP", "status.podIP"),
              FieldEnv("SERVICE_ACCOUNT", "spec.serviceAccountName"),
              FieldEnv("NODE_NAME", "spec.nodeName")};
  if (pod.probes != nullptr && !pod.probes->empty())
    env.push_back({{"name", "HEDDLE_APP_PROBES"}, {"value", PrintProbes(*pod.probes)}});
  Json out = {
      {"name", kProxyName},
      {"image", options.proxy_image},
      {"imagePullPolicy", options.proxy_image_pull_policy},
      {"args",
       {"--control",
        settings.ControlAddress(),
        tproxy ? "--intercept=tproxy" : "--intercept",
        "--namespace",
        "$(POD_NAMESPACE)",
        "--service-account",
        "$(SERVICE_ACCOUNT)",
        "--workload",
        "$(POD_NAME)",
        "--address",
        "$(POD_IP)",
        "--trust-domain",
        settings.trust_domain,
        "--token-file",
        "/var/run/secrets/heddle/token",
        "--control-ca",
        "/etc/heddle/root/ca.crt",
        "--state-dir",
        "/var/lib/heddle",
        "--health-address",
        absl::StrCat("0.0.0.0:", kHealthPort),
        "--concurrency",
        absl::StrCat(options.proxy_concurrency),
        "--drain-time-s",
        absl::StrCat(options.drain_seconds),
        "--log-level",
        options.proxy_log_level}},
      {"env", std::move(env)},
      {"securityContext", std::move(security)},
      {"volumeMounts",
       {{{"name", "heddle-token"}, {"mountPath", "/var/run/secrets/heddle"}, {"readOnly", true}},
        {{"name", "heddle-root"}, {"mountPath", "/etc/heddle/root"}, {"readOnly", true}},
        {{"name", "heddle-state"}, {"mountPath", "/var/lib/heddle"}}}}};
  if (!pod.has_resources) SetResources(options, &out);
  out["readinessProbe"] = HealthProbe();
  out["readinessProbe"]["periodSeconds"] = 5;
  if (options.hold_until_ready) {
    out["startupProbe"] = HealthProbe();
    out["startupProbe"]["periodSeconds"] = 1;
    out["startupProbe"]["failureThreshold"] = 600;
  }
  if (options.classic()) {
    out["lifecycle"]["preStop"] = Exec("drain");
    // The kubelet starts the next container when this hook has returned.
    if (options.hold_until_ready) out["lifecycle"]["postStart"] = Exec("wait");
  } else {
    out["restartPolicy"] = "Always";
  }
  return out;
}

std::string PrintProbes(const Json& probes) {
  return absl::StrReplaceAll(probes.dump(-1, ' ', false, Json::error_handler_t::replace),
                             {{"$", "$$"}});
}

Json ReadProbes(const Json& value) {
  if (!value.is_string()) return Json::object();
  return Json::parse(absl::StrReplaceAll(value.get<std::string>(), {{"$$", "$"}}), nullptr, false);
}

Json Volumes(const Settings& settings) {
  return {{{"name", "heddle-token"},
           {"projected",
            {{"sources",
              {{{"serviceAccountToken",
                 {{"audience", "heddle-control"},
                  {"expirationSeconds", settings.token_seconds},
                  {"path", "token"}}}}}}}}},
          {{"name", "heddle-root"},
           {"configMap",
            {{"name", "heddle-root"}, {"items", {{{"key", "ca.crt"}, {"path", "ca.crt"}}}}}}},
          {{"name", "heddle-state"}, {"emptyDir", {{"medium", "Memory"}, {"sizeLimit", "32Mi"}}}}};
}

void MergeOver(const Json& wishes, Json* container) {
  const auto merge = [](const auto& self, const Json& from, Json* into) -> void {
    for (const auto& [field, value] : from.items()) {
      Json& mine = (*into)[field];
      if (value.is_object() && mine.is_object() && !IsHandler(field)) {
        self(self, value, &mine);
      } else if (value.is_array() && mine.is_array() && EntryKey(field) != nullptr) {
        MergeList(value, EntryKey(field), &mine);
      } else {
        mine = value;
      }
    }
  };
  const Json image = At(*container, "image");
  const Json restart = At(*container, "restartPolicy");
  merge(merge, wishes, container);
  DropContradictions(wishes, container);
  if (TextAt(wishes, "image").empty() || TextAt(wishes, "image") == "auto")
    (*container)["image"] = image;
  // Where it runs is not for the pod to say here.
  if (restart.is_null()) {
    container->erase("restartPolicy");
  } else {
    (*container)["restartPolicy"] = restart;
  }
}

}  // namespace heddle::inject
