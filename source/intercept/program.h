// Runs one program to its end, without a shell: words in, what it printed out. Blocks.
//
//   HEDDLE_ASSIGN_OR_RETURN(const Ended ended, RunProgram({"nft", "-f", "-"}, script));
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace heddle::intercept {

struct Ended {
  int code = 0;  // exit code; 128 + number after a signal
  std::string out, error;
};

// The first word is looked for on PATH and then in the system's sbin folders. NotFound: there is no
// such program. Output is kept up to 4 MiB.
absl::StatusOr<Ended> RunProgram(const std::vector<std::string>& words, const std::string& input);

}  // namespace heddle::intercept
