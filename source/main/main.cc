// heddle-proxy.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "source/base/log.h"
#include "source/base/version.h"
#include "source/intercept/command.h"
#include "source/probe/command.h"
#include "source/probe/probe.h"
#include "source/server/bootstrap.h"
#include "source/server/options.h"
#include "source/server/server.h"

namespace {

using heddle::server::Options;

// One line, and the code that says that nothing was started.
int Refuse(const absl::Status& status) {
  std::fprintf(stderr, "heddle-proxy: %s\n", std::string(status.message()).c_str());
  return 1;
}

int ValidateOnly(const Options& options, const heddle::config::Bootstrap& bootstrap) {
  const absl::Status status = heddle::server::Server::Validate(bootstrap);
  if (!status.ok()) return Refuse(status);
  for (const std::string& warning : bootstrap.warnings)
    std::fprintf(stderr, "warning: %s\n", warning.c_str());
  std::printf("configuration '%s' OK\n", options.config_path.c_str());
  return 0;
}

// Everything that is not running the sidecar.
struct Command {
  const char* name;
  int (*main)(const std::vector<std::string>& arguments);
};
constexpr Command kCommands[] = {{"intercept", heddle::intercept::Main},
                                 {"wait", heddle::probe::WaitMain},
                                 {"drain", heddle::probe::DrainMain}};

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  for (const Command& command : kCommands) {
    if (!arguments.empty() && arguments[0] == command.name)
      return command.main({arguments.begin() + 1, arguments.end()});
  }
  absl::StatusOr<Options> options = heddle::server::ParseOptions(arguments);
  if (!options.ok()) return Refuse(options.status());
  if (options->help) {
    std::fputs(heddle::server::kHelp, stdout);
    return 0;
  }
  if (options->version) {
    std::printf("heddle-proxy %s\n", heddle::base::kVersion);
    return 0;
  }
  if (const char* probes = std::getenv(heddle::probe::kProbesVariable); probes != nullptr)
    options->app_probes = probes;
  heddle::base::SetLogLevel(options->log_level);
  absl::StatusOr<heddle::config::Bootstrap> bootstrap = heddle::server::LoadBootstrap(*options);
  if (!bootstrap.ok()) return Refuse(bootstrap.status());
  if (options->validate) return ValidateOnly(*options, *bootstrap);
  heddle::server::Server server(*options, *std::move(bootstrap), arguments);
  const absl::Status started = server.Start();
  if (!started.ok()) return Refuse(started);
  return server.Run();
}
