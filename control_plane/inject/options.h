// What can be said about one pod's sidecar: a table of options, each a pod annotation
// "heddle.dev/<name>", an install-wide default of the same meaning (settings.h) and a row of
// docs/injection.md. The table is the only place where an option is named, bounded and explained.
//
//   PodOptions options = settings.defaults;
//   HEDDLE_RETURN_IF_ERROR(ReadAnnotations(annotations, &options, &warnings));
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace heddle::inject {

inline constexpr char kPrefix[] = "heddle.dev/";
inline constexpr char kInjectLabel[] = "heddle.dev/inject";       // of a namespace and of a pod
inline constexpr char kStatusAnnotation[] = "heddle.dev/status";  // written by the injection

// The values in force for one pod. Lists are comma-separated, checked, without spaces.
struct PodOptions {
  std::string sidecar = "native";
  bool hold_until_ready = true;
  bool rewrite_probes = true;
  std::string interception = "init";
  std::string interception_mode = "redirect";
  std::string ipv6 = "auto";
  std::string include_inbound_ports = "*";
  std::string exclude_inbound_ports;
  std::string include_outbound_ports = "*";
  std::string exclude_outbound_ports;
  std::string include_outbound_cidrs = "*";
  std::string exclude_outbound_cidrs;
  std::string exclude_interfaces;
  std::string exclude_uids;
  std::string proxy_image = "heddle-proxy:0.1.0";
  std::string proxy_image_pull_policy = "IfNotPresent";
  std::string proxy_cpu_request = "50m";  // Kubernetes quantities; empty: none
  std::string proxy_cpu_limit;
  std::string proxy_memory_request = "32Mi";
  std::string proxy_memory_limit = "256Mi";
  std::string proxy_log_level = "info";
  uint32_t proxy_concurrency = 1;
  uint32_t drain_seconds = 30;

  bool classic() const { return sidecar == "classic"; }
};

enum class OptionType {
  kBool,
  kChoice,
  kNumber,
  kPorts,       // 80,8000-8100
  kPortsOrAll,  // also "*"
  kCidrs,
  kCidrsOrAll,
  kInterfaces,
  kUids,
  kImage,
  kCpu,
  kMemory,
};

struct OptionSpec {
  absl::string_view name;  // "exclude-inbound-ports"
  OptionType type;
  std::variant<std::string PodOptions::*, bool PodOptions::*, uint32_t PodOptions::*> field;
  absl::string_view choices;  // kChoice: "a, b"
  uint32_t min = 0;           // kNumber
  uint32_t max = 0;
  absl::string_view help;     // sentences
  absl::string_view example;  // a value that is not the default
};

const std::vector<OptionSpec>& OptionTable();

// "8080 or 8000-8100, separated by commas": what a value may be.
std::string AllowedValues(const OptionSpec& spec);
std::string ValueOf(const OptionSpec& spec, const PodOptions& options);
// "exclude-inbound-ports" as "excludeInboundPorts".
std::string SettingName(const OptionSpec& spec);

// Checks `text` and stores it. The error is "found "...", allowed ...".
absl::Status SetOption(const OptionSpec& spec, absl::string_view text, PodOptions* options);

// Reads every "heddle.dev/..." annotation over what `options` holds. A bad value is an error that
// names the annotation; a name that is not in the table is a warning, because a newer Heddle may
// know it.
absl::Status ReadAnnotations(const std::map<std::string, std::string>& annotations,
                             PodOptions* options, std::vector<std::string>* warnings);
// What holds between options: requests within limits.
absl::Status CheckTogether(const PodOptions& options);

// The table as Markdown, for docs/injection.md.
std::string OptionTableMarkdown();

}  // namespace heddle::inject
