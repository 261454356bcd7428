// Small values that the whole model uses.
#pragma once

#include <compare>
#include <cstdint>
#include <ostream>
#include <string>
#include <utility>

namespace heddle::model {

// Names an object of a known kind.
struct Key {
  std::string ns;
  std::string name;

  std::string ToString() const { return ns + "/" + name; }
  friend auto operator<=>(const Key&, const Key&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const Key& key) {
    return H::combine(std::move(h), key.ns, key.name);
  }
};

inline std::ostream& operator<<(std::ostream& out, const Key& key) { return out << key.ToString(); }

// What is spoken on a port. kHttp is HTTP/1.1 to the application, kHttp2 and kGrpc are HTTP/2 with
// prior knowledge.
enum class Protocol { kTcp, kHttp, kHttp2, kGrpc };
inline bool IsHttp(Protocol protocol) { return protocol != Protocol::kTcp; }

enum class MtlsMode { kPermissive, kStrict, kDisable };

struct Locality {
  std::string region;
  std::string zone;
  std::string sub_zone;
  friend auto operator<=>(const Locality&, const Locality&) = default;
};

struct HostPort {
  std::string host;  // numeric address or DNS name
  uint16_t port = 0;
  friend bool operator==(const HostPort&, const HostPort&) = default;
};

}  // namespace heddle::model
