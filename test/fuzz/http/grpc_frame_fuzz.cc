#include "source/http/grpc/frame.h"
#include "source/http/grpc/status.h"
#include "test/fuzz/http/target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace heddle;  // NOLINT(google-build-using-namespace)
  const http::FuzzInput input(data, size);
  http::grpc::Deframer deframer({.max_message_bytes = 1000});
  base::Buffer again;
  size_t taken = 0;
  absl::string_view rest = input.bytes;
  bool good = true;
  while (good && !rest.empty()) {
    base::Buffer piece(rest.substr(0, input.cut()));
    rest.remove_prefix(piece.size());
    good = deframer.Feed(piece).ok();
    while (good) {
      auto message = deframer.Next();
      good = message.ok();
      if (!good || !*message) break;
      http::Require((*message)->size() <= 1000);
      taken += http::grpc::kFramePrefixBytes + (*message)->size();
      http::grpc::AppendFrame(**message, &again);
    }
  }
  http::Require(again.ToString() == input.bytes.substr(0, taken));
  const std::string decoded = http::grpc::DecodeMessage(input.bytes);
  http::Require(http::grpc::DecodeMessage(http::grpc::EncodeMessage(decoded)) == decoded);
  return 0;
}
