#include "source/xds/subscription.h"

#include <algorithm>
#include <deque>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "envoy/service/discovery/v3/discovery.pb.h"

namespace heddle::xds {
namespace {

namespace pb = envoy::service::discovery::v3;

// error_detail may be shown on somebody's status page: bounded.
constexpr size_t kMaxErrorBytes = 4096;

void FillError(const absl::Status& status, google::rpc::Status* out) {
  out->set_code(static_cast<int>(status.code()));
  out->set_message(std::string(status.message().substr(0, kMaxErrorBytes)));
}

template <typename Repeated>
void Assign(const std::set<std::string>& names, Repeated* out) {
  for (const std::string& name : names) *out->Add() = name;
}

class Delta final : public Subscription {
 public:
  explicit Delta(Type type) : type_(type) {}

  void OnStream() override {
    first_ = true;
    answers_.clear();
    asked_.clear();
  }

  void Want(std::set<std::string> names) override { wanted_ = std::move(names); }

  void Remember(std::map<std::string, std::string> versions) override {
    versions_ = std::move(versions);
  }

  void Answer(const Update& update, const absl::Status& status) override {
    pb::DeltaDiscoveryRequest& answer = answers_.emplace_back();
    answer.set_type_url(std::string(TypeUrl(type_)));
    answer.set_response_nonce(update.nonce);
    if (!status.ok()) return FillError(status, answer.mutable_error_detail());
    for (const Resource& resource : update.resources) versions_[resource.name] = resource.version;
    for (const std::string& name : update.removed) versions_.erase(name);
  }

  std::optional<std::string> Next() override {
    if (!first_ && !answers_.empty()) {
      const std::string bytes = answers_.front().SerializeAsString();
      answers_.pop_front();
      return bytes;
    }
    pb::DeltaDiscoveryRequest request;
    request.set_type_url(std::string(TypeUrl(type_)));
    if (first_) {
      if (!Wildcard(type_) && wanted_.empty()) return std::nullopt;  // nothing to ask for yet
      first_ = false;
      Assign(wanted_, request.mutable_resource_names_subscribe());
      Forget();
      for (const auto& [name, version] : versions_)
        (*request.mutable_initial_resource_versions())[name] = version;
      asked_ = wanted_;
      return request.SerializeAsString();
    }
    if (asked_ == wanted_) return std::nullopt;
    std::set_difference(
        wanted_.begin(), wanted_.end(), asked_.begin(), asked_.end(),
        google::protobuf::RepeatedFieldBackInserter(request.mutable_resource_names_subscribe()));
    std::set_difference(
        asked_.begin(), asked_.end(), wanted_.begin(), wanted_.end(),
        google::protobuf::RepeatedFieldBackInserter(request.mutable_resource_names_unsubscribe()));
    asked_ = wanted_;
    Forget();
    return request.SerializeAsString();
  }

  absl::StatusOr<Update> Read(const std::string& message) override {
    pb::DeltaDiscoveryResponse in;
    if (!in.ParseFromString(message))
      return absl::InvalidArgumentError("not a DeltaDiscoveryResponse");
    Update out;
    out.type = type_;
    out.version = in.system_version_info();
    out.nonce = in.nonce();
    for (pb::Resource& resource : *in.mutable_resources()) {
      // A heartbeat or "there is no such thing" has no body; neither changes what we hold.
      if (!resource.has_resource()) continue;
      out.resources.push_back({std::move(*resource.mutable_name()),
                               std::move(*resource.mutable_version()),
                               std::move(*resource.mutable_resource()->mutable_value())});
    }
    out.removed.assign(in.removed_resources().begin(), in.removed_resources().end());
    return out;
  }

 private:
  // Versions of names we no longer want would make the server believe that we hold them.
  void Forget() {
    if (Wildcard(type_)) return;
    for (auto it = versions_.begin(); it != versions_.end();) {
      it = wanted_.count(it->first) == 0 ? versions_.erase(it) : std::next(it);
    }
  }

