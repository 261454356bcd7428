#include "control_plane/identity/spiffe.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "source/base/status.h"

namespace heddle::identity {
namespace {

bool IsNameByte(char c) {
  return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-' || c == '.';
}

}  // namespace

absl::Status ValidateName(absl::string_view what, absl::string_view name) {
  const bool edges =
      !name.empty() && absl::ascii_isalnum(name.front()) && absl::ascii_isalnum(name.back());
  if (name.size() > 253 || !edges || !std::all_of(name.begin(), name.end(), IsNameByte))
    return absl::InvalidArgumentError(absl::StrCat(
        what, " \"", name.substr(0, 64),
        "\": want 1 to 253 lower-case letters, digits, '-' or '.', beginning and ending "
        "with a letter or digit"));
  return absl::OkStatus();
}

absl::Status ValidateTrustDomain(absl::string_view name) {
  const auto allowed = [](char c) { return IsNameByte(c) || c == '_'; };
  if (name.empty() || name.size() > 255 || !std::all_of(name.begin(), name.end(), allowed))
    return absl::InvalidArgumentError(
        absl::StrCat("trust domain \"", name.substr(0, 64),
                     "\": want 1 to 255 lower-case letters, digits, '-', '.' or '_'"));
  return absl::OkStatus();
}

std::string WorkloadId::Uri() const {
  return absl::StrCat("spiffe://", trust_domain, "/ns/", ns, "/sa/", service_account);
}

std::string WorkloadId::Subject() const {
  return absl::StrCat("system:serviceaccount:", ns, ":", service_account);
}

absl::StatusOr<WorkloadId> WorkloadId::FromUri(absl::string_view uri) {
  absl::string_view rest = uri;
  const std::vector<absl::string_view> parts = absl::ConsumePrefix(&rest, "spiffe://")
                                                   ? absl::StrSplit(rest, '/')
                                                   : std::vector<absl::string_view>{};
  if (parts.size() != 5 || parts[1] != "ns" || parts[3] != "sa")
    return absl::InvalidArgumentError(
        absl::StrCat("\"", uri.substr(0, 300),
                     "\" is not spiffe://<trust domain>/ns/<namespace>/sa/<service account>"));
  HEDDLE_RETURN_IF_ERROR(ValidateTrustDomain(parts[0]));
  HEDDLE_RETURN_IF_ERROR(ValidateName("namespace", parts[2]));
  HEDDLE_RETURN_IF_ERROR(ValidateName("service account", parts[4]));
  return WorkloadId{.trust_domain = std::string(parts[0]),
                    .ns = std::string(parts[2]),
                    .service_account = std::string(parts[4])};
}

absl::StatusOr<WorkloadId> WorkloadId::FromSubject(absl::string_view trust_domain,
                                                   absl::string_view subject) {
  const std::vector<absl::string_view> parts = absl::StrSplit(subject, ':');
  if (parts.size() != 4 || parts[0] != "system" || parts[1] != "serviceaccount")
    return absl::InvalidArgumentError(
        absl::StrCat("subject \"", subject.substr(0, 300),
                     "\" is not system:serviceaccount:<namespace>:<service account>"));
  HEDDLE_RETURN_IF_ERROR(ValidateTrustDomain(trust_domain));
  HEDDLE_RETURN_IF_ERROR(ValidateName("namespace", parts[2]));
  HEDDLE_RETURN_IF_ERROR(ValidateName("service account", parts[3]));
  return WorkloadId{.trust_domain = std::string(trust_domain),
                    .ns = std::string(parts[2]),
                    .service_account = std::string(parts[3])};
}

}  // namespace heddle::identity
