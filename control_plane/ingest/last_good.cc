#include "control_plane/ingest/last_good.h"

#include <optional>
#include <utility>

#include "control_plane/ingest/kube_object.h"
#include "control_plane/kube/json.h"

namespace heddle::ingest {
namespace {

using kube::Json;

constexpr size_t kMaxObjects = 10000;

const KubeResource* ResourceOf(const Json& object) {
  const std::string version = kube::TextAt(object, {"apiVersion"});
  const std::string kind = kube::TextAt(object, {"kind"});
  for (const KubeResource& one : KubeResources())
    if (one.name == kind && one.api_version == version) return &one;
  return nullptr;
}

}  // namespace

std::string LastGoodText(const std::vector<Kept>& kept, size_t max_bytes,
                         std::vector<std::string>* left_out) {
  Json out = Json::array();
  size_t size = 2;
  for (const Kept& one : kept) {
    std::optional<Json> object = kube::ParseJson(one.text);
    if (!object.has_value()) continue;  // of a directory
    Json entry = {{"uid", one.uid}, {"object", *std::move(object)}};
    const size_t more = kube::Dump(entry).size() + 1;
    if (size + more > max_bytes) {
      left_out->push_back(one.name);
      continue;
    }
    size += more;
    out.push_back(std::move(entry));
  }
  return kube::Dump(out);
}

std::string LastGoodOf(absl::string_view config_map) {
  const std::optional<Json> json = kube::ParseJson(config_map);
  return json.has_value() ? kube::TextAt(*json, {"data", kLastGoodKey}) : std::string();
}

std::vector<ParsedFile> ReadLastGood(absl::string_view text) {
  std::vector<ParsedFile> out;
  const std::optional<Json> json = kube::ParseJson(text);
  if (!json.has_value() || !json->is_array() || json->size() > kMaxObjects) return out;
  for (const Json& entry : *json) {
    const Json& object = kube::ObjectAt(entry, {"object"});
    const KubeResource* const resource = ResourceOf(object);
    if (resource == nullptr) continue;
    std::optional<ParsedFile> file = ReadKubeObject(*resource, object, {}).file;
    if (!file.has_value() || !file->problems.empty()) continue;
    file->uid = kube::TextAt(entry, {"uid"});
    out.push_back(*std::move(file));
  }
  return out;
}

}  // namespace heddle::ingest
