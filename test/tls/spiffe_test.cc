#include "source/tls/spiffe.h"

#include <catch2/catch.hpp>
#include <string>

namespace heddle::tls {
namespace {

SCENARIO("a workload's identity is read and written") {
  const auto id = SpiffeId::Parse("spiffe://cluster.local/ns/bookshop/sa/web");
  REQUIRE(id.ok());
  CHECK(id->trust_domain == "cluster.local");
  CHECK(id->ns() == "bookshop");
  CHECK(id->service_account() == "web");
  CHECK(*id == SpiffeId::Workload("cluster.local", "bookshop", "web"));
  CHECK(id->ToString() == "spiffe://cluster.local/ns/bookshop/sa/web");
  const auto other = SpiffeId::Parse("spiffe://example.org/db");
  REQUIRE(other.ok());
  CHECK(other->ns().empty());
  CHECK(SpiffeId::Parse("spiffe://example.org")->path.empty());
}

SCENARIO("what is not a SPIFFE id is refused") {
  for (const std::string& text :
       {std::string(), std::string("http://a/b"), std::string("spiffe://"),
        std::string("spiffe:///a"), std::string("spiffe://A/b"), std::string("spiffe://a/"),
        std::string("spiffe://a//b"), std::string("spiffe://a/../b"), std::string("spiffe://a/./b"),
        std::string("spiffe://a/b?c"), std::string("spiffe://a:80/b"),
        std::string("spiffe://u@a/b"), std::string("spiffe://a/b%20c"),
        "spiffe://a/" + std::string(2048, 'b')}) {
    CAPTURE(text);
    CHECK_FALSE(SpiffeId::Parse(text).ok());
  }
}

}  // namespace
}  // namespace heddle::tls
