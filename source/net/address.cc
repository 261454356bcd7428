#include "source/net/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "source/base/status.h"

namespace heddle::net {
namespace {

constexpr size_t kPathOffset = offsetof(sockaddr_un, sun_path);

// Writes the address bytes and returns their family, or AF_UNSPEC.
int ParseIp(absl::string_view ip, uint8_t (&bytes)[16]) {
  char text[INET6_ADDRSTRLEN] = {};
  if (ip.empty() || ip.size() >= sizeof(text) || ip.find('\0') != ip.npos) return AF_UNSPEC;
  std::memcpy(text, ip.data(), ip.size());
  if (inet_pton(AF_INET, text, bytes) == 1) return AF_INET;
  if (inet_pton(AF_INET6, text, bytes) == 1) return AF_INET6;
  return AF_UNSPEC;
}

}  // namespace

Address::Address() : length_(sizeof(sa_family_t)) {
  std::memset(&ip_, 0, sizeof(ip_));
  ip_.base.sa_family = AF_UNSPEC;
}

absl::StatusOr<Address> Address::FromIp(absl::string_view ip, uint32_t port) {
  if (port > 65535)
    return absl::InvalidArgumentError(absl::StrCat("port ", port, " is above 65535"));
  uint8_t bytes[16];
  Address address;
  switch (ParseIp(ip, bytes)) {
    case AF_INET:
      address.ip_.v4.sin_family = AF_INET;
      address.ip_.v4.sin_port = htons(static_cast<uint16_t>(port));
      std::memcpy(&address.ip_.v4.sin_addr, bytes, 4);
      address.length_ = sizeof(sockaddr_in);
      return address;
    case AF_INET6:
      address.ip_.v6.sin6_family = AF_INET6;
      address.ip_.v6.sin6_port = htons(static_cast<uint16_t>(port));
      std::memcpy(&address.ip_.v6.sin6_addr, bytes, 16);
      address.length_ = sizeof(sockaddr_in6);
      return address;
    default:
      return absl::InvalidArgumentError(absl::StrCat("\"", ip, "\" is not an IP address"));
  }
}

absl::StatusOr<Address> Address::Parse(absl::string_view text) {
  const size_t colon = text.rfind(':');
  uint32_t port;
  if (colon == text.npos || !absl::SimpleAtoi(text.substr(colon + 1), &port)) {
    return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is not ip:port"));
  }
  absl::string_view ip = text.substr(0, colon);
  const bool brackets = ip.size() >= 2 && ip.front() == '[' && ip.back() == ']';
  if (brackets) ip = ip.substr(1, ip.size() - 2);
  if (brackets != absl::StrContains(ip, ':')) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" is not ip:port (IPv6 wants brackets)"));
  }
  return FromIp(ip, port);
}

absl::StatusOr<Address> Address::FromPath(absl::string_view path) {
  sockaddr_un un = {};
  if (path.empty() || path.size() >= sizeof(un.sun_path) || path.find('\0') != path.npos) {
    return absl::InvalidArgumentError(absl::StrCat("socket path of ", path.size(),
                                                   " bytes; allowed are 1 to ",
                                                   sizeof(un.sun_path) - 1, " without NUL"));
  }
  un.sun_family = AF_UNIX;
  std::memcpy(un.sun_path, path.data(), path.size());
  const bool abstract = path.front() == '@';
  if (abstract) un.sun_path[0] = '\0';
  Address address;
  address.path_ = std::make_shared<const sockaddr_un>(un);
  address.length_ = static_cast<socklen_t>(kPathOffset + path.size() + (abstract ? 0 : 1));
  return address;
}

Address Address::FromSockaddr(const sockaddr* raw, socklen_t length) {
  Address address;
  if (raw->sa_family == AF_INET && length >= sizeof(sockaddr_in)) {
    std::memcpy(&address.ip_.v4, raw, sizeof(sockaddr_in));
    std::memset(address.ip_.v4.sin_zero, 0, sizeof(address.ip_.v4.sin_zero));
    address.length_ = sizeof(sockaddr_in);
  } else if (raw->sa_family == AF_INET6 && length >= sizeof(sockaddr_in6)) {
    sockaddr_in6 v6;
    std::memcpy(&v6, raw, sizeof(v6));
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
      address.ip_.v4.sin_family = AF_INET;
      address.ip_.v4.sin_port = v6.sin6_port;
      std::memcpy(&address.ip_.v4.sin_addr, v6.sin6_addr.s6_addr + 12, 4);
      address.length_ = sizeof(sockaddr_in);
    } else {
      v6.sin6_flowinfo = 0;
      address.ip_.v6 = v6;
      address.length_ = sizeof(sockaddr_in6);
    }
  } else if (raw->sa_family == AF_UNIX) {
    sockaddr_un un = {};
    length = std::min<socklen_t>(length, sizeof(un));
    std::memcpy(&un, raw, length);
    address.path_ = std::make_shared<const sockaddr_un>(un);
    address.length_ = length;
  }
  return address;
}