  Type type_;
  bool first_ = true;
  std::set<std::string> wanted_, asked_;
  std::map<std::string, std::string> versions_;
  std::deque<pb::DeltaDiscoveryRequest> answers_;
};

class StateOfTheWorld final : public Subscription {
 public:
  explicit StateOfTheWorld(Type type) : type_(type) {}

  void OnStream() override {
    nonce_.clear();
    answer_.reset();
    asked_once_ = false;
  }

  void Want(std::set<std::string> names) override { wanted_ = std::move(names); }

  void Remember(std::map<std::string, std::string>) override {
  }  // a SotW server decides by the whole set

  void Answer(const Update& update, const absl::Status& status) override {
    nonce_ = update.nonce;
    if (status.ok()) version_ = update.version;
    answer_ = status;
  }

  std::optional<std::string> Next() override {
    const bool changed = !asked_once_ || asked_ != wanted_;
    if (!answer_.has_value() &&
        (!changed || (!Wildcard(type_) && wanted_.empty() && !asked_once_))) {
      return std::nullopt;
    }
    pb::DiscoveryRequest request;
    request.set_type_url(std::string(TypeUrl(type_)));
    request.set_version_info(version_);
    request.set_response_nonce(nonce_);
    Assign(wanted_, request.mutable_resource_names());
    if (answer_.has_value() && !answer_->ok()) FillError(*answer_, request.mutable_error_detail());
    answer_.reset();
    asked_ = wanted_;
    asked_once_ = true;
    return request.SerializeAsString();
  }

  absl::StatusOr<Update> Read(const std::string& message) override {
    pb::DiscoveryResponse in;
    if (!in.ParseFromString(message)) return absl::InvalidArgumentError("not a DiscoveryResponse");
    Update out;
    out.type = type_;
    out.version = in.version_info();
    out.nonce = in.nonce();
    out.full = Wildcard(type_);
    for (google::protobuf::Any& any : *in.mutable_resources()) {
      Resource resource{.name = {}, .version = in.version_info(), .bytes = {}};
      if (any.type_url() == "type.googleapis.com/envoy.service.discovery.v3.Resource") {
        pb::Resource wrapper;
        if (!any.UnpackTo(&wrapper))
          return absl::InvalidArgumentError("a wrapped resource cannot be read");
        if (!wrapper.has_resource()) continue;
        resource.name = wrapper.name();
        resource.bytes = std::move(*wrapper.mutable_resource()->mutable_value());
      } else {
        resource.bytes = std::move(*any.mutable_value());
      }
      out.resources.push_back(
          std::move(resource));  // the name is in the resource itself: the store reads it
    }
    return out;
  }

 private:
  Type type_;
  std::set<std::string> wanted_, asked_;
  bool asked_once_ = false;
  std::string version_, nonce_;
  std::optional<absl::Status> answer_;
};

}  // namespace

std::unique_ptr<Subscription> MakeSubscription(Type type, bool delta) {
  if (delta) return std::make_unique<Delta>(type);
  return std::make_unique<StateOfTheWorld>(type);
}

std::optional<Type> TypeOfResponse(const std::string& message, bool delta) {
  if (delta) {
    pb::DeltaDiscoveryResponse in;
    return in.ParseFromString(message) ? TypeOf(in.type_url()) : std::nullopt;
  }
  pb::DiscoveryResponse in;
  return in.ParseFromString(message) ? TypeOf(in.type_url()) : std::nullopt;
}

std::string WithNode(const std::string& request, const std::string& node, bool delta) {
  if (delta) {
    pb::DeltaDiscoveryRequest out;
    out.ParseFromString(request);
    out.mutable_node()->ParseFromString(node);
    return out.SerializeAsString();
  }
  pb::DiscoveryRequest out;
  out.ParseFromString(request);
  out.mutable_node()->ParseFromString(node);
  return out.SerializeAsString();
}

}  // namespace heddle::xds
