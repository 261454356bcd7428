// `heddle-proxy intercept`: parses, then prints, applies or removes the rules.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "source/intercept/options.h"
#include "source/intercept/program.h"

namespace heddle::intercept {

// Where rules go to. Tests hand in programs of their own.
struct System {
  std::function<absl::StatusOr<Ended>(const std::vector<std::string>& words,
                                      const std::string& input)>
      run = RunProgram;
  std::function<bool()> has_ipv6;  // this namespace has an IPv6 address
};
System ThisSystem();

// What is printed on success. After an error no rule of ours is there.
absl::StatusOr<std::string> Execute(const Options& options, const System& system);

// The exit code; `arguments` are those after the word intercept.
int Main(const std::vector<std::string>& arguments);

}  // namespace heddle::intercept
