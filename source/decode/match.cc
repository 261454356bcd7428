#include "source/decode/match.h"

#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "source/base/status.h"
#include "source/yaml/yaml.h"

namespace heddle::decode {
namespace {

namespace matcher = envoy::type::matcher::v3;
namespace route = envoy::config::route::v3;
using base::Path;
using Kind = config::StringMatcher::Kind;

// Bounds on what one regular expression may cost.
constexpr size_t kMaxRegexBytes = 4096;
constexpr int64_t kMaxRegexMemory = 1 << 20;

absl::StatusOr<config::StringMatcher> Text(Kind kind, absl::string_view text, bool ignore_case,
                                           const Path& at) {
  if (kind != Kind::kExact && text.empty()) return at.Error("must not be empty");
  config::StringMatcher out;
  out.kind = kind;
  out.ignore_case = ignore_case;
  out.text = ignore_case ? absl::AsciiStrToLower(text) : std::string(text);
  return out;
}

}  // namespace

bool IsHeaderName(absl::string_view name) {
  if (name.empty() || name.size() > 1024) return false;
  for (const char c : name) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) &&
        absl::string_view("!#$%&'*+-.^_`|~").find(c) == absl::string_view::npos) {
      return false;
    }
  }
  return true;
}

bool IsHeaderValue(absl::string_view value) {
  return value.find_first_of(absl::string_view("\r\n\0", 3)) == absl::string_view::npos;
}

absl::StatusOr<std::shared_ptr<const RE2>> DecodeRegex(const matcher::RegexMatcher& in,
                                                       const Path& at) {
  const Path here = at.Field("regex");
  if (in.regex().empty()) return here.Error("must not be empty");
  if (in.regex().size() > kMaxRegexBytes) {
    return here.Error(
        absl::StrCat("found ", in.regex().size(), " bytes, allowed ", kMaxRegexBytes));
  }
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kMaxRegexMemory);
  auto regex = std::make_shared<const RE2>(in.regex(), options);
  if (!regex->ok()) return here.Error(absl::StrCat("not a regular expression: ", regex->error()));
  return regex;
}

absl::StatusOr<config::StringMatcher> DecodeString(const matcher::StringMatcher& in,
                                                   const Path& at) {
  switch (in.match_pattern_case()) {
    case matcher::StringMatcher::kExact:
      return Text(Kind::kExact, in.exact(), in.ignore_case(), at.Field("exact"));
    case matcher::StringMatcher::kPrefix:
      return Text(Kind::kPrefix, in.prefix(), in.ignore_case(), at.Field("prefix"));
    case matcher::StringMatcher::kSuffix:
      return Text(Kind::kSuffix, in.suffix(), in.ignore_case(), at.Field("suffix"));
    case matcher::StringMatcher::kContains:
      return Text(Kind::kContains, in.contains(), in.ignore_case(), at.Field("contains"));
    case matcher::StringMatcher::kSafeRegex: {
      config::StringMatcher out;
      out.kind = Kind::kRegex;
      HEDDLE_ASSIGN_OR_RETURN(out.regex, DecodeRegex(in.safe_regex(), at.Field("safe_regex")));
      return out;
    }
    case matcher::StringMatcher::MATCH_PATTERN_NOT_SET:
      break;
  }
  return at.Error("found nothing, allowed one of exact, prefix, suffix, safe_regex, contains");
}

