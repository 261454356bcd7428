// Bootstraps.
#include "absl/container/btree_set.h"
#include "absl/strings/str_cat.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "source/base/version.h"
#include "source/decode/decode.h"
#include "source/decode/parts.h"
#include "source/decode/references.h"
#include "source/yaml/yaml.h"

namespace heddle::decode {
namespace {

namespace bootstrap = envoy::config::bootstrap::v3;
namespace core = envoy::config::core::v3;
using Names = absl::btree_set<std::string>;

absl::Status DecodeNode(const core::Node& in, config::Bootstrap* out) {
  core::Node node = in;
  if (node.user_agent_name().empty()) {
    node.set_user_agent_name("heddle-proxy");
    // What heddlectl check tells older sidecars by.
    if (!node.has_user_agent_version()) node.set_user_agent_version(base::kVersion);
  }
  out->node_id = node.id();
  out->node_cluster = node.cluster();
  out->node_locality.region = node.locality().region();
  out->node_locality.zone = node.locality().zone();
  out->node_locality.sub_zone = node.locality().sub_zone();
  out->node_bytes = node.SerializeAsString();
  return absl::OkStatus();
}

absl::StatusOr<config::AdsConfig> DecodeAds(const core::ApiConfigSource& in, const Path& at) {
  config::AdsConfig out;
  switch (in.api_type()) {
    case core::ApiConfigSource::GRPC:
    case core::ApiConfigSource::AGGREGATED_GRPC:
      break;
    case core::ApiConfigSource::DELTA_GRPC:
    case core::ApiConfigSource::AGGREGATED_DELTA_GRPC:
      out.delta = true;
      break;
    default:
      return BadEnum(core::ApiConfigSource::ApiType_descriptor(), in.api_type(),
                     at.Field("api_type"),
                     "GRPC, DELTA_GRPC, AGGREGATED_GRPC, AGGREGATED_DELTA_GRPC");
  }
  if (in.transport_api_version() == core::V2)
    return at.Field("transport_api_version").Error("found V2, allowed V3");
  const Path list = at.Field("grpc_services");
  if (in.grpc_services().empty()) return list.Error("found none, allowed 1 or more");
  const core::GrpcService& service = in.grpc_services(0);
  const Path first = list.Index(0);
  const Path grpc = first.Field("envoy_grpc");
  HEDDLE_RETURN_IF_ERROR(Required(service.has_envoy_grpc(), grpc));
  out.cluster = service.envoy_grpc().cluster_name();
  if (out.cluster.empty()) return grpc.Field("cluster_name").Error("required");
  HEDDLE_RETURN_IF_ERROR(DecodeOwnHeaders(service.initial_metadata(),
                                          first.Field("initial_metadata"), &out.initial_metadata));
  return out;
}

absl::Status DecodeDynamic(const bootstrap::Bootstrap::DynamicResources& in, const Path& at,
                           config::Bootstrap* out) {
  if (in.has_ads_config()) {
    HEDDLE_ASSIGN_OR_RETURN(out->ads, DecodeAds(in.ads_config(), at.Field("ads_config")));
  }
  out->lds_from_ads = in.has_lds_config();
  out->cds_from_ads = in.has_cds_config();
  if (out->lds_from_ads) {
    HEDDLE_RETURN_IF_ERROR(
        DecodeSource(in.lds_config(), at.Field("lds_config"), &out->lds_fetch_timeout));
  }
  if (out->cds_from_ads) {
    HEDDLE_RETURN_IF_ERROR(
        DecodeSource(in.cds_config(), at.Field("cds_config"), &out->cds_fetch_timeout));
  }
  if ((out->lds_from_ads || out->cds_from_ads) && !out->ads)
    return at.Field("ads_config").Error("required");
  return absl::OkStatus();
}

template <typename Message, typename Out>
using DecodeOne = absl::StatusOr<std::shared_ptr<const Out>> (*)(const Message&, const Path&,
                                                                 Context&);

template <typename Message, typename Out>
absl::Status DecodeAll(const google::protobuf::RepeatedPtrField<Message>& in, const Path& at,
                       Context& context, DecodeOne<Message, Out> decode,
                       std::vector<std::shared_ptr<const Out>>* out) {
  Names names;
  for (int i = 0; i < in.size(); ++i) {
    const Path here = at.Index(static_cast<size_t>(i));
    HEDDLE_ASSIGN_OR_RETURN(std::shared_ptr<const Out> one, decode(in[i], here, context));
    if (!names.insert(one->name).second)
      return here.Field("name").Error(absl::StrCat("duplicate \"", one->name, "\""));
    out->push_back(std::move(one));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<config::Bootstrap> DecodeBootstrap(const bootstrap::Bootstrap& in, const Path& at,
                                                  Context& context) {
  HEDDLE_RETURN_IF_ERROR(NoteUnknown(in, at, context));
  config::Bootstrap out;
  out.encoded = in.SerializeAsString();
  HEDDLE_RETURN_IF_ERROR(DecodeNode(in.node(), &out));
  if (in.admin().has_address()) {
    const Path admin = at.Field("admin");
    HEDDLE_ASSIGN_OR_RETURN(out.admin, DecodeAddress(in.admin().address(), admin.Field("address"),
                                                     {.allow_any_port = true}));
  }
  const Path fixed = at.Field("static_resources");
  HEDDLE_RETURN_IF_ERROR(DecodeAll(in.static_resources().secrets(), fixed.Field("secrets"), context,
                                   DecodeSecret, &out.secrets));
  HEDDLE_RETURN_IF_ERROR(DecodeAll(in.static_resources().clusters(), fixed.Field("clusters"),
                                   context, DecodeCluster, &out.clusters));
  HEDDLE_RETURN_IF_ERROR(DecodeAll(in.static_resources().listeners(), fixed.Field("listeners"),
                                   context, DecodeListener, &out.listeners));
  HEDDLE_RETURN_IF_ERROR(
      DecodeDynamic(in.dynamic_resources(), at.Field("dynamic_resources"), &out));
  if (out.ads && out.node_id.empty()) {
    const Path node = at.Field("node");
    return node.Field("id").Error("required with ads_config");
  }
  HEDDLE_RETURN_IF_ERROR(CheckReferences(out, at));
  out.warnings = context.TakeWarnings();
  return out;
}

absl::StatusOr<config::Bootstrap> BootstrapFromText(absl::string_view text, absl::string_view file,
                                                    const Catalogue& catalogue) {
  Context context(catalogue);
  const yaml::Options options{.file = std::string(file),
                              .unknown_fields = yaml::UnknownFields::kWarn,
                              .warnings = context.mutable_warnings()};
  HEDDLE_ASSIGN_OR_RETURN(const std::vector<yaml::Document> documents, yaml::Parse(text, options));
  if (documents.size() != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": found ", documents.size(), " documents, allowed 1"));
  }
  bootstrap::Bootstrap message;
  HEDDLE_RETURN_IF_ERROR(documents[0].Decode(&message, options));
  absl::StatusOr<config::Bootstrap> out = DecodeBootstrap(message, Path(), context);
  if (out.ok()) return out;
  // The decoder knows the path, the document knows its line.
  const absl::string_view what = out.status().message();
  const int line = documents[0].Line(what.substr(0, what.find(": ")));
  return absl::InvalidArgumentError(absl::StrCat(file, ":", line, ": ", what));
}

}  // namespace heddle::decode
