// Whatever a kubeconfig says, it is refused or names a server and at most one whole way to prove
// oneself, and no program is run for it.
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "control_plane/kube/config.h"
#include "source/base/status.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace heddle;  // NOLINT(google-build-using-namespace)
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto read = [](const std::string& path) -> absl::StatusOr<std::string> {
    if (path.size() % 2 == 0) return absl::NotFoundError(path);
    return std::string("contents");
  };
  for (const char* context : {"", "a"}) {
    const auto found = kube::ParseKubeconfig(text, "/home/config", context, read);
    if (!found.ok()) {
      HEDDLE_CHECK(!found.status().message().empty());
      continue;
    }
    HEDDLE_CHECK(absl::StartsWith(found->server, "http")) << found->server;
    HEDDLE_CHECK(found->certificate_pem.empty() == found->key_pem.empty());
    HEDDLE_CHECK(found->token.empty() || kube::IsToken(found->token));
    HEDDLE_CHECK(!found->ns.empty());
  }
  return 0;
}
