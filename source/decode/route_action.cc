// What a route does with its requests.
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "source/decode/match.h"
#include "source/decode/parts.h"
#include "source/decode/route_parts.h"

namespace heddle::decode {
namespace {

namespace core = envoy::config::core::v3;
namespace route = envoy::config::route::v3;

absl::Status DecodeWeighted(const route::WeightedCluster& in, const Path& at, Context& context,
                            config::RouteAction* out) {
  const Path list = at.Field("clusters");
  if (in.clusters().empty()) return list.Error("found none, allowed 1 or more");
  for (int i = 0; i < in.clusters_size(); ++i) {
    const auto& cluster = in.clusters(i);
    const Path here = list.Index(static_cast<size_t>(i));
    config::WeightedCluster weighted;
    weighted.name = cluster.name();
    if (weighted.name.empty()) return here.Field("name").Error("required");
    weighted.weight = cluster.weight().value();
    out->total_weight += weighted.weight;
    HEDDLE_RETURN_IF_ERROR(DecodeOwnSettings(cluster, here, context, &weighted));
    out->weighted.push_back(std::move(weighted));
  }
  if (out->total_weight == 0 || out->total_weight > kMaxUint) {
    return list.Error(
        absl::StrCat("weights sum to ", out->total_weight, ", allowed 1 to ", kMaxUint));
  }
  return absl::OkStatus();
}

absl::Status DecodeDestination(const route::RouteAction& in, const Path& at, Context& context,
                               config::RouteAction* out) {
  switch (in.cluster_specifier_case()) {
    case route::RouteAction::kCluster:
      out->cluster = in.cluster();
      if (out->cluster.empty()) return at.Field("cluster").Error("must not be empty");
      break;
    case route::RouteAction::kClusterHeader:
      out->cluster_header = absl::AsciiStrToLower(in.cluster_header());
      if (out->cluster_header != ":authority" && !IsHeaderName(out->cluster_header)) {
        return at.Field("cluster_header")
            .Error(absl::StrCat("found \"", in.cluster_header(), "\", allowed a header name"));
      }
      break;
    case route::RouteAction::kWeightedClusters:
      HEDDLE_RETURN_IF_ERROR(
          DecodeWeighted(in.weighted_clusters(), at.Field("weighted_clusters"), context, out));
      break;
    case route::RouteAction::CLUSTER_SPECIFIER_NOT_SET:
      return at.Error("found nothing, allowed one of cluster, cluster_header, weighted_clusters");
  }
  switch (in.cluster_not_found_response_code()) {
    case route::RouteAction::SERVICE_UNAVAILABLE:
      out->cluster_not_found_status = 503;
      return absl::OkStatus();
    case route::RouteAction::NOT_FOUND:
      out->cluster_not_found_status = 404;
      return absl::OkStatus();
    case route::RouteAction::INTERNAL_SERVER_ERROR:
      out->cluster_not_found_status = 500;
      return absl::OkStatus();
    default:
      return BadEnum(route::RouteAction::ClusterNotFoundResponseCode_descriptor(),
                     in.cluster_not_found_response_code(),
                     at.Field("cluster_not_found_response_code"),
                     "SERVICE_UNAVAILABLE, NOT_FOUND, INTERNAL_SERVER_ERROR");
  }
}

absl::Status DecodeRewrites(const route::RouteAction& in, const Path& at,
                            config::RouteAction* out) {
  out->prefix_rewrite = in.prefix_rewrite();
  if (!IsHeaderValue(out->prefix_rewrite))
    return at.Field("prefix_rewrite").Error("holds CR, LF or NUL");
  if (in.has_regex_rewrite()) {
    if (!out->prefix_rewrite.empty())
      return at.Field("regex_rewrite").Error("only one of prefix_rewrite and regex_rewrite");
    HEDDLE_ASSIGN_OR_RETURN(out->regex_rewrite,
                            DecodeRegexRewrite(in.regex_rewrite(), at.Field("regex_rewrite")));
  }
  switch (in.host_rewrite_specifier_case()) {
    case route::RouteAction::kHostRewriteLiteral:
      out->host_rewrite = in.host_rewrite_literal();
      if (!IsHeaderValue(out->host_rewrite))
        return at.Field("host_rewrite_literal").Error("holds CR, LF or NUL");
      break;
    case route::RouteAction::kHostRewriteHeader:
      out->host_rewrite_header = absl::AsciiStrToLower(in.host_rewrite_header());
      if (!IsHeaderName(out->host_rewrite_header)) {
        return at.Field("host_rewrite_header")
            .Error(absl::StrCat("found \"", in.host_rewrite_header(), "\", allowed a header name"));
      }
      break;
    case route::RouteAction::kAutoHostRewrite:
      out->auto_host_rewrite = in.auto_host_rewrite().value();
      break;
    case route::RouteAction::HOST_REWRITE_SPECIFIER_NOT_SET:
      break;
  }
  out->append_x_forwarded_host = in.append_x_forwarded_host();
  return absl::OkStatus();
}

absl::Status OptionalDuration(bool has, const google::protobuf::Duration& in, const Path& at,
                              std::optional<absl::Duration>* out) {
  if (!has) return absl::OkStatus();
  HEDDLE_ASSIGN_OR_RETURN(*out, DecodeDuration(in, at));
  return absl::OkStatus();
}

absl::Status DecodeTimeouts(const route::RouteAction& in, const Path& at,
                            config::RouteAction* out) {
  HEDDLE_RETURN_IF_ERROR(
      OptionalDuration(in.has_timeout(), in.timeout(), at.Field("timeout"), &out->timeout));
  HEDDLE_RETURN_IF_ERROR(OptionalDuration(in.has_idle_timeout(), in.idle_timeout(),
                                          at.Field("idle_timeout"), &out->idle_timeout));
  const Path here = at.Field("max_stream_duration");
  const auto& stream = in.max_stream_duration();
  out->stream_duration = in.has_max_stream_duration();
  HEDDLE_RETURN_IF_ERROR(
      OptionalDuration(stream.has_max_stream_duration(), stream.max_stream_duration(),
                       here.Field("max_stream_duration"), &out->max_stream_duration));
  return OptionalDuration(stream.has_grpc_timeout_header_max(), stream.grpc_timeout_header_max(),
                          here.Field("grpc_timeout_header_max"), &out->max_grpc_timeout);
}

absl::StatusOr<config::HashPolicy> DecodeHash(const route::RouteAction::HashPolicy& in,
                                              const Path& at, Context& context) {
  using Kind = config::HashPolicy::Kind;
  config::HashPolicy out;
  out.terminal = in.terminal();
  switch (in.policy_specifier_case()) {
    case route::RouteAction::HashPolicy::kHeader:
      out.kind = Kind::kHeader;
      out.name = absl::AsciiStrToLower(in.header().header_name());
      if (!absl::StartsWith(out.name, ":") && !IsHeaderName(out.name)) {
        const Path here = at.Field("header");
        return here.Field("header_name")
            .Error(absl::StrCat("found \"", out.name, "\", allowed a header name"));
      }
      return out;
    case route::RouteAction::HashPolicy::kCookie: {
      const Path here = at.Field("cookie");
      out.kind = Kind::kCookie;
      out.name = in.cookie().name();
      if (out.name.empty() || !IsHeaderName(out.name)) {
        return here.Field("name").Error(
            absl::StrCat("found \"", out.name, "\", allowed a cookie name"));
      }
      out.cookie_path = in.cookie().path();
      if (out.cookie_path.find(';') != std::string::npos || !IsHeaderValue(out.cookie_path)) {
        return here.Field("path").Error("holds \";\", CR, LF or NUL");
      }
      out.cookie_generate = in.cookie().has_ttl();
      NotHonoured(out.cookie_generate, here.Field("ttl"), context);
      HEDDLE_RETURN_IF_ERROR(
          Duration(in.cookie().has_ttl(), in.cookie().ttl(), here.Field("ttl"), &out.cookie_ttl));
      return out;
    }
    case route::RouteAction::HashPolicy::kConnectionProperties: {
      const Path here = at.Field("connection_properties");
      out.kind = Kind::kSourceIp;
      if (!in.connection_properties().source_ip())
        return here.Field("source_ip").Error("found false, allowed true");
      return out;
    }
    case route::RouteAction::HashPolicy::kQueryParameter: {
      const Path here = at.Field("query_parameter");
      out.kind = Kind::kQuery;
      out.name = in.query_parameter().name();
      if (out.name.empty()) return here.Field("name").Error("required");
      return out;
    }
    case route::RouteAction::HashPolicy::POLICY_SPECIFIER_NOT_SET:
      break;
  }
  return at.Error(
      "found nothing, allowed one of header, cookie, connection_properties, query_parameter");
}

absl::Status DecodeMirrors(const route::RouteAction& in, const Path& at, config::RouteAction* out) {
  for (int i = 0; i < in.request_mirror_policies_size(); ++i) {
    const auto& mirror = in.request_mirror_policies(i);
    const Path here = at.Index(static_cast<size_t>(i));
    config::MirrorPolicy policy;
    policy.cluster = mirror.cluster();
    if (policy.cluster.empty()) return here.Field("cluster").Error("required");
    if (mirror.has_runtime_fraction()) {
      const Path share = here.Field("runtime_fraction");
      HEDDLE_ASSIGN_OR_RETURN(
          policy.fraction,
          DecodeFraction(mirror.runtime_fraction().default_value(), share.Field("default_value")));
    }
    out->mirrors.push_back(std::move(policy));
  }
  return absl::OkStatus();
}

absl::Status DecodeUpgrades(const route::RouteAction& in, const Path& at, Context& context,
                            config::RouteAction* out) {
  for (int i = 0; i < in.upgrade_configs_size(); ++i) {
    const auto& upgrade = in.upgrade_configs(i);
    const Path here = at.Index(static_cast<size_t>(i));
    const std::string type = absl::AsciiStrToLower(upgrade.upgrade_type());
    if (!IsHeaderName(type)) return here.Field("upgrade_type").Error("required");
    const bool enabled = !upgrade.has_enabled() || upgrade.enabled().value();
    if (!out->upgrades.emplace(type, enabled).second) {
      return here.Field("upgrade_type").Error(absl::StrCat("duplicate \"", type, "\""));
    }
    if (upgrade.has_connect_config()) {
      if (type != "connect")
        return here.Field("connect_config").Error("only with upgrade_type CONNECT");
      out->connect_terminate = enabled;
      NotHonoured(enabled, here.Field("connect_config"), context);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status DecodeForward(const route::RouteAction& in, const Path& at, Context& context,
                           config::RouteAction* out) {
  HEDDLE_RETURN_IF_ERROR(DecodeDestination(in, at, context, out));
  HEDDLE_RETURN_IF_ERROR(DecodeRewrites(in, at, out));
  HEDDLE_RETURN_IF_ERROR(DecodeTimeouts(in, at, out));
  if (in.has_retry_policy()) {
    HEDDLE_ASSIGN_OR_RETURN(config::RetryPolicy retry,
                            DecodeRetry(in.retry_policy(), at.Field("retry_policy"), context));
    out->retry = std::make_shared<const config::RetryPolicy>(std::move(retry));
  }
  const Path hash = at.Field("hash_policy");
  for (int i = 0; i < in.hash_policy_size(); ++i) {
    HEDDLE_ASSIGN_OR_RETURN(
        config::HashPolicy policy,
        DecodeHash(in.hash_policy(i), hash.Index(static_cast<size_t>(i)), context));
    out->hash.push_back(std::move(policy));
  }
  HEDDLE_RETURN_IF_ERROR(DecodeMirrors(in, at.Field("request_mirror_policies"), out));
  HEDDLE_RETURN_IF_ERROR(DecodeUpgrades(in, at.Field("upgrade_configs"), context, out));
  if (in.priority() != core::DEFAULT && in.priority() != core::HIGH) {
    return BadEnum(core::RoutingPriority_descriptor(), in.priority(), at.Field("priority"),
                   "DEFAULT, HIGH");
  }
  out->high_priority = in.priority() == core::HIGH;
  return absl::OkStatus();
}

absl::Status DecodeRedirect(const route::RedirectAction& in, const Path& at,
                            config::RedirectAction* out) {
  out->https_redirect = in.https_redirect();
  out->scheme = absl::AsciiStrToLower(in.scheme_redirect());
  if (!out->scheme.empty() && out->scheme != "http" && out->scheme != "https") {
    return at.Field("scheme_redirect")
        .Error(absl::StrCat("found \"", in.scheme_redirect(), "\", allowed http, https"));
  }
  out->host = in.host_redirect();
  if (!IsHeaderValue(out->host)) return at.Field("host_redirect").Error("holds CR, LF or NUL");
  if (in.port_redirect() > 65535) {
    return at.Field("port_redirect")
        .Error(absl::StrCat("found ", in.port_redirect(), ", allowed 1 to 65535"));
  }
  if (in.port_redirect() != 0) out->port = static_cast<uint16_t>(in.port_redirect());
  out->path = in.path_redirect();
  if (!IsHeaderValue(out->path)) return at.Field("path_redirect").Error("holds CR, LF or NUL");
  out->prefix_rewrite = in.prefix_rewrite();
  if (!IsHeaderValue(out->prefix_rewrite))
    return at.Field("prefix_rewrite").Error("holds CR, LF or NUL");
  if (in.has_regex_rewrite()) {
    HEDDLE_ASSIGN_OR_RETURN(out->regex_rewrite,
                            DecodeRegexRewrite(in.regex_rewrite(), at.Field("regex_rewrite")));
  }
  out->strip_query = in.strip_query();
  switch (in.response_code()) {
    case route::RedirectAction::MOVED_PERMANENTLY:
      out->status = 301;
      return absl::OkStatus();
    case route::RedirectAction::FOUND:
      out->status = 302;
      return absl::OkStatus();
    case route::RedirectAction::SEE_OTHER:
      out->status = 303;
      return absl::OkStatus();
    case route::RedirectAction::TEMPORARY_REDIRECT:
      out->status = 307;
      return absl::OkStatus();
    case route::RedirectAction::PERMANENT_REDIRECT:
      out->status = 308;
      return absl::OkStatus();
    default:
      return BadEnum(route::RedirectAction::RedirectResponseCode_descriptor(), in.response_code(),
                     at.Field("response_code"),
                     "MOVED_PERMANENTLY, FOUND, SEE_OTHER, TEMPORARY_REDIRECT, PERMANENT_REDIRECT");
  }
}

absl::Status DecodeDirect(const route::DirectResponseAction& in, const Path& at, uint32_t max_body,
                          config::DirectResponse* out) {
  if (in.status() < 200 || in.status() > 599) {
    return at.Field("status").Error(absl::StrCat("found ", in.status(), ", allowed 200 to 599"));
  }
  out->status = static_cast<int>(in.status());
  const bool none =
      !in.has_body() || (in.body().has_inline_string() && in.body().inline_string().empty());
  if (none) return absl::OkStatus();
  HEDDLE_ASSIGN_OR_RETURN(out->body, DecodeData(in.body(), at.Field("body")));
  if (out->body.size() > max_body) {
    return at.Field("body").Error(absl::StrCat("found ", out->body.size(), " bytes, allowed ",
                                               max_body, " (max_direct_response_body_size_bytes)"));
  }
  return absl::OkStatus();
}

absl::StatusOr<config::RegexRewrite> DecodeRegexRewrite(
    const envoy::type::matcher::v3::RegexMatchAndSubstitute& in, const Path& at) {
  config::RegexRewrite out;
  HEDDLE_RETURN_IF_ERROR(Required(in.has_pattern(), at.Field("pattern")));
  HEDDLE_ASSIGN_OR_RETURN(out.pattern, DecodeRegex(in.pattern(), at.Field("pattern")));
  out.substitution = in.substitution();
  std::string error;
  if (!out.pattern->CheckRewriteString(out.substitution, &error))
    return at.Field("substitution").Error(error);
  if (!IsHeaderValue(out.substitution))
    return at.Field("substitution").Error("holds CR, LF or NUL");
  return out;
}

}  // namespace heddle::decode
