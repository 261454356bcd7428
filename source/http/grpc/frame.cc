#include "source/http/grpc/frame.h"

#include "absl/strings/str_cat.h"

namespace heddle::http::grpc {

void AppendFrame(absl::string_view message, base::Buffer* out) {
  const auto n = static_cast<uint32_t>(message.size());
  const char prefix[kFramePrefixBytes] = {0, static_cast<char>(n >> 24), static_cast<char>(n >> 16),
                                          static_cast<char>(n >> 8), static_cast<char>(n)};
  out->Append({prefix, sizeof prefix});
  out->Append(message);
}

absl::Status Deframer::Feed(base::Buffer& data) {
  waiting_.Move(data);
  return CheckPrefix();
}

absl::Status Deframer::CheckPrefix() {
  if (length_ || waiting_.size() < kFramePrefixBytes) return absl::OkStatus();
  const absl::string_view prefix = waiting_.Linearize(kFramePrefixBytes);
  const auto byte = [prefix](size_t at) {
    return static_cast<uint32_t>(static_cast<unsigned char>(prefix[at]));
  };
  if (byte(0) == 1) return absl::UnimplementedError("compressed gRPC message");
  if (byte(0) != 0) return absl::InternalError("unknown flags in a gRPC message prefix");
  const uint32_t length = byte(1) << 24 | byte(2) << 16 | byte(3) << 8 | byte(4);
  if (length > options_.max_message_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "gRPC message of ", length, " bytes is over the limit of ", options_.max_message_bytes));
  }
  length_ = length;
  return absl::OkStatus();
}

absl::StatusOr<std::optional<std::string>> Deframer::Next() {
  if (absl::Status status = CheckPrefix(); !status.ok()) return status;
  if (!length_ || waiting_.size() < kFramePrefixBytes + *length_) return std::nullopt;
  waiting_.Consume(kFramePrefixBytes);
  std::string message;
  message.reserve(*length_);
  while (message.size() < *length_) {
    const absl::string_view run = waiting_.Front().substr(0, *length_ - message.size());
    message.append(run.data(), run.size());
    waiting_.Consume(run.size());
  }
  length_.reset();
  return message;
}

}  // namespace heddle::http::grpc
