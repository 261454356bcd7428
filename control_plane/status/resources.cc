// Encoded resources back to JSON, for people who look.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/message.h>
#include <google/protobuf/util/json_util.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "control_plane/status/pages.h"

namespace heddle::status {
namespace {

namespace pb = google::protobuf;

std::string ToJson(absl::string_view url, const std::string& body) {
  const std::string name(url.substr(url.rfind('/') + 1));
  const pb::Descriptor* type = pb::DescriptorPool::generated_pool()->FindMessageTypeByName(name);
  if (type == nullptr) return absl::StrCat("\"no such message: ", name, "\"");
  const std::unique_ptr<pb::Message> message(
      pb::MessageFactory::generated_factory()->GetPrototype(type)->New());
  pb::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string out;
  if (!message->ParseFromString(body) ||
      !pb::util::MessageToJsonString(*message, &out, options).ok())
    return "\"unreadable\"";
  return out;
}

}  // namespace

std::string SnapshotJson(const translate::Snapshot& snapshot) {
  std::string out = absl::StrCat("{\"version\":\"", snapshot.version, "\",\"resources\":{");
  bool first_type = true;
  for (const auto type : {translate::ResourceType::kCluster, translate::ResourceType::kEndpoints,
                          translate::ResourceType::kListener, translate::ResourceType::kRoutes}) {
    const absl::string_view url = translate::TypeUrl(type);
    absl::StrAppend(&out, first_type ? "" : ",", "\"", url.substr(url.rfind('.') + 1), "\":[");
    first_type = false;
    bool first = true;
    for (const translate::ResourceRef& resource : snapshot.Of(type)) {
      absl::StrAppend(&out, first ? "" : ",", "{\"version\":\"", resource->version,
                      "\",\"resource\":", ToJson(url, resource->body), "}");
      first = false;
    }
    out += "]";
  }
  return out + "}}";
}

}  // namespace heddle::status
