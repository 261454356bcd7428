// ClientHello messages written by hand, for tests of what reads them.
#pragma once

#include <string>
#include <vector>

namespace heddle::test {

inline std::string Big(size_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out.push_back(static_cast<char>(value >> (8 * i)));
  return out;
}
inline std::string Sized(const std::string& body, int bytes) {
  return Big(body.size(), bytes) + body;
}
inline std::string Record(const std::string& body) {
  return std::string("\x16\x03\x01", 3) + Sized(body, 2);
}

// The handshake message. An empty name leaves the extension out.
inline std::string HelloBytes(const std::string& sni, const std::vector<std::string>& alpn) {
  std::string extensions =
      Big(0x002b, 2) + Sized(std::string("\x02\x03\x04", 3), 2);  // supported_versions
  if (!sni.empty())
    extensions += Big(0, 2) + Sized(Sized(std::string(1, '\0') + Sized(sni, 2), 2), 2);
  if (!alpn.empty()) {
    std::string names;
    for (const std::string& name : alpn) names += Sized(name, 1);
    extensions += Big(16, 2) + Sized(Sized(names, 2), 2);
  }
  const std::string body = std::string("\x03\x03", 2) + std::string(32, 'r') +
                           Sized(std::string(32, 's'), 1) +
                           Sized(std::string("\x13\x01\x13\x02", 4), 2) +
                           Sized(std::string(1, '\0'), 1) + Sized(extensions, 2);
  return std::string(1, '\x01') + Sized(body, 3);
}
inline std::string HelloRecord(const std::string& sni, const std::vector<std::string>& alpn) {
  return Record(HelloBytes(sni, alpn));
}

}  // namespace heddle::test
