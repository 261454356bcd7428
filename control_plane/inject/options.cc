#include "control_plane/inject/options.h"

#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "control_plane/inject/values.h"
#include "source/base/status.h"

namespace heddle::inject {
namespace {

// Below this a memory value is a slip, such as "64m" (64 thousandths of a byte).
constexpr double kMinMemory = 1 << 20;

std::optional<std::string> Canonical(const OptionSpec& spec, absl::string_view text) {
  switch (spec.type) {
    case OptionType::kChoice:
      for (const absl::string_view choice : absl::StrSplit(spec.choices, ", "))
        if (text == choice) return std::string(text);
      return std::nullopt;
    case OptionType::kPorts:
      return CanonicalPorts(text);
    case OptionType::kPortsOrAll:
      return text == "*" ? "*" : CanonicalPorts(text);
    case OptionType::kCidrs:
      return CanonicalCidrs(text);
    case OptionType::kCidrsOrAll:
      return text == "*" ? "*" : CanonicalCidrs(text);
    case OptionType::kInterfaces:
      return CanonicalInterfaces(text);
    case OptionType::kUids:
      return CanonicalUids(text);
    case OptionType::kImage:
      return IsImage(text) ? std::optional<std::string>(text) : std::nullopt;
    case OptionType::kCpu:
    case OptionType::kMemory: {
      if (text.empty()) return "";
      const std::optional<double> value = ParseQuantity(text);
      const double min = spec.type == OptionType::kCpu ? 0.001 : kMinMemory;
      return value.value_or(0) >= min ? std::optional<std::string>(text) : std::nullopt;
    }
    case OptionType::kBool:
    case OptionType::kNumber:
      break;
  }
  return std::nullopt;
}

// Request and limit.
absl::Status CheckWithin(absl::string_view name, const std::string& request,
                         const std::string& limit) {
  if (request.empty() || limit.empty()) return absl::OkStatus();
  if (ParseQuantity(request).value_or(0) <= ParseQuantity(limit).value_or(0))
    return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("annotation ", kPrefix, "proxy-", name, "-request: found \"", request,
                   "\", allowed at most \"", limit, "\", which is the limit (", kPrefix, "proxy-",
                   name, "-limit)"));
}

}  // namespace