uint16_t Address::port() const {
  switch (family()) {
    case AF_INET:
      return ntohs(ip_.v4.sin_port);
    case AF_INET6:
      return ntohs(ip_.v6.sin6_port);
    default:
      return 0;
  }
}

Address Address::WithPort(uint16_t port) const {
  Address other = *this;
  if (family() == AF_INET) other.ip_.v4.sin_port = htons(port);
  if (family() == AF_INET6) other.ip_.v6.sin6_port = htons(port);
  return other;
}

absl::string_view Address::ip_bytes() const {
  switch (family()) {
    case AF_INET:
      return {reinterpret_cast<const char*>(&ip_.v4.sin_addr), 4};
    case AF_INET6:
      return {reinterpret_cast<const char*>(&ip_.v6.sin6_addr), 16};
    default:
      return {};
  }
}

std::string Address::ip() const {
  char text[INET6_ADDRSTRLEN];
  const absl::string_view bytes = ip_bytes();
  if (bytes.empty() || inet_ntop(family(), bytes.data(), text, sizeof(text)) == nullptr) return "";
  return text;
}

std::string Address::ToString() const {
  switch (family()) {
    case AF_INET:
      return absl::StrCat(ip(), ":", port());
    case AF_INET6:
      return absl::StrCat("[", ip(), "]:", port());
    case AF_UNIX: {
      if (length_ <= kPathOffset) return "unix:";  // the unnamed end of a connection
      std::string path(path_->sun_path, length_ - kPathOffset);
      if (path[0] == '\0') {
        path[0] = '@';
        return path;
      }
      return path.substr(0, path.find('\0'));
    }
    default:
      return "unspecified";
  }
}

bool Address::any() const {
  const absl::string_view bytes = ip_bytes();
  return !bytes.empty() && std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == 0; });
}

bool Address::loopback() const {
  switch (family()) {
    case AF_INET:
      return ip_bytes()[0] == 127;
    case AF_INET6:
      return IN6_IS_ADDR_LOOPBACK(&ip_.v6.sin6_addr);
    default:
      return family() == AF_UNIX;
  }
}

// ------------------------------------------------------------------------------------------------------------
// Cidr

absl::StatusOr<Cidr> Cidr::Create(absl::string_view ip, uint32_t prefix_bits) {
  Cidr cidr;
  cidr.family_ = ParseIp(ip, cidr.bytes_);
  if (cidr.family_ == AF_UNSPEC) {
    return absl::InvalidArgumentError(absl::StrCat("\"", ip, "\" is not an IP address"));
  }
  const uint32_t most = cidr.family_ == AF_INET ? 32 : 128;
  if (prefix_bits > most) {
    return absl::InvalidArgumentError(
        absl::StrCat("prefix length ", prefix_bits, " is above ", most));
  }
  cidr.bits_ = static_cast<int>(prefix_bits);
  for (uint32_t bit = prefix_bits; bit < 128; ++bit) {
    cidr.bytes_[bit / 8] &= static_cast<uint8_t>(~(0x80U >> (bit % 8)));
  }
  return cidr;
}

absl::StatusOr<Cidr> Cidr::Parse(absl::string_view text) {
  const size_t slash = text.find('/');
  if (slash == text.npos) return Create(text, absl::StrContains(text, ':') ? 128 : 32);
  uint32_t bits;
  if (!absl::SimpleAtoi(text.substr(slash + 1), &bits)) {
    return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is not address/length"));
  }
  return Create(text.substr(0, slash), bits);
}

bool Cidr::Contains(const Address& address) const {
  if (address.family() != family_) return false;
  const absl::string_view bytes = address.ip_bytes();
  const auto whole = static_cast<size_t>(bits_ / 8);
  if (std::memcmp(bytes.data(), bytes_, whole) != 0) return false;
  const int rest = bits_ % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<uint8_t>(0xff << (8 - rest));
  return (static_cast<uint8_t>(bytes[whole]) & mask) == bytes_[whole];
}

std::string Cidr::ToString() const {
  char text[INET6_ADDRSTRLEN] = {};
  if (family_ != 0) inet_ntop(family_, bytes_, text, sizeof(text));
  return absl::StrCat(text, "/", bits_);
}

}  // namespace heddle::net
