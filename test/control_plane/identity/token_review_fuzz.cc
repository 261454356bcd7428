// Whatever an API server answers to a TokenReview, and whatever the token is: an identity comes out
// only of an answer that says "authenticated" for our audience, and it is of our trust domain.
#include <cstddef>
#include <cstdint>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "control_plane/identity/token_review.h"
#include "source/base/status.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace heddle;  // NOLINT(google-build-using-namespace)
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  // The token, a zero byte, the answer.
  const size_t zero = text.find('\0');
  const absl::string_view token = text.substr(0, zero);
  const absl::string_view answer =
      zero == absl::string_view::npos ? absl::string_view() : text.substr(zero + 1);
  const absl::Time now = absl::FromUnixSeconds(1767225600);
  const auto found = identity::ReadTokenReview(answer, token, "mesh.test", now);
  if (!found.ok()) {
    HEDDLE_CHECK(found.status().message().size() < 2000);
    return 0;
  }
  HEDDLE_CHECK(absl::StartsWith(found->id.Uri(), "spiffe://mesh.test/ns/")) << found->id.Uri();
  HEDDLE_CHECK(absl::StrContains(answer, "authenticated"));
  HEDDLE_CHECK(identity::WorkloadId::FromUri(found->id.Uri()).ok()) << found->id.Uri();
  return 0;
}
