#include "control_plane/inject/settings.h"

#include <functional>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "control_plane/inject/json.h"
#include "source/base/status.h"
#include "source/yaml/plain.h"

namespace heddle::inject {
namespace {

bool IsLabel(absl::string_view text) {
  return !text.empty() && text.size() <= 63 && text.front() != '-' && text.back() != '-' &&
         absl::c_all_of(text, [](char c) {
           return absl::ascii_islower(static_cast<unsigned char>(c)) ||
                  absl::ascii_isdigit(static_cast<unsigned char>(c)) || c == '-';
         });
}

bool IsName(absl::string_view text) {
  return !text.empty() && text.size() <= 253 &&
         absl::c_all_of(absl::StrSplit(text, '.'), [](absl::string_view p) { return IsLabel(p); });
}

bool IsAddress(absl::string_view text) {
  const size_t colon = text.rfind(':');
  uint32_t port = 0;
  return colon != absl::string_view::npos && colon > 0 && text.size() < 300 &&
         absl::SimpleAtoi(text.substr(colon + 1), &port) && port >= 1 && port <= 65535 &&
         absl::c_all_of(text, [](char c) { return c > ' ' && c < 0x7f && c != '$'; });
}

std::vector<std::string> Split(absl::string_view text) {
  std::vector<std::string> out;
  for (const absl::string_view part : absl::StrSplit(text, ','))
    if (const absl::string_view one = absl::StripAsciiWhitespace(part); !one.empty())
      out.emplace_back(one);
  return out;
}

// A setting that is not a pod option. `set` says whether the text is a good value.
struct InstallSetting {
  absl::string_view key;
  absl::string_view fallback;
  absl::string_view allowed;
  absl::string_view help;
  bool (*set)(absl::string_view text, Settings* settings);
};

template <bool (*good)(absl::string_view), std::vector<std::string> Settings::*field>
bool SetList(absl::string_view text, Settings* settings) {
  std::vector<std::string> list = Split(text);
  if (list.size() > 100 || !absl::c_all_of(list, [](const std::string& one) { return good(one); }))
    return false;
  settings->*field = std::move(list);
  return true;
}

template <bool (*good)(absl::string_view), std::string Settings::*field>
bool SetText(absl::string_view text, Settings* settings) {
  if (!good(text)) return false;
  settings->*field = std::string(text);
  return true;
}

bool SetTokenSeconds(absl::string_view text, Settings* settings) {
  uint32_t value = 0;
  if (!absl::SimpleAtoi(text, &value) || value < 600 || value > 86400) return false;
  settings->token_seconds = value;
  return true;
}

constexpr InstallSetting kInstallSettings[] = {
    {"systemNamespace", "heddle-system", "a namespace",
     "Where heddle-control runs. Pods there are never injected.",
     SetText<IsLabel, &Settings::system_namespace>},
    {"controlAddress", "heddle-control.<systemNamespace>.svc:15010", "HOST:PORT",
     "Where sidecars reach heddle-control.", SetText<IsAddress, &Settings::control_address>},
    {"trustDomain", "cluster.local", "a DNS name", "Authority of every workload's SPIFFE identity.",
     SetText<IsName, &Settings::trust_domain>},
    {"tokenSeconds", "3600", "600 to 86400",
     "Life of the service account token by which a sidecar proves itself; the kubelet renews it.",
     SetTokenSeconds},
    {"imagePullSecrets", "none", "names of Secrets", "Added to every injected pod.",
     SetList<IsName, &Settings::image_pull_secrets>},
    {"excludedNamespaces", "kube-system, kube-public, kube-node-lease", "namespaces",
     "Pods there are never injected, whatever their labels say.",
     SetList<IsLabel, &Settings::excluded_namespaces>},
};

// A value of the file as the text that a flag would have.
bool ToText(const Json& value, std::string* out) {
  if (value.is_null()) {
    out->clear();
  } else if (value.is_string()) {
    *out = value.get<std::string>();
  } else if (value.is_array()) {
    std::vector<std::string> parts;
    for (const Json& item : Items(value)) {
      std::string part;
      if (item.is_structured() || !ToText(item, &part)) return false;
      parts.push_back(std::move(part));
    }
    *out = absl::StrJoin(parts, ",");
  } else if (value.is_object()) {
    return false;
  } else {
    *out = value.dump();
  }
  return true;
}

}  // namespace

std::string Settings::ControlAddress() const {
  return control_address.empty() ? absl::StrCat("heddle-control.", system_namespace, ".svc:15010")
                                 : control_address;
}

absl::Status SetSetting(absl::string_view key, absl::string_view value, Settings* settings) {
  value = absl::StripAsciiWhitespace(value);
  for (const InstallSetting& one : kInstallSettings) {
    if (one.key != key) continue;
    if (one.set(value, settings)) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat(key, ": found \"", value.substr(0, 100), "\", allowed ", one.allowed));
  }
  for (const OptionSpec& spec : OptionTable()) {
    if (SettingName(spec) != key) continue;
    const absl::Status status = SetOption(spec, value, &settings->defaults);
    return status.ok() ? status
                       : absl::InvalidArgumentError(absl::StrCat(key, ": ", status.message()));
  }
  std::vector<std::string> known;
  for (const InstallSetting& one : kInstallSettings) known.emplace_back(one.key);
  for (const OptionSpec& spec : OptionTable()) known.push_back(SettingName(spec));
  return absl::InvalidArgumentError(
      absl::StrCat(key.substr(0, 100), ": no such setting; known: ", absl::StrJoin(known, ", ")));
}

absl::Status CheckSettings(const Settings& settings) { return CheckTogether(settings.defaults); }

absl::StatusOr<Settings> ReadSettings(absl::string_view text, const std::string& name,
                                      Settings settings) {
  HEDDLE_ASSIGN_OR_RETURN(
      const std::vector<std::string> documents,
      yaml::ToPlainJson(text, {.file = name, .max_bytes = 1 << 20, .max_nodes = 10000}));
  if (documents.empty()) return settings;
  const Json json = Json::parse(documents[0], nullptr, false);
  if (documents.size() > 1 || !json.is_object())
    return absl::InvalidArgumentError(absl::StrCat(name, ": want one map of settings"));
  for (const auto& [key, value] : json.items()) {
    std::string as_text;
    absl::Status status = ToText(value, &as_text)
                              ? SetSetting(key, as_text, &settings)
                              : absl::InvalidArgumentError(absl::StrCat(
                                    key, ": found a map or a list of them, allowed one value"));
    if (!status.ok()) return absl::InvalidArgumentError(absl::StrCat(name, ": ", status.message()));
  }
  if (const absl::Status status = CheckSettings(settings); !status.ok())
    return absl::InvalidArgumentError(absl::StrCat(name, ": ", status.message()));
  return settings;
}

std::string SettingTableMarkdown() {
  std::string out = "| setting | default | allowed | what it does |\n|---|---|---|---|\n";
  for (const InstallSetting& one : kInstallSettings)
    absl::StrAppend(&out, "| `", one.key, "` | ", one.fallback, " | ", one.allowed, " | ", one.help,
                    " |\n");
  return out;
}

}  // namespace heddle::inject
