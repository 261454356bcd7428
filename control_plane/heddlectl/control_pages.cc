#include "control_plane/heddlectl/control_pages.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "source/base/status.h"

namespace heddle::heddlectl {
namespace {

using nlohmann::json;

constexpr int kAdminPort = 15014;

bool IsReady(const Json& pod) {
  for (const Json& one : pod["status"]["conditions"].Items())
    if (one["type"].Text() == "Ready") return one["status"].Text() == "True";
  return false;
}

// What a page has at a key, when it is of the kind that is wanted.
std::string TextAt(const json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : "";
}

double NumberAt(const json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_number() ? it->get<double>() : 0;
}

// How much a replica knows of a sidecar: the one that it is connected to knows most, one that it
// has left knows more than one that never saw it.
int Knowledge(const json& proxy) {
  const std::string state = TextAt(proxy, "state");
  if (state == "never seen") return 0;
  return state == "disconnected" ? 1 : 2;
}

}  // namespace

absl::StatusOr<ControlPages> ControlPages::Open(const Args& args) {
  if (WantsCluster(args)) return OpenCluster(Kubectl::FromArgs(args), args.Get("namespace"));
  ControlPages out;
  out.replicas_.push_back({"heddle-control", args.Get("control"),
                           "; is heddle-control running? give its --admin address with --control",
                           nullptr});
  return out;
}

absl::StatusOr<ControlPages> ControlPages::OpenCluster(const Kubectl& kubectl,
                                                       const std::string& ns) {
  ControlPages out;
  HEDDLE_ASSIGN_OR_RETURN(
      const Json pods,
      kubectl.Get(absl::StrCat("/api/v1/namespaces/", EncodeQuery(ns),
                               "/pods?labelSelector=app.kubernetes.io%2Fname%3Dheddle-control")));
  for (const Json& pod : pods["items"].Items()) {
    if (!IsReady(pod)) continue;
    const std::string name = pod["metadata"]["name"].Text();
    HEDDLE_ASSIGN_OR_RETURN(std::unique_ptr<PortForward> forward,
                            kubectl.Forward(ns, name, kAdminPort));
    std::string address = forward->address();
    out.replicas_.push_back(
        {absl::StrCat("pod ", ns, "/", name), std::move(address), "", std::move(forward)});
  }
  if (out.replicas_.empty())
    return absl::UnavailableError(
        absl::StrCat("no pod of heddle-control is ready in namespace ", ns,
                     "; see heddlectl check, or give its namespace with --namespace"));
  return out;
}

absl::StatusOr<Fetched> ControlPages::Ask(const Replica& replica, const std::string& path,
                                          const FetchOptions& options) {
  absl::StatusOr<Fetched> fetched = Fetch(replica.address, path, options);
  if (!fetched.ok())
    return absl::UnavailableError(
        absl::StrCat(replica.forward == nullptr ? "" : replica.name + ": ",
                     fetched.status().message(), replica.advice));
  return fetched;
}

absl::StatusOr<std::string> ControlPages::Get(size_t index, const std::string& path) const {
  const Replica& replica = replicas_[index];
  HEDDLE_ASSIGN_OR_RETURN(Fetched fetched, Ask(replica, path, {}));
  if (fetched.code != 200)
    return absl::UnavailableError(
        absl::StrCat(replica.name, " answers ", fetched.code, " for ", path, ": ",
                     absl::StripSuffix(fetched.body.substr(0, 500), "\n")));
  return std::move(fetched.body);
}

absl::StatusOr<Fetched> ControlPages::Post(const std::string& path) const {
  return Ask(replicas_[0], path, {.post = true, .headers = {{"x-heddle-admin", "1"}}});
}

absl::StatusOr<std::vector<std::string>> ControlPages::GetAll(const std::string& path) const {
  std::vector<std::string> out;
  for (size_t i = 0; i < replicas_.size(); ++i) {
    HEDDLE_ASSIGN_OR_RETURN(std::string body, Get(i, path));
    out.push_back(std::move(body));
  }
  return out;
}

absl::StatusOr<std::string> MergeStatus(const std::vector<std::string>& pages) {
  if (pages.size() == 1) return pages[0];
  json merged;
  std::map<std::string, json> proxies;
  for (const std::string& page : pages) {
    const json one = json::parse(page, nullptr, false);
    if (!one.is_object() || !one.contains("proxies") || !one["proxies"].is_array())
      return absl::DataLossError(absl::StrCat("no status page: ", page.substr(0, 200)));
    for (const json& proxy : one["proxies"]) {
      if (!proxy.is_object()) continue;
      const auto [it, fresh] = proxies.try_emplace(TextAt(proxy, "node"), proxy);
      if (!fresh && Knowledge(proxy) > Knowledge(it->second)) it->second = proxy;
    }
    // Each replica counts its own; the slowest is how long it took.
    if (merged.is_null()) {
      merged = one;
      continue;
    }
    const auto convergence = one.find("convergence");
    json& all = merged["convergence"];
    if (convergence == one.end() || !convergence->is_object() || !all.is_object()) continue;
    for (const char* sum : {"proxies", "outstanding"})
      all[sum] = static_cast<int64_t>(NumberAt(all, sum) + NumberAt(*convergence, sum));
    all["ms"] = std::max(NumberAt(all, "ms"), NumberAt(*convergence, "ms"));
  }
  merged["proxies"] = json::array();
  for (auto& [node, proxy] : proxies) merged["proxies"].push_back(std::move(proxy));
  return merged.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace heddle::heddlectl
