// HEDDLE_APP_PROBES, written by whoever may write pods: what is taken holds what the health port
// relies on, what is not has an error that says something.
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "source/base/status.h"
#include "source/probe/probe.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using heddle::probe::Probe;
  // A copy of the exact size, so that a sanitizer sees the byte behind it.
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto probes = heddle::probe::DecodeProbes(text);
  if (!probes.ok()) {
    HEDDLE_CHECK(absl::IsInvalidArgument(probes.status())) << probes.status().ToString();
    HEDDLE_CHECK(!probes.status().message().empty());
    return 0;
  }
  for (const auto& [path, probe] : *probes) {
    HEDDLE_CHECK(path.rfind("/app-health/", 0) == 0) << path;
    HEDDLE_CHECK(probe.port != 0 && probe.timeout > absl::ZeroDuration());
    if (probe.kind != Probe::Kind::kHttp) continue;
    HEDDLE_CHECK(!probe.path.empty() && probe.path[0] == '/') << probe.path;
    // Nothing that would end a line of the request that is made of it.
    HEDDLE_CHECK((probe.path + probe.host).find_first_of("\r\n") == std::string::npos);
    for (const auto& [name, value] : probe.headers)
      HEDDLE_CHECK((name + value).find_first_of("\r\n") == std::string::npos) << name;
  }
  return 0;
}
