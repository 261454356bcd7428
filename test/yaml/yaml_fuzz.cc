// Any text must give a message or an error, and what it gave must print as JSON that reads back the
// same.
#include <cstdlib>

#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "source/yaml/yaml.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  envoy::config::bootstrap::v3::Bootstrap message, again;
  if (!heddle::yaml::Decode(text, &message, {}).ok()) return 0;
  const std::string json = heddle::yaml::ToJson(message, {.redact = false});
  if (!heddle::yaml::Decode(json, &again, {}).ok() ||
      heddle::yaml::ToJson(again, {.redact = false}) != json)
    abort();
  return 0;
}
