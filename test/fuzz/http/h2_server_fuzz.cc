#include "source/http/h2/codec.h"
#include "test/fuzz/http/target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace heddle;  // NOLINT(google-build-using-namespace)
  const http::FuzzInput input(data, size);
  http::h2::Options options;
  options.allow_connect = (input.knob & 32) != 0;
  options.stream_error_on_invalid = (input.knob & 64) != 0;
  http::DriveServer(input, [&](base::Buffer* out, http::ServerEvents* events) {
    return http::h2::MakeServerCodec(options, out, events);
  });
  return 0;
}
