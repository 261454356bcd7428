// Which requests a route is for.
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "source/decode/match.h"
#include "source/decode/parts.h"
#include "source/decode/route_parts.h"

namespace heddle::decode {
namespace {

namespace route = envoy::config::route::v3;

absl::Status DecodePath(const route::RouteMatch& in, const Path& at, config::RouteMatch* out) {
  using Kind = config::RouteMatch::Kind;
  absl::string_view text, field;
  switch (in.path_specifier_case()) {
    case route::RouteMatch::kPrefix:
      out->kind = Kind::kPrefix, text = in.prefix(), field = "prefix";
      break;
    case route::RouteMatch::kPath:
      out->kind = Kind::kPath, text = in.path(), field = "path";
      break;
    case route::RouteMatch::kPathSeparatedPrefix:
      out->kind = Kind::kSeparatedPrefix, text = in.path_separated_prefix(),
      field = "path_separated_prefix";
      if (text.size() < 2 || text.back() == '/') {
        return at.Field(field).Error(
            absl::StrCat("found \"", text, "\", allowed a path that does not end in \"/\""));
      }
      break;
    case route::RouteMatch::kSafeRegex: {
      out->kind = Kind::kRegex;
      HEDDLE_ASSIGN_OR_RETURN(out->regex, DecodeRegex(in.safe_regex(), at.Field("safe_regex")));
      return absl::OkStatus();
    }
    case route::RouteMatch::kConnectMatcher:
      out->kind = Kind::kConnect;
      return absl::OkStatus();
    case route::RouteMatch::PATH_SPECIFIER_NOT_SET:
      return at.Error(
          "found nothing, allowed one of prefix, path, path_separated_prefix, safe_regex, "
          "connect_matcher");
  }
  // An exact path may hold anything; a query never matches, which is a mistake worth telling.
  if (text.find_first_of("?#") != absl::string_view::npos) {
    return at.Field(field).Error(
        absl::StrCat("found \"", text, "\", allowed a path without query and fragment"));
  }
  const bool asterisk = out->kind == Kind::kPath && text == "*";  // OPTIONS *
  if (!text.empty() && text[0] != '/' && !asterisk) {
    return at.Field(field).Error(
        absl::StrCat("found \"", text, "\", allowed a path that begins with \"/\""));
  }
  out->text = out->case_sensitive ? std::string(text) : absl::AsciiStrToLower(text);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<config::RouteMatch> DecodeRouteMatch(const route::RouteMatch& in, const Path& at) {
  config::RouteMatch out;
  if (in.has_case_sensitive()) out.case_sensitive = in.case_sensitive().value();
  HEDDLE_RETURN_IF_ERROR(DecodePath(in, at, &out));
  const Path headers = at.Field("headers"), query = at.Field("query_parameters");
  for (int i = 0; i < in.headers_size(); ++i) {
    HEDDLE_ASSIGN_OR_RETURN(config::HeaderMatcher m,
                            DecodeHeader(in.headers(i), headers.Index(static_cast<size_t>(i))));
    out.headers.push_back(std::move(m));
  }
  for (int i = 0; i < in.query_parameters_size(); ++i) {
    HEDDLE_ASSIGN_OR_RETURN(
        config::QueryMatcher m,
        DecodeQuery(in.query_parameters(i), query.Index(static_cast<size_t>(i))));
    out.query.push_back(std::move(m));
  }
  if (in.has_runtime_fraction()) {
    const Path here = at.Field("runtime_fraction");
    HEDDLE_ASSIGN_OR_RETURN(
        out.runtime_fraction,
        DecodeFraction(in.runtime_fraction().default_value(), here.Field("default_value")));
  }
  out.grpc_only = in.has_grpc();
  return out;
}

}  // namespace heddle::decode
