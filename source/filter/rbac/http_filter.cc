// The HTTP RBAC filter: 403 "RBAC: access denied" for what the rules refuse; shadow rules are only
// noted.
#include "envoy/extensions/filters/http/rbac/v3/rbac.pb.h"
#include "source/base/status.h"
#include "source/decode/unknown.h"
#include "source/filter/filter.h"
#include "source/filter/rbac/decode.h"

namespace heddle::filter::rbac {
namespace {

namespace pb = envoy::extensions::filters::http::rbac::v3;

struct Config {
  std::shared_ptr<const Engine> rules;  // null: everything is allowed
  std::shared_ptr<const Engine> shadow;
  std::string shadow_prefix;
};

constexpr absl::string_view kMetadata = "envoy.filters.http.rbac";

class Filter final : public HttpFilter {
 public:
  Filter(std::shared_ptr<const Config> config, std::string name)
      : config_(std::move(config)), name_(std::move(name)) {}

  Verdict OnRequestHead(http::RequestHead& head, StreamContext& stream) override {
    const auto* per_route = static_cast<const Config*>(stream.RouteConfig(name_));
    const Config& config = per_route != nullptr ? *per_route : *config_;
    observe::AccessRecord& record = stream.record();
    const Facts facts{.request = &head,
                      .remote = &record.downstream_remote,
                      .direct_remote = &record.downstream_direct_remote,
                      .local = &record.downstream_local,
                      .peer = record.downstream_tls,
                      .metadata = &record.metadata};
    if (config.shadow != nullptr) NoteShadow(config, facts, record);
    if (config.rules == nullptr) return Verdict::Next();
    const Engine::Decision decision = config.rules->Decide(facts);
    if (decision.allowed) return Verdict::Next();
    return Verdict::Answer(
        {.status = 403, .body = "RBAC: access denied", .details = DeniedDetails(decision.policy)});
  }

 private:
  // %DYNAMIC_METADATA(envoy.filters.http.rbac:shadow_engine_result)% for access logs.
  static void NoteShadow(const Config& config, const Facts& facts, observe::AccessRecord& record) {
    const Engine::Decision decision = config.shadow->Decide(facts);
    auto& values = record.metadata[kMetadata];
    values[config.shadow_prefix + "shadow_engine_result"] = decision.allowed ? "allowed" : "denied";
    values[config.shadow_prefix + "shadow_effective_policy_id"] = std::string(decision.policy);
  }

  std::shared_ptr<const Config> config_;
  std::string name_;
};

absl::StatusOr<std::shared_ptr<const Config>> DecodeConfig(const pb::RBAC& in,
                                                           const base::Path& at) {
  auto config = std::make_shared<Config>();
  config->shadow_prefix = in.shadow_rules_stat_prefix();
  if (in.has_rules()) {
    HEDDLE_ASSIGN_OR_RETURN(config->rules, DecodeEngine(in.rules(), at.Field("rules")));
  }
  if (in.has_shadow_rules()) {
    HEDDLE_ASSIGN_OR_RETURN(config->shadow,
                            DecodeEngine(in.shadow_rules(), at.Field("shadow_rules")));
  }
  return config;
}

absl::Status Decode(const google::protobuf::Any& any, const base::Path& at, decode::Context&,
                    config::HttpFilterSpec* spec) {
  pb::RBAC in;
  if (!any.UnpackTo(&in))
    return at.Error("cannot be read as envoy.extensions.filters.http.rbac.v3.RBAC");
  HEDDLE_RETURN_IF_ERROR(decode::RejectUnknown(in, at));
  HEDDLE_ASSIGN_OR_RETURN(std::shared_ptr<const Config> config, DecodeConfig(in, at));
  spec->make = [config, name = spec->name] { return std::make_unique<Filter>(config, name); };
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const void>> DecodeRoute(const google::protobuf::Any& any,
                                                        const base::Path& at, decode::Context&) {
  pb::RBACPerRoute in;
  if (!any.UnpackTo(&in))
    return at.Error("cannot be read as envoy.extensions.filters.http.rbac.v3.RBACPerRoute");
  HEDDLE_RETURN_IF_ERROR(decode::RejectUnknown(in, at));
  HEDDLE_ASSIGN_OR_RETURN(std::shared_ptr<const Config> config,
                          DecodeConfig(in.rbac(), at.Field("rbac")));
  return std::shared_ptr<const void>(std::move(config));
}

}  // namespace

decode::HttpFilterEntry HttpEntry() {
  return {.message = "envoy.extensions.filters.http.rbac.v3.RBAC",
          .type = "envoy.filters.http.rbac",
          .decode = Decode,
          .route_message = "envoy.extensions.filters.http.rbac.v3.RBACPerRoute",
          .decode_route = DecodeRoute};
}

}  // namespace heddle::filter::rbac
