#include "source/net/address.h"

#include <catch2/catch.hpp>
#include <string>

#include "absl/hash/hash.h"

namespace heddle::net {
namespace {

SCENARIO("addresses are read and printed in one form") {
  struct Case {
    const char* text;
    const char* printed;
    int port;
  };
  for (const Case& c :
       {Case{"127.0.0.1:80", "127.0.0.1:80", 80}, Case{"[::1]:65535", "[::1]:65535", 65535},
        Case{"[2001:DB8:0::1]:0", "[2001:db8::1]:0", 0}, Case{"0.0.0.0:1", "0.0.0.0:1", 1}}) {
    const auto address = Address::Parse(c.text);
    REQUIRE(address.ok());
    CHECK(address->ToString() == c.printed);
    CHECK(address->port() == c.port);
    CHECK(*Address::FromIp(address->ip(), address->port()) == *address);
    CHECK(absl::Hash<Address>()(*address) == absl::Hash<Address>()(*Address::Parse(c.printed)));
  }
}

SCENARIO("what is not an address is refused with the text in the error") {
  for (const char* text :
       {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "::1:80", "[127.0.0.1]:80",
        "host:80", "1.2.3:80", "[::1:80", "[fe80::1%lo]:80", "127.0.0.1:-1"}) {
    CAPTURE(text);
    const auto address = Address::Parse(text);
    REQUIRE_FALSE(address.ok());
    CHECK_FALSE(address.status().message().empty());
  }
  CHECK_FALSE(Address::FromIp("127.0.0.1", 65536).ok());
  CHECK_FALSE(Address::FromIp(std::string("127.0.0.1\0x", 11), 1).ok());
}

SCENARIO("unix paths, plain and abstract") {
  CHECK(Address::FromPath("/run/x.sock")->ToString() == "/run/x.sock");
  const auto abstract = Address::FromPath("@heddle");
  REQUIRE(abstract.ok());
  CHECK(abstract->ToString() == "@heddle");
  CHECK(reinterpret_cast<const sockaddr_un*>(abstract->raw())->sun_path[0] == '\0');
  CHECK_FALSE(Address::FromPath(std::string(108, 'x')).ok());
  CHECK_FALSE(Address::FromPath("").ok());
  CHECK(*Address::FromPath("@a") == *Address::FromPath("@a"));
  CHECK_FALSE(*Address::FromPath("@a") == *Address::FromPath("@b"));
  CHECK(abstract->port() == 0);
  CHECK_FALSE(abstract->is_ip());
}

SCENARIO("an IPv4 address that came through an IPv6 socket is IPv4") {
  const auto v6 = Address::FromIp("::ffff:10.1.2.3", 99);
  REQUIRE(v6.ok());
  const Address seen = Address::FromSockaddr(v6->raw(), v6->raw_length());
  CHECK(seen.ToString() == "10.1.2.3:99");
}

SCENARIO("properties") {
  CHECK(Address().family() == AF_UNSPEC);
  CHECK(Address::Parse("0.0.0.0:0")->any());
  CHECK(Address::Parse("[::]:0")->any());
  CHECK_FALSE(Address::Parse("0.0.0.1:0")->any());
  CHECK(Address::Parse("127.9.9.9:1")->loopback());
  CHECK(Address::Parse("[::1]:1")->loopback());
  CHECK_FALSE(Address::Parse("128.0.0.1:1")->loopback());
  CHECK(Address::Parse("[::1]:1")->WithPort(7).ToString() == "[::1]:7");
}

SCENARIO("address ranges hold exactly what their prefix says") {
  struct Case {
    const char* range;
    const char* address;
    bool inside;
  };
  for (const Case& c : {
           Case{"10.0.0.0/8", "10.255.1.2", true},
           Case{"10.0.0.0/8", "11.0.0.0", false},
           Case{"10.9.8.7/8", "10.0.0.1", true},
           Case{"0.0.0.0/0", "1.2.3.4", true},
           Case{"0.0.0.0/0", "::1", false},
           Case{"192.168.1.128/25", "192.168.1.127", false},
           Case{"192.168.1.128/25", "192.168.1.128", true},
           Case{"1.2.3.4", "1.2.3.4", true},
           Case{"1.2.3.4/32", "1.2.3.5", false},
           Case{"2001:db8::/33", "2001:db8:7fff::1", true},
           Case{"2001:db8::/33", "2001:db8:8000::1", false},
           Case{"::/0", "fe80::1", true},
       }) {
    CAPTURE(c.range, c.address);
    CHECK(Cidr::Parse(c.range)->Contains(*Address::FromIp(c.address, 1)) == c.inside);
  }
  CHECK(Cidr::Create("10.9.8.7", 8)->ToString() == "10.0.0.0/8");
  CHECK(*Cidr::Parse("10.9.8.7/8") == *Cidr::Parse("10.0.0.0/8"));
  for (const char* bad : {"10.0.0.0/33", "::/129", "x/8", "10.0.0.0/", "10.0.0.0/-1", ""}) {
    CAPTURE(bad);
    CHECK_FALSE(Cidr::Parse(bad).ok());
  }
  CHECK_FALSE(Cidr().Contains(*Address::FromIp("1.1.1.1", 1)));
}

}  // namespace
}  // namespace heddle::net
