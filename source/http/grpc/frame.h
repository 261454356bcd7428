// gRPC's message framing: one byte of flags, four bytes of length (big endian), the message.
// Without I/O.
//
//   Deframer deframer({.max_message_bytes = 4 << 20});
//   HEDDLE_RETURN_IF_ERROR(deframer.Feed(data));
//   for (;;) {
//     HEDDLE_ASSIGN_OR_RETURN(std::optional<std::string> message, deframer.Next());
//     if (!message) break;
//     Use(*message);
//   }
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "source/base/buffer.h"

namespace heddle::http::grpc {

constexpr size_t kFramePrefixBytes = 5;

// Appends one uncompressed message with its prefix.
void AppendFrame(absl::string_view message, base::Buffer* out);

class Deframer {
 public:
  struct Options {
    size_t max_message_bytes = 4 * 1024 * 1024;
  };
  Deframer() = default;
  explicit Deframer(const Options& options) : options_(options) {}

  // Takes all of `data`. RESOURCE_EXHAUSTED when a message is longer than the limit (before it is
  // buffered), UNIMPLEMENTED for a compressed one, INTERNAL for unknown flags. An error is final.
  absl::Status Feed(base::Buffer& data);
  // The next whole message, in order; none when there is none yet; or an error of the kinds above.
  absl::StatusOr<std::optional<std::string>> Next();
  // True between messages: where a stream may end.
  bool idle() const { return waiting_.empty(); }

 private:
  absl::Status CheckPrefix();

  Options options_;
  base::Buffer waiting_;            // starts with a prefix
  std::optional<uint32_t> length_;  // of the message at the front, once its prefix is there
};

}  // namespace heddle::http::grpc
