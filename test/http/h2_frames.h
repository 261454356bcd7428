// Raw HTTP/2 frames, for tests that must say what nghttp2 would not. Fields are HPACK literals
// without indexing.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace heddle::http {

constexpr absl::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

enum FrameType : uint8_t {
  kData = 0,
  kHeaders = 1,
  kPriority = 2,
  kRstStream = 3,
  kSettings = 4,
  kPing = 6,
  kGoAway = 7,
  kWindowUpdate = 8,
  kContinuation = 9,
};
constexpr uint8_t kEndStream = 1, kAck = 1, kEndHeaders = 4, kPadded = 8;

inline std::string Big32(uint32_t n) {
  return {static_cast<char>(n >> 24), static_cast<char>(n >> 16), static_cast<char>(n >> 8),
          static_cast<char>(n)};
}

inline std::string Frame(FrameType type, uint8_t flags, uint32_t stream,
                         absl::string_view payload = "") {
  std::string frame = Big32(static_cast<uint32_t>(payload.size())).substr(1);
  frame += static_cast<char>(type);
  frame += static_cast<char>(flags);
  frame += Big32(stream);
  frame.append(payload.data(), payload.size());
  return frame;
}

using Fields = std::vector<std::pair<std::string, std::string>>;

inline void AppendHpackString(absl::string_view text, std::string* to) {
  size_t n = text.size();
  if (n < 127) {
    *to += static_cast<char>(n);
  } else {
    *to += '\x7f';
    for (n -= 127; n >= 128; n /= 128) *to += static_cast<char>(n % 128 + 128);
    *to += static_cast<char>(n);
  }
  to->append(text.data(), text.size());
}

inline std::string Hpack(const Fields& fields) {
  std::string block;
  for (const auto& [name, value] : fields) {
    block += '\0';
    AppendHpackString(name, &block);
    AppendHpackString(value, &block);
  }
  return block;
}

inline Fields GetFields(Fields more = {}) {
  Fields fields = {{":method", "GET"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/"}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

inline std::string HeadersFrame(uint32_t stream, const Fields& fields, bool end = true) {
  return Frame(kHeaders, kEndHeaders | (end ? kEndStream : 0), stream, Hpack(fields));
}

// What a client says first.
inline std::string Hello() { return std::string(kPreface) + Frame(kSettings, 0, 0); }

struct ParsedFrame {
  uint8_t type, flags;
  uint32_t stream;
  std::string payload;
};

inline std::vector<ParsedFrame> ParseFrames(absl::string_view bytes) {
  std::vector<ParsedFrame> frames;
  const auto byte = [&](size_t at) {
    return static_cast<uint32_t>(static_cast<unsigned char>(bytes[at]));
  };
  while (bytes.size() >= 9) {
    const uint32_t length = byte(0) << 16 | byte(1) << 8 | byte(2);
    const uint32_t stream = byte(5) << 24 | byte(6) << 16 | byte(7) << 8 | byte(8);
    frames.push_back({static_cast<uint8_t>(byte(3)), static_cast<uint8_t>(byte(4)), stream,
                      std::string(bytes.substr(9, length))});
    bytes.remove_prefix(9 + length);
  }
  return frames;
}

}  // namespace heddle::http
