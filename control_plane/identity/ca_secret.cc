#include "control_plane/identity/ca_secret.h"

#include <unistd.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "control_plane/identity/ca.h"
#include "control_plane/identity/files.h"
#include "control_plane/kube/json.h"
#include "source/base/log.h"
#include "source/base/status.h"

namespace heddle::identity {
namespace {

using kube::Json;

struct Kept {
  const char* name;
  int mode;
  bool required;
  bool vanishes;  // its absence means something
};
// The key last: a directory with a new key and an old bundle would be refused.
constexpr Kept kFiles[] = {{"ca.crt", 0644, true, false},
                           {"renew.epoch", 0644, false, false},
                           {"ca.next.key", 0600, false, true},
                           {"ca.key", 0600, true, false}};

}  // namespace

std::string CaSecret::Path() const {
  return absl::StrCat("/api/v1/namespaces/", options_.ns, "/secrets");
}

std::string CaSecret::Body(bool create) const {
  Json data = Json::object();
  for (const Kept& one : kFiles) {
    const absl::StatusOr<std::string> text = ReadFile(absl::StrCat(options_.dir, "/", one.name));
    if (text.ok()) data[one.name] = absl::Base64Escape(*text);
  }
  Json metadata = {{"name", options_.name}, {"namespace", options_.ns}};
  metadata["labels"]["app.kubernetes.io/part-of"] = "heddle";
  if (!create) metadata["resourceVersion"] = version_;
  return kube::Dump({{"apiVersion", "v1"},
                     {"kind", "Secret"},
                     {"type", "Opaque"},
                     {"metadata", std::move(metadata)},
                     {"data", std::move(data)}});
}

absl::StatusOr<bool> CaSecret::Write(const std::string& secret) {
  const std::optional<Json> json = kube::ParseJson(secret);
  const std::string version =
      json.has_value() ? kube::TextAt(*json, {"metadata", "resourceVersion"}) : "";
  if (version.empty()) return absl::InternalError("Secret: no resourceVersion");
  bool changed = false;
  for (const Kept& one : kFiles) {
    const std::string path = absl::StrCat(options_.dir, "/", one.name);
    const std::string encoded = kube::TextAt(*json, {"data", one.name});
    std::string text;
    if (!absl::Base64Unescape(encoded, &text) || (text.empty() && one.required))
      return absl::FailedPreconditionError(absl::StrCat(
          "Secret ", options_.ns, "/", options_.name, ": data.", one.name,
          ": required; delete the Secret to have a new CA made, or put the old one back"));
    const absl::StatusOr<std::string> there = ReadFile(path);
    if (text.empty() ? absl::IsNotFound(there.status()) || !one.vanishes
                     : there.ok() && *there == text)
      continue;
    changed = true;
    if (text.empty()) {
      ::unlink(path.c_str());
    } else {
      HEDDLE_RETURN_IF_ERROR(ReplaceFile(path, text, static_cast<mode_t>(one.mode)));
    }
  }
  version_ = version;
  return changed;
}

absl::StatusOr<bool> CaSecret::Pull() {
  HEDDLE_ASSIGN_OR_RETURN(
      const std::string secret,
      client_.Call({.path = absl::StrCat(Path(), "/", options_.name), .max_bytes = 4 << 20}));
  return Write(secret);
}

absl::Status CaSecret::Adopt(absl::Time now) {
  HEDDLE_RETURN_IF_ERROR(PrepareStateDir(options_.dir));
  absl::StatusOr<bool> pulled = Pull();
  if (pulled.ok() || !absl::IsNotFound(pulled.status())) return pulled.status();
  HEDDLE_RETURN_IF_ERROR(
      CertificateAuthority::Open({.dir = options_.dir, .trust_domain = options_.trust_domain}, now)
          .status());
  // One for all replicas: a proxy that comes to another one must not take it for a new epoch.
  HEDDLE_RETURN_IF_ERROR(
      ReplaceFile(options_.dir + "/renew.epoch",
                  absl::FormatTime("%Y-%m-%dT%H:%M:%E9SZ", now, absl::UTCTimeZone()), 0644));
  const absl::StatusOr<std::string> made =
      client_.Call({.method = "POST", .path = Path(), .body = Body(true)});
  if (made.ok()) {
    HEDDLE_LOG(kInfo, "identity") << "made the mesh's CA: Secret " << options_.ns << "/"
                                  << options_.name;
    return Write(*made).status();
  }
  // Another replica was faster: its key holds, ours is forgotten.
  if (!absl::IsAlreadyExists(made.status())) return made.status();
  return Pull().status();
}

absl::Status CaSecret::Push() {
  HEDDLE_ASSIGN_OR_RETURN(const std::string secret,
                          client_.Call({.method = "PUT",
                                        .path = absl::StrCat(Path(), "/", options_.name),
                                        .body = Body(false)}));
  return Write(secret).status();
}

}  // namespace heddle::identity
