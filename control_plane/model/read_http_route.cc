// HTTPRoute.
#include <algorithm>
#include <array>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "control_plane/model/readers.h"
#include "heddle/v1/http_route.pb.h"

namespace heddle::model {
namespace {

using base::Path;

constexpr std::array<absl::string_view, 9> kMethods = {
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"};

void AtMost(int count, int limit, const Path& at, Checker& check) {
  if (count > limit) check.Error(at, absl::StrCat(count, " entries; at most ", limit));
}

void CheckAbsolutePath(const std::string& text, const Path& at, Checker& check) {
  if (text.empty() || text.front() != '/') check.Error(at, "does not begin with \"/\"");
  if (text.size() > 1024) check.Error(at, "longer than 1024 bytes");
  if (text.find_first_of("?#") != std::string::npos) check.Error(at, "holds '?' or '#'");
  check.HeaderValue(at, text);
}

void ReadPathMatch(const v1::HTTPPathMatch& in, const Path& at, Checker& check, RouteMatch* out) {
  const std::string value = in.value().empty() ? "/" : in.value();
  const Path here = at.Field("value");
  out->path = value;
  switch (in.type()) {
    case v1::HTTPPathMatch::RegularExpression:
      out->path_kind = PathKind::kRegex;
      check.Regex(here, value);
      return;
    case v1::HTTPPathMatch::Exact:
      out->path_kind = PathKind::kExact;
      break;
    default:
      // A trailing slash means nothing in a prefix by path elements.
      while (out->path.size() > 1 && out->path.back() == '/') out->path.pop_back();
      break;
  }
  CheckAbsolutePath(value, here, check);
}

ValueMatch ReadValueMatch(const std::string& name, const std::string& value, bool regex,
                          const Path& at, Checker& check) {
  if (regex) {
    check.Regex(at.Field("value"), value);
  } else if (value.empty()) {
    check.Error(at.Field("value"), "required");
  } else {
    check.HeaderValue(at.Field("value"), value);
  }
  return {.name = name, .value = value, .regex = regex};
}

void ReadHeaderMatches(const v1::HTTPRouteMatch& in, const Path& at, Checker& check,
                       RouteMatch* out) {
  AtMost(in.headers_size(), 16, at, check);
  std::set<std::string> names;
  for (int i = 0; i < in.headers_size(); ++i) {
    const v1::HTTPHeaderMatch& one = in.headers(i);
    const Path here = at.Index(static_cast<size_t>(i));
    check.HeaderName(here.Field("name"), one.name());
    const std::string name = absl::AsciiStrToLower(one.name());
    if (!names.insert(name).second)
      check.Error(here.Field("name"), absl::StrCat("\"", one.name(), "\" given twice"));
    out->headers.push_back(ReadValueMatch(
        name, one.value(), one.type() == v1::HTTPHeaderMatch::RegularExpression, here, check));
  }
}

void ReadQueryMatches(const v1::HTTPRouteMatch& in, const Path& at, Checker& check,
                      RouteMatch* out) {
  AtMost(in.query_params_size(), 16, at, check);
  std::set<std::string> names;
  for (int i = 0; i < in.query_params_size(); ++i) {
    const v1::HTTPQueryParamMatch& one = in.query_params(i);
    const Path here = at.Index(static_cast<size_t>(i));
    if (one.name().empty() || one.name().size() > 256)
      check.Error(here.Field("name"), "required, at most 256 bytes");
    if (!names.insert(one.name()).second)
      check.Error(here.Field("name"), absl::StrCat("\"", one.name(), "\" given twice"));
    out->query.push_back(ReadValueMatch(one.name(), one.value(),
                                        one.type() == v1::HTTPQueryParamMatch::RegularExpression,
                                        here, check));
  }
}

RouteMatch ReadMatch(const v1::HTTPRouteMatch& in, const Path& at, Checker& check) {
  RouteMatch out;
  ReadPathMatch(in.path(), at.Field("path"), check, &out);
  ReadHeaderMatches(in, at.Field("headers"), check, &out);
  ReadQueryMatches(in, at.Field("queryParams"), check, &out);
  out.method = in.method();
  if (!out.method.empty() &&
      std::find(kMethods.begin(), kMethods.end(), out.method) == kMethods.end())
    check.Error(at.Field("method"),
                absl::StrCat("\"", out.method, "\" is not one of ", absl::StrJoin(kMethods, ", ")));
  return out;
}

void ReadHeaderChanges(const v1::HTTPHeaderFilter& in, const Path& at, Checker& check,
                       HeaderChanges* out) {
  std::set<std::string> names;
  const auto once = [&](const Path& where, const std::string& name) {
    check.HeaderName(where, name);
    std::string lower = absl::AsciiStrToLower(name);
    if (lower == "host") check.Error(where, "use URLRewrite to change the host");
    if (!names.insert(lower).second) check.Error(where, absl::StrCat("\"", name, "\" given twice"));
    return lower;
  };
  const auto read = [&](const google::protobuf::RepeatedPtrField<v1::HTTPHeader>& list,
                        const Path& where, std::vector<std::pair<std::string, std::string>>* to) {
    AtMost(list.size(), 16, where, check);
    for (int i = 0; i < list.size(); ++i) {
      const Path here = where.Index(static_cast<size_t>(i));
      check.HeaderValue(here.Field("value"), list.Get(i).value());
      to->emplace_back(once(here.Field("name"), list.Get(i).name()), list.Get(i).value());
    }
  };
  read(in.set(), at.Field("set"), &out->set);
  read(in.add(), at.Field("add"), &out->add);
  AtMost(in.remove_size(), 16, at.Field("remove"), check);
  for (int i = 0; i < in.remove_size(); ++i)
    out->remove.push_back(once(at.Field("remove").Index(static_cast<size_t>(i)), in.remove(i)));
}

PathChange ReadPathChange(const v1::HTTPPathModifier& in, const Path& at, Checker& check) {
  PathChange out;
  switch (in.type()) {
    case v1::HTTPPathModifier::ReplaceFullPath:
      out.full = in.replace_full_path().empty() ? "/" : in.replace_full_path();
      CheckAbsolutePath(*out.full, at.Field("replaceFullPath"), check);
      break;
    case v1::HTTPPathModifier::ReplacePrefixMatch:
      out.prefix = in.replace_prefix_match().empty() ? "/" : in.replace_prefix_match();
      CheckAbsolutePath(*out.prefix, at.Field("replacePrefixMatch"), check);
      while (out.prefix->size() > 1 && out.prefix->back() == '/') out.prefix->pop_back();
      break;
    default:
      check.Error(at.Field("type"), "required");
      break;
  }
  return out;
}

Redirect ReadRedirect(const v1::HTTPRequestRedirectFilter& in, const Path& at, Checker& check) {
  Redirect out;
  out.scheme = in.scheme();
  if (!out.scheme.empty() && out.scheme != "http" && out.scheme != "https")
    check.Error(at.Field("scheme"), absl::StrCat("\"", out.scheme, "\" is not http or https"));
  out.hostname = in.hostname();
  if (!out.hostname.empty() && !IsDnsSubdomain(out.hostname))
    check.Error(at.Field("hostname"), absl::StrCat("\"", out.hostname, "\" is not a host name"));
  if (in.has_path()) out.path = ReadPathChange(in.path(), at.Field("path"), check);
  if (in.port() != 0) out.port = check.Port(at.Field("port"), in.port());
  if (in.status_code() != 0) out.status = in.status_code();
  constexpr std::array<int, 5> kStatuses = {301, 302, 303, 307, 308};
  if (std::find(kStatuses.begin(), kStatuses.end(), out.status) == kStatuses.end())
    check.Error(at.Field("statusCode"),
                absl::StrCat(out.status, " is not 301, 302, 303, 307 or 308"));
  return out;
}

Rewrite ReadRewrite(const v1::HTTPURLRewriteFilter& in, const Path& at, Checker& check) {
  Rewrite out;
  out.hostname = in.hostname();
  if (!out.hostname.empty() && !IsDnsSubdomain(out.hostname))
    check.Error(at.Field("hostname"), absl::StrCat("\"", out.hostname, "\" is not a host name"));
  if (in.has_path()) out.path = ReadPathChange(in.path(), at.Field("path"), check);
  return out;
}

// That exactly the part which `type` names is there.
void CheckFilterParts(const v1::HTTPRouteFilter& in, const Path& at, Checker& check) {
  const std::array<std::pair<bool, absl::string_view>, 4> parts = {{
      {in.has_request_header_modifier(), "requestHeaderModifier"},
      {in.has_response_header_modifier(), "responseHeaderModifier"},
      {in.has_request_redirect(), "requestRedirect"},
      {in.has_url_rewrite(), "urlRewrite"},
  }};
  if (in.type() == v1::HTTPRouteFilter::FILTER_UNSPECIFIED)
    return check.Error(at.Field("type"), "required");
  for (size_t i = 0; i < parts.size(); ++i) {
    const bool wanted = static_cast<size_t>(in.type()) == i + 1;
    if (wanted && !parts[i].first) check.Error(at.Field(parts[i].second), "required by the type");
    if (!wanted && parts[i].first) check.Error(at.Field(parts[i].second), "is not of the type");
  }
}

struct Filters {
  HeaderChanges request, response;
  std::optional<Redirect> redirect;
  std::optional<Rewrite> rewrite;
};

Filters ReadFilters(const google::protobuf::RepeatedPtrField<v1::HTTPRouteFilter>& in,
                    const Path& at, bool headers_only, Checker& check) {
  Filters out;
  AtMost(in.size(), 16, at, check);
  std::set<int> types;
  for (int i = 0; i < in.size(); ++i) {
    const v1::HTTPRouteFilter& one = in.Get(i);
    const Path here = at.Index(static_cast<size_t>(i));
    CheckFilterParts(one, here, check);
    if (!types.insert(one.type()).second) check.Error(here.Field("type"), "given twice");
    if (headers_only && (one.has_request_redirect() || one.has_url_rewrite()))
      check.Error(here.Field("type"), "only header modifiers are honoured on a backend");
    if (one.has_request_header_modifier())
      ReadHeaderChanges(one.request_header_modifier(), here.Field("requestHeaderModifier"), check,
                        &out.request);
    if (one.has_response_header_modifier())
      ReadHeaderChanges(one.response_header_modifier(), here.Field("responseHeaderModifier"), check,
                        &out.response);
    if (one.has_request_redirect())
      out.redirect = ReadRedirect(one.request_redirect(), here.Field("requestRedirect"), check);
    if (one.has_url_rewrite())
      out.rewrite = ReadRewrite(one.url_rewrite(), here.Field("urlRewrite"), check);
  }
  if (out.redirect && out.rewrite)
    check.Error(at, "RequestRedirect and URLRewrite exclude each other");
  return out;
}

RouteBackend ReadBackend(const v1::HTTPBackendRef& in, const std::string& ns, const Path& at,
                         Checker& check) {
  RouteBackend out;
  if (in.group() != "core") out.other_group = in.group();
  if (in.kind() != "Service") out.other_kind = in.kind();
  if (in.name().empty()) check.Error(at.Field("name"), "required");
  out.service = {in.namespace_().empty() ? ns : in.namespace_(), in.name()};
  if (in.port() != 0) out.port = check.Port(at.Field("port"), in.port());
  if (in.has_weight())
    out.weight =
        static_cast<uint32_t>(check.Bounded(at.Field("weight"), in.weight().value(), {0, 1000000}));
  Filters filters = ReadFilters(in.filters(), at.Field("filters"), true, check);
  out.request_headers = std::move(filters.request);
  out.response_headers = std::move(filters.response);
  return out;
}

void ReadTimeouts(const v1::HTTPRouteTimeouts& in, const Path& at, Checker& check, RouteRule* out) {
  const Checker::Span day{absl::Milliseconds(1), absl::Hours(24), true};
  out->request_timeout = check.Duration(at.Field("request"), in.request(), day);
  out->backend_request_timeout =
      check.Duration(at.Field("backendRequest"), in.backend_request(), day);
  const absl::Duration whole = out->request_timeout.value_or(absl::ZeroDuration());
  if (whole > absl::ZeroDuration() &&
      out->backend_request_timeout.value_or(absl::ZeroDuration()) > whole)
    check.Error(at.Field("backendRequest"), "longer than timeouts.request");
}

RouteRetry ReadRetry(const v1::HTTPRouteRetry& in, const Path& at, Checker& check) {
  RouteRetry out;
  if (!in.codes().empty()) out.codes.clear();
  for (int i = 0; i < in.codes_size(); ++i)
    out.codes.push_back(static_cast<uint32_t>(
        check.Bounded(at.Field("codes").Index(static_cast<size_t>(i)), in.codes(i), {400, 599})));
  if (in.has_attempts())
    out.attempts =
        static_cast<uint32_t>(check.Bounded(at.Field("attempts"), in.attempts().value(), {1, 10}));
  out.backoff =
      check.Duration(at.Field("backoff"), in.backoff(), {absl::Milliseconds(1), absl::Minutes(1)})
          .value_or(out.backoff);
  return out;
}

// What only makes sense, or none, in combination.
void CheckRule(const RouteRule& rule, const Path& at, Checker& check) {
  if (rule.redirect && !rule.backends.empty())
    check.Error(at.Field("backendRefs"), "not together with RequestRedirect");
  const bool by_prefix =
      (rule.redirect && rule.redirect->path.prefix) || (rule.rewrite && rule.rewrite->path.prefix);
  for (const RouteMatch& match : rule.matches)
    if (by_prefix && match.path_kind != PathKind::kPrefix)
      return check.Error(at.Field("filters"),
                         "ReplacePrefixMatch needs PathPrefix in every match of the rule");
}

RouteRule ReadRule(const v1::HTTPRouteRule& in, const std::string& ns, const Path& at,
                   Checker& check) {
  RouteRule out;
  out.name = in.name();
  AtMost(in.matches_size(), 64, at.Field("matches"), check);
  for (int i = 0; i < in.matches_size(); ++i)
    out.matches.push_back(
        ReadMatch(in.matches(i), at.Field("matches").Index(static_cast<size_t>(i)), check));
  if (out.matches.empty()) out.matches.emplace_back();
  Filters filters = ReadFilters(in.filters(), at.Field("filters"), false, check);
  out.request_headers = std::move(filters.request);
  out.response_headers = std::move(filters.response);
  out.redirect = std::move(filters.redirect);
  out.rewrite = std::move(filters.rewrite);
  AtMost(in.backend_refs_size(), 16, at.Field("backendRefs"), check);
  for (int i = 0; i < in.backend_refs_size(); ++i)
    out.backends.push_back(ReadBackend(
        in.backend_refs(i), ns, at.Field("backendRefs").Index(static_cast<size_t>(i)), check));
  ReadTimeouts(in.timeouts(), at.Field("timeouts"), check, &out);
  if (in.has_retry()) out.retry = ReadRetry(in.retry(), at.Field("retry"), check);
  CheckRule(out, at, check);
  return out;
}

RouteParent ReadParent(const v1::ParentReference& in, const std::string& ns, const Path& at,
                       Checker& check) {
  RouteParent out;
  if (!in.group().empty() && in.group() != "core")
    check.Error(at.Field("group"), absl::StrCat("\"", in.group(), "\" is not \"\""));
  if (in.kind() != "Service")
    check.Error(at.Field("kind"), absl::StrCat("\"", in.kind(), "\" is not \"Service\""));
  if (in.name().empty()) check.Error(at.Field("name"), "required");
  out.service = {in.namespace_().empty() ? ns : in.namespace_(), in.name()};
  if (in.port() != 0) out.port = check.Port(at.Field("port"), in.port());
  return out;
}

}  // namespace

Route ReadHttpRoute(const v1::HTTPRoute& in, Checker& check) {
  Route out;
  const Path root;
  const Path at = root.Field("spec");
  out.key = check.ReadKey(in.metadata(), false);
  check.CheckApiVersion(in.api_version(),
                        {"gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1beta1"});
  if (!in.metadata().creation_timestamp().empty()) {
    std::string why;
    if (!absl::ParseTime(absl::RFC3339_full, in.metadata().creation_timestamp(), &out.created,
                         &why))
      check.Error(root.Field("metadata").Field("creationTimestamp"), why);
  }
  if (in.spec().parent_refs().empty()) check.Error(at.Field("parentRefs"), "required");
  AtMost(in.spec().parent_refs_size(), 32, at.Field("parentRefs"), check);
  for (int i = 0; i < in.spec().parent_refs_size(); ++i)
    out.parents.push_back(ReadParent(in.spec().parent_refs(i), out.key.ns,
                                     at.Field("parentRefs").Index(static_cast<size_t>(i)), check));
  if (!in.spec().hostnames().empty())
    check.Warning(at.Field("hostnames"), "no effect: a mesh route's hosts are its Service's names");
  AtMost(in.spec().rules_size(), 16, at.Field("rules"), check);
  for (int i = 0; i < in.spec().rules_size(); ++i)
    out.rules.push_back(ReadRule(in.spec().rules(i), out.key.ns,
                                 at.Field("rules").Index(static_cast<size_t>(i)), check));
  if (out.rules.empty()) {
    out.rules.emplace_back();
    out.rules.back().matches.emplace_back();
  }
  return out;
}

}  // namespace heddle::model
