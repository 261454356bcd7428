#include "source/server/options.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "source/base/flags.h"
#include "source/base/status.h"
#include "source/net/address.h"

namespace heddle::server {

const char kHelp[] =
    R"(heddle-proxy: the sidecar of the Heddle service mesh.

Usage:
  heddle-proxy -c FILE [options]                     run from an Envoy v3 bootstrap file (YAML or JSON)
  heddle-proxy --control HOST:PORT --namespace NS --service-account SA --workload NAME --address IP \
               --token-file FILE --control-ca FILE --state-dir DIR [options]
                                                     run under heddle-control
  heddle-proxy -c FILE --mode validate               check the file, print one line, exit 0 or 1
  heddle-proxy intercept [flags]                     redirect a pod's traffic (heddle-proxy intercept --help)
  heddle-proxy wait [flags]                          wait until the sidecar beside it is ready
  heddle-proxy drain [flags]                         let the inbound connections of the sidecar beside it end

Where the configuration comes from (one of the two):
  -c, --config-path FILE    bootstrap file: node, admin, static_resources, dynamic_resources (ADS)
  --control HOST:PORT       address of heddle-control

With --control:
  --namespace NS            namespace of this workload
  --service-account SA      service account; the certificate will be spiffe://TRUST-DOMAIN/ns/NS/sa/SA
  --workload NAME           name of this workload in its namespace
  --address IP              address that the mesh reaches this workload at
  --token-file FILE         join token, read when a first certificate is needed (heddlectl token)
  --control-ca FILE         root certificate of the control plane, PEM (ca.crt in heddle-control's state directory)
  --state-dir DIR           keeps the last good configuration, key and certificate (mode 0700); default: nothing kept
  --trust-domain DOMAIN     default cluster.local
  --intercept[=MODE]        the pod's traffic is redirected to 15001 (outbound) and 15006 (inbound) by heddle-proxy intercept;
                            MODE redirect (default) or tproxy, as there (tproxy needs NET_ADMIN)

Running:
  --admin-address IP:PORT   admin page; loopback only; default 127.0.0.1:15000, or what the file says
  --health-address IP:PORT  health port, open to the kubelet: /healthz/ready, /stats/prometheus and the application's probes,
                            /app-health/CONTAINER/livez and others, as the variable HEDDLE_APP_PROBES (JSON) lists them;
                            default: none
  --admin-address-path FILE writes the admin page's address there once it is bound (port 0 chooses one)
  --concurrency N           worker threads, 1 to 128; default 1: a sidecar
  --drain-time-s N          longest time for running requests after SIGTERM; default 30. A second SIGTERM ends at once
  --log-level LEVEL         trace, debug, info, warning, error, off; default info
  --mode serve|validate     default serve
  --help, --version

Signals: SIGTERM drains and exits; SIGUSR1 reopens access logs.
Exit codes: 0 after a drain or a valid file; 1 for a wrong flag or file, with one line that names the place.
)";

namespace {

using base::WrongFlag;

const base::FlagSyntax& Syntax() {
  static const auto& syntax = *new base::FlagSyntax{
      .program = "heddle-proxy",
      // The last means nothing here: so that Envoy's command line can be carried over.
      .switches = {"--intercept", "--disable-hot-restart"},
      .ends = {"--help", "-h", "--version"}};
  return syntax;
}

struct TextFlag {
  absl::string_view name;
  std::string Options::*field;
};

constexpr TextFlag kTextFlags[] = {
    {"--config-path", &Options::config_path},
    {"--control", &Options::control},
    {"--namespace", &Options::name_space},
    {"--service-account", &Options::service_account},
    {"--workload", &Options::workload},
    {"--address", &Options::address},
    {"--token-file", &Options::token_file},
    {"--control-ca", &Options::control_ca},
    {"--state-dir", &Options::state_dir},
    {"--trust-domain", &Options::trust_domain},
    {"--admin-address", &Options::admin_address},
    {"--health-address", &Options::health_address},
    {"--admin-address-path", &Options::admin_address_path},
};

absl::Status SetFlag(const std::string& flag, const std::string& value, Options* out) {
  for (const TextFlag& text : kTextFlags) {
    if (text.name != flag) continue;
    if (value.empty()) return WrongFlag(flag, value, "a value");
    out->*text.field = value;
    if (flag == "--admin-address") out->admin_address_set = true;
    return absl::OkStatus();
  }
  if (flag == "--concurrency") return base::SetNumber(flag, value, 1, 128, &out->concurrency);
  if (flag == "--drain-time-s") {
    uint32_t seconds = 0;
    HEDDLE_RETURN_IF_ERROR(base::SetNumber(flag, value, 0, 86400, &seconds));
    out->drain_time = absl::Seconds(seconds);
    return absl::OkStatus();
  }
  if (flag == "--log-level") {
    if (base::ParseLogLevel(value, &out->log_level)) return absl::OkStatus();
    return WrongFlag(flag, value, "trace, debug, info, warning, error, off");
  }
  if (flag == "--mode") {
    if (value != "serve" && value != "validate") return WrongFlag(flag, value, "serve, validate");
    out->validate = value == "validate";
    return absl::OkStatus();
  }
  return base::UnknownFlag(flag, Syntax());
}

std::string LongName(const std::string& flag) {
  if (flag == "-c") return "--config-path";
  return flag == "-l" ? "--log-level" : flag;
}

absl::Status SetIntercept(absl::string_view mode, Options* out) {
  if (mode != "redirect" && mode != "tproxy")
    return WrongFlag("--intercept", mode, "redirect, tproxy");
  out->intercept = true;
  out->tproxy = mode == "tproxy";
  return absl::OkStatus();
}

absl::Status CheckControl(const Options& options) {
  const std::pair<absl::string_view, const std::string*> required[] = {
      {"--namespace", &options.name_space},  {"--service-account", &options.service_account},
      {"--workload", &options.workload},     {"--address", &options.address},
      {"--control-ca", &options.control_ca},
  };
  for (const auto& [flag, value] : required) {
    if (value->empty())
      return absl::InvalidArgumentError(absl::StrCat(flag, " is required with --control"));
  }
  if (const auto address = net::Address::FromIp(options.address, 0); !address.ok()) {
    return WrongFlag("--address", options.address, "an IP address");
  }
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(options.control, absl::MaxSplits(':', 1));
  uint32_t port = 0;
  const size_t colon = options.control.rfind(':');
  if (parts.first.empty() || colon == std::string::npos ||
      !base::ParseNumber(options.control.substr(colon + 1), 1, 65535, &port)) {
    return WrongFlag("--control", options.control, "HOST:PORT");
  }
  return absl::OkStatus();
}

absl::Status Check(const Options& options) {
  if (options.config_path.empty() == options.control.empty()) {
    return absl::InvalidArgumentError("exactly one of -c FILE and --control HOST:PORT is required");
  }
  if (!options.control.empty()) HEDDLE_RETURN_IF_ERROR(CheckControl(options));
  const auto admin = net::Address::Parse(options.admin_address);
  if (!admin.ok()) return WrongFlag("--admin-address", options.admin_address, "IP:PORT");
  if (!admin->loopback()) {
    return WrongFlag("--admin-address", options.admin_address,
                     "a loopback address: the admin page has no password");
  }
  if (!options.health_address.empty() && !net::Address::Parse(options.health_address).ok()) {
    return WrongFlag("--health-address", options.health_address, "IP:PORT");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Options> ParseOptions(const std::vector<std::string>& arguments) {
  Options out;
  HEDDLE_ASSIGN_OR_RETURN(const std::vector<base::Flag> flags,
                          base::SplitFlags(arguments, Syntax()));
  for (const base::Flag& flag : flags) {
    out.help = flag.name == "--help" || flag.name == "-h";
    out.version = flag.name == "--version";
    if (out.help || out.version) return out;
    if (flag.name == "--disable-hot-restart") continue;
    if (flag.name == "--intercept") {
      HEDDLE_RETURN_IF_ERROR(SetIntercept(flag.value.value_or("redirect"), &out));
      continue;
    }
    HEDDLE_RETURN_IF_ERROR(SetFlag(LongName(flag.name), *flag.value, &out));
  }
  HEDDLE_RETURN_IF_ERROR(Check(out));
  return out;
}

}  // namespace heddle::server
