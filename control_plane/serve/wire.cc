#include "control_plane/serve/wire.h"

#include <google/protobuf/io/coded_stream.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "envoy/service/discovery/v3/discovery.pb.h"

namespace heddle::serve {
namespace {

namespace discovery = envoy::service::discovery::v3;

// Bodies smaller than this are copied: a slice of its own would cost more.
constexpr size_t kCopyBelow = 512;

template <typename Message>
absl::Status Parse(absl::string_view bytes, Message* message) {
  if (message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("not a ", message->GetTypeName()));
}

template <typename Message>
Acknowledgement AnswerOf(const Message& in) {
  Acknowledgement out;
  out.nonce = in.response_nonce();
  out.rejected = in.has_error_detail();
  if (out.rejected) out.error = in.error_detail().message().substr(0, 4096);
  return out;
}

void NodeOf(const envoy::config::core::v3::Node& in, Node* out) {
  out->id = in.id();
  out->agent = in.user_agent_name().substr(0, 64);
  out->agent_version = in.user_agent_version().substr(0, 64);
  const auto intercept = in.metadata().fields().find("INTERCEPT");
  out->intercept = intercept != in.metadata().fields().end() && intercept->second.bool_value();
}

// The wire format of length-delimited fields (numbers below 16), which is all that responses
// consist of.
void PutTag(int field, size_t size, std::string* out) {
  out->push_back(static_cast<char>(field << 3 | 2));
  while (size >= 0x80) {
    out->push_back(static_cast<char>(size | 0x80));
    size >>= 7;
  }
  out->push_back(static_cast<char>(size));
}

void PutString(int field, absl::string_view text, std::string* out) {
  if (text.empty()) return;
  PutTag(field, text.size(), out);
  out->append(text.data(), text.size());
}

size_t FieldSize(size_t content) {
  return 1 + google::protobuf::io::CodedOutputStream::VarintSize64(content) + content;
}

size_t StringSize(absl::string_view text) { return text.empty() ? 0 : FieldSize(text.size()); }

// google.protobuf.Any {type_url = 1, value = 2}, the body last so that it can be shared.
size_t AnySize(absl::string_view url, const translate::Resource& resource) {
  return StringSize(url) + FieldSize(resource.body.size());
}

class Writer {
 public:
  std::string* own() { return &own_; }
  void Body(const translate::ResourceRef& resource) {
    if (resource->body.size() < kCopyBelow) {
      own_ += resource->body;
      return;
    }
    Cut();
    pieces_.push_back({.own = {}, .shared = resource});
  }
  std::vector<Piece> Done() {
    Cut();
    return std::move(pieces_);
  }

 private:
  void Cut() {
    if (own_.empty()) return;
    pieces_.push_back({.own = std::move(own_), .shared = nullptr});
    own_.clear();
  }

  std::string own_;
  std::vector<Piece> pieces_;
};

void PutAny(absl::string_view url, const translate::ResourceRef& resource, Writer* out) {
  PutString(1, url, out->own());
  PutTag(2, resource->body.size(), out->own());
  out->Body(resource);
}

}  // namespace

absl::StatusOr<DeltaRequest> DecodeDelta(absl::string_view bytes, Node* node) {
  discovery::DeltaDiscoveryRequest in;
  if (const absl::Status status = Parse(bytes, &in); !status.ok()) return status;
  DeltaRequest out;
  out.type_url = in.type_url();
  out.answer = AnswerOf(in);
  out.subscribe.assign(in.resource_names_subscribe().begin(), in.resource_names_subscribe().end());
  out.unsubscribe.assign(in.resource_names_unsubscribe().begin(),
                         in.resource_names_unsubscribe().end());
  out.initial_versions.assign(in.initial_resource_versions().begin(),
                              in.initial_resource_versions().end());
  if (in.has_node()) NodeOf(in.node(), node);
  return out;
}

absl::StatusOr<SotwRequest> DecodeSotw(absl::string_view bytes, Node* node) {
  discovery::DiscoveryRequest in;
  if (const absl::Status status = Parse(bytes, &in); !status.ok()) return status;
  SotwRequest out;
  out.type_url = in.type_url();
  out.answer = AnswerOf(in);
  out.names.assign(in.resource_names().begin(), in.resource_names().end());
  if (in.has_node()) NodeOf(in.node(), node);
  return out;
}

// DeltaDiscoveryResponse {system_version_info = 1, resources = 2, type_url = 4, nonce = 5,
// removed_resources = 6}; Resource {version = 1, resource = 2, name = 3}.
std::vector<Piece> EncodeDelta(const Response& response) {
  Writer out;
  PutString(1, response.version, out.own());
  PutString(4, response.type_url, out.own());
  PutString(5, response.nonce, out.own());
  for (const std::string& name : response.removed) {
    PutTag(6, name.size(), out.own());
    *out.own() += name;
  }
  for (const translate::ResourceRef& resource : response.resources) {
    const size_t any = AnySize(response.type_url, *resource);
    PutTag(2, StringSize(resource->version) + StringSize(resource->name) + FieldSize(any),
           out.own());
    PutString(1, resource->version, out.own());
    PutString(3, resource->name, out.own());
    PutTag(2, any, out.own());
    PutAny(response.type_url, resource, &out);
  }
  return out.Done();
}

// DiscoveryResponse {version_info = 1, resources = 2, type_url = 4, nonce = 5}.
std::vector<Piece> EncodeSotw(const Response& response) {
  Writer out;
  PutString(1, response.version, out.own());
  PutString(4, response.type_url, out.own());
  PutString(5, response.nonce, out.own());
  for (const translate::ResourceRef& resource : response.resources) {
    PutTag(2, AnySize(response.type_url, *resource), out.own());
    PutAny(response.type_url, resource, &out);
  }
  return out.Done();
}

std::string Join(const std::vector<Piece>& pieces) {
  std::string out;
  for (const Piece& piece : pieces) out += piece.shared != nullptr ? piece.shared->body : piece.own;
  return out;
}

}  // namespace heddle::serve
