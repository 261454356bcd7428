#include "source/proxy/route_table.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "source/config/match.h"

namespace heddle::proxy {
namespace {

using http::RequestHead;

// Lower-case text of a host without touching the heap for any sensible length.
class LowerHost {
 public:
  explicit LowerHost(absl::string_view host) {
    if (host.size() <= sizeof(small_)) {
      for (size_t i = 0; i < host.size(); ++i)
        small_[i] = absl::ascii_tolower(static_cast<unsigned char>(host[i]));
      text_ = absl::string_view(small_, host.size());
    } else {
      large_ = absl::AsciiStrToLower(host);
      text_ = large_;
    }
  }
  LowerHost(const LowerHost&) = delete;
  absl::string_view text() const { return text_; }

 private:
  char small_[256];
  std::string large_;
  absl::string_view text_;
};

absl::string_view WithoutPort(absl::string_view host) {
  const size_t colon = host.rfind(':');
  if (colon == absl::string_view::npos) return host;
  const size_t bracket = host.rfind(']');
  if (bracket != absl::string_view::npos && bracket > colon) return host;  // [::1]
  return host.substr(0, colon);
}

bool PathMatches(const config::RouteMatch& match, const RequestHead& head) {
  using Kind = config::RouteMatch::Kind;
  if (match.kind == Kind::kConnect) return head.method == "CONNECT";
  if (head.path.empty()) return false;
  const absl::string_view path = head.path_without_query();
  const absl::string_view text = match.text;
  switch (match.kind) {
    case Kind::kPrefix:
      return match.case_sensitive ? absl::StartsWith(path, text)
                                  : absl::StartsWithIgnoreCase(path, text);
    case Kind::kPath:
      return match.case_sensitive ? path == text : absl::EqualsIgnoreCase(path, text);
    case Kind::kRegex:
      return RE2::FullMatch(re2::StringPiece(path.data(), path.size()), *match.regex);
    case Kind::kSeparatedPrefix:
      if (path.size() > text.size() && path[text.size()] != '/') return false;
      return match.case_sensitive ? absl::StartsWith(path, text)
                                  : absl::StartsWithIgnoreCase(path, text);
    case Kind::kConnect:
      return true;
  }
  return false;
}

// First value of a query parameter, as written (Envoy does not decode it either).
std::optional<absl::string_view> QueryValue(absl::string_view query, absl::string_view name) {
  while (!query.empty()) {
    const size_t end = std::min(query.find('&'), query.size());
    const absl::string_view pair = query.substr(0, end);
    const size_t equals = std::min(pair.find('='), pair.size());
    if (pair.substr(0, equals) == name) return equals == pair.size() ? "" : pair.substr(equals + 1);
    query.remove_prefix(std::min(end + 1, query.size()));
  }
  return std::nullopt;
}

bool QueryMatches(const config::QueryMatcher& matcher, absl::string_view query) {
  const std::optional<absl::string_view> value = QueryValue(query, matcher.name);
  if (!value) return false;
  return !matcher.string || matcher.string->Matches(*value);
}

// `wildcards` by fixed part; `lengths` of the fixed parts, longest first.
const VirtualHostSpec* FindWildcard(
    const absl::flat_hash_map<std::string, const VirtualHostSpec*>& wildcards,
    const std::vector<size_t>& lengths, absl::string_view host, bool suffix) {
  for (size_t length : lengths) {
    if (host.size() <= length) continue;
    const auto it =
        wildcards.find(suffix ? host.substr(host.size() - length) : host.substr(0, length));
    if (it != wildcards.end()) return it->second;
  }
  return nullptr;
}

void AddLength(std::vector<size_t>* lengths, size_t length) {
  if (std::find(lengths->begin(), lengths->end(), length) == lengths->end())
    lengths->push_back(length);
}

bool TlsRequired(const config::VirtualHost& host, const RequestHead& head) {
  if (host.require_tls == config::VirtualHost::Tls::kNone) return false;
  if (head.headers.Get(http::HeaderId::kXForwardedProto).value_or(head.scheme) == "https")
    return false;
  return host.require_tls == config::VirtualHost::Tls::kAll ||
         !head.headers.Has(http::HeaderId::kXEnvoyInternal);
}

}  // namespace

bool RouteMatches(const config::RouteMatch& match, const RequestHead& head, uint64_t random) {
  if (!PathMatches(match, head)) return false;
  if (match.runtime_fraction &&
      random % match.runtime_fraction->denominator >= match.runtime_fraction->numerator) {
    return false;
  }
  if (match.grpc_only && !head.grpc()) return false;
  for (const config::HeaderMatcher& matcher : match.headers) {
    if (!config::Matches(matcher, head)) return false;
  }
  for (const config::QueryMatcher& matcher : match.query) {
    if (!QueryMatches(matcher, head.query())) return false;
  }
  return true;
}

size_t ChooseWeighted(const config::RouteAction& action, uint64_t random) {
  uint64_t left = action.total_weight == 0 ? 0 : random % action.total_weight;
  for (size_t i = 0; i + 1 < action.weighted.size(); ++i) {
    if (left < action.weighted[i].weight) return i;
    left -= action.weighted[i].weight;
  }
  return action.weighted.size() - 1;
}

std::shared_ptr<const RouteTable> RouteTable::Create(
    std::shared_ptr<const config::RouteConfiguration> config) {
  return std::shared_ptr<const RouteTable>(new RouteTable(std::move(config)));
}

RouteTable::RouteTable(std::shared_ptr<const config::RouteConfiguration> config)
    : config_(std::move(config)), request_(config_->request), response_(config_->response) {
  hosts_.reserve(config_->virtual_hosts.size());
  for (const config::VirtualHost& host : config_->virtual_hosts) {
    VirtualHostSpec& spec = hosts_.emplace_back();
    spec.config = &host;
    spec.request = HeaderMutation(host.request);
    spec.response = HeaderMutation(host.response);
    spec.routes.reserve(host.routes.size());
    for (const config::Route& route : host.routes) {
      RouteSpec& r = spec.routes.emplace_back();
      r.config = &route;
      r.request = HeaderMutation(route.request);
      r.response = HeaderMutation(route.response);
      for (const config::WeightedCluster& w : route.forward.weighted) {
        r.weighted.push_back({HeaderMutation(w.request), HeaderMutation(w.response)});
      }
    }
    for (const std::string& domain : host.domains) {
      if (domain == "*") {
        any_ = &spec;
      } else if (absl::StartsWith(domain, "*")) {
        suffix_.emplace(domain.substr(1), &spec);
        AddLength(&suffix_lengths_, domain.size() - 1);
      } else if (absl::EndsWith(domain, "*")) {
        prefix_.emplace(domain.substr(0, domain.size() - 1), &spec);
        AddLength(&prefix_lengths_, domain.size() - 1);
      } else {
        exact_.emplace(domain, &spec);
      }
    }
  }
  std::sort(suffix_lengths_.rbegin(), suffix_lengths_.rend());
  std::sort(prefix_lengths_.rbegin(), prefix_lengths_.rend());
}

const VirtualHostSpec* RouteTable::FindHost(absl::string_view authority) const {
  if (exact_.empty() && suffix_.empty() && prefix_.empty()) return any_;
  const LowerHost lower(config_->ignore_port_in_host ? WithoutPort(authority) : authority);
  const absl::string_view host = lower.text();
  const auto exact = exact_.find(host);
  if (exact != exact_.end()) return exact->second;
  if (const auto* found = FindWildcard(suffix_, suffix_lengths_, host, true)) return found;
  if (const auto* found = FindWildcard(prefix_, prefix_lengths_, host, false)) return found;
  return any_;
}

RouteTable::Match RouteTable::Find(const RequestHead& head, uint64_t random) const {
  Match match;
  match.host = FindHost(head.authority);
  if (match.host == nullptr) return match;
  match.tls_required = TlsRequired(*match.host->config, head);
  for (const RouteSpec& route : match.host->routes) {
    if (!RouteMatches(route.config->match, head, random)) continue;
    match.route = &route;
    break;
  }
  return match;
}

const void* RouteTable::FilterConfig(const Match& match, int weighted,
                                     absl::string_view name) const {
  const auto look = [name](const config::FilterConfigs& configs) -> const void* {
    if (configs.empty()) return nullptr;
    const auto it = configs.find(name);
    return it == configs.end() ? nullptr : it->second.get();
  };
  const void* found = nullptr;
  if (match.route != nullptr) {
    const config::Route& route = *match.route->config;
    if (weighted >= 0) found = look(route.forward.weighted[static_cast<size_t>(weighted)].filters);
    if (found == nullptr) found = look(route.filters);
  }
  if (found == nullptr && match.host != nullptr) found = look(match.host->config->filters);
  if (found == nullptr) found = look(config_->filters);
  return found;
}

}  // namespace heddle::proxy