absl::StatusOr<config::HeaderMatcher> DecodeHeader(const route::HeaderMatcher& in, const Path& at) {
  config::HeaderMatcher out;
  out.name = absl::AsciiStrToLower(in.name());
  const bool pseudo = out.name == ":method" || out.name == ":path" || out.name == ":authority" ||
                      out.name == ":scheme";
  if (!pseudo && !IsHeaderName(out.name)) {
    return at.Field("name").Error(absl::StrCat("found \"", in.name(), "\", allowed a header name"));
  }
  out.invert = in.invert_match();
  out.treat_missing_as_empty = in.treat_missing_header_as_empty();
  out.kind = config::HeaderMatcher::Kind::kString;
  switch (in.header_match_specifier_case()) {
    case route::HeaderMatcher::kStringMatch: {
      HEDDLE_ASSIGN_OR_RETURN(out.string,
                              DecodeString(in.string_match(), at.Field("string_match")));
      return out;
    }
    case route::HeaderMatcher::kExactMatch: {
      HEDDLE_ASSIGN_OR_RETURN(out.string,
                              Text(Kind::kExact, in.exact_match(), false, at.Field("exact_match")));
      return out;
    }
    case route::HeaderMatcher::kPrefixMatch: {
      HEDDLE_ASSIGN_OR_RETURN(
          out.string, Text(Kind::kPrefix, in.prefix_match(), false, at.Field("prefix_match")));
      return out;
    }
    case route::HeaderMatcher::kSuffixMatch: {
      HEDDLE_ASSIGN_OR_RETURN(
          out.string, Text(Kind::kSuffix, in.suffix_match(), false, at.Field("suffix_match")));
      return out;
    }
    case route::HeaderMatcher::kContainsMatch: {
      HEDDLE_ASSIGN_OR_RETURN(out.string, Text(Kind::kContains, in.contains_match(), false,
                                               at.Field("contains_match")));
      return out;
    }
    case route::HeaderMatcher::kSafeRegexMatch: {
      out.string.kind = Kind::kRegex;
      HEDDLE_ASSIGN_OR_RETURN(out.string.regex,
                              DecodeRegex(in.safe_regex_match(), at.Field("safe_regex_match")));
      return out;
    }
    case route::HeaderMatcher::kRangeMatch:
      out.kind = config::HeaderMatcher::Kind::kRange;
      out.range_begin = in.range_match().start();
      out.range_end = in.range_match().end();
      if (out.range_begin >= out.range_end) {
        return at.Field("range_match")
            .Error(absl::StrCat("found [", out.range_begin, ", ", out.range_end,
                                "), allowed a range that is not empty"));
      }
      return out;
    case route::HeaderMatcher::kPresentMatch:
      out.present = in.present_match();
      break;
    case route::HeaderMatcher::HEADER_MATCH_SPECIFIER_NOT_SET:
      break;  // present
  }
  out.kind = config::HeaderMatcher::Kind::kPresent;
  return out;
}

absl::StatusOr<config::QueryMatcher> DecodeQuery(const route::QueryParameterMatcher& in,
                                                 const Path& at) {
  config::QueryMatcher out;
  out.name = in.name();
  if (out.name.empty() || out.name.size() > 1024) {
    return at.Field("name").Error(
        absl::StrCat("found ", out.name.size(), " bytes, allowed 1 to 1024"));
  }
  if (in.has_string_match()) {
    HEDDLE_ASSIGN_OR_RETURN(out.string, DecodeString(in.string_match(), at.Field("string_match")));
  } else if (in.query_parameter_match_specifier_case() ==
                 route::QueryParameterMatcher::kPresentMatch &&
             !in.present_match()) {
    return at.Field("present_match").Error("found false, allowed true");
  }
  return out;
}

absl::StatusOr<net::Cidr> DecodeCidr(const envoy::config::core::v3::CidrRange& in, const Path& at) {
  absl::StatusOr<net::Cidr> out = net::Cidr::Create(in.address_prefix(), in.prefix_len().value());
  if (!out.ok()) {
    return at.Error(
        absl::StrCat("found \"", in.address_prefix(), "/", in.prefix_len().value(),
                     "\", allowed an IPv4 prefix up to /32 or an IPv6 prefix up to /128"));
  }
  return out;
}

absl::StatusOr<absl::Duration> DecodeDuration(const google::protobuf::Duration& in,
                                              const Path& at) {
  if (in.seconds() < 0 || in.nanos() < 0 || in.nanos() > 999999999 || in.seconds() > 315576000000) {
    return at.Error(absl::StrCat("found ", yaml::ToJson(in), ", allowed \"0s\" or more"));
  }
  return absl::Seconds(in.seconds()) + absl::Nanoseconds(in.nanos());
}

absl::StatusOr<config::Fraction> DecodeFraction(const envoy::type::v3::FractionalPercent& in,
                                                const Path& at) {
  using Pb = envoy::type::v3::FractionalPercent;
  config::Fraction out;
  switch (in.denominator()) {
    case Pb::HUNDRED:
      out.denominator = 100;
      break;
    case Pb::TEN_THOUSAND:
      out.denominator = 10000;
      break;
    case Pb::MILLION:
      out.denominator = 1000000;
      break;
    default:
      return at.Field("denominator")
          .Error(absl::StrCat("found ", static_cast<int>(in.denominator()),
                              ", allowed HUNDRED, TEN_THOUSAND, MILLION"));
  }
  out.numerator = std::min(in.numerator(), out.denominator);
  return out;
}

absl::StatusOr<config::Fraction> DecodePercent(const envoy::type::v3::Percent& in, const Path& at) {
  if (!(in.value() >= 0 && in.value() <= 100)) {
    return at.Field("value").Error(absl::StrCat("found ", in.value(), ", allowed 0 to 100"));
  }
  return config::Fraction{static_cast<uint32_t>(std::lround(in.value() * 100)), 10000};
}

}  // namespace heddle::decode
