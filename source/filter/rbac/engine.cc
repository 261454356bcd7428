#include "source/filter/rbac/engine.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "source/config/match.h"

namespace heddle::filter::rbac {
namespace {

// Envoy: the URI SANs if there are any, else the DNS SANs, else the subject.
bool Authenticated(const Condition& c, const Facts& facts) {
  if (facts.peer == nullptr || !facts.peer->tls || !facts.peer->certificate_verified) return false;
  if (c.any_principal) return true;
  const auto matches = [&](const std::string& name) { return c.text.Matches(name); };
  if (!facts.peer->uri_sans.empty()) {
    return std::any_of(facts.peer->uri_sans.begin(), facts.peer->uri_sans.end(), matches);
  }
  if (!facts.peer->dns_sans.empty()) {
    return std::any_of(facts.peer->dns_sans.begin(), facts.peer->dns_sans.end(), matches);
  }
  return matches(facts.peer->subject);
}

bool MetadataMatches(const Condition& c, const Facts& facts) {
  bool matches = false;
  if (facts.metadata != nullptr) {
    const auto space = facts.metadata->find(c.metadata_namespace);
    if (space != facts.metadata->end()) {
      const auto value = space->second.find(c.metadata_key);
      matches = value != space->second.end() && c.text.Matches(value->second);
    }
  }
  return matches != c.invert;
}

bool InRange(const net::Cidr& range, const net::Address* address) {
  return address != nullptr && range.Contains(*address);
}

absl::string_view PathOf(const http::RequestHead& head) {
  const absl::string_view path = head.path_without_query();
  return path.substr(0, path.find('#'));
}

}  // namespace

bool Condition::Matches(const Facts& facts) const {
  const auto child_matches = [&](const Condition& child) { return child.Matches(facts); };
  switch (kind) {
    case Kind::kAny:
      return true;
    case Kind::kAnd:
      return std::all_of(children.begin(), children.end(), child_matches);
    case Kind::kOr:
      return std::any_of(children.begin(), children.end(), child_matches);
    case Kind::kNot:
      return !children[0].Matches(facts);
    case Kind::kHeader:
      return facts.request != nullptr && config::Matches(header, *facts.request);
    case Kind::kPath:
      return facts.request != nullptr && text.Matches(PathOf(*facts.request));
    case Kind::kDestinationIp:
      return InRange(range, facts.local);
    case Kind::kDestinationPort:
      return facts.local != nullptr && facts.local->port() >= port_begin &&
             facts.local->port() < port_end;
    case Kind::kServerName:
      return text.Matches(facts.peer == nullptr ? absl::string_view()
                                                : absl::string_view(facts.peer->sni));
    case Kind::kAuthenticated:
      return Authenticated(*this, facts);
    case Kind::kDirectRemoteIp:
      return InRange(range, facts.direct_remote);
    case Kind::kRemoteIp:
      return InRange(range, facts.remote);
    case Kind::kMetadata:
      return MetadataMatches(*this, facts);
  }
  return false;
}

Engine::Decision Engine::Decide(const Facts& facts) const {
  const auto any = [&](const std::vector<Condition>& conditions) {
    return std::any_of(conditions.begin(), conditions.end(),
                       [&](const Condition& c) { return c.Matches(facts); });
  };
  for (const Policy& policy : policies_) {
    if (!any(policy.permissions) || !any(policy.principals)) continue;
    return {.allowed = action_ != Action::kDeny, .policy = policy.name};
  }
  return {.allowed = action_ != Action::kAllow, .policy = "none"};
}

std::string DeniedDetails(absl::string_view policy) {
  return absl::StrCat("rbac_access_denied_matched_policy[",
                      absl::StrReplaceAll(policy, {{" ", "_"}}), "]");
}

}  // namespace heddle::filter::rbac
