// RBAC on connections: asked once, before the first byte goes to the TCP proxy or the HTTP
// connection manager.
#include "envoy/extensions/filters/network/rbac/v3/rbac.pb.h"
#include "source/base/status.h"
#include "source/decode/unknown.h"
#include "source/filter/network_policy.h"
#include "source/filter/rbac/decode.h"

namespace heddle::filter::rbac {
namespace {

namespace pb = envoy::extensions::filters::network::rbac::v3;

class ConnectionRules final : public NetworkPolicy {
 public:
  explicit ConnectionRules(std::shared_ptr<const Engine> rules) : rules_(std::move(rules)) {}

  Decision Decide(const ConnectionFacts& facts) const override {
    if (rules_ == nullptr) return {};
    const Engine::Decision decision = rules_->Decide({.request = nullptr,
                                                      .remote = &facts.remote,
                                                      .direct_remote = &facts.direct_remote,
                                                      .local = &facts.local,
                                                      .peer = &facts.peer,
                                                      .metadata = nullptr});
    if (decision.allowed) return {};
    return {.allow = false, .details = DeniedDetails(decision.policy)};
  }

 private:
  std::shared_ptr<const Engine> rules_;  // null: everything is allowed
};

absl::StatusOr<config::NetworkPolicy> Decode(const google::protobuf::Any& any, const base::Path& at,
                                             decode::Context&) {
  pb::RBAC in;
  if (!any.UnpackTo(&in))
    return at.Error("cannot be read as envoy.extensions.filters.network.rbac.v3.RBAC");
  HEDDLE_RETURN_IF_ERROR(decode::RejectUnknown(in, at));
  if (in.stat_prefix().empty()) return at.Field("stat_prefix").Error("required");
  if (in.enforcement_type() != pb::RBAC::ONE_TIME_ON_FIRST_BYTE) {
    return at.Field("enforcement_type").Error("only ONE_TIME_ON_FIRST_BYTE is supported");
  }
  std::shared_ptr<const Engine> rules;
  if (in.has_rules()) {
    HEDDLE_ASSIGN_OR_RETURN(rules, DecodeEngine(in.rules(), at.Field("rules")));
  }
  if (in.has_shadow_rules()) {
    HEDDLE_RETURN_IF_ERROR(DecodeEngine(in.shadow_rules(), at.Field("shadow_rules")).status());
  }
  std::shared_ptr<const NetworkPolicy> policy = std::make_shared<ConnectionRules>(std::move(rules));
  return config::NetworkPolicy{.name = "envoy.filters.network.rbac", .policy = std::move(policy)};
}

}  // namespace

decode::NetworkFilterEntry NetworkEntry() {
  return {.message = "envoy.extensions.filters.network.rbac.v3.RBAC", .decode = Decode};
}

}  // namespace heddle::filter::rbac
