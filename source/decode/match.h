// The matchers and small values that many messages share. Filters use these too.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "envoy/config/core/v3/address.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/type/matcher/v3/regex.pb.h"
#include "envoy/type/matcher/v3/string.pb.h"
#include "envoy/type/v3/percent.pb.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/wrappers.pb.h"
#include "source/base/path.h"
#include "source/config/types.h"

namespace heddle::decode {

absl::StatusOr<config::StringMatcher> DecodeString(
    const envoy::type::matcher::v3::StringMatcher& in, const base::Path& at);
absl::StatusOr<std::shared_ptr<const RE2>> DecodeRegex(
    const envoy::type::matcher::v3::RegexMatcher& in, const base::Path& at);
absl::StatusOr<config::HeaderMatcher> DecodeHeader(
    const envoy::config::route::v3::HeaderMatcher& in, const base::Path& at);
absl::StatusOr<config::QueryMatcher> DecodeQuery(
    const envoy::config::route::v3::QueryParameterMatcher& in, const base::Path& at);
absl::StatusOr<net::Cidr> DecodeCidr(const envoy::config::core::v3::CidrRange& in,
                                     const base::Path& at);

// 0s or more.
absl::StatusOr<absl::Duration> DecodeDuration(const google::protobuf::Duration& in,
                                              const base::Path& at);
absl::StatusOr<config::Fraction> DecodeFraction(const envoy::type::v3::FractionalPercent& in,
                                                const base::Path& at);
// 0 to 100, as ten-thousandths.
absl::StatusOr<config::Fraction> DecodePercent(const envoy::type::v3::Percent& in,
                                               const base::Path& at);

// Whether this is a field name by RFC 9110 (any case).
bool IsHeaderName(absl::string_view name);
// Whether a field's value may hold this: no CR, LF, NUL.
bool IsHeaderValue(absl::string_view value);

}  // namespace heddle::decode
