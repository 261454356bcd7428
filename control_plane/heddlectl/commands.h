// The subcommands of heddlectl. Each takes its parsed arguments and prints; the table is what
// --help is made from.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "control_plane/heddlectl/args.h"

namespace heddle::heddlectl {

struct Terminal {
  std::ostream& out;
  std::ostream& err;
  bool colour = false;
  bool utf8 = true;
};

struct Command {
  absl::string_view name;
  absl::string_view usage;    // its arguments
  absl::string_view summary;  // one line
  absl::string_view help;     // more, for `heddlectl NAME --help`
  std::vector<FlagSpec> flags;
  int (*run)(const Args& args, Terminal& terminal);
};

// 0: done; 1: it failed, or what was checked does not hold; 2: it was called wrongly.
int Run(const std::vector<std::string>& words, Terminal& terminal);

// One per file; see commands.cc for the table.
int Validate(const Args& args, Terminal& terminal);
int ShowStatus(const Args& args, Terminal& terminal);
int ShowTrace(const Args& args, Terminal& terminal);
int MakeToken(const Args& args, Terminal& terminal);
int Rotate(const Args& args, Terminal& terminal);
int RunExplain(const Args& args, Terminal& terminal);
int Proxy(const Args& args, Terminal& terminal);
int Install(const Args& args, Terminal& terminal);
int Uninstall(const Args& args, Terminal& terminal);
int Upgrade(const Args& args, Terminal& terminal);
int Check(const Args& args, Terminal& terminal);

// Prints "heddlectl: <message>" and returns the exit code.
int Fail(Terminal& terminal, const absl::Status& status);
int Misused(Terminal& terminal, absl::string_view message);

}  // namespace heddle::heddlectl
