#include "control_plane/main/options.h"

#include <variant>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "source/base/log.h"

namespace heddle::control {
namespace {

using Target = std::variant<std::string Options::*, int Options::*, bool Options::*,
                            std::vector<std::string> Options::*, absl::Duration Options::*>;

struct Flag {
  const char* name;
  const char* value;  // how the help names it; empty: a switch
  Target target;
  const char* help;
};

const std::vector<Flag>& Flags() {
  static const auto& flags = *new std::vector<Flag>{
      {"config", "DIR", &Options::config,
       "Directory of YAML policies, watched. This, --kubernetes or --kubeconfig is required."},
      {"kubernetes", "", &Options::kubernetes,
       "Read the cluster that this pod runs in: Services, EndpointSlices, Pods, routes and "
       "policies. Workloads prove themselves by service account tokens; the CA is kept in Secret "
       "heddle-ca."},
      {"kubeconfig", "FILE", &Options::kubeconfig, "The same with the cluster that FILE names."},
      {"context", "NAME", &Options::context, "Of --kubeconfig. Default: its current-context."},
      {"namespace", "NAME", &Options::system_namespace,
       "Where heddle-control itself lives in the cluster. Default heddle-system."},
      {"health-address", "HOST:PORT", &Options::health_address,
       "/livez and /readyz for the kubelet, without TLS. Ready once the configuration was read. "
       "Default: none."},
      {"webhook", "HOST:PORT", &Options::webhook,
       "Admission webhooks over TLS: /inject/namespace, /inject/pod, /validate. The caBundle of "
       "webhook configurations heddle-injector and heddle-validator is kept. Default: none."},
      {"injection", "FILE", &Options::injection,
       "Settings of injection (docs/injection.md), read again when they change. Default: none."},
      {"state-dir", "DIR", &Options::state_dir,
       "Where the CA's key and certificate, the token key and this server's certificate are kept; "
       "made with mode 0700. "
       "Required."},
      {"listen", "HOST:PORT", &Options::listen,
       "gRPC over TLS: ADS, certificates, spans. Default 127.0.0.1:15010."},
      {"admin", "HOST:PORT", &Options::admin,
       "Status page, /status, /metrics, /traces, /ready, without TLS: keep it on loopback. Default "
       "127.0.0.1:15014."},
      {"trust-domain", "NAME", &Options::trust_domain,
       "Authority of every SPIFFE identity. Default cluster.local."},
      {"advertise", "HOST:PORT", &Options::advertise,
       "Where sidecars reach --listen, for their spans. Default: --listen, unless that is 0.0.0.0 "
       "or [::]."},
      {"name", "NAME", &Options::names,
       "Another DNS name or IP address that proxies reach this server by, for its certificate. May "
       "be repeated."},
      {"otlp-forward", "HOST:PORT", &Options::otlp_forward,
       "Hand every received span on to this OTLP/gRPC collector (without TLS), such as Jaeger."},
      {"trace-spans", "N", &Options::trace_spans,
       "Spans kept in memory for `heddlectl trace`. Default 50000."},
      {"trace-mib", "N", &Options::trace_mib, "Memory for them at most, in MiB. Default 64."},
      {"max-streams", "N", &Options::max_streams, "ADS streams at most. Default 20000."},
      {"max-connection-age", "DURATION", &Options::max_connection_age,
       "Proxies are asked to connect again after about this long. Default 30m."},
      {"log-level", "LEVEL", &Options::log_level,
       "trace, debug, info, warning, error or off. Default info."},
      {"help", "", &Options::help, "Print this and exit."},
      {"version", "", &Options::version, "Print the version and exit."},
  };
  return flags;
}

absl::Status Set(const Flag& flag, const std::string& value, Options* options) {
  const auto wrong = [&](absl::string_view want) {
    return absl::InvalidArgumentError(
        absl::StrCat("--", flag.name, " \"", value, "\": want ", want));
  };
  if (const auto* text = std::get_if<std::string Options::*>(&flag.target)) {
    options->*(*text) = value;
  } else if (const auto* number = std::get_if<int Options::*>(&flag.target)) {
    if (!absl::SimpleAtoi(value, &(options->*(*number))) || options->*(*number) < 1)
      return wrong("a number above 0");
  } else if (const auto* list = std::get_if<std::vector<std::string> Options::*>(&flag.target)) {
    (options->*(*list)).push_back(value);
  } else if (const auto* duration = std::get_if<absl::Duration Options::*>(&flag.target)) {
    if (!absl::ParseDuration(value, &(options->*(*duration))) ||
        options->*(*duration) < absl::Seconds(10))
      return wrong("a duration of at least 10s, such as 30m");
  }
  return absl::OkStatus();
}

absl::Status Check(const Options& options) {
  const int sources = (options.config.empty() ? 0 : 1) + (options.kubernetes ? 1 : 0) +
                      (options.kubeconfig.empty() ? 0 : 1);
  if (sources == 0)
    return absl::InvalidArgumentError(
        "--config DIR is required: the directory of YAML policies; in a cluster --kubernetes, or "
        "--kubeconfig FILE");
  if (sources > 1)
    return absl::InvalidArgumentError(
        "--config, --kubernetes and --kubeconfig exclude each other: one source of configuration");
  if (!options.context.empty() && options.kubeconfig.empty())
    return absl::InvalidArgumentError("--context: needs --kubeconfig");
  if (options.state_dir.empty())
    return absl::InvalidArgumentError(
        "--state-dir DIR is required: where the CA's key is kept; give it a directory of its own");
  if (!options.injection.empty() && options.webhook.empty())
    return absl::InvalidArgumentError("--injection FILE says what --webhook does: give both");
  base::LogLevel level;
  if (!base::ParseLogLevel(options.log_level, &level))
    return absl::InvalidArgumentError(absl::StrCat(
        "--log-level \"", options.log_level, "\": want trace, debug, info, warning, error or off"));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Options> ParseOptions(int argc, const char* const* argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    absl::string_view text = argv[i];
    if (!absl::ConsumePrefix(&text, "--"))
      return absl::InvalidArgumentError(
          absl::StrCat("\"", argv[i], "\": want a flag; see heddle-control --help"));
    const size_t equals = text.find('=');
    const absl::string_view name = text.substr(0, equals);
    const Flag* found = nullptr;
    for (const Flag& flag : Flags())
      if (name == flag.name) found = &flag;
    if (found == nullptr)
      return absl::InvalidArgumentError(
          absl::StrCat("--", name, ": no such flag; see heddle-control --help"));
    if (const auto* is_set = std::get_if<bool Options::*>(&found->target)) {
      if (equals != absl::string_view::npos)
        return absl::InvalidArgumentError(absl::StrCat("--", name, " takes no value"));
      options.*(*is_set) = true;
      continue;
    }
    if (equals == absl::string_view::npos && i + 1 >= argc)
      return absl::InvalidArgumentError(absl::StrCat("--", name, " wants ", found->value));
    const std::string value(equals == absl::string_view::npos ? absl::string_view(argv[++i])
                                                              : text.substr(equals + 1));
    if (const absl::Status status = Set(*found, value, &options); !status.ok()) return status;
  }
  if (options.help || options.version) return options;
  if (const absl::Status status = Check(options); !status.ok()) return status;
  return options;
}

std::string HelpText() {
  std::string out =
      "heddle-control: the control plane of a Heddle mesh.\n\n"
      "Reads policies from a directory or a Kubernetes cluster, computes each sidecar's "
      "configuration, pushes it over xDS, "
      "and signs workload\n"
      "certificates. A file that does not validate changes nothing that is served.\n\n"
      "  heddle-control --config DIR --state-dir DIR [flags]\n"
      "  heddle-control --kubernetes --state-dir DIR [flags]\n\n";
  for (const Flag& flag : Flags()) {
    const std::string left =
        absl::StrCat("--", flag.name, *flag.value == '\0' ? "" : " ", flag.value);
    absl::StrAppendFormat(&out, "  %-30s ", left);
    // Wrapped at 100 columns under the second column.
    size_t column = 33;
    absl::string_view rest = flag.help;
    while (!rest.empty()) {
      const size_t space = rest.find(' ');
      const absl::string_view word = rest.substr(0, space);
      if (column + word.size() > 100) {
        out.back() = '\n';
        out.append(33, ' ');
        column = 33;
      }
      absl::StrAppend(&out, word, " ");
      column += word.size() + 1;
      rest = space == absl::string_view::npos ? absl::string_view() : rest.substr(space + 1);
    }
    out.back() = '\n';
  }
  return out +
         "\nSignals: SIGTERM and SIGINT stop it; proxies keep their configuration and go on "
         "serving.\n"
         "Exit: 0 after a signal, 1 when it cannot start or a flag is wrong.\n";
}

}  // namespace heddle::control
