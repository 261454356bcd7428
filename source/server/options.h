// heddle-proxy's command line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "source/base/log.h"

namespace heddle::server {

struct Options {
  // Where the configuration comes from: exactly one of the two.
  std::string config_path;  // -c FILE: an Envoy v3 bootstrap, YAML or JSON
  std::string control;      // --control HOST:PORT

  // With --control only.
  std::string service_account, name_space, workload;
  std::string address;  // this pod's address
  std::string trust_domain = "cluster.local";
  std::string token_file;  // proof of identity for the first certificate
  std::string control_ca;  // root certificate(s) of the control plane, PEM
  std::string state_dir;   // last good configuration, key and certificate
  bool intercept = false;  // the pod's traffic is redirected (heddle-proxy intercept)
  bool tproxy = false;     // inbound by TPROXY: intercepted listeners need IP_TRANSPARENT

  std::string health_address;  // the health port; empty: none
  std::string app_probes;      // of the application, JSON: HEDDLE_APP_PROBES

  std::string admin_address = "127.0.0.1:15000";
  bool admin_address_set = false;  // a bootstrap file's own `admin` gives way only then
  std::string admin_address_path;  // --admin-address-path: writes the bound admin address there
  uint32_t concurrency = 1;
  bool validate = false;  // --mode validate
  base::LogLevel log_level = base::LogLevel::kInfo;
  absl::Duration drain_time = absl::Seconds(30);

  bool help = false, version = false;
};

// InvalidArgument names the flag, what was found and what is allowed.
absl::StatusOr<Options> ParseOptions(const std::vector<std::string>& arguments);

extern const char kHelp[];

}  // namespace heddle::server