const std::vector<OptionSpec>& OptionTable() {
  using P = PodOptions;
  using T = OptionType;
  static const auto& table = *new std::vector<OptionSpec>{
      {"sidecar", T::kChoice, &P::sidecar, "native, classic", 0, 0,
       "`native`: an init container that keeps running (Kubernetes 1.29 and newer): it starts "
       "before the pod's own init containers, ends after the containers, and a Job ends by itself. "
       "`classic`: the first of the containers.",
       "classic"},
      {"hold-until-ready", T::kBool, &P::hold_until_ready, "", 0, 0,
       "The pod's containers start when the sidecar has its certificate and configuration. "
       "`false`: they start with it.",
       "false"},
      {"rewrite-probes", T::kBool, &P::rewrite_probes, "", 0, 0,
       "The kubelet's HTTP, TCP and gRPC probes and HTTP lifecycle hooks go through the sidecar's "
       "health port, because a port that wants mutual TLS does not answer the kubelet.",
       "false"},
      {"interception", T::kChoice, &P::interception, "init, cni", 0, 0,
       "Who redirects the pod's traffic. `init`: the init container heddle-init, which needs "
       "NET_ADMIN. `cni`: whatever sets up the pod's network has run the same `heddle-proxy "
       "intercept`; nothing in the pod has a capability.",
       "cni"},
      {"interception-mode", T::kChoice, &P::interception_mode, "redirect, tproxy", 0, 0,
       "How inbound connections are redirected. `tproxy` leaves their addresses as they are; the "
       "sidecar then runs as root with NET_ADMIN, which Pod Security's baseline forbids.",
       "tproxy"},
      {"ipv6", T::kChoice, &P::ipv6, "auto, on, off", 0, 0,
       "Whether IPv6 is redirected too; `auto`: when the pod has it.", "off"},
      {"include-inbound-ports", T::kPortsOrAll, &P::include_inbound_ports, "", 0, 0,
       "Ports whose inbound connections go through the sidecar; `*`: all. Empty: none.",
       "8080,9000-9010"},
      {"exclude-inbound-ports", T::kPorts, &P::exclude_inbound_ports, "", 0, 0,
       "Ports whose inbound connections go straight to the application. Their probes are not "
       "rewritten.",
       "9100"},
      {"include-outbound-ports", T::kPortsOrAll, &P::include_outbound_ports, "", 0, 0,
       "Destination ports that go through the sidecar, of addresses in include-outbound-cidrs; "
       "`*`: all. Empty: none.",
       "80,8080"},
      {"exclude-outbound-ports", T::kPorts, &P::exclude_outbound_ports, "", 0, 0,
       "Destination ports that bypass the sidecar.", "5432,6379"},
      {"include-outbound-cidrs", T::kCidrsOrAll, &P::include_outbound_cidrs, "", 0, 0,
       "Destinations that go through the sidecar; `*`: all. Empty: none.", "10.0.0.0/8"},
      {"exclude-outbound-cidrs", T::kCidrs, &P::exclude_outbound_cidrs, "", 0, 0,
       "Destinations that bypass the sidecar.", "169.254.169.254/32"},
      {"exclude-interfaces", T::kInterfaces, &P::exclude_interfaces, "", 0, 0,
       "Network interfaces of the pod whose traffic is left alone.", "net1"},
      {"exclude-uids", T::kUids, &P::exclude_uids, "", 0, 0,
       "Users whose outbound traffic bypasses the sidecar.", "1234"},
      {"proxy-image", T::kImage, &P::proxy_image, "", 0, 0,
       "Image of heddle-proxy and heddle-init.", "registry.example/heddle-proxy:0.1.0-debug"},
      {"proxy-image-pull-policy", T::kChoice, &P::proxy_image_pull_policy,
       "Always, IfNotPresent, Never", 0, 0, "When that image is pulled.", "Always"},
      {"proxy-cpu-request", T::kCpu, &P::proxy_cpu_request, "", 0, 0,
       "CPU that the sidecar asks for. Empty: none.", "200m"},
      {"proxy-cpu-limit", T::kCpu, &P::proxy_cpu_limit, "", 0, 0,
       "CPU that the sidecar may use at most. Empty: no limit.", "2"},
      {"proxy-memory-request", T::kMemory, &P::proxy_memory_request, "", 0, 0,
       "Memory that the sidecar asks for. Empty: none.", "64Mi"},
      {"proxy-memory-limit", T::kMemory, &P::proxy_memory_limit, "", 0, 0,
       "Memory that the sidecar may use at most. Empty: no limit.", "512Mi"},
      {"proxy-log-level", T::kChoice, &P::proxy_log_level,
       "trace, debug, info, warning, error, off", 0, 0, "What the sidecar logs.", "debug"},
      {"proxy-concurrency", T::kNumber, &P::proxy_concurrency, "", 1, 128,
       "Worker threads of the sidecar.", "4"},
      {"drain-seconds", T::kNumber, &P::drain_seconds, "", 0, 86400,
       "Longest time that the sidecar lets running requests end in when it is told to stop. The "
       "pod's terminationGracePeriodSeconds bounds it.",
       "120"},
  };
  return table;
}

std::string AllowedValues(const OptionSpec& spec) {
  switch (spec.type) {
    case OptionType::kBool:
      return "true, false";
    case OptionType::kChoice:
      return std::string(spec.choices);
    case OptionType::kNumber:
      return absl::StrCat(spec.min, " to ", spec.max);
    case OptionType::kPorts:
      return "ports (1 to 65535) and ranges such as 8000-8100, separated by commas";
    case OptionType::kPortsOrAll:
      return "*, or ports (1 to 65535) and ranges such as 8000-8100, separated by commas";
    case OptionType::kCidrs:
      return "addresses and ranges such as 10.0.0.0/8 or fd00::/8, separated by commas";
    case OptionType::kCidrsOrAll:
      return "*, or addresses and ranges such as 10.0.0.0/8 or fd00::/8, separated by commas";
    case OptionType::kInterfaces:
      return "interface names, separated by commas";
    case OptionType::kUids:
      return "numeric user ids and ranges such as 1000-1010, separated by commas";
    case OptionType::kImage:
      return "an image reference";
    case OptionType::kCpu:
      return "a quantity of at least 1m such as 250m or 1.5, or empty";
    case OptionType::kMemory:
      return "a quantity of at least 1Mi such as 128Mi or 1Gi, or empty";
  }
  return "";
}

