// heddlectl: checks, explains and watches a mesh.
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "control_plane/heddlectl/commands.h"
#include "source/base/log.h"

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  heddle::base::SetLogLevel(heddle::base::LogLevel::kWarning);
  const auto variable = [](const char* name) {
    const char* value = getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  std::string locale = variable("LC_ALL");
  if (locale.empty()) locale = variable("LC_CTYPE");
  if (locale.empty()) locale = variable("LANG");
  heddle::heddlectl::Terminal terminal{
      .out = std::cout,
      .err = std::cerr,
      .colour = isatty(STDOUT_FILENO) == 1 && variable("NO_COLOR").empty(),
      // Boxes unless the terminal says that it has no such letters.
      .utf8 =
          locale.empty() || absl::StrContains(locale, "UTF-8") || absl::StrContains(locale, "utf8"),
  };
  return heddle::heddlectl::Run(std::vector<std::string>(argv + 1, argv + argc), terminal);
}
