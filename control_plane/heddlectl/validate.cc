// heddlectl validate, heddlectl explain: the policies alone, of a directory or a cluster, without a
// control plane.
#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "control_plane/heddlectl/cluster_world.h"
#include "control_plane/heddlectl/commands.h"
#include "control_plane/heddlectl/explain.h"
#include "control_plane/heddlectl/kubectl.h"
#include "control_plane/ingest/file_source.h"
#include "control_plane/translate/translate.h"

namespace heddle::heddlectl {
namespace {

// Of the directory that comes first among the arguments, or of the cluster.
absl::StatusOr<ingest::Update> Load(const Args& args) {
  // As if heddle-control ran with its defaults, so that spans have somewhere to go.
  const model::HostPort control{.host = "127.0.0.1", .port = 15010};
  model::WorldOptions world{.trust_domain = args.Get("trust-domain"), .control_address = control};
  if (WantsCluster(args)) return LoadCluster(Kubectl::FromArgs(args), std::move(world));
  return ingest::LoadDirectory({.directory = args.rest()[0], .world = std::move(world)});
}

size_t PrintProblems(const ingest::Update& update, bool errors_only, std::ostream& out) {
  size_t errors = 0;
  for (const model::Problem& problem : update.problems) {
    const bool error = problem.severity == model::Severity::kError;
    errors += error;
    if (error || !errors_only) out << problem.ToString() << "\n";
  }
  return errors;
}

}  // namespace

int Validate(const Args& args, Terminal& terminal) {
  if (args.rest().size() != (WantsCluster(args) ? 0 : 1))
    return Misused(terminal, "validate wants one directory, or a cluster and none");
  const absl::StatusOr<ingest::Update> loaded = Load(args);
  if (!loaded.ok()) return Fail(terminal, loaded.status());
  const ingest::Update& update = *loaded;
  const bool quiet = args.Has("quiet");
  size_t errors = PrintProblems(update, quiet, terminal.out);
  if (update.world == nullptr) return 1;
  translate::Translator translator;
  size_t proxies = 0;
  for (const auto& [key, workload] : update.world->workloads) {
    if (!workload.sidecar) continue;
    const auto view = translate::MakeProxyView(*update.world, key, {});
    if (!view.ok()) continue;
    ++proxies;
    const auto snapshot = translator.Translate(*update.world, *view);
    if (const absl::Status status = translate::CheckConsistent(*snapshot); !status.ok()) {
      terminal.out << key.ToString() << ": " << status.message() << "\n";
      ++errors;
    }
    for (const std::string& notice : snapshot->notices)
      if (!quiet) terminal.out << "note: " << key.ToString() << ": " << notice << "\n";
  }
  if (errors > 0) {
    terminal.out << errors << (errors == 1 ? " error" : " errors")
                 << ": heddle-control would keep what it serves now\n";
    return 1;
  }
  if (!quiet)
    terminal.out << "valid: " << update.world->services.size() << " services, "
                 << update.world->workloads.size() << " workloads (" << proxies
                 << " with a sidecar), " << update.world->authorization.size()
                 << " authorization policies\n";
  return 0;
}

int RunExplain(const Args& args, Terminal& terminal) {
  if (args.rest().size() != (WantsCluster(args) ? 1 : 2))
    return Misused(terminal,
                   "explain wants a directory (or a cluster) and a target; see heddlectl explain "
                   "--help");
  const std::vector<std::string> from = absl::StrSplit(args.Get("from"), '/');
  if (from.size() != 2) return Misused(terminal, "explain wants --from NAMESPACE/WORKLOAD");
  Question question{.from = {.ns = from[0], .name = from[1]},
                    .target = args.rest().back(),
                    .method = args.Get("method"),
                    .headers = {},
                    .intercept = args.Has("intercept") || WantsCluster(args)};
  for (const std::string& header : args.All("header")) {
    const size_t colon = header.find(':');
    if (colon == std::string::npos || colon == 0)
      return Misused(terminal, absl::StrCat("--header \"", header, "\": want NAME:VALUE"));
    question.headers[absl::AsciiStrToLower(header.substr(0, colon))] =
        std::string(absl::StripAsciiWhitespace(header.substr(colon + 1)));
  }
  const absl::StatusOr<ingest::Update> loaded = Load(args);
  if (!loaded.ok()) return Fail(terminal, loaded.status());
  const ingest::Update& update = *loaded;
  const size_t errors = PrintProblems(update, true, terminal.err);
  if (update.world == nullptr) return 1;
  if (errors > 0) terminal.err << "heddlectl: explaining without what has errors\n";
  const absl::StatusOr<std::string> text = Explain(*update.world, question);
  if (!text.ok()) return Fail(terminal, text.status());
  terminal.out << *text;
  return 0;
}

}  // namespace heddle::heddlectl
