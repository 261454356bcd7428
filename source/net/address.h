// A socket address as a value: IPv4, IPv6 or a Unix path (abstract ones start with '@').
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace heddle::net {

class Address {
 public:
  Address();  // unspecified: family AF_UNSPEC
  // "127.0.0.1", "::1"; port 0..65535. A scope ("fe80::1%eth0") is not accepted.
  static absl::StatusOr<Address> FromIp(absl::string_view ip, uint32_t port);
  // "127.0.0.1:80", "[::1]:80".
  static absl::StatusOr<Address> Parse(absl::string_view ip_and_port);
  // At most 107 bytes.
  static absl::StatusOr<Address> FromPath(absl::string_view path);
  // IPv4-mapped IPv6 ("::ffff:1.2.3.4") becomes IPv4, so that policies see one form. Unspecified
  // when the family is another.
  static Address FromSockaddr(const sockaddr* address, socklen_t length);

  int family() const { return raw()->sa_family; }
  bool is_ip() const { return family() == AF_INET || family() == AF_INET6; }
  uint16_t port() const;  // 0 when not IP
  Address WithPort(uint16_t port) const;
  std::string ip() const;        // "127.0.0.1"; empty when not IP
  std::string ToString() const;  // "127.0.0.1:80", "[::1]:80", "/run/x.sock"
  const sockaddr* raw() const {
    return path_ != nullptr ? reinterpret_cast<const sockaddr*>(path_.get()) : &ip_.base;
  }
  socklen_t raw_length() const { return length_; }
  bool any() const;  // 0.0.0.0 or ::
  bool loopback() const;
  // The address bytes in network order: 4, 16 or none.
  absl::string_view ip_bytes() const;

  friend bool operator==(const Address& a, const Address& b) { return a.Bytes() == b.Bytes(); }
  friend bool operator<(const Address& a, const Address& b) { return a.Bytes() < b.Bytes(); }
  template <typename H>
  friend H AbslHashValue(H h, const Address& a) {
    return H::combine(std::move(h), a.Bytes());
  }

 private:
  absl::string_view Bytes() const { return {reinterpret_cast<const char*>(raw()), length_}; }

  // Small, because every connection holds some: Unix paths, which are rare, live elsewhere.
  union {
    sockaddr base;
    sockaddr_in v4;
    sockaddr_in6 v6;
  } ip_;
  socklen_t length_;
  std::shared_ptr<const sockaddr_un> path_;
};

// "10.0.0.0/8" or "::/0". Host bits are masked.
class Cidr {
 public:
  static absl::StatusOr<Cidr> Create(absl::string_view ip, uint32_t prefix_bits);
  // "10.0.0.0/8"; without a slash, that one address.
  static absl::StatusOr<Cidr> Parse(absl::string_view text);
  bool Contains(const Address& address) const;  // false for other families
  int prefix_bits() const { return bits_; }
  std::string ToString() const;
  friend bool operator==(const Cidr&, const Cidr&) = default;

 private:
  uint8_t bytes_[16] = {};
  int family_ = 0;
  int bits_ = 0;
};

}  // namespace heddle::net
