// Any bytes as any resource: a struct or an error, never a crash.
#include "source/decode/decode.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const absl::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  static const heddle::decode::Catalogue catalogue;
  heddle::decode::Context context(catalogue);
  switch (data[0] % 5) {
    case 0:
      (void)heddle::decode::ListenerFromBytes(bytes, context).ok();
      break;
    case 1:
      (void)heddle::decode::ClusterFromBytes(bytes, context).ok();
      break;
    case 2:
      (void)heddle::decode::RoutesFromBytes(bytes, context).ok();
      break;
    case 3:
      (void)heddle::decode::EndpointsFromBytes(bytes, context).ok();
      break;
    default:
      (void)heddle::decode::SecretFromBytes(bytes, context).ok();
  }
  return 0;
}
