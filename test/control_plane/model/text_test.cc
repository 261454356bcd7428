// The small grammars in which operators write values.
#include <catch2/catch.hpp>

#include "control_plane/model/checker.h"
#include "control_plane/model/digest.h"

namespace heddle::model {
namespace {

SCENARIO("durations are written as the Gateway API writes them") {
  struct Case {
    const char* text;
    absl::Duration value;
  };
  for (const Case& c : std::initializer_list<Case>{{"0s", absl::ZeroDuration()},
                                                   {"250ms", absl::Milliseconds(250)},
                                                   {"1m30s", absl::Seconds(90)},
                                                   {"1h2m3s4ms", absl::Milliseconds(3723004)},
                                                   {"99999s", absl::Seconds(99999)}}) {
    CAPTURE(c.text);
    REQUIRE(ParseDuration(c.text) == c.value);
  }
  for (const char* text :
       {"", "1", "s", "1.5s", "-1s", "100000s", "1s2s3s4s5s", "1s ", "1d", "inf"}) {
    CAPTURE(text);
    REQUIRE_FALSE(ParseDuration(text).has_value());
  }
}

SCENARIO("names are DNS labels") {
  for (const char* text : {"a", "a-b", "0", "a1"}) REQUIRE(IsDnsLabel(text));
  for (const char* text : {"", "-a", "a-", "A", "a.b", "a_b", "a b"})
    REQUIRE_FALSE(IsDnsLabel(text));
  REQUIRE(IsDnsLabel(std::string(63, 'a')));
  REQUIRE_FALSE(IsDnsLabel(std::string(64, 'a')));
  for (const char* text : {"a", "a.b", "a-1.b.c"}) REQUIRE(IsDnsSubdomain(text));
  for (const char* text : {"", ".", "a.", ".a", "a..b", "a_b.c"})
    REQUIRE_FALSE(IsDnsSubdomain(text));
}

SCENARIO("addresses and ranges come out in one spelling") {
  REQUIRE(CanonicalIp("127.0.1.4") == "127.0.1.4");
  REQUIRE(CanonicalIp("0:0::1") == "::1");
  REQUIRE_FALSE(CanonicalIp("127.0.1").has_value());
  REQUIRE_FALSE(CanonicalIp("localhost").has_value());
  REQUIRE(CanonicalCidr("10.0.0.0/8") == "10.0.0.0/8");
  REQUIRE(CanonicalCidr("10.1.2.3") == "10.1.2.3/32");
  REQUIRE(CanonicalCidr("::1") == "::1/128");
  for (const char* text : {"10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "::/129", "x/8", "/8"})
    REQUIRE_FALSE(CanonicalCidr(text).has_value());
}

SCENARIO("a host and a port are told apart") {
  REQUIRE(ParseHostPort("127.0.0.1:4317") == HostPort{"127.0.0.1", 4317});
  REQUIRE(ParseHostPort("jaeger.tracing:4317") == HostPort{"jaeger.tracing", 4317});
  REQUIRE(ParseHostPort("[::1]:80") == HostPort{"::1", 80});
  for (const char* text : {"", "a", ":1", "a:", "a:0", "a:65536", "[::1:80", "::1:", "A_b:1"})
    REQUIRE_FALSE(ParseHostPort(text).has_value());
}

SCENARIO("a port's name tells its protocol by its first part") {
  REQUIRE(ProtocolFromPortName("http") == Protocol::kHttp);
  REQUIRE(ProtocolFromPortName("http-admin") == Protocol::kHttp);
  REQUIRE(ProtocolFromPortName("grpc-x") == Protocol::kGrpc);
  REQUIRE(ProtocolFromPortName("http2") == Protocol::kHttp2);
  REQUIRE_FALSE(ProtocolFromPortName("https").has_value());
  REQUIRE_FALSE(ProtocolFromPortName("redis").has_value());
}

SCENARIO("digests tell contents apart and are the same in every process") {
  using B = Digest::Builder;
  REQUIRE(B().Add("ab").Add("c").Done() != B().Add("a").Add("bc").Done());
  REQUIRE(B().Add("").Done() != B().Done());
  REQUIRE(B().Add(1).Add(2).Done() != B().Add(2).Add(1).Done());
  REQUIRE(B().Add(0).Done() != B().Add(0).Add(0).Done());
  REQUIRE(Digest::Of("heddle").ToString() == B().Add("heddle").Done().ToString());
  // Persisted by sidecars as a version: it must not change between releases.
  REQUIRE(Digest::Of("heddle").ToString() == "2e34ac5c81032381d23f72f5a829d3cf");
}

}  // namespace
}  // namespace heddle::model
