#include "source/proxy/rewrite.h"

#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace heddle::proxy {
namespace {

using http::HeaderId;

std::optional<std::string> Rewritten(const config::RouteMatch& match,
                                     absl::string_view prefix_rewrite,
                                     const std::optional<config::RegexRewrite>& regex,
                                     absl::string_view whole, const http::RequestHead& head) {
  const absl::string_view path = head.path_without_query();
  const absl::string_view rest = head.path.substr(path.size());  // "?query" or empty
  if (!whole.empty()) return absl::StrCat(whole, rest);
  if (!prefix_rewrite.empty()) {
    const bool all = match.kind == config::RouteMatch::Kind::kRegex ||
                     match.kind == config::RouteMatch::Kind::kPath;
    const size_t matched = all ? path.size() : std::min(match.text.size(), path.size());
    return absl::StrCat(prefix_rewrite, path.substr(matched), rest);
  }
  if (regex) {
    std::string text(path);
    RE2::GlobalReplace(&text, *regex->pattern, regex->substitution);
    return absl::StrCat(text, rest);
  }
  return std::nullopt;
}

// "host:443" loses its port when the redirect gives another one, or the scheme changes away from
// the port's own.
absl::string_view RedirectHost(absl::string_view host, absl::string_view from, absl::string_view to,
                               bool new_port) {
  const size_t colon = host.rfind(':');
  if (colon == absl::string_view::npos || absl::EndsWith(host, "]")) return host;
  const absl::string_view port = host.substr(colon + 1);
  bool drop = new_port;
  if (from != to)
    drop = drop || (from == "https" && port == "443") || (from == "http" && port == "80");
  return drop ? host.substr(0, colon) : host;
}

}  // namespace

void RewriteHostTo(const config::RouteAction& action, absl::string_view host, bool keep_original,
                   http::RequestHead& head) {
  if (host.empty()) return;
  if (keep_original) head.headers.Set(HeaderId::kXEnvoyOriginalHost, head.authority);
  if (host == head.authority) return;
  if (action.append_x_forwarded_host) {
    const auto before = head.headers.Get(HeaderId::kXForwardedHost);
    const std::string value =
        before ? absl::StrCat(*before, ",", head.authority) : std::string(head.authority);
    head.headers.Set(HeaderId::kXForwardedHost, value);
  }
  head.SetAuthority(host);
}

void RewriteRequest(const config::Route& route, bool keep_original, http::RequestHead& head) {
  const config::RouteAction& action = route.forward;
  if (!action.host_rewrite.empty()) {
    RewriteHostTo(action, action.host_rewrite, keep_original, head);
  } else if (!action.host_rewrite_header.empty()) {
    const auto value = head.headers.Get(action.host_rewrite_header);
    if (value) RewriteHostTo(action, *value, keep_original, head);
  }
  if (action.prefix_rewrite.empty() && action.path_rewrite.empty() && !action.regex_rewrite) return;
  const auto path = Rewritten(route.match, action.prefix_rewrite, action.regex_rewrite,
                              action.path_rewrite, head);
  if (!path) return;
  if (keep_original) head.headers.Set(HeaderId::kXEnvoyOriginalPath, head.path);
  head.SetPath(*path);
}

std::string RedirectUrl(const config::Route& route, const http::RequestHead& head) {
  const config::RedirectAction& to = route.redirect;
  const absl::string_view from_scheme =
      head.headers.Get(HeaderId::kXForwardedProto).value_or(head.scheme);
  absl::string_view scheme = from_scheme;
  if (!to.scheme.empty()) {
    scheme = to.scheme;
  } else if (to.https_redirect) {
    scheme = "https";
  }
  const std::string port = to.port ? absl::StrCat(":", *to.port) : "";
  const absl::string_view host =
      !to.host.empty() ? absl::string_view(to.host)
                       : RedirectHost(head.authority, from_scheme, scheme, to.port.has_value());
  std::string path(head.path);
  if (!to.path.empty()) {
    path = to.path;
    if (!absl::StrContains(path, '?'))
      absl::StrAppend(&path, head.path.substr(head.path_without_query().size()));
  } else if (auto rewritten =
                 Rewritten(route.match, to.prefix_rewrite, to.regex_rewrite, "", head)) {
    path = *std::move(rewritten);
  }
  if (to.strip_query) path = path.substr(0, path.find('?'));
  return absl::StrCat(scheme, "://", host, port, path);
}

}  // namespace heddle::proxy
