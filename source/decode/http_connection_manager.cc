// The HTTP connection manager, its filters and its tracing.
#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "envoy/config/trace/v3/opentelemetry.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "source/decode/decode.h"
#include "source/decode/parts.h"

namespace heddle::decode {
namespace {

namespace hcm = envoy::extensions::filters::network::http_connection_manager::v3;
namespace tag = envoy::type::tracing::v3;
using envoy::config::trace::v3::OpenTelemetryConfig;
using Pb = hcm::HttpConnectionManager;
using Out = config::HttpConnectionManager;

constexpr int kMaxTags = 64;

// Null when the filter is unknown and optional.
absl::StatusOr<const HttpFilterEntry*> FindFilter(const hcm::HttpFilter& in, const Path& at,
                                                  Context& context) {
  std::string known;
  for (const HttpFilterEntry& entry : context.catalogue().http) {
    if (entry.message == TypeOf(in.typed_config())) return &entry;
    absl::StrAppend(&known, known.empty() ? "" : ", ", entry.message);
  }
  if (in.is_optional()) {
    Warn(at,
         absl::StrCat("optional, and left out: unknown type \"", TypeOf(in.typed_config()), "\""),
         context);
    return nullptr;
  }
  const Path here = at.Field("typed_config");
  return here.Error(
      absl::StrCat("found type \"", TypeOf(in.typed_config()), "\", allowed ", known));
}

absl::Status DecodeHttpFilters(const Pb& in, const Path& at, Context& context, Out* out) {
  absl::flat_hash_set<std::string> names;
  for (int i = 0; i < in.http_filters_size(); ++i) {
    const hcm::HttpFilter& filter = in.http_filters(i);
    const Path here = at.Index(static_cast<size_t>(i));
    if (filter.name().empty()) return here.Field("name").Error("required");
    if (!names.insert(filter.name()).second) {
      return here.Field("name").Error(absl::StrCat("duplicate \"", filter.name(), "\""));
    }
    HEDDLE_RETURN_IF_ERROR(Required(filter.has_typed_config(), here.Field("typed_config")));
    HEDDLE_ASSIGN_OR_RETURN(const HttpFilterEntry* entry, FindFilter(filter, here, context));
    if (entry == nullptr) continue;
    if (!out->filters.empty() && out->filters.back().terminal) {
      return here.Error("stands after the router, which must be the last");
    }
    config::HttpFilterSpec spec;
    spec.name = filter.name();
    spec.type = std::string(entry->type);
    spec.terminal = entry->terminal;
    spec.disabled = filter.disabled();
    if (spec.terminal && spec.disabled)
      return here.Field("disabled").Error("the router cannot be disabled");
    HEDDLE_RETURN_IF_ERROR(
        entry->decode(filter.typed_config(), here.Field("typed_config"), context, &spec));
    out->filters.push_back(std::move(spec));
  }
  if (out->filters.empty() || !out->filters.back().terminal)
    return at.Error("the last filter must be the router");
  return absl::OkStatus();
}

absl::StatusOr<config::CustomTag> DecodeTag(const tag::CustomTag& in, const Path& at) {
  config::CustomTag out;
  out.tag = in.tag();
  if (out.tag.empty()) return at.Field("tag").Error("required");
  switch (in.type_case()) {
    case tag::CustomTag::kLiteral: {
      const Path here = at.Field("literal");
      out.kind = config::CustomTag::Kind::kLiteral;
      out.value = in.literal().value();
      if (out.value.empty()) return here.Field("value").Error("required");
      return out;
    }
    case tag::CustomTag::kEnvironment: {
      const Path here = at.Field("environment");
      out.kind = config::CustomTag::Kind::kEnvironment;
      out.name = in.environment().name();
      out.value = in.environment().default_value();
      if (out.name.empty()) return here.Field("name").Error("required");
      return out;
    }
    case tag::CustomTag::kRequestHeader: {
      const Path here = at.Field("request_header");
      out.kind = config::CustomTag::Kind::kRequestHeader;
      out.name = absl::AsciiStrToLower(in.request_header().name());
      out.value = in.request_header().default_value();
      if (!absl::StartsWith(out.name, ":") && !IsHeaderName(out.name)) {
        return here.Field("name").Error(
            absl::StrCat("found \"", out.name, "\", allowed a header name"));
      }
      return out;
    }
    case tag::CustomTag::TYPE_NOT_SET:
      break;
  }
  return at.Error("found nothing, allowed one of literal, environment, request_header");
}

// "http://host:port/path" to the two parts that a request needs.
absl::Status SplitUri(absl::string_view uri, const Path& at, config::SpanTarget* out) {
  const size_t scheme = uri.find("://");
  const absl::string_view rest = scheme == absl::string_view::npos ? "" : uri.substr(scheme + 3);
  const size_t slash = std::min(rest.find('/'), rest.size());
  if ((!absl::StartsWith(uri, "http://") && !absl::StartsWith(uri, "https://")) || slash == 0 ||
      !IsHeaderValue(uri)) {
    return at.Error(
        absl::StrCat("found \"", uri, "\", allowed http://HOST/PATH or https://HOST/PATH"));
  }
  out->authority = std::string(rest.substr(0, slash));
  out->path = slash == rest.size() ? "/v1/traces" : std::string(rest.substr(slash));
  return absl::OkStatus();
}

absl::Status DecodeExporter(const OpenTelemetryConfig& in, const Path& at,
                            config::SpanTarget* out) {
  out->service_name = in.service_name();
  if (in.has_grpc_service() == in.has_http_service()) {
    return at.Error("exactly one of grpc_service and http_service is required");
  }
  if (in.has_grpc_service()) {
    const Path here = at.Field("grpc_service");
    const Path grpc = here.Field("envoy_grpc");
    out->cluster = in.grpc_service().envoy_grpc().cluster_name();
    out->authority = in.grpc_service().envoy_grpc().authority();
    if (out->cluster.empty()) return grpc.Field("cluster_name").Error("required");
    HEDDLE_RETURN_IF_ERROR(DecodeOwnHeaders(in.grpc_service().initial_metadata(),
                                            here.Field("initial_metadata"), &out->headers));
    return PositiveDuration(in.grpc_service().has_timeout(), in.grpc_service().timeout(),
                            here.Field("timeout"), &out->timeout);
  }
  const Path service = at.Field("http_service");
  const Path here = service.Field("http_uri");
  const auto& uri = in.http_service().http_uri();
  out->http = true;
  out->cluster = uri.cluster();
  if (out->cluster.empty()) return here.Field("cluster").Error("required");
  HEDDLE_RETURN_IF_ERROR(SplitUri(uri.uri(), here.Field("uri"), out));
  out->headers.emplace_back("content-type", "application/x-protobuf");
  HEDDLE_RETURN_IF_ERROR(DecodeOwnHeaders(in.http_service().request_headers_to_add(),
                                          service.Field("request_headers_to_add"), &out->headers));
  return PositiveDuration(uri.has_timeout(), uri.timeout(), here.Field("timeout"), &out->timeout);
}

absl::Status DecodeTracing(const Pb::Tracing& in, const Path& at, Context& context, Out* out) {
  config::Tracing tracing;
  const Path provider = at.Field("provider");
  if (!in.has_provider()) {
    Warn(provider, "not given: nothing is traced", context);
    return absl::OkStatus();
  }
  const Path here = provider.Field("typed_config");
  HEDDLE_RETURN_IF_ERROR(Required(in.provider().has_typed_config(), here));
  OpenTelemetryConfig exporter;
  HEDDLE_RETURN_IF_ERROR(Unpack(in.provider().typed_config(), here, context, &exporter));
  HEDDLE_RETURN_IF_ERROR(DecodeExporter(exporter, here, &tracing.target));
  if (in.has_client_sampling()) {
    HEDDLE_ASSIGN_OR_RETURN(tracing.client_sampling,
                            DecodePercent(in.client_sampling(), at.Field("client_sampling")));
  }
  if (in.has_random_sampling()) {
    HEDDLE_ASSIGN_OR_RETURN(tracing.random_sampling,
                            DecodePercent(in.random_sampling(), at.Field("random_sampling")));
  }
  if (in.has_overall_sampling()) {
    HEDDLE_ASSIGN_OR_RETURN(tracing.overall_sampling,
                            DecodePercent(in.overall_sampling(), at.Field("overall_sampling")));
  }
  tracing.spawn_upstream_span = in.spawn_upstream_span().value();
  NotHonoured(tracing.spawn_upstream_span, at.Field("spawn_upstream_span"), context);
  NotHonoured(tracing.client_sampling.numerator != tracing.client_sampling.denominator,
              at.Field("client_sampling"), context);
  HEDDLE_RETURN_IF_ERROR(Uint(in.has_max_path_tag_length(), in.max_path_tag_length(),
                              at.Field("max_path_tag_length"), 1, 65536,
                              &tracing.max_path_tag_length));
  const Path tags = at.Field("custom_tags");
  if (in.custom_tags_size() > kMaxTags) {
    return tags.Error(absl::StrCat("found ", in.custom_tags_size(), ", allowed ", kMaxTags));
  }
  for (int i = 0; i < in.custom_tags_size(); ++i) {
    HEDDLE_ASSIGN_OR_RETURN(config::CustomTag one,
                            DecodeTag(in.custom_tags(i), tags.Index(static_cast<size_t>(i))));
    tracing.tags.push_back(std::move(one));
  }
  out->tracing = std::move(tracing);
  return absl::OkStatus();
}

absl::Status DecodeRouteSource(const Pb& in, const Path& at, Context& context, Out* out) {
  switch (in.route_specifier_case()) {
    case Pb::kRds: {
      const Path here = at.Field("rds");
      out->rds_name = in.rds().route_config_name();
      if (out->rds_name.empty()) return here.Field("route_config_name").Error("required");
      return DecodeSource(in.rds().config_source(), here.Field("config_source"),
                          &out->rds_fetch_timeout);
    }
    case Pb::kRouteConfig: {
      HEDDLE_ASSIGN_OR_RETURN(out->routes,
                              DecodeTable(in.route_config(), at.Field("route_config"), context));
      return absl::OkStatus();
    }
    case Pb::ROUTE_SPECIFIER_NOT_SET:
      break;
  }
  return at.Error("found no routes, allowed one of rds, route_config");
}

absl::Status DecodeCodec(const Pb& in, const Path& at, Out* out) {
  switch (in.codec_type()) {
    case Pb::AUTO:
      out->codec = Out::Codec::kAuto;
      break;
    case Pb::HTTP1:
      out->codec = Out::Codec::kHttp1;
      break;
    case Pb::HTTP2:
      out->codec = Out::Codec::kHttp2;
      break;
    default:
      return BadEnum(Pb::CodecType_descriptor(), in.codec_type(), at.Field("codec_type"),
                     "AUTO, HTTP1, HTTP2");
  }
  HEDDLE_ASSIGN_OR_RETURN(
      out->http1, DecodeHttp1(in.http_protocol_options(), at.Field("http_protocol_options")));
  HEDDLE_ASSIGN_OR_RETURN(
      out->http2, DecodeHttp2(in.http2_protocol_options(), at.Field("http2_protocol_options")));
  HEDDLE_ASSIGN_OR_RETURN(out->common, DecodeCommonHttp(in.common_http_protocol_options(),
                                                        at.Field("common_http_protocol_options")));
  HEDDLE_RETURN_IF_ERROR(Uint(in.has_max_request_headers_kb(), in.max_request_headers_kb(),
                              at.Field("max_request_headers_kb"), 1, 8192,
                              &out->max_request_headers_kb));
  out->stream_error_on_invalid = in.stream_error_on_invalid_http_message().value();
  out->proxy_100_continue = in.proxy_100_continue();
  return absl::OkStatus();
}

absl::Status DecodeTimeouts(const Pb& in, const Path& at, Out* out) {
  HEDDLE_RETURN_IF_ERROR(Duration(in.has_stream_idle_timeout(), in.stream_idle_timeout(),
                                  at.Field("stream_idle_timeout"), &out->stream_idle_timeout));
  HEDDLE_RETURN_IF_ERROR(Duration(in.has_request_timeout(), in.request_timeout(),
                                  at.Field("request_timeout"), &out->request_timeout));
  HEDDLE_RETURN_IF_ERROR(Duration(in.has_request_headers_timeout(), in.request_headers_timeout(),
                                  at.Field("request_headers_timeout"),
                                  &out->request_headers_timeout));
  HEDDLE_RETURN_IF_ERROR(Duration(in.has_drain_timeout(), in.drain_timeout(),
                                  at.Field("drain_timeout"), &out->drain_timeout));
  return Duration(in.has_delayed_close_timeout(), in.delayed_close_timeout(),
                  at.Field("delayed_close_timeout"), &out->delayed_close_timeout);
}

absl::Status DecodeClientCert(const Pb& in, const Path& at, Out* out) {
  switch (in.forward_client_cert_details()) {
    case Pb::SANITIZE:
      out->client_cert = config::ClientCert::kSanitize;
      break;
    case Pb::FORWARD_ONLY:
      out->client_cert = config::ClientCert::kForwardOnly;
      break;
    case Pb::APPEND_FORWARD:
      out->client_cert = config::ClientCert::kAppendForward;
      break;
    case Pb::SANITIZE_SET:
      out->client_cert = config::ClientCert::kSanitizeSet;
      break;
    case Pb::ALWAYS_FORWARD_ONLY:
      out->client_cert = config::ClientCert::kAlwaysForwardOnly;
      break;
    default:
      return BadEnum(Pb::ForwardClientCertDetails_descriptor(), in.forward_client_cert_details(),
                     at.Field("forward_client_cert_details"),
                     "SANITIZE, FORWARD_ONLY, APPEND_FORWARD, SANITIZE_SET, ALWAYS_FORWARD_ONLY");
  }
  const auto& details = in.set_current_client_cert_details();
  out->cert_subject = details.subject().value();
  out->cert_cert = details.cert();
  out->cert_chain = details.chain();
  out->cert_dns = details.dns();
  out->cert_uri = details.uri();
  return absl::OkStatus();
}

absl::Status DecodePathRules(const Pb& in, const Path& at, Out* out) {
  out->normalize_path = in.normalize_path().value();
  out->merge_slashes = in.merge_slashes();
  out->strip_matching_host_port = in.strip_matching_host_port();
  out->strip_any_host_port = in.strip_any_host_port();
  if (out->strip_matching_host_port && out->strip_any_host_port) {
    return at.Field("strip_any_host_port")
        .Error("only one of strip_matching_host_port and strip_any_host_port");
  }
  switch (in.path_with_escaped_slashes_action()) {
    case Pb::IMPLEMENTATION_SPECIFIC_DEFAULT:
    case Pb::KEEP_UNCHANGED:
      out->escaped_slashes = Out::EscapedSlashes::kKeep;
      return absl::OkStatus();
    case Pb::REJECT_REQUEST:
      out->escaped_slashes = Out::EscapedSlashes::kReject;
      return absl::OkStatus();
    case Pb::UNESCAPE_AND_REDIRECT:
      out->escaped_slashes = Out::EscapedSlashes::kRedirect;
      return absl::OkStatus();
    case Pb::UNESCAPE_AND_FORWARD:
      out->escaped_slashes = Out::EscapedSlashes::kForward;
      return absl::OkStatus();
    default:
      return BadEnum(
          Pb::PathWithEscapedSlashesAction_descriptor(), in.path_with_escaped_slashes_action(),
          at.Field("path_with_escaped_slashes_action"),
          "IMPLEMENTATION_SPECIFIC_DEFAULT, KEEP_UNCHANGED, REJECT_REQUEST, UNESCAPE_AND_REDIRECT, "
          "UNESCAPE_AND_FORWARD");
  }
}

absl::Status DecodeHeaderRules(const Pb& in, const Path& at, Out* out) {
  out->use_remote_address = in.use_remote_address().value();
  out->xff_num_trusted_hops = in.xff_num_trusted_hops();
  const auto& internal = in.internal_address_config();
  const Path internal_at = at.Field("internal_address_config");
  const Path ranges_at = internal_at.Field("cidr_ranges");
  out->internal.unix_sockets = internal.unix_sockets();
  for (int i = 0; i < internal.cidr_ranges_size(); ++i) {
    HEDDLE_ASSIGN_OR_RETURN(net::Cidr range, DecodeCidr(internal.cidr_ranges(i),
                                                        ranges_at.Index(static_cast<size_t>(i))));
    out->internal.ranges.push_back(range);
  }
  out->skip_xff_append = in.skip_xff_append();
  out->via = in.via();
  if (!IsHeaderValue(out->via)) return at.Field("via").Error("holds CR, LF or NUL");
  if (in.has_generate_request_id()) out->generate_request_id = in.generate_request_id().value();
  out->preserve_external_request_id = in.preserve_external_request_id();
  out->always_set_request_id_in_response = in.always_set_request_id_in_response();
  if (!in.server_name().empty()) out->server_name = in.server_name();
  if (!IsHeaderValue(out->server_name)) return at.Field("server_name").Error("holds CR, LF or NUL");
  switch (in.server_header_transformation()) {
    case Pb::OVERWRITE:
      out->server_header = Out::ServerHeader::kOverwrite;
      return absl::OkStatus();
    case Pb::APPEND_IF_ABSENT:
      out->server_header = Out::ServerHeader::kAppendIfAbsent;
      return absl::OkStatus();
    case Pb::PASS_THROUGH:
      out->server_header = Out::ServerHeader::kPassThrough;
      return absl::OkStatus();
    default:
      return BadEnum(Pb::ServerHeaderTransformation_descriptor(), in.server_header_transformation(),
                     at.Field("server_header_transformation"),
                     "OVERWRITE, APPEND_IF_ABSENT, PASS_THROUGH");
  }
}

absl::Status DecodeUpgrades(const Pb& in, const Path& at, Out* out) {
  for (int i = 0; i < in.upgrade_configs_size(); ++i) {
    const auto& upgrade = in.upgrade_configs(i);
    const Path list = at.Field("upgrade_configs");
    const Path entry = list.Index(static_cast<size_t>(i));
    const Path here = entry.Field("upgrade_type");
    const std::string type = absl::AsciiStrToLower(upgrade.upgrade_type());
    if (!IsHeaderName(type)) return here.Error("required");
    if (!out->upgrades.emplace(type, !upgrade.has_enabled() || upgrade.enabled().value()).second) {
      return here.Error(absl::StrCat("duplicate \"", type, "\""));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Out>> DecodeHttpConnectionManager(
    const google::protobuf::Any& any, const Path& at, Context& context) {
  Pb in;
  HEDDLE_RETURN_IF_ERROR(Unpack(any, at, context, &in));
  auto out = std::make_shared<Out>();
  out->stat_prefix = in.stat_prefix();
  if (out->stat_prefix.empty()) return at.Field("stat_prefix").Error("required");
  HEDDLE_RETURN_IF_ERROR(DecodeRouteSource(in, at, context, out.get()));
  HEDDLE_RETURN_IF_ERROR(DecodeHttpFilters(in, at.Field("http_filters"), context, out.get()));
  HEDDLE_RETURN_IF_ERROR(DecodeCodec(in, at, out.get()));
  HEDDLE_RETURN_IF_ERROR(DecodeTimeouts(in, at, out.get()));
  HEDDLE_ASSIGN_OR_RETURN(out->access_logs,
                          DecodeAccessLogs(in.access_log(), at.Field("access_log"), context));
  if (in.has_tracing()) {
    HEDDLE_RETURN_IF_ERROR(DecodeTracing(in.tracing(), at.Field("tracing"), context, out.get()));
  }
  HEDDLE_RETURN_IF_ERROR(DecodeClientCert(in, at, out.get()));
  HEDDLE_RETURN_IF_ERROR(DecodePathRules(in, at, out.get()));
  HEDDLE_RETURN_IF_ERROR(DecodeHeaderRules(in, at, out.get()));
  HEDDLE_RETURN_IF_ERROR(DecodeUpgrades(in, at, out.get()));
  return std::shared_ptr<const Out>(std::move(out));
}

}  // namespace heddle::decode
