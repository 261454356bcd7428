// The values of an install that injection goes by: images, addresses, and each pod option's
// default. Read from one file, which heddle-control (--injection) and `heddlectl inject` (--values)
// share:
//
//   HEDDLE_ASSIGN_OR_RETURN(const Settings settings, ReadSettings(text, "settings.yaml"));
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "control_plane/inject/options.h"

namespace heddle::inject {

struct Settings {
  std::string system_namespace = "heddle-system";
  std::string control_address;  // empty: heddle-control.<system_namespace>.svc:15010
  std::string trust_domain = "cluster.local";
  uint32_t token_seconds = 3600;  // life of the projected token; Kubernetes wants at least 600
  std::vector<std::string> image_pull_secrets;
  // Beside system_namespace: pods there are never injected.
  std::vector<std::string> excluded_namespaces = {"kube-system", "kube-public", "kube-node-lease"};
  PodOptions defaults;

  std::string ControlAddress() const;
};

// YAML or JSON: a map of settings, all optional. An error names the key, what was found and what is
// allowed; `name` is how the file is called in it. What the file does not say is as in `base`.
absl::StatusOr<Settings> ReadSettings(absl::string_view text, const std::string& name,
                                      Settings base = {});

// One setting by its key, as in the file; lists are comma-separated. For `--set KEY=VALUE`.
absl::Status SetSetting(absl::string_view key, absl::string_view value, Settings* settings);

// What holds between settings; ReadSettings has checked it already.
absl::Status CheckSettings(const Settings& settings);

// The settings that are not pod options, as Markdown, for docs/injection.md.
std::string SettingTableMarkdown();

}  // namespace heddle::inject
