#include "source/net/client_hello.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace heddle::net {
namespace {

constexpr uint8_t kHandshakeRecord = 22;
constexpr uint8_t kClientHello = 1;
constexpr uint16_t kServerName = 0;
constexpr uint16_t kAlpn = 16;

// Takes fields off the front of a string; every read fails for good once one did not fit.
class Cursor {
 public:
  explicit Cursor(absl::string_view bytes) : rest_(bytes) {}
  bool ok() const { return ok_; }
  bool done() const { return rest_.empty(); }

  uint32_t Number(int bytes) {
    uint32_t value = 0;
    for (const char c : Bytes(static_cast<size_t>(bytes)))
      value = value << 8 | static_cast<uint8_t>(c);
    return value;
  }
  absl::string_view Bytes(size_t count) {
    if (!ok_ || count > rest_.size()) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    const absl::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  // A vector with a length in front.
  absl::string_view Vector(int length_bytes) { return Bytes(Number(length_bytes)); }

 private:
  absl::string_view rest_;
  bool ok_ = true;
};

// RFC 6066 section 3; the first host_name counts.
bool ParseServerName(absl::string_view body, std::string* sni) {
  Cursor list(Cursor(body).Vector(2));
  while (list.ok() && !list.done()) {
    const uint32_t type = list.Number(1);
    const absl::string_view name = list.Vector(2);
    if (!list.ok()) return false;
    if (type != 0) continue;
    if (name.empty() || name.size() > 255 || name.find('\0') != name.npos) return false;
    *sni = absl::AsciiStrToLower(name);
    return true;
  }
  return list.ok();
}

// RFC 7301 section 3.1.
bool ParseAlpn(absl::string_view body, std::vector<std::string>* protocols) {
  Cursor list(Cursor(body).Vector(2));
  while (list.ok() && !list.done()) {
    const absl::string_view name = list.Vector(1);
    if (!list.ok() || name.empty()) return false;
    protocols->emplace_back(name);
  }
  return list.ok();
}

// RFC 8446 section 4.1.2: the handshake message without its four bytes of header.
bool ParseBody(absl::string_view message, ClientHello* hello) {
  Cursor body(message);
  body.Bytes(2 + 32);  // legacy_version, random
  body.Vector(1);      // legacy_session_id
  body.Vector(2);      // cipher_suites
  body.Vector(1);      // legacy_compression_methods
  if (!body.ok()) return false;
  if (body.done()) return true;  // TLS 1.2 without extensions
  Cursor extensions(body.Vector(2));
  if (!body.ok()) return false;
  while (extensions.ok() && !extensions.done()) {
    const uint32_t type = extensions.Number(2);
    const absl::string_view data = extensions.Vector(2);
    if (!extensions.ok()) return false;
    if (type == kServerName && !ParseServerName(data, &hello->sni)) return false;
    if (type == kAlpn && !ParseAlpn(data, &hello->alpn)) return false;
  }
  return extensions.ok();
}

}  // namespace

HelloOutcome ParseClientHello(absl::string_view bytes, ClientHello* hello) {
  // Records are joined until the message is whole (usually it is the first one).
  std::string message;
  size_t wanted = 4;
  while (message.size() < wanted) {
    // Say no as early as the bytes allow: a server-first protocol's client sends nothing more.
    if (!bytes.empty() && static_cast<uint8_t>(bytes[0]) != kHandshakeRecord)
      return HelloOutcome::kNotTls;
    if (bytes.size() > 1 && bytes[1] != 3) return HelloOutcome::kNotTls;
    if (bytes.size() < 5) return HelloOutcome::kNeedMore;
    const size_t length = static_cast<uint8_t>(bytes[3]) << 8U | static_cast<uint8_t>(bytes[4]);
    if (length == 0 || length > kMaxHelloBytes) return HelloOutcome::kNotTls;
    const absl::string_view part = bytes.substr(5, length);
    message.append(part.data(), part.size());
    if (message.size() >= 4) {
      Cursor header(absl::string_view(message).substr(0, 4));
      if (header.Number(1) != kClientHello) return HelloOutcome::kNotTls;
      wanted = 4 + header.Number(3);
      if (wanted > kMaxHelloBytes) return HelloOutcome::kNotTls;
    }
    if (message.size() >= wanted) break;
    if (part.size() < length) return HelloOutcome::kNeedMore;
    bytes.remove_prefix(5 + length);
  }
  ClientHello parsed;
  if (!ParseBody(absl::string_view(message).substr(4, wanted - 4), &parsed))
    return HelloOutcome::kNotTls;
  *hello = std::move(parsed);
  return HelloOutcome::kHello;
}

HttpKind SniffHttp(absl::string_view bytes) {
  constexpr absl::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  const absl::string_view head = bytes.substr(0, kPreface.size());
  if (head == kPreface.substr(0, head.size())) {
    return head.size() == kPreface.size() ? HttpKind::kHttp2 : HttpKind::kNeedMore;
  }
  // method SP target SP version; RFC 9110 calls the method a token, and real ones are upper case.
  const size_t line_end = bytes.find('\n');
  absl::string_view line = bytes.substr(0, std::min(line_end, kMaxRequestLineBytes));
  const size_t space = line.find(' ');
  const absl::string_view method = line.substr(0, space);
  const bool upper = std::all_of(method.begin(), method.end(),
                                 [](char c) { return absl::ascii_isupper(c) || c == '-'; });
  if (!upper || method.size() > 32 || (space == line.npos && line_end != bytes.npos))
    return HttpKind::kNotHttp;
  if (space == 0) return HttpKind::kNotHttp;
  if (line_end == bytes.npos) {
    return bytes.size() >= kMaxRequestLineBytes ? HttpKind::kNotHttp : HttpKind::kNeedMore;
  }
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  if (absl::EndsWith(line, " HTTP/1.1")) return HttpKind::kHttp11;
  if (absl::EndsWith(line, " HTTP/1.0")) return HttpKind::kHttp10;
  return HttpKind::kNotHttp;
}

}  // namespace heddle::net
