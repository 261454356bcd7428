#include "source/tls/spiffe.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace heddle::tls {
namespace {

constexpr absl::string_view kScheme = "spiffe://";
constexpr size_t kMaxBytes = 2048;

bool DomainByte(char c) {
  return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '.' || c == '-' || c == '_';
}
bool PathByte(char c) { return absl::ascii_isalnum(c) || c == '.' || c == '-' || c == '_'; }

// {"", "ns", NS, "sa", SA}, or nothing.
std::vector<std::string> WorkloadParts(const std::string& path) {
  std::vector<std::string> parts = absl::StrSplit(path, '/');
  if (parts.size() != 5 || parts[1] != "ns" || parts[3] != "sa") return {};
  return parts;
}

}  // namespace

absl::StatusOr<SpiffeId> SpiffeId::Parse(absl::string_view uri) {
  const auto refused = [&](absl::string_view why) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", uri.substr(0, 256), "\" is not a SPIFFE id: ", why));
  };
  if (uri.size() > kMaxBytes) return refused("longer than 2048 bytes");
  if (!absl::StartsWith(uri, kScheme)) return refused("does not start with spiffe://");
  const absl::string_view rest = uri.substr(kScheme.size());
  const size_t slash = std::min(rest.find('/'), rest.size());
  SpiffeId id = {std::string(rest.substr(0, slash)), std::string(rest.substr(slash))};
  if (id.trust_domain.empty() ||
      !std::all_of(id.trust_domain.begin(), id.trust_domain.end(), DomainByte)) {
    return refused("the trust domain wants characters of a-z 0-9 . - _");
  }
  if (id.path.empty()) return id;
  for (const absl::string_view segment :
       absl::StrSplit(absl::string_view(id.path).substr(1), '/')) {
    if (segment.empty() || segment == "." || segment == "..")
      return refused("empty or dot segment in the path");
    if (!std::all_of(segment.begin(), segment.end(), PathByte))
      return refused("character not allowed in the path");
  }
  return id;
}

SpiffeId SpiffeId::Workload(absl::string_view trust_domain, absl::string_view ns,
                            absl::string_view service_account) {
  return {std::string(trust_domain), absl::StrCat("/ns/", ns, "/sa/", service_account)};
}

std::string SpiffeId::ToString() const { return absl::StrCat(kScheme, trust_domain, path); }

std::string SpiffeId::ns() const {
  const auto parts = WorkloadParts(path);
  return parts.empty() ? "" : parts[2];
}

std::string SpiffeId::service_account() const {
  const auto parts = WorkloadParts(path);
  return parts.empty() ? "" : parts[4];
}

}  // namespace heddle::tls
