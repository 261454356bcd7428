#include "source/base/flags.h"

#include <catch2/catch.hpp>

namespace heddle::base {
namespace {

const FlagSyntax& Syntax() {
  static const auto& syntax = *new FlagSyntax{"a-program", {"--dry-run"}, {"--help", "-h"}};
  return syntax;
}

std::string Split(const std::vector<std::string>& arguments) {
  const auto flags = SplitFlags(arguments, Syntax());
  if (!flags.ok()) return std::string(flags.status().message());
  std::string out;
  for (const Flag& flag : *flags)
    out += flag.name + (flag.value ? "(" + *flag.value + ")" : "") + " ";
  return out;
}

SCENARIO("a command line is flags with values and switches without") {
  CHECK(Split({}).empty());
  CHECK(Split({"--a", "1", "--dry-run", "--b=2=3", "-c", "x"}) ==
        "--a(1) --dry-run --b(2=3) -c(x) ");
  CHECK(Split({"--a", "--dry-run"}) == "--a(--dry-run) ");
  CHECK(Split({"--a=", "-c=1", "2"}) == "--a() -c=1(2) ");
  CHECK(Split({"--dry-run=yes"}) == "--dry-run(yes) ");
  CHECK(Split({"-h", "--a"}) == "-h ");
  CHECK(Split({"--dry-run", "--a"}) ==
        "\"--a\" is no flag, or needs a value; see a-program --help");
}

SCENARIO("a flag's number is decimal digits within its bounds") {
  uint32_t out = 0;
  CHECK(ParseNumber("4294967295", 0, 4294967295, &out));
  CHECK(out == 4294967295);
  for (const char* text : {"", "-1", "+5", " 5", "5 ", "5s", "0x5", "4", "11", "99999999999"}) {
    CAPTURE(text);
    CHECK_FALSE(ParseNumber(text, 5, 10, &out));
  }
  CHECK(SetNumber("--a", "5", 5, 10, &out).ok());
  CHECK(out == 5);
  CHECK(SetNumber("--a", "4", 5, 10, &out).message() == "--a: found \"4\", allowed 5 to 10");
  CHECK(SetNumber("--a", "x", 5, 10, &out, "seconds").message() ==
        "--a: found \"x\", allowed 5 to 10 (seconds)");
  CHECK(UnknownFlag("--x", Syntax()).message() == "unknown flag \"--x\"; see a-program --help");
}

}  // namespace
}  // namespace heddle::base
