#include "source/http/h1/codec.h"
#include "test/fuzz/http/target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace heddle;  // NOLINT(google-build-using-namespace)
  const http::FuzzInput input(data, size);
  http::h1::Options options;
  options.accept_http_10 = (input.knob & 32) != 0;
  options.allow_chunked_length = (input.knob & 64) != 0;
  options.enable_trailers = (input.knob & 128) != 0;
  http::DriveClient(input, [&](base::Buffer* out, http::ClientEvents* events) {
    return http::h1::MakeClientCodec(options, out, events);
  });
  return 0;
}
