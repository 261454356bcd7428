#include "source/http/h2/codec.h"
#include "test/fuzz/http/target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace heddle;  // NOLINT(google-build-using-namespace)
  const http::FuzzInput input(data, size);
  http::h2::Options options;
  options.stream_error_on_invalid = (input.knob & 64) != 0;
  http::DriveClient(input, [&](base::Buffer* out, http::ClientEvents* events) {
    return http::h2::MakeClientCodec(options, out, events);
  });
  return 0;
}
