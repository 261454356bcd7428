// heddle-control's command line.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace heddle::control {

struct Options {
  std::string config;
  bool kubernetes = false;  // the cluster this pod is in, as the source
  std::string kubeconfig;   // or the one that this file names
  std::string context;
  std::string system_namespace = "heddle-system";
  std::string health_address;  // empty: none
  std::string webhook;         // empty: none
  std::string injection;       // settings file of the webhook; empty: the defaults
  std::string state_dir;
  std::string listen = "127.0.0.1:15010";
  std::string admin = "127.0.0.1:15014";
  std::string trust_domain = "cluster.local";
  std::string advertise;           // empty: `listen`, when that is an address others can use
  std::vector<std::string> names;  // more names (DNS or IP) for the serving certificate
  std::string otlp_forward;
  std::string log_level = "info";
  int trace_spans = 50000;
  int trace_mib = 64;
  int max_streams = 20000;
  absl::Duration max_connection_age = absl::Minutes(30);
  bool in_cluster() const { return kubernetes || !kubeconfig.empty(); }
  bool help = false;
  bool version = false;
};

// The error names the flag and says what is allowed.
absl::StatusOr<Options> ParseOptions(int argc, const char* const* argv);
std::string HelpText();

}  // namespace heddle::control
