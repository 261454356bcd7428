#include "control_plane/heddlectl/inject.h"

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "control_plane/inject/decide.h"
#include "control_plane/inject/inject.h"
#include "control_plane/inject/manifest.h"
#include "control_plane/inject/settings.h"
#include "source/base/status.h"

namespace heddle::heddlectl {
namespace {

constexpr size_t kMaxInput = 16 << 20;

absl::StatusOr<std::string> ReadInput(const std::string& name) {
  std::ifstream file(name == "-" ? "/dev/stdin" : name, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat(name, ": cannot be read"));
  std::string text;
  std::vector<char> chunk(1 << 16);
  while (file.read(chunk.data(), static_cast<std::streamsize>(chunk.size())) || file.gcount() > 0) {
    text.append(chunk.data(), static_cast<size_t>(file.gcount()));
    if (text.size() > kMaxInput)
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": found more than ", kMaxInput >> 20, " MiB"));
  }
  if (file.bad()) return absl::NotFoundError(absl::StrCat(name, ": cannot be read"));
  return text;
}

absl::StatusOr<inject::Settings> SettingsFrom(const Args& args) {
  inject::Settings settings;
  if (args.Has("values")) {
    HEDDLE_ASSIGN_OR_RETURN(const std::string text, ReadInput(args.Get("values")));
    HEDDLE_ASSIGN_OR_RETURN(settings, inject::ReadSettings(text, args.Get("values")));
  }
  for (const std::string& one : args.All("set")) {
    const std::vector<std::string> parts = absl::StrSplit(one, absl::MaxSplits('=', 1));
    if (parts.size() != 2)
      return absl::InvalidArgumentError(absl::StrCat("--set \"", one, "\": want KEY=VALUE"));
    if (const absl::Status status = inject::SetSetting(parts[0], parts[1], &settings); !status.ok())
      return absl::InvalidArgumentError(absl::StrCat("--set ", status.message()));
  }
  HEDDLE_RETURN_IF_ERROR(inject::CheckSettings(settings));
  return settings;
}

// One file's documents: changes the pods that are to be changed and says so.
class Worker {
 public:
  Worker(const inject::Settings& settings, bool remove, bool quiet, Terminal& terminal)
      : settings_(settings), remove_(remove), quiet_(quiet), terminal_(terminal) {}

  absl::Status Document(nlohmann::ordered_json* document) {
    for (const inject::PodPlace& place : inject::FindPods(*document)) {
      nlohmann::json pod = inject::PodAt(*document, place);
      const absl::Status status = remove_ ? Remove(place, &pod) : Inject(place, &pod);
      if (!status.ok())
        return absl::InvalidArgumentError(absl::StrCat(place.object, ": ", status.message()));
      HEDDLE_RETURN_IF_ERROR(inject::ChangePod(place, pod, document));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Inject(const inject::PodPlace& place, nlohmann::json* pod) {
    // Whoever runs this asks for it: the namespace counts as enabled.
    const inject::Decision decision =
        inject::Decide(*pod,
                       {.name = place.ns.empty() ? "default" : place.ns,
                        .labels = {{inject::kInjectLabel, "enabled"}}},
                       settings_);
    if (decision.verdict == inject::Verdict::kRefuse)
      return absl::InvalidArgumentError(decision.message);
    if (decision.verdict == inject::Verdict::kSkip) {
      Say(absl::StrCat(place.object, ": not injected: ", decision.message));
      return absl::OkStatus();
    }
    std::vector<std::string> warnings;
    const bool again = inject::IsInjected(*pod);
    HEDDLE_RETURN_IF_ERROR(inject::Inject(settings_, pod, &warnings));
    Say(absl::StrCat(place.object, again ? ": injected again" : ": injected"));
    for (const std::string& warning : warnings)
      terminal_.err << place.object << ": warning: " << warning << "\n";
    return absl::OkStatus();
  }

  absl::Status Remove(const inject::PodPlace& place, nlohmann::json* pod) {
    const bool there = inject::IsInjected(*pod);
    HEDDLE_RETURN_IF_ERROR(inject::Remove(pod));
    Say(absl::StrCat(place.object, there ? ": sidecar removed" : ": has no sidecar"));
    return absl::OkStatus();
  }

  void Say(absl::string_view line) {
    if (!quiet_) terminal_.err << line << "\n";
  }

  const inject::Settings& settings_;
  const bool remove_;
  const bool quiet_;
  Terminal& terminal_;
};

int RunInject(const Args& args, Terminal& terminal) {
  if (args.Has("annotations")) {
    terminal.out << inject::OptionTableMarkdown();
    return 0;
  }
  std::vector<std::string> files = args.All("file");
  files.insert(files.end(), args.rest().begin(), args.rest().end());
  if (files.empty()) return Misused(terminal, "inject wants -f FILE, or -f - for standard input");
  const absl::StatusOr<inject::Settings> settings = SettingsFrom(args);
  if (!settings.ok()) return Fail(terminal, settings.status());
  Worker worker(*settings, args.Has("remove"), args.Has("quiet"), terminal);
  std::vector<nlohmann::ordered_json> all;
  for (const std::string& file : files) {
    const absl::StatusOr<std::string> text = ReadInput(file);
    if (!text.ok()) return Fail(terminal, text.status());
    auto documents = inject::ReadManifest(*text, file == "-" ? "standard input" : file);
    if (!documents.ok()) return Fail(terminal, documents.status());
    for (nlohmann::ordered_json& document : *documents) {
      if (const absl::Status status = worker.Document(&document); !status.ok())
        return Fail(terminal, absl::InvalidArgumentError(absl::StrCat(
                                  file == "-" ? "standard input" : file, ": ", status.message())));
      all.push_back(std::move(document));
    }
  }
  // Nothing is printed when anything is wrong, so that no half of a file reaches a cluster.
  terminal.out << inject::WriteManifest(all);
  return 0;
}

}  // namespace

Command InjectCommand() {
  return {
      "inject",
      "-f FILE",
      "put the sidecar into manifests, as the webhook would",
      "Reads Kubernetes objects (YAML or JSON; - is standard input), puts the sidecar into every "
      "Pod, Deployment,\n"
      "StatefulSet, DaemonSet, ReplicaSet, Job, CronJob and List of these, and prints all "
      "objects as YAML, without\n"
      "their comments. Pods whose label heddle.dev/inject is \"false\" and pods on the node's "
      "network stay as they are.\n"
      "Doing it twice is doing it once. Annotations and settings: docs/injection.md.",
      {{"file", "FILE", "What to inject; may be repeated.", {}, "f"},
       {"values", "FILE", "Settings of the install, as heddle-control's --injection."},
       {"set", "KEY=VALUE", "One setting over those; may be repeated."},
       {"remove", "", "Take the sidecar out instead."},
       {"annotations", "", "Print what pod annotations there are, and nothing else."},
       {"quiet", "", "Say nothing of what was done; warnings are still said."}},
      &RunInject};
}

}  // namespace heddle::heddlectl
