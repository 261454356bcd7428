#include "source/base/log.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>

namespace heddle::base {
namespace {

// What `fn` writes to descriptor 2.
template <typename Fn>
std::string Stderr(Fn fn) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const int saved = dup(2);
  dup2(ends[1], 2);
  fn();
  dup2(saved, 2);
  close(saved);
  close(ends[1]);
  std::string text(4096, '\0');
  const ssize_t n = read(ends[0], text.data(), text.size());
  close(ends[0]);
  text.resize(n > 0 ? static_cast<size_t>(n) : 0);
  return text;
}

SCENARIO("a line has time, level, component and text, and cannot be broken by its text") {
  const std::string text = Stderr([] { HEDDLE_LOG(kWarning, "xds") << "from\npeer\x1b[2J"; });
  CHECK(text.size() > 24);
  CHECK(text.substr(23) == "Z warning xds  from peer [2J\n");
  CHECK(text[10] == 'T');
}

SCENARIO("a level set for one component leaves the others alone") {
  SetLogLevel(LogLevel::kWarning);
  CHECK(Stderr([] { HEDDLE_LOG(kInfo, "xds") << "hidden"; }).empty());
  SetLogLevel("xds", LogLevel::kDebug);
  CHECK_FALSE(Stderr([] { HEDDLE_LOG(kDebug, "xds") << "shown"; }).empty());
  CHECK(Stderr([] { HEDDLE_LOG(kInfo, "tls") << "hidden"; }).empty());
  CHECK(ComponentLogLevels().size() == 1);
  SetLogLevel(LogLevel::kInfo);
  CHECK(ComponentLogLevels().empty());
  CHECK(Stderr([] { HEDDLE_LOG(kDebug, "xds") << "hidden"; }).empty());
}

SCENARIO("level names are read back") {
  for (const char* name : {"trace", "debug", "info", "warning", "error", "off"}) {
    LogLevel level;
    REQUIRE(ParseLogLevel(name, &level));
    CHECK(LogLevelName(level) == name);
  }
  LogLevel level;
  CHECK_FALSE(ParseLogLevel("loud", &level));
}

}  // namespace
}  // namespace heddle::base
