#include "control_plane/heddlectl/match.h"

#include <arpa/inet.h>

#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "envoy/config/rbac/v3/rbac.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "re2/re2.h"

namespace heddle::heddlectl {
namespace {

namespace route = envoy::config::route::v3;
namespace rbac = envoy::config::rbac::v3;
using envoy::type::matcher::v3::StringMatcher;

bool FullMatch(const std::string& text, const std::string& regex) {
  return RE2::FullMatch(text, RE2(regex, RE2::Quiet));
}

bool MatchText(const StringMatcher& matcher, const std::string& original) {
  const auto fold = [&](const std::string& text) {
    return matcher.ignore_case() ? absl::AsciiStrToLower(text) : text;
  };
  const std::string text = fold(original);
  switch (matcher.match_pattern_case()) {
    case StringMatcher::kExact:
      return text == fold(matcher.exact());
    case StringMatcher::kPrefix:
      return absl::StartsWith(text, fold(matcher.prefix()));
    case StringMatcher::kSuffix:
      return absl::EndsWith(text, fold(matcher.suffix()));
    case StringMatcher::kSafeRegex:
      return FullMatch(original, matcher.safe_regex().regex());
    case StringMatcher::kContains:
      return absl::StrContains(text, fold(matcher.contains()));
    case StringMatcher::MATCH_PATTERN_NOT_SET:
      return false;
  }
  return false;
}

std::string PathOnly(const std::string& path) { return path.substr(0, path.find_first_of("?#")); }

std::optional<std::string> HeaderOf(const ImaginedRequest& request, const std::string& name) {
  const std::string lower = absl::AsciiStrToLower(name);
  if (lower == ":authority" || lower == "host") return request.authority;
  if (lower == ":path") return request.path;
  if (lower == ":method") return request.method;
  const auto found = request.headers.find(lower);
  return found == request.headers.end() ? std::nullopt : std::optional(found->second);
}

bool MatchValue(const route::HeaderMatcher& matcher, const std::string& value) {
  int64_t number = 0;
  switch (matcher.header_match_specifier_case()) {
    case route::HeaderMatcher::kExactMatch:
      return value == matcher.exact_match();
    case route::HeaderMatcher::kSafeRegexMatch:
      return FullMatch(value, matcher.safe_regex_match().regex());
    case route::HeaderMatcher::kRangeMatch:
      return absl::SimpleAtoi(value, &number) && number >= matcher.range_match().start() &&
             number < matcher.range_match().end();
    case route::HeaderMatcher::kPresentMatch:
      return matcher.present_match();
    case route::HeaderMatcher::kPrefixMatch:
      return absl::StartsWith(value, matcher.prefix_match());
    case route::HeaderMatcher::kSuffixMatch:
      return absl::EndsWith(value, matcher.suffix_match());
    case route::HeaderMatcher::kContainsMatch:
      return absl::StrContains(value, matcher.contains_match());
    case route::HeaderMatcher::kStringMatch:
      return MatchText(matcher.string_match(), value);
    case route::HeaderMatcher::HEADER_MATCH_SPECIFIER_NOT_SET:
      return true;
  }
  return false;
}

bool MatchHeader(const route::HeaderMatcher& matcher, const ImaginedRequest& request) {
  std::optional<std::string> value = HeaderOf(request, matcher.name());
  if (!value && matcher.treat_missing_header_as_empty()) value = "";
  if (matcher.header_match_specifier_case() == route::HeaderMatcher::kPresentMatch)
    return (value.has_value() == matcher.present_match()) != matcher.invert_match();
  // A header that is missing matches nothing, not even inverted.
  return value.has_value() && MatchValue(matcher, *value) != matcher.invert_match();
}

bool MatchQuery(const route::QueryParameterMatcher& matcher, const std::string& path) {
  const size_t question = path.find('?');
  if (question == std::string::npos) return false;
  for (const absl::string_view pair :
       absl::StrSplit(absl::string_view(path).substr(question + 1), '&')) {
    const size_t equals = pair.find('=');
    if (pair.substr(0, equals) != matcher.name()) continue;
    const std::string value(equals == absl::string_view::npos ? "" : pair.substr(equals + 1));
    return matcher.has_string_match() ? MatchText(matcher.string_match(), value) : true;
  }
  return false;
}

bool MatchPath(const route::RouteMatch& match, const std::string& original) {
  const bool fold = match.has_case_sensitive() && !match.case_sensitive().value();
  const auto same = [&](const std::string& text) {
    return fold ? absl::AsciiStrToLower(text) : text;
  };
  const std::string path = same(original);
  switch (match.path_specifier_case()) {
    case route::RouteMatch::kPrefix:
      return absl::StartsWith(path, same(match.prefix()));
    case route::RouteMatch::kPath:
      return path == same(match.path());
    case route::RouteMatch::kSafeRegex:
      return FullMatch(original, match.safe_regex().regex());
    case route::RouteMatch::kPathSeparatedPrefix: {
      const std::string prefix = same(match.path_separated_prefix());
      return absl::StartsWith(path, prefix) &&
             (path.size() == prefix.size() || path[prefix.size()] == '/');
    }
    case route::RouteMatch::kConnectMatcher:
    case route::RouteMatch::PATH_SPECIFIER_NOT_SET:
      return false;
  }
  return false;
}

bool InRange(const envoy::config::core::v3::CidrRange& range, const std::string& address) {
  unsigned char want[16], have[16];
  const int family = absl::StrContains(address, ":") ? AF_INET6 : AF_INET;
  if (::inet_pton(family, range.address_prefix().c_str(), want) != 1 ||
      ::inet_pton(family, address.c_str(), have) != 1)
    return false;
  const uint32_t bits = range.prefix_len().value();
  for (uint32_t i = 0; i < bits && i < (family == AF_INET ? 32u : 128u); ++i)
    if (((want[i / 8] ^ have[i / 8]) >> (7 - i % 8)) & 1) return false;
  return true;
}

bool MatchPermission(const rbac::Permission& permission, const ImaginedRequest& request) {
  const auto matches = [&](const rbac::Permission& one) { return MatchPermission(one, request); };
  switch (permission.rule_case()) {
    case rbac::Permission::kAndRules:
      return std::all_of(permission.and_rules().rules().begin(),
                         permission.and_rules().rules().end(), matches);
    case rbac::Permission::kOrRules:
      return std::any_of(permission.or_rules().rules().begin(), permission.or_rules().rules().end(),
                         matches);
    case rbac::Permission::kAny:
      return permission.any();
    case rbac::Permission::kHeader:
      return MatchHeader(permission.header(), request);
    case rbac::Permission::kUrlPath:
      return MatchText(permission.url_path().path(), PathOnly(request.path));
    case rbac::Permission::kDestinationPort:
      return permission.destination_port() == request.destination_port;
    case rbac::Permission::kNotRule:
      return !matches(permission.not_rule());
    default:
      return false;  // translation makes none of the others
  }
}

bool MatchPrincipal(const rbac::Principal& principal, const ImaginedRequest& request) {
  const auto matches = [&](const rbac::Principal& one) { return MatchPrincipal(one, request); };
  switch (principal.identifier_case()) {
    case rbac::Principal::kAndIds:
      return std::all_of(principal.and_ids().ids().begin(), principal.and_ids().ids().end(),
                         matches);
    case rbac::Principal::kOrIds:
      return std::any_of(principal.or_ids().ids().begin(), principal.or_ids().ids().end(), matches);
    case rbac::Principal::kAny:
      return principal.any();
    case rbac::Principal::kAuthenticated:
      return !request.principal.empty() &&
             (!principal.authenticated().has_principal_name() ||
              MatchText(principal.authenticated().principal_name(), request.principal));
    case rbac::Principal::kDirectRemoteIp:
      return InRange(principal.direct_remote_ip(), request.source_ip);
    case rbac::Principal::kNotId:
      return !matches(principal.not_id());
    default:
      return false;  // translation makes none of the others
  }
}

}  // namespace

bool Matches(const route::RouteMatch& match, const ImaginedRequest& request) {
  return MatchPath(match, PathOnly(request.path)) &&
         std::all_of(match.headers().begin(), match.headers().end(),
                     [&](const route::HeaderMatcher& one) { return MatchHeader(one, request); }) &&
         std::all_of(match.query_parameters().begin(), match.query_parameters().end(),
                     [&](const route::QueryParameterMatcher& one) {
                       return MatchQuery(one, request.path);
                     });
}

bool Matches(const rbac::Policy& policy, const ImaginedRequest& request) {
  return std::any_of(policy.permissions().begin(), policy.permissions().end(),
                     [&](const rbac::Permission& one) { return MatchPermission(one, request); }) &&
         std::any_of(policy.principals().begin(), policy.principals().end(),
                     [&](const rbac::Principal& one) { return MatchPrincipal(one, request); });
}

const route::VirtualHost* FindVirtualHost(const route::RouteConfiguration& routes,
                                          const std::string& authority, std::string* domain) {
  const std::string host = absl::AsciiStrToLower(authority);
  // Rank of a pattern that matches: exact beats suffix beats prefix beats "*", longer beats
  // shorter.
  const auto rank = [&](const std::string& pattern) -> size_t {
    const std::string lower = absl::AsciiStrToLower(pattern);
    if (lower == host) return 3'000'000;
    if (lower == "*") return 1;
    if (lower.front() == '*' && lower.size() - 1 < host.size() &&
        absl::EndsWith(host, lower.substr(1)))
      return 2'000'000 + lower.size();
    if (lower.back() == '*' && lower.size() - 1 < host.size() &&
        absl::StartsWith(host, lower.substr(0, lower.size() - 1)))
      return 1'000'000 + lower.size();
    return 0;
  };
  const route::VirtualHost* best = nullptr;
  size_t best_rank = 0;
  for (const route::VirtualHost& candidate : routes.virtual_hosts()) {
    for (const std::string& pattern : candidate.domains()) {
      if (pattern.empty() || rank(pattern) <= best_rank) continue;
      best = &candidate;
      best_rank = rank(pattern);
      *domain = pattern;
    }
  }
  return best;
}

}  // namespace heddle::heddlectl
