#include "source/filter/rbac/decode.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "envoy/config/rbac/v3/rbac.pb.h"
#include "source/base/status.h"
#include "source/decode/match.h"
#include "source/decode/unknown.h"

namespace heddle::filter::rbac {
namespace {

namespace pb = envoy::config::rbac::v3;
using Kind = Condition::Kind;

// Conditions may nest; a hostile configuration must not overflow the stack.
constexpr int kMaxDepth = 32;

absl::Status DecodePermission(const pb::Permission& in, const base::Path& at, int depth,
                              Condition* out);
absl::Status DecodePrincipal(const pb::Principal& in, const base::Path& at, int depth,
                             Condition* out);

template <typename Message>
using DecodeOne = absl::Status (*)(const Message&, const base::Path&, int, Condition*);

template <typename Message>
absl::Status DecodeList(const google::protobuf::RepeatedPtrField<Message>& in, const base::Path& at,
                        int depth, DecodeOne<Message> decode, std::vector<Condition>* out) {
  if (in.empty()) return at.Error("must hold at least one");
  for (int i = 0; i < in.size(); ++i) {
    out->emplace_back();
    HEDDLE_RETURN_IF_ERROR(decode(in[i], at.Index(static_cast<size_t>(i)), depth, &out->back()));
  }
  return absl::OkStatus();
}

template <typename Message>
absl::Status DecodeNot(const Message& in, const base::Path& at, int depth,
                       DecodeOne<Message> decode, Condition* out) {
  out->kind = Kind::kNot;
  out->children.emplace_back();
  return decode(in, at, depth, &out->children[0]);
}

absl::Status DecodeAny(bool any, const base::Path& at, Condition* out) {
  if (!any) return at.Error("found false, allowed true");
  out->kind = Kind::kAny;
  return absl::OkStatus();
}

absl::Status DecodeRange(Kind kind, const envoy::config::core::v3::CidrRange& in,
                         const base::Path& at, Condition* out) {
  out->kind = kind;
  HEDDLE_ASSIGN_OR_RETURN(out->range, decode::DecodeCidr(in, at));
  return absl::OkStatus();
}

absl::Status DecodeText(Kind kind, const envoy::type::matcher::v3::StringMatcher& in,
                        const base::Path& at, Condition* out) {
  out->kind = kind;
  HEDDLE_ASSIGN_OR_RETURN(out->text, decode::DecodeString(in, at));
  return absl::OkStatus();
}

absl::Status DecodeHeader(const envoy::config::route::v3::HeaderMatcher& in, const base::Path& at,
                          Condition* out) {
  out->kind = Kind::kHeader;
  HEDDLE_ASSIGN_OR_RETURN(out->header, decode::DecodeHeader(in, at));
  return absl::OkStatus();
}

absl::Status DecodePath(const envoy::type::matcher::v3::PathMatcher& in, const base::Path& at,
                        Condition* out) {
  if (!in.has_path()) return at.Field("path").Error("required");
  return DecodeText(Kind::kPath, in.path(), at.Field("path"), out);
}

absl::Status DecodeMetadata(const envoy::type::matcher::v3::MetadataMatcher& in,
                            const base::Path& at, Condition* out) {
  out->kind = Kind::kMetadata;
  out->metadata_namespace = in.filter();
  out->invert = in.invert();
  std::vector<std::string> keys;
  for (const auto& segment : in.path()) keys.push_back(segment.key());
  if (in.filter().empty()) return at.Field("filter").Error("required");
  if (keys.empty()) return at.Field("path").Error("must hold at least one");
  for (const std::string& key : keys)
    absl::StrAppend(&out->metadata_key, out->metadata_key.empty() ? "" : ".", key);
  if (!in.value().has_string_match())
    return at.Field("value").Error("only string_match is supported");
  HEDDLE_ASSIGN_OR_RETURN(out->text, decode::DecodeString(in.value().string_match(),
                                                          at.Field("value").Field("string_match")));
  return absl::OkStatus();
}

absl::Status DecodePorts(uint32_t begin, uint32_t end, const base::Path& at, Condition* out) {
  if (begin >= end || end > 65536) {
    return at.Error(absl::StrCat("found [", begin, ", ", end,
                                 "), allowed a non-empty range within [0, 65536)"));
  }
  out->kind = Kind::kDestinationPort;
  out->port_begin = begin;
  out->port_end = end;
  return absl::OkStatus();
}

absl::Status DecodePermission(const pb::Permission& in, const base::Path& at, int depth,
                              Condition* out) {
  if (depth > kMaxDepth) return at.Error(absl::StrCat("nested deeper than ", kMaxDepth));
  switch (in.rule_case()) {
    case pb::Permission::kAndRules:
      out->kind = Kind::kAnd;
      return DecodeList(in.and_rules().rules(), at.Field("and_rules").Field("rules"), depth + 1,
                        DecodePermission, &out->children);
    case pb::Permission::kOrRules:
      out->kind = Kind::kOr;
      return DecodeList(in.or_rules().rules(), at.Field("or_rules").Field("rules"), depth + 1,
                        DecodePermission, &out->children);
    case pb::Permission::kNotRule:
      return DecodeNot(in.not_rule(), at.Field("not_rule"), depth + 1, DecodePermission, out);
    case pb::Permission::kAny:
      return DecodeAny(in.any(), at.Field("any"), out);
    case pb::Permission::kHeader:
      return DecodeHeader(in.header(), at.Field("header"), out);
    case pb::Permission::kUrlPath:
      return DecodePath(in.url_path(), at.Field("url_path"), out);
    case pb::Permission::kDestinationIp:
      return DecodeRange(Kind::kDestinationIp, in.destination_ip(), at.Field("destination_ip"),
                         out);
    case pb::Permission::kDestinationPort:
      return DecodePorts(in.destination_port(), in.destination_port() + 1,
                         at.Field("destination_port"), out);
    case pb::Permission::kDestinationPortRange: {
      const auto& range = in.destination_port_range();
      if (range.start() < 0 || range.end() < 0)
        return at.Field("destination_port_range").Error("negative");
      return DecodePorts(static_cast<uint32_t>(range.start()), static_cast<uint32_t>(range.end()),
                         at.Field("destination_port_range"), out);
    }
    case pb::Permission::kMetadata:
      return DecodeMetadata(in.metadata(), at.Field("metadata"), out);
    case pb::Permission::kRequestedServerName:
      return DecodeText(Kind::kServerName, in.requested_server_name(),
                        at.Field("requested_server_name"), out);
    case pb::Permission::RULE_NOT_SET:
      break;
  }
  return at.Error("no rule, or one that is not supported");
}

absl::Status DecodeAuthenticated(const pb::Principal::Authenticated& in, const base::Path& at,
                                 Condition* out) {
  out->kind = Kind::kAuthenticated;
  out->any_principal = !in.has_principal_name();
  if (out->any_principal) return absl::OkStatus();
  return DecodeText(Kind::kAuthenticated, in.principal_name(), at.Field("principal_name"), out);
}

absl::Status DecodePrincipal(const pb::Principal& in, const base::Path& at, int depth,
                             Condition* out) {
  if (depth > kMaxDepth) return at.Error(absl::StrCat("nested deeper than ", kMaxDepth));
  switch (in.identifier_case()) {
    case pb::Principal::kAndIds:
      out->kind = Kind::kAnd;
      return DecodeList(in.and_ids().ids(), at.Field("and_ids").Field("ids"), depth + 1,
                        DecodePrincipal, &out->children);
    case pb::Principal::kOrIds:
      out->kind = Kind::kOr;
      return DecodeList(in.or_ids().ids(), at.Field("or_ids").Field("ids"), depth + 1,
                        DecodePrincipal, &out->children);
    case pb::Principal::kNotId:
      return DecodeNot(in.not_id(), at.Field("not_id"), depth + 1, DecodePrincipal, out);
    case pb::Principal::kAny:
      return DecodeAny(in.any(), at.Field("any"), out);
    case pb::Principal::kAuthenticated:
      return DecodeAuthenticated(in.authenticated(), at.Field("authenticated"), out);
    case pb::Principal::kSourceIp:
      return DecodeRange(Kind::kRemoteIp, in.source_ip(), at.Field("source_ip"), out);
    case pb::Principal::kDirectRemoteIp:
      return DecodeRange(Kind::kDirectRemoteIp, in.direct_remote_ip(), at.Field("direct_remote_ip"),
                         out);
    case pb::Principal::kRemoteIp:
      return DecodeRange(Kind::kRemoteIp, in.remote_ip(), at.Field("remote_ip"), out);
    case pb::Principal::kHeader:
      return DecodeHeader(in.header(), at.Field("header"), out);
    case pb::Principal::kUrlPath:
      return DecodePath(in.url_path(), at.Field("url_path"), out);
    case pb::Principal::kMetadata:
      return DecodeMetadata(in.metadata(), at.Field("metadata"), out);
    case pb::Principal::IDENTIFIER_NOT_SET:
      break;
  }
  return at.Error("no identifier, or one that is not supported");
}

}  // namespace

absl::StatusOr<std::shared_ptr<const Engine>> DecodeEngine(const pb::RBAC& rules,
                                                           const base::Path& at) {
  HEDDLE_RETURN_IF_ERROR(decode::RejectUnknown(rules, at));
  Engine::Action action;
  switch (rules.action()) {
    case pb::RBAC::ALLOW:
      action = Engine::Action::kAllow;
      break;
    case pb::RBAC::DENY:
      action = Engine::Action::kDeny;
      break;
    case pb::RBAC::LOG:
      action = Engine::Action::kLog;
      break;
    default:
      return at.Field("action").Error(
          absl::StrCat("found ", static_cast<int>(rules.action()), ", allowed ALLOW, DENY, LOG"));
  }
  std::vector<Policy> policies;
  for (const auto& [name, in] : rules.policies()) {
    const base::Path map = at.Field("policies");
    const base::Path place = map.Key(name);
    Policy& policy = policies.emplace_back();
    policy.name = name;
    HEDDLE_RETURN_IF_ERROR(DecodeList(in.permissions(), place.Field("permissions"), 0,
                                      DecodePermission, &policy.permissions));
    HEDDLE_RETURN_IF_ERROR(DecodeList(in.principals(), place.Field("principals"), 0,
                                      DecodePrincipal, &policy.principals));
  }
  std::sort(policies.begin(), policies.end(),
            [](const Policy& a, const Policy& b) { return a.name < b.name; });
  return std::make_shared<const Engine>(action, std::move(policies));
}

}  // namespace heddle::filter::rbac
