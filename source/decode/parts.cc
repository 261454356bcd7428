#include "source/decode/parts.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <sys/stat.h>

#include <cmath>
#include <cstdlib>
#include <fstream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "source/base/hash.h"
#include "source/observe/format.h"
#include "source/yaml/yaml.h"

namespace heddle::decode {
namespace {

namespace core = envoy::config::core::v3;
namespace pb = google::protobuf;

constexpr int kMaxHeaderOptions = 1000;
constexpr size_t kMaxHeaderValue = 16384;
constexpr off_t kMaxDataFile = 1 << 20;
constexpr int kMaxMetadataDepth = 32;

absl::StatusOr<config::HeaderOption> Option(const core::HeaderValueOption& in, const Path& at) {
  using Action = config::HeaderOption::Action;
  config::HeaderOption out;
  const Path header = at.Field("header");
  HEDDLE_RETURN_IF_ERROR(Required(in.has_header(), header));
  HEDDLE_ASSIGN_OR_RETURN(out.name, MutableHeaderName(in.header().key(), header.Field("key")));
  out.value = in.header().value();
  const Path value = header.Field("value");
  if (out.value.size() > kMaxHeaderValue) {
    return value.Error(
        absl::StrCat("found ", out.value.size(), " bytes, allowed ", kMaxHeaderValue));
  }
  if (!IsHeaderValue(out.value)) return value.Error("holds CR, LF or NUL");
  if (const auto format = observe::Formatter::Text(out.value); !format.ok()) {
    return value.Error(format.status().message());
  }
  out.keep_empty_value = in.keep_empty_value();
  switch (in.append_action()) {
    case core::HeaderValueOption::APPEND_IF_EXISTS_OR_ADD:
      out.action = Action::kAppendOrAdd;
      break;
    case core::HeaderValueOption::ADD_IF_ABSENT:
      out.action = Action::kAddIfAbsent;
      break;
    case core::HeaderValueOption::OVERWRITE_IF_EXISTS_OR_ADD:
      out.action = Action::kOverwriteOrAdd;
      break;
    case core::HeaderValueOption::OVERWRITE_IF_EXISTS:
      out.action = Action::kOverwriteIfExists;
      break;
    default:
      return BadEnum(core::HeaderValueOption::HeaderAppendAction_descriptor(), in.append_action(),
                     at.Field("append_action"),
                     "APPEND_IF_EXISTS_OR_ADD, ADD_IF_ABSENT, OVERWRITE_IF_EXISTS_OR_ADD, "
                     "OVERWRITE_IF_EXISTS");
  }
  if (in.has_append()) {
    if (out.action != Action::kAppendOrAdd)
      return at.Field("append").Error("only one of append and append_action");
    if (!in.append().value()) out.action = Action::kOverwriteOrAdd;
  }
  return out;
}

std::string ScalarText(const pb::Value& value) {
  switch (value.kind_case()) {
    case pb::Value::kStringValue:
      return value.string_value();
    case pb::Value::kBoolValue:
      return value.bool_value() ? "true" : "false";
    case pb::Value::kNumberValue:
      return yaml::ToJson(value);
    default:
      return "";
  }
}

void FlattenInto(const std::string& prefix, const pb::Value& value, int depth,
                 absl::flat_hash_map<std::string, std::string>* out) {
  if (depth > kMaxMetadataDepth) return;
  if (value.has_struct_value()) {
    for (const auto& [key, member] : value.struct_value().fields()) {
      FlattenInto(absl::StrCat(prefix, prefix.empty() ? "" : ".", key), member, depth + 1, out);
    }
  } else if (value.has_list_value()) {
    for (int i = 0; i < value.list_value().values_size(); ++i) {
      FlattenInto(absl::StrCat(prefix, prefix.empty() ? "" : ".", i), value.list_value().values(i),
                  depth + 1, out);
    }
  } else {
    (*out)[prefix] = ScalarText(value);
  }
}

absl::StatusOr<std::string> ReadFile(const std::string& name, const Path& at) {
  struct stat info = {};
  if (stat(name.c_str(), &info) != 0)
    return at.Error(absl::StrCat("cannot read \"", name, "\": ", strerror(errno)));
  if (!S_ISREG(info.st_mode)) return at.Error(absl::StrCat("\"", name, "\" is not a regular file"));
  if (info.st_size > kMaxDataFile) {
    return at.Error(
        absl::StrCat("\"", name, "\" has ", info.st_size, " bytes, allowed ", kMaxDataFile));
  }
  std::ifstream file(name, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (!file) return at.Error(absl::StrCat("cannot read \"", name, "\""));
  return text;
}

}  // namespace

absl::Status Duration(bool has, const pb::Duration& in, const Path& at, absl::Duration* out) {
  if (!has) return absl::OkStatus();
  HEDDLE_ASSIGN_OR_RETURN(*out, DecodeDuration(in, at));
  return absl::OkStatus();
}

absl::Status PositiveDuration(bool has, const pb::Duration& in, const Path& at,
                              absl::Duration* out) {
  HEDDLE_RETURN_IF_ERROR(Duration(has, in, at, out));
  if (has && *out <= absl::ZeroDuration())
    return at.Error("found \"0s\", allowed more than \"0s\"");
  return absl::OkStatus();
}

absl::Status Uint(bool has, const pb::UInt32Value& in, const Path& at, uint32_t min, uint32_t max,
                  uint32_t* out) {
  if (!has) return absl::OkStatus();
  if (in.value() < min || in.value() > max) {
    return at.Error(absl::StrCat("found ", in.value(), ", allowed ", min, " to ", max));
  }
  *out = in.value();
  return absl::OkStatus();
}

absl::Status Required(bool has, const Path& at) {
  return has ? absl::OkStatus() : at.Error("required");
}

absl::Status BadEnum(const pb::EnumDescriptor* type, int value, const Path& at,
                     absl::string_view allowed) {
  const pb::EnumValueDescriptor* known = type->FindValueByNumber(value);
  return at.Error(absl::StrCat("found ", known == nullptr ? absl::StrCat(value) : known->name(),
                               ", allowed ", allowed));
}

absl::StatusOr<std::string> MutableHeaderName(absl::string_view name, const Path& at) {
  std::string lower = absl::AsciiStrToLower(name);
  if (absl::StartsWith(lower, ":") || lower == "host" || !IsHeaderName(lower)) {
    return at.Error(absl::StrCat("found \"", name, "\", allowed a header name other than host"));
  }
  return lower;
}

absl::StatusOr<config::HeaderMutations> DecodeMutations(
    const pb::RepeatedPtrField<core::HeaderValueOption>& add, const Path& add_at,
    const pb::RepeatedPtrField<std::string>& remove, const Path& remove_at) {
  config::HeaderMutations out;
  if (add.size() > kMaxHeaderOptions) {
    return add_at.Error(absl::StrCat("found ", add.size(), ", allowed ", kMaxHeaderOptions));
  }
  for (int i = 0; i < add.size(); ++i) {
    HEDDLE_ASSIGN_OR_RETURN(config::HeaderOption option,
                            Option(add[i], add_at.Index(static_cast<size_t>(i))));
    out.add.push_back(std::move(option));
  }
  for (int i = 0; i < remove.size(); ++i) {
    HEDDLE_ASSIGN_OR_RETURN(std::string name,
                            MutableHeaderName(remove[i], remove_at.Index(static_cast<size_t>(i))));
    out.remove.push_back(std::move(name));
  }
  return out;
}

namespace {

absl::Status OwnHeader(const core::HeaderValue& in, const Path& at,
                       std::vector<std::pair<std::string, std::string>>* out) {
  HEDDLE_ASSIGN_OR_RETURN(std::string name, MutableHeaderName(in.key(), at.Field("key")));
  const Path value = at.Field("value");
  if (in.value().size() > kMaxHeaderValue) {
    return value.Error(
        absl::StrCat("found ", in.value().size(), " bytes, allowed ", kMaxHeaderValue));
  }
  if (!IsHeaderValue(in.value())) return value.Error("holds CR, LF or NUL");
  out->emplace_back(std::move(name), in.value());
  return absl::OkStatus();
}

}  // namespace

absl::Status DecodeOwnHeaders(const pb::RepeatedPtrField<core::HeaderValue>& in, const Path& at,
                              std::vector<std::pair<std::string, std::string>>* out) {
  if (in.size() > kMaxHeaderOptions)
    return at.Error(absl::StrCat("found ", in.size(), ", allowed ", kMaxHeaderOptions));
  for (int i = 0; i < in.size(); ++i) {
    HEDDLE_RETURN_IF_ERROR(OwnHeader(in[i], at.Index(static_cast<size_t>(i)), out));
  }
  return absl::OkStatus();
}

absl::Status DecodeOwnHeaders(const pb::RepeatedPtrField<core::HeaderValueOption>& in,
                              const Path& at,
                              std::vector<std::pair<std::string, std::string>>* out) {
  if (in.size() > kMaxHeaderOptions)
    return at.Error(absl::StrCat("found ", in.size(), ", allowed ", kMaxHeaderOptions));
  for (int i = 0; i < in.size(); ++i) {
    const Path one = at.Index(static_cast<size_t>(i));
    const Path here = one.Field("header");
    HEDDLE_RETURN_IF_ERROR(Required(in[i].has_header(), here));
    std::vector<std::pair<std::string, std::string>> header;
    HEDDLE_RETURN_IF_ERROR(OwnHeader(in[i].header(), here, &header));
    const auto same = [&](const auto& known) { return known.first == header[0].first; };
    out->erase(std::remove_if(out->begin(), out->end(), same), out->end());
    out->push_back(std::move(header[0]));
  }
  return absl::OkStatus();
}

absl::StatusOr<net::Address> DecodeAddress(const core::Address& in, const Path& at,
                                           AddressRules rules) {
  if (in.has_pipe()) {
    if (!rules.allow_pipe) return at.Error("found pipe, allowed socket_address");
    absl::StatusOr<net::Address> pipe = net::Address::FromPath(in.pipe().path());
    if (!pipe.ok()) return at.Field("pipe").Field("path").Error(pipe.status().message());
    return pipe;
  }
  if (!in.has_socket_address()) {
    return at.Error(
        absl::StrCat("found nothing, allowed socket_address", rules.allow_pipe ? " or pipe" : ""));
  }
  const Path here = at.Field("socket_address");
  const core::SocketAddress& socket = in.socket_address();
  if (socket.protocol() != core::SocketAddress::TCP) {
    return BadEnum(core::SocketAddress::Protocol_descriptor(), socket.protocol(),
                   here.Field("protocol"), "TCP");
  }
  if (socket.port_value() > 65535 || (socket.port_value() == 0 && !rules.allow_any_port)) {
    return here.Field("port_value")
        .Error(absl::StrCat("found ", socket.port_value(), ", allowed ",
                            rules.allow_any_port ? 0 : 1, " to 65535"));
  }
  absl::StatusOr<net::Address> out = net::Address::FromIp(socket.address(), socket.port_value());
  if (!out.ok()) {
    return here.Field("address").Error(
        absl::StrCat("found \"", socket.address(), "\", allowed an IP address"));
  }
  return out;
}

absl::StatusOr<std::string> DecodeData(const core::DataSource& in, const Path& at) {
  std::string out;
  absl::string_view name;
  switch (in.specifier_case()) {
    case core::DataSource::kFilename: {
      name = "filename";
      HEDDLE_ASSIGN_OR_RETURN(out, ReadFile(in.filename(), at.Field(name)));
      break;
    }
    case core::DataSource::kInlineBytes:
      name = "inline_bytes";
      out = in.inline_bytes();
      break;
    case core::DataSource::kInlineString:
      name = "inline_string";
      out = in.inline_string();
      break;
    case core::DataSource::kEnvironmentVariable: {
      name = "environment_variable";
      const char* value = std::getenv(in.environment_variable().c_str());
      if (value == nullptr)
        return at.Field(name).Error(absl::StrCat(in.environment_variable(), " is not set"));
      out = value;
      break;
    }
    case core::DataSource::SPECIFIER_NOT_SET:
      return at.Error(
          "found nothing, allowed one of filename, inline_bytes, inline_string, "
          "environment_variable");
  }
  if (out.empty()) return at.Field(name).Error("is empty");
  return out;
}

absl::flat_hash_map<std::string, std::string> Flatten(const pb::Struct& in) {
  absl::flat_hash_map<std::string, std::string> out;
  for (const auto& [key, value] : in.fields()) FlattenInto(key, value, 0, &out);
  return out;
}

config::Metadata DecodeMetadata(const core::Metadata& in) {
  config::Metadata out;
  for (const auto& [name, value] : in.filter_metadata()) out[name] = Flatten(value);
  return out;
}

absl::Status DecodeSource(const core::ConfigSource& in, const Path& at,
                          absl::Duration* fetch_timeout) {
  HEDDLE_RETURN_IF_ERROR(Duration(in.has_initial_fetch_timeout(), in.initial_fetch_timeout(),
                                  at.Field("initial_fetch_timeout"), fetch_timeout));
  if (in.resource_api_version() == core::V2)
    return at.Field("resource_api_version").Error("found V2, allowed V3");
  switch (in.config_source_specifier_case()) {
    case core::ConfigSource::kAds:
    case core::ConfigSource::kSelf:
      return absl::OkStatus();
    case core::ConfigSource::kApiConfigSource:
      return at.Error("found api_config_source, allowed ads or self");
    case core::ConfigSource::CONFIG_SOURCE_SPECIFIER_NOT_SET:
      break;
  }
  return at.Error("found nothing, allowed ads or self");
}

absl::StatusOr<config::Http1Options> DecodeHttp1(const core::Http1ProtocolOptions& in,
                                                 const Path& at) {
  config::Http1Options out;
  out.accept_http_10 = in.accept_http_10();
  out.default_host_for_http_10 = in.default_host_for_http_10();
  if (!IsHeaderValue(out.default_host_for_http_10)) {
    return at.Field("default_host_for_http_10").Error("holds CR, LF or NUL");
  }
  if (in.has_allow_absolute_url()) out.allow_absolute_url = in.allow_absolute_url().value();
  out.allow_chunked_length = in.allow_chunked_length();
  out.enable_trailers = in.enable_trailers();
  return out;
}

absl::StatusOr<config::Http2Options> DecodeHttp2(const core::Http2ProtocolOptions& in,
                                                 const Path& at) {
  config::Http2Options out;
  constexpr uint32_t kMaxWindow = 2147483647;
  HEDDLE_RETURN_IF_ERROR(Uint(in.has_max_concurrent_streams(), in.max_concurrent_streams(),
                              at.Field("max_concurrent_streams"), 1, kMaxWindow,
                              &out.max_concurrent_streams));
  HEDDLE_RETURN_IF_ERROR(Uint(in.has_initial_stream_window_size(), in.initial_stream_window_size(),
                              at.Field("initial_stream_window_size"), 65535, kMaxWindow,
                              &out.initial_stream_window));
  HEDDLE_RETURN_IF_ERROR(Uint(in.has_initial_connection_window_size(),
                              in.initial_connection_window_size(),
                              at.Field("initial_connection_window_size"), 65535, kMaxWindow,
                              &out.initial_connection_window));
  HEDDLE_RETURN_IF_ERROR(Uint(in.has_hpack_table_size(), in.hpack_table_size(),
                              at.Field("hpack_table_size"), 0, 1 << 20, &out.hpack_table_size));
  out.allow_connect = in.allow_connect();
  out.stream_error_on_invalid = in.override_stream_error_on_invalid_http_message().value();
  if (in.has_connection_keepalive()) {
    const Path here = at.Field("connection_keepalive");
    const core::KeepaliveSettings& keepalive = in.connection_keepalive();
    HEDDLE_RETURN_IF_ERROR(PositiveDuration(keepalive.has_interval(), keepalive.interval(),
                                            here.Field("interval"), &out.keepalive_interval));
    HEDDLE_RETURN_IF_ERROR(Required(keepalive.has_timeout(), here.Field("timeout")));
    HEDDLE_RETURN_IF_ERROR(
        PositiveDuration(true, keepalive.timeout(), here.Field("timeout"), &out.keepalive_timeout));
  }
  return out;
}

absl::StatusOr<config::CommonHttp> DecodeCommonHttp(const core::HttpProtocolOptions& in,
                                                    const Path& at) {
  using Underscores = config::CommonHttp::Underscores;
  config::CommonHttp out;
  HEDDLE_RETURN_IF_ERROR(Duration(in.has_idle_timeout(), in.idle_timeout(),
                                  at.Field("idle_timeout"), &out.idle_timeout));
  HEDDLE_RETURN_IF_ERROR(Duration(in.has_max_connection_duration(), in.max_connection_duration(),
                                  at.Field("max_connection_duration"),
                                  &out.max_connection_duration));
  HEDDLE_RETURN_IF_ERROR(Duration(in.has_max_stream_duration(), in.max_stream_duration(),
                                  at.Field("max_stream_duration"), &out.max_stream_duration));
  HEDDLE_RETURN_IF_ERROR(Uint(in.has_max_headers_count(), in.max_headers_count(),
                              at.Field("max_headers_count"), 1, 100000, &out.max_headers_count));
  HEDDLE_RETURN_IF_ERROR(
      Uint(in.has_max_requests_per_connection(), in.max_requests_per_connection(),
           at.Field("max_requests_per_connection"), 0, kMaxUint, &out.max_requests_per_connection));
  switch (in.headers_with_underscores_action()) {
    case core::HttpProtocolOptions::ALLOW:
      out.underscores = Underscores::kAllow;
      return out;
    case core::HttpProtocolOptions::REJECT_REQUEST:
      out.underscores = Underscores::kReject;
      return out;
    case core::HttpProtocolOptions::DROP_HEADER:
      out.underscores = Underscores::kDrop;
      return out;
    default:
      return BadEnum(core::HttpProtocolOptions::HeadersWithUnderscoresAction_descriptor(),
                     in.headers_with_underscores_action(),
                     at.Field("headers_with_underscores_action"),
                     "ALLOW, REJECT_REQUEST, DROP_HEADER");
  }
}

uint64_t HashOf(const pb::Message& message) {
  std::string bytes;
  {
    pb::io::StringOutputStream stream(&bytes);
    pb::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&coded);
  }
  return base::XxHash64(bytes);
}

}  // namespace heddle::decode
