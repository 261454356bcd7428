// Reviews of any bytes: an answer, and a patch that fits the pod it is for.
#include <stddef.h>
#include <stdint.h>

#include <string>

#include "control_plane/admit/review.h"
#include "source/base/status.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static auto& reviewer = *new heddle::admit::Reviewer({}, {});
  const std::string body(reinterpret_cast<const char*>(data), size);
  for (const char* path : {"/inject/namespace", "/validate"}) {
    const heddle::admit::Answer answer = reviewer.Review(path, "application/json", body);
    HEDDLE_CHECK(answer.code == 200 || answer.code == 400) << answer.code;
    HEDDLE_CHECK(!answer.body.empty());
  }
  return 0;
}
