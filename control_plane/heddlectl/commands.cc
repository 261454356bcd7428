#include "control_plane/heddlectl/commands.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "control_plane/heddlectl/inject.h"
#include "control_plane/heddlectl/kubectl.h"
#include "control_plane/status/version.h"

namespace heddle::heddlectl {
namespace {

constexpr FlagSpec kControl = {"control", "HOST:PORT", "Admin address of heddle-control.",
                               "127.0.0.1:15014"};
constexpr FlagSpec kTrustDomain = {"trust-domain", "NAME", "As heddle-control's.", "cluster.local"};

constexpr FlagSpec kNamespace = {"namespace", "NS", "Where heddle-control runs.", "heddle-system"};
constexpr FlagSpec kSet = {
    "set", "KEY=VALUE", "One value, such as control.replicas=3; may be repeated. After --values."};
constexpr FlagSpec kValues = {
    "values", "FILE", "YAML of values; may be repeated, the later one wins.", {}, "f"};

// NOLINTNEXTLINE(readability-function-size): a table
const std::vector<Command>& Commands() {
  static const auto& commands = *new std::vector<Command>{
      {"validate",
       "[DIR]",
       "check a directory of policies, or those of a cluster, as heddle-control would",
       "Reads every file, prints each problem as FILE:LINE: OBJECT: PATH: what is wrong, and makes "
       "every sidecar's\n"
       "configuration from it. Exit 0: heddle-control would take all of it; 1: it would not.",
       {kTrustDomain, kKubernetes, kKubeconfig, kContext, {"quiet", "", "Print errors only."}},
       &Validate},
      {"status",
       "",
       "what each sidecar has acknowledged or rejected, and why",
       "One line per workload with a sidecar: the resources it acknowledged of each type, then "
       "rejections in full, then\n"
       "what is wrong in the configuration.",
       {kControl,
        kKubernetes,
        kKubeconfig,
        kContext,
        kNamespace,
        {"json", "", "Print /status as it is."},
        {"wait", "DURATION",
         "Wait until every sidecar of the configuration has acknowledged all of it; exit 1 when "
         "that "
         "does not happen within this time."}},
       &ShowStatus},
      {"trace",
       "[ID]",
       "one request across all hops, as a waterfall",
       "Without ID: the traces seen last. From heddle-control's memory, or from a Jaeger server.",
       {kControl,
        kKubernetes,
        kKubeconfig,
        kContext,
        kNamespace,
        {"last", "", "Show the newest trace."},
        {"service", "NAME", "Only traces in which this service took part."},
        {"limit", "N", "How many to list.", "20"},
        {"jaeger", "URL",
         "Ask this Jaeger (its query address, such as http://127.0.0.1:16686) instead."},
        {"width", "N", "Columns of the time bar.", "40"},
        {"json", "", "Print the answer as it is."}},
       &ShowTrace},
      {"token",
       "",
       "make a join token for a workload",
       "Prints a token by which a workload proves its service account to heddle-control once. Run "
       "it where heddle-control's\n"
       "state directory is; nobody else can make one.",
       {{"state-dir", "DIR", "heddle-control's state directory. Required."},
        {"namespace", "NS", "Of the workload. Required."},
        {"service-account", "SA", "Of the workload. Required."},
        {"ttl", "DURATION", "How long it is good for, at most 168h.", "1h"},
        kTrustDomain},
       &MakeToken},
      {"rotate",
       "",
       "renew every workload's certificate now, or the root in three steps",
       "Without --root: every sidecar makes a new key and certificate at once.\n"
       "With --root: `prepare` publishes the next root beside the present one; `activate` signs "
       "with it; `retire` forgets\n"
       "the old one. Wait for `heddlectl status --wait 1m` between prepare and activate, and for "
       "every certificate to be\n"
       "renewed before retire.",
       {kControl,
        kKubernetes,
        kKubeconfig,
        kContext,
        kNamespace,
        {"root", "STEP", "prepare, activate or retire."}},
       &Rotate},
      {"explain",
       "[DIR] TARGET",
       "what would happen to a request, from the policies alone",
       "TARGET is http://HOST[:PORT][/PATH], grpc://..., tcp://HOST:PORT, or without a scheme "
       "HTTP. Prints the route,\n"
       "timeouts, retries, clusters with their share, endpoints, and what the authorization "
       "policies say at each.",
       {{"from", "NS/WORKLOAD", "The calling workload. Required."},
        {"method", "METHOD", "Of the request.", "GET"},
        {"header", "NAME:VALUE", "Of the request; may be repeated."},
        {"intercept", "",
         "The workload's traffic is redirected (heddle-proxy intercept), as in a cluster."},
        kTrustDomain,
        kKubernetes,
        kKubeconfig,
        kContext},
       &RunExplain},
      {"proxy",
       "ADMIN|NAMESPACE/POD PAGE",
       "look into one heddle-proxy by its admin address, or in its pod",
       "PAGE is clusters, listeners, certs, config, stats, ready, info, or any path such as "
       "/stats?filter=rbac.\n"
       "In a pod it is reached by kubectl port-forward.",
       {kKubeconfig, kContext},
       &Proxy},
      {"install",
       "",
       "print what an installation in Kubernetes consists of",
       "For `kubectl apply -f -`, in the order in which it has to be there. The values are those "
       "of "
       "the Helm chart; an unknown\n"
       "one is an error. Prints nothing unless everything is right.",
       {kNamespace,
        kSet,
        kValues,
        {"show-values", "", "Print the values instead, as they are with the ones given."}},
       &Install},
      {"upgrade",
       "",
       "print what an installation of this version consists of, after a look at the one that is "
       "there",
       "As install, for `kubectl apply -f -`; before it, on standard error, what will change and "
       "what "
       "speaks against it.\n"
       "Prints nothing when this version must not follow the one that is installed.",
       {kNamespace,
        kSet,
        kValues,
        kKubeconfig,
        kContext,
        {"dry-run", "", "Only say what will change."}},
       &Upgrade},
      {"check",
       "",
       "what stands against an installation, or what is wrong with the one that is there",
       "One line for each thing looked at: ok, warning or error, and what to do. Exit 1 when there "
       "is "
       "an error.",
       {kNamespace,
        kKubeconfig,
        kContext,
        {"pre", "", "Look only at what an installation needs, even when there is one."}},
       &Check},
      {"uninstall",
       "",
       "print what an uninstallation takes away",
       "For `kubectl delete --ignore-not-found -f -`: webhooks first, so that pods can be made at "
       "every moment. The custom\n"
       "resources and every policy stay unless --crds is given.",
       {kNamespace,
        {"crds", "", "The custom resource definitions too, and with them every policy."},
        {"keep-namespace", "", "Leave the namespace, and with it the mesh's root certificate."}},
       &Uninstall},
      InjectCommand(),
  };
  return commands;
}

std::string Overview() {
  std::string out =
      "heddlectl: checks, explains and watches a Heddle mesh.\n\n"
      "  heddlectl COMMAND [arguments]\n\n";
  for (const Command& command : Commands())
    absl::StrAppendFormat(&out, "  %-10s %s\n", command.name, command.summary);
  return out +
         "  version    print the version\n"
         "  help       print this; `heddlectl COMMAND --help` for one command\n\n"
         "Exit: 0 done, 1 it failed or does not hold, 2 called wrongly.\n";
}

std::string HelpOf(const Command& command) {
  return absl::StrCat("heddlectl ", command.name, command.usage.empty() ? "" : " ", command.usage,
                      "\n\n", command.summary, "\n\n", command.help, "\n",
                      command.flags.empty() ? "" : "\n", FlagHelp(command.flags));
}

// docs/heddlectl.md, which a test compares.
std::string HelpPage() {
  std::string out = absl::StrCat(
      "# heddlectl\n\nMade by `heddlectl help --markdown` from what the program says of itself; "
      "change "
      "it there.\n\n```\n",
      Overview(), "```\n");
  for (const Command& command : Commands())
    absl::StrAppend(&out, "\n## ", command.name, "\n\n```\n", HelpOf(command), "```\n");
  return out;
}

}  // namespace

int Fail(Terminal& terminal, const absl::Status& status) {
  terminal.err << "heddlectl: " << status.message() << "\n";
  return 1;
}

int Misused(Terminal& terminal, absl::string_view message) {
  terminal.err << "heddlectl: " << message << "\n";
  return 2;
}

namespace {

const Command* Find(absl::string_view name) {
  for (const Command& command : Commands())
    if (command.name == name) return &command;
  return nullptr;
}

std::string Help(const std::vector<std::string>& words) {
  const std::string about = words.size() > 1 ? words[1] : "";
  if (const Command* const command = Find(about)) return HelpOf(*command);
  return about == "--markdown" ? HelpPage() : Overview();
}

}  // namespace

int Run(const std::vector<std::string>& words, Terminal& terminal) {
  const std::string name = words.empty() ? "" : words[0];
  if (name == "help" || name == "--help" || name == "-h") {
    terminal.out << Help(words);
    return 0;
  }
  if (name == "version" || name == "--version") {
    terminal.out << "heddlectl " << kControlVersion << "\n";
    return 0;
  }
  if (name.empty()) {
    terminal.err << Overview();
    return 2;
  }
  const Command* const command = Find(name);
  if (command == nullptr)
    return Misused(terminal, absl::StrCat("no command \"", name, "\"; see heddlectl help"));
  for (const std::string& word : words) {
    if (word != "--help" && word != "-h") continue;
    terminal.out << HelpOf(*command);
    return 0;
  }
  const absl::StatusOr<Args> args = Args::Parse(command->flags, {words.begin() + 1, words.end()});
  if (!args.ok())
    return Misused(terminal,
                   absl::StrCat(args.status().message(), "; see heddlectl ", name, " --help"));
  return command->run(*args, terminal);
}

}  // namespace heddle::heddlectl
