#include "source/xds/ads_client.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "source/base/log.h"

namespace heddle::xds {
namespace {

constexpr absl::Duration kFirstRetry = absl::Milliseconds(100);
constexpr absl::Duration kLongestRetry = absl::Seconds(10);

// Full jitter over a doubling interval, at least 50 ms: a mesh whose control plane restarts must
// not come all at once.
absl::Duration Backoff(uint32_t failures, base::Random& random) {
  const absl::Duration ceiling =
      std::min(kFirstRetry * (1 << std::min(failures, 7u)), kLongestRetry);
  return absl::Milliseconds(50) + absl::Microseconds(static_cast<int64_t>(random.Below(
                                      static_cast<uint64_t>(absl::ToInt64Microseconds(ceiling)))));
}

}  // namespace

AdsClient::AdsClient(event::Loop& loop, base::Random& random, Options options, AdsEvents* events)
    : loop_(loop),
      random_(random),
      options_(std::move(options)),
      events_(events),
      retry_(loop, [this] { Open(); }) {
  for (const Type type : kTypes)
    types_[static_cast<size_t>(type)] = MakeSubscription(type, options_.delta);
}

AdsClient::~AdsClient() = default;

void AdsClient::Start() { Open(); }

void AdsClient::Reconnect() {
  call_ = nullptr;
  if (client_ != nullptr) loop_.Destroy(std::move(client_));
  ++reconnects_;
  Open();
}

void AdsClient::Open() {
  retry_.Stop();
  ++stream_;
  received_ = false;
  absl::StatusOr<http::grpc::Client::Options> target = options_.connect();
  if (!target.ok()) return Fail(target.status().message());
  client_ = http::grpc::Client::Connect(loop_, *target, this);
}

void AdsClient::OnConnected() {
  constexpr absl::string_view kDelta =
      "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
  constexpr absl::string_view kStateOfTheWorld =
      "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
  http::grpc::CallOptions options;
  options.path = std::string(options_.delta ? kDelta : kStateOfTheWorld);
  options.metadata = options_.metadata;
  call_ = client_->Start(options, this);
  if (call_ == nullptr) return;  // OnClosed follows
  first_request_ = true;
  for (const auto& type : types_) type->OnStream();
  SendAll();
  events_->OnStreamOpened();
}

bool AdsClient::Asks(Type type) const {
  if (type == Type::kCluster) return options_.clusters;
  return type != Type::kListener || options_.listeners;
}

void AdsClient::SendAll() {
  if (call_ == nullptr) return;
  for (const Type kind : kTypes) {
    if (!Asks(kind)) continue;
    const auto& type = types_[static_cast<size_t>(kind)];
    while (std::optional<std::string> request = type->Next()) {
      if (first_request_) *request = WithNode(*request, options_.node, options_.delta);
      first_request_ = false;
      call_->Send(*request);
    }
  }
}

void AdsClient::Want(Type type, std::set<std::string> names) {
  types_[static_cast<size_t>(type)]->Want(std::move(names));
  SendAll();
}

void AdsClient::Remember(Type type, std::map<std::string, std::string> versions) {
  types_[static_cast<size_t>(type)]->Remember(std::move(versions));
}

void AdsClient::OnMessage(std::string message) {
  received_ = true;
  failures_ = 0;
  const std::optional<Type> type = TypeOfResponse(message, options_.delta);
  if (!type.has_value() || !Asks(*type)) {
    HEDDLE_LOG(kWarning, "xds") << "the control plane sent a type that was not asked for; ignored";
    return;
  }
  absl::StatusOr<Update> update = types_[static_cast<size_t>(*type)]->Read(message);
  if (!update.ok()) {
    HEDDLE_LOG(kWarning, "xds") << ShortName(*type) << ": " << update.status().message()
                                << "; ignored";
    return;
  }
  events_->OnUpdate(*std::move(update));
}

void AdsClient::Answer(const Update& update, const absl::Status& status) {
  if (!status.ok()) {
    ++rejected_;
    HEDDLE_LOG(kWarning, "xds") << "rejected " << ShortName(update.type)
                                << " update: " << status.message();
  }
  if (call_ == nullptr) return;
  types_[static_cast<size_t>(update.type)]->Answer(update, status);
  SendAll();
}

void AdsClient::OnDone(const http::grpc::Status& status, const http::Trailers&) {
  call_ = nullptr;
  if (client_ == nullptr) return;
  loop_.Destroy(std::move(client_));
  Fail(absl::StrCat(http::grpc::CodeName(status.code), ": ", status.message));
}

void AdsClient::OnClosed(absl::string_view why) {
  call_ = nullptr;
  if (client_ == nullptr) return;
  loop_.Destroy(std::move(client_));
  Fail(why);
}

void AdsClient::Fail(absl::string_view why) {
  last_error_ = std::string(why);
  const absl::Duration after = Backoff(failures_++, random_);
  ++reconnects_;
  // The first loss and then one line a while: an hour without a control plane must not fill a disk.
  if (failures_ <= 2 || failures_ % 30 == 0) {
    HEDDLE_LOG(kWarning, "xds") << "control plane: " << why
                                << "; serving the last good configuration, trying again in "
                                << after;
  }
  retry_.Start(after);
}

}  // namespace heddle::xds
