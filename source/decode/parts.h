// Values inside larger messages. Private to this folder.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "envoy/config/accesslog/v3/accesslog.pb.h"
#include "envoy/config/core/v3/address.pb.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/config/core/v3/config_source.pb.h"
#include "envoy/config/core/v3/protocol.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "google/protobuf/struct.pb.h"
#include "source/base/path.h"
#include "source/base/status.h"
#include "source/config/http.h"
#include "source/config/listener.h"
#include "source/config/route.h"
#include "source/config/tls.h"
#include "source/decode/context.h"
#include "source/decode/match.h"
#include "source/decode/unknown.h"

namespace heddle::decode {

using base::Path;

// Optional fields keep the default that is in *out already.
absl::Status Duration(bool has, const google::protobuf::Duration& in, const Path& at,
                      absl::Duration* out);
// More than 0s.
absl::Status PositiveDuration(bool has, const google::protobuf::Duration& in, const Path& at,
                              absl::Duration* out);
absl::Status Uint(bool has, const google::protobuf::UInt32Value& in, const Path& at, uint32_t min,
                  uint32_t max, uint32_t* out);
inline constexpr uint32_t kMaxUint = std::numeric_limits<uint32_t>::max();

absl::Status Required(bool has, const Path& at);
// "found X, allowed Y" of an enum value that is known but not supported, or not known at all.
absl::Status BadEnum(const google::protobuf::EnumDescriptor* type, int value, const Path& at,
                     absl::string_view allowed);

// A name in lower case; pseudo-headers and host are refused, because nobody may rewrite those this
// way.
absl::StatusOr<std::string> MutableHeaderName(absl::string_view name, const Path& at);
absl::StatusOr<config::HeaderMutations> DecodeMutations(
    const google::protobuf::RepeatedPtrField<envoy::config::core::v3::HeaderValueOption>& add,
    const Path& add_at, const google::protobuf::RepeatedPtrField<std::string>& remove,
    const Path& remove_at);

// Headers of calls that the proxy itself makes: literal, nothing is substituted. Appended to `out`.
absl::Status DecodeOwnHeaders(
    const google::protobuf::RepeatedPtrField<envoy::config::core::v3::HeaderValue>& in,
    const Path& at, std::vector<std::pair<std::string, std::string>>* out);
// The same for options: what was added before is replaced, whatever append_action says (as Envoy's
// exporter does).
absl::Status DecodeOwnHeaders(
    const google::protobuf::RepeatedPtrField<envoy::config::core::v3::HeaderValueOption>& in,
    const Path& at, std::vector<std::pair<std::string, std::string>>* out);

struct AddressRules {
  bool allow_pipe = true;
  bool allow_any_port = false;  // 0
};
absl::StatusOr<net::Address> DecodeAddress(const envoy::config::core::v3::Address& in,
                                           const Path& at, AddressRules rules);

// Bytes from wherever they are; files up to 1 MiB. Never empty.
absl::StatusOr<std::string> DecodeData(const envoy::config::core::v3::DataSource& in,
                                       const Path& at);

config::Metadata DecodeMetadata(const envoy::config::core::v3::Metadata& in);
// "a.b" -> text, lists by index.
absl::flat_hash_map<std::string, std::string> Flatten(const google::protobuf::Struct& in);

// Discovery is always by the aggregated stream; what is left is initial_fetch_timeout, which stays
// as it is when not given.
absl::Status DecodeSource(const envoy::config::core::v3::ConfigSource& in, const Path& at,
                          absl::Duration* fetch_timeout);

absl::StatusOr<config::Http1Options> DecodeHttp1(
    const envoy::config::core::v3::Http1ProtocolOptions& in, const Path& at);
absl::StatusOr<config::Http2Options> DecodeHttp2(
    const envoy::config::core::v3::Http2ProtocolOptions& in, const Path& at);
absl::StatusOr<config::CommonHttp> DecodeCommonHttp(
    const envoy::config::core::v3::HttpProtocolOptions& in, const Path& at);

absl::StatusOr<std::vector<config::AccessLog>> DecodeAccessLogs(
    const google::protobuf::RepeatedPtrField<envoy::config::accesslog::v3::AccessLog>& in,
    const Path& at, Context& context);

absl::StatusOr<config::TransportSocket> DecodeDownstreamTransport(
    const envoy::config::core::v3::TransportSocket& in, const Path& at, Context& context);
absl::StatusOr<config::TransportSocket> DecodeUpstreamTransport(
    const envoy::config::core::v3::TransportSocket& in, const Path& at, Context& context);

absl::StatusOr<config::RetryPolicy> DecodeRetry(const envoy::config::route::v3::RetryPolicy& in,
                                                const Path& at, Context& context);
absl::StatusOr<config::RegexRewrite> DecodeRegexRewrite(
    const envoy::type::matcher::v3::RegexMatchAndSubstitute& in, const Path& at);

absl::StatusOr<std::shared_ptr<const config::HttpConnectionManager>> DecodeHttpConnectionManager(
    const google::protobuf::Any& any, const Path& at, Context& context);

// A route table inside a message whose unknown fields have been noted already.
absl::StatusOr<std::shared_ptr<const config::RouteConfiguration>> DecodeTable(
    const envoy::config::route::v3::RouteConfiguration& in, const Path& at, Context& context);

// Fingerprint of a message: the same for the same content, in any process of this version.
uint64_t HashOf(const google::protobuf::Message& message);

}  // namespace heddle::decode
