#include "control_plane/identity/token_review.h"

#include <catch2/catch.hpp>
#include <string>

namespace heddle::identity {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1767225600);

std::string Review(const std::string& user, const std::string& audiences,
                   const std::string& authenticated = "true") {
  return R"({"status":{"authenticated":)" + authenticated + R"(,"audiences":)" + audiences +
         R"(,"user":{"username":")" + user +
         R"(","extra":{"authentication.kubernetes.io/pod-name":["web-1"]}}}})";
}

SCENARIO("who a token is comes from the API server's answer alone") {
  // {"exp":1767229200}, an hour later.
  const auto token =
      ReadTokenReview(Review("system:serviceaccount:shop:seller", R"(["heddle-control"])"),
                      "e30.eyJleHAiOjE3NjcyMjkyMDB9.x", "mesh.test", kNow);
  REQUIRE(token.ok());
  REQUIRE(token->id.Uri() == "spiffe://mesh.test/ns/shop/sa/seller");
  REQUIRE(token->pod == "web-1");
  REQUIRE(token->expires == kNow + absl::Hours(1));
}

SCENARIO("a token that is not ours to take is refused") {
  const std::string review =
      GENERATE(as<std::string>{}, "", "[]", "{}",
               Review("system:serviceaccount:shop:seller", R"(["heddle-control"])", "false"),
               Review("system:serviceaccount:shop:seller", R"(["heddle-control"])", "\"true\""),
               Review("system:serviceaccount:shop:seller", "[]"),
               Review("system:serviceaccount:shop:seller", R"(["https://kubernetes.default.svc"])"),
               Review("system:node:n1", R"(["heddle-control"])"),
               Review("system:serviceaccount:shop", R"(["heddle-control"])"),
               Review("system:serviceaccount:shop:a:b", R"(["heddle-control"])"),
               Review("system:serviceaccount:../x:y", R"(["heddle-control"])"));
  REQUIRE_FALSE(ReadTokenReview(review, "t", "mesh.test", kNow).ok());
}

}  // namespace
}  // namespace heddle::identity
