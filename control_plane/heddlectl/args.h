// Command-line arguments of one subcommand: flags with values, switches, and what remains.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace heddle::heddlectl {

struct FlagSpec {
  absl::string_view name;   // without "--"
  absl::string_view value;  // how the help names the value; empty: a switch
  absl::string_view help;
  absl::string_view fallback = {};  // used when not given
  absl::string_view letter = {};    // "f": also "-f VALUE"
};

class Args {
 public:
  // Flags may stand anywhere, as "--name value" or "--name=value" or "-f value"; "--" ends them.
  // The error names the flag.
  static absl::StatusOr<Args> Parse(const std::vector<FlagSpec>& specs,
                                    const std::vector<std::string>& words);

  bool Has(absl::string_view name) const;  // given on the command line
  // The last value given, else the fallback.
  std::string Get(absl::string_view name) const;
  std::vector<std::string> All(absl::string_view name) const;
  const std::vector<std::string>& rest() const { return rest_; }

 private:
  std::multimap<std::string, std::string> given_;
  std::map<std::string, std::string> fallbacks_;
  std::vector<std::string> rest_;
};

// "--name VALUE   help" lines, wrapped at 100 columns.
std::string FlagHelp(const std::vector<FlagSpec>& specs);

}  // namespace heddle::heddlectl
