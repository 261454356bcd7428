// Writing HTTP/1 heads and chunks straight into the connection's buffer.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "source/base/buffer.h"
#include "source/http/headers.h"

namespace heddle::http::h1 {

// The fields that are the connection's and not the message's: written here, whatever the Headers
// hold.
struct WireFields {
  enum class Connection : uint8_t { kNone, kClose, kKeepAlive, kUpgrade };
  Connection connection = Connection::kNone;
  absl::string_view upgrade = {};  // with kUpgrade: the token
  bool chunked = false;            // transfer-encoding: chunked; content-length is left out
  bool zero_length = false;        // content-length: 0
  bool drop_length = false;        // leave content-length out
  bool http10 = false;             // the status line says HTTP/1.0
};

void AppendRequestHead(const RequestHead& head, const WireFields& wire, base::Buffer* out);

void AppendResponseHead(const ResponseHead& head, const WireFields& wire, base::Buffer* out);
// Takes all of `data`, which is not empty.
void AppendChunk(base::Buffer& data, base::Buffer* out);
// The last chunk; `trailers` may be null.
void AppendLastChunk(const Trailers* trailers, base::Buffer* out);
// The outgoing body of one message, framed as its head said.
class BodyWriter {
 public:
  enum class Mode : uint8_t { kDrop, kLength, kChunked, kRaw };
  void Start(Mode mode, uint64_t length) {
    mode_ = mode;
    left_ = length;
  }
  // Takes all of `data`. Bytes beyond the length are dropped.
  void Write(base::Buffer& data, base::Buffer* out);
  // Ends the message. False when the peer can only know by the end of the connection (kRaw, or a
  // length not reached).
  bool Finish(const Trailers* trailers, base::Buffer* out);
  Mode mode() const { return mode_; }
  uint64_t left() const { return left_; }  // kLength

 private:
  Mode mode_ = Mode::kDrop;
  uint64_t left_ = 0;
};

// content-length of a head to be sent; none when it is absent or no number.
std::optional<uint64_t> LengthOf(const Headers& headers);

}  // namespace heddle::http::h1
