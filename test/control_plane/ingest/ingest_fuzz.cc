// Whatever stands in a configuration file, it ends in objects and problems, a World or none, and
// every sidecar's resources.
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "control_plane/ingest/merge.h"
#include "control_plane/translate/translate.h"
#include "source/base/status.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace heddle;  // NOLINT(google-build-using-namespace)
  ingest::Merge merge({});
  merge.Put(
      ingest::ParseFile("fuzz.yaml", absl::string_view(reinterpret_cast<const char*>(data), size)));
  merge.Apply();
  const model::World& world = *merge.world();
  translate::Translator translator;
  for (const auto& [key, workload] : world.workloads) {
    for (const bool intercept : {false, true}) {
      const auto view = translate::MakeProxyView(world, key, {.intercept = intercept});
      if (!view.ok()) continue;
      HEDDLE_CHECK(translate::CheckConsistent(*translator.Translate(world, *view)).ok());
    }
  }
  return 0;
}