std::string ValueOf(const OptionSpec& spec, const PodOptions& options) {
  if (const auto* text = std::get_if<std::string PodOptions::*>(&spec.field))
    return options.*(*text);
  if (const auto* flag = std::get_if<bool PodOptions::*>(&spec.field))
    return options.*(*flag) ? "true" : "false";
  return absl::StrCat(options.*std::get<uint32_t PodOptions::*>(spec.field));
}

std::string SettingName(const OptionSpec& spec) {
  std::string out;
  for (size_t i = 0; i < spec.name.size(); ++i) {
    if (spec.name[i] == '-') {
      out += absl::ascii_toupper(static_cast<unsigned char>(spec.name[++i]));
    } else {
      out += spec.name[i];
    }
  }
  return out;
}

absl::Status SetOption(const OptionSpec& spec, absl::string_view text, PodOptions* options) {
  text = absl::StripAsciiWhitespace(text);
  bool good = false;
  if (const auto* field = std::get_if<std::string PodOptions::*>(&spec.field)) {
    std::optional<std::string> value = Canonical(spec, text);
    good = value.has_value();
    if (good) options->*(*field) = *std::move(value);
  } else if (const auto* flag = std::get_if<bool PodOptions::*>(&spec.field)) {
    good = text == "true" || text == "false";
    if (good) options->*(*flag) = text == "true";
  } else {
    uint32_t value = 0;
    good = absl::SimpleAtoi(text, &value) && value >= spec.min && value <= spec.max;
    if (good) options->*std::get<uint32_t PodOptions::*>(spec.field) = value;
  }
  if (good) return absl::OkStatus();
  std::string shown(text.substr(0, 100));
  for (char& c : shown)
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  return absl::InvalidArgumentError(
      absl::StrCat("found \"", shown, "\", allowed ", AllowedValues(spec)));
}

absl::Status ReadAnnotations(const std::map<std::string, std::string>& annotations,
                             PodOptions* options, std::vector<std::string>* warnings) {
  for (const auto& [key, value] : annotations) {
    absl::string_view name = key;
    if (!absl::ConsumePrefix(&name, kPrefix) || key == kStatusAnnotation) continue;
    const OptionSpec* found = nullptr;
    for (const OptionSpec& spec : OptionTable())
      if (spec.name == name) found = &spec;
    if (found == nullptr) {
      warnings->push_back(
          key == kInjectLabel
              ? absl::StrCat(key, " is a label; as an annotation it has no effect")
              : absl::StrCat("annotation ", key.substr(0, 100), " is not known and has no effect"));
      continue;
    }
    if (const absl::Status status = SetOption(*found, value, options); !status.ok())
      return absl::InvalidArgumentError(absl::StrCat("annotation ", key, ": ", status.message()));
  }
  return CheckTogether(*options);
}

absl::Status CheckTogether(const PodOptions& options) {
  HEDDLE_RETURN_IF_ERROR(CheckWithin("cpu", options.proxy_cpu_request, options.proxy_cpu_limit));
  return CheckWithin("memory", options.proxy_memory_request, options.proxy_memory_limit);
}

std::string OptionTableMarkdown() {
  std::string out =
      "| annotation | default | allowed | what it does | example |\n|---|---|---|---|---|\n";
  const PodOptions defaults;
  for (const OptionSpec& spec : OptionTable()) {
    const std::string value = ValueOf(spec, defaults);
    absl::StrAppend(&out, "| `", kPrefix, spec.name, "` | ",
                    value.empty() ? "empty" : absl::StrCat("`", value, "`"), " | ",
                    AllowedValues(spec), " | ", spec.help, " | `\"", spec.example, "\"` |\n");
  }
  return out;
}

}  // namespace heddle::inject
