#include "source/base/ids.h"

#include <catch2/catch.hpp>
#include <set>
#include <string>

#include "source/base/hash.h"

namespace heddle::base {
namespace {

SCENARIO("a request id is a version 4 uuid") {
  Random random(1);
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string id = Uuid(random);
    REQUIRE(id.size() == 36);
    for (const size_t dash : {8U, 13U, 18U, 23U}) CHECK(id[dash] == '-');
    CHECK(id[14] == '4');
    CHECK(std::string("89ab").find(id[19]) != std::string::npos);
    CHECK(id.find_first_not_of("0123456789abcdef-") == std::string::npos);
    CHECK(seen.insert(id).second);
  }
}

SCENARIO("hex goes both ways and refuses what is not hex") {
  CHECK(ToHex(absl::string_view("\x00\xff\x1a", 3)) == "00ff1a");
  std::string bytes;
  CHECK(FromHex("00FF1a", &bytes));
  CHECK(bytes == std::string("\x00\xff\x1a", 3));
  CHECK_FALSE(FromHex("0", &bytes));
  CHECK_FALSE(FromHex("0g", &bytes));
  char out[16];
  WriteHex64(0x0123456789abcdefU, out);
  CHECK(std::string(out, 16) == "0123456789abcdef");
}

SCENARIO("XXH64 gives the values of its specification") {
  CHECK(XxHash64("") == 0xEF46DB3751D8E999U);
  CHECK(XxHash64("a") == 0xD24EC4F1A98C6E5BU);
  CHECK(XxHash64("abc") == 0x44BC2CF5AD770999U);
  CHECK(XxHash64("The quick brown fox jumps over the lazy dog") == 0x0B242D361FDA71BCU);
  CHECK(XxHash64("Nobody inspects the spammish repetition") == 0xFBCEA83C8A378BF1U);
}

}  // namespace
}  // namespace heddle::base
