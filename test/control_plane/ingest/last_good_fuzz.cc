// Whatever an AuthorizationPolicy's spec is, and whatever is remembered of it: a policy that exists
// never vanishes from the World. Nor does nonsense in the record do harm.
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/string_view.h"
#include "control_plane/ingest/kube_object.h"
#include "control_plane/ingest/last_good.h"
#include "control_plane/ingest/merge.h"
#include "control_plane/kube/json.h"
#include "source/base/status.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace heddle;  // NOLINT(google-build-using-namespace)
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  // The spec, a zero byte, the record.
  const size_t zero = text.find('\0');
  const std::optional<kube::Json> spec = kube::ParseJson(text.substr(0, zero));
  if (!spec.has_value()) return 0;
  kube::Json object;
  object["metadata"] = {{"name", "x"}, {"namespace", "shop"}, {"uid", "u"}};
  object["spec"] = *spec;
  model::WorldOptions options;
  options.live = true;
  ingest::Merge merge(options);
  if (zero != absl::string_view::npos)
    for (ingest::ParsedFile& one : ingest::ReadLastGood(text.substr(zero + 1)))
      merge.Remember(std::move(one));
  for (const ingest::KubeResource& resource : ingest::KubeResources()) {
    if (resource.kind != ingest::KubeKind::kAuthorizationPolicy &&
        resource.kind != ingest::KubeKind::kWorkloadPolicy &&
        resource.kind != ingest::KubeKind::kMeshConfig)
      continue;
    ingest::KubeObject read = ingest::ReadKubeObject(resource, object, {});
    HEDDLE_CHECK(read.file.has_value());
    merge.Put(*std::move(read.file));
  }
  merge.Apply();
  HEDDLE_CHECK(merge.world()->authorization.Find({"shop", "x"}) != nullptr);
  return 0;
}
