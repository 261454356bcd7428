// The one ADS stream of the process, kept alive: connects, subscribes, hands updates up,
// acknowledges, reconnects with jittered backoff. Main thread only. What it knows survives the loss
// of the control plane: nothing is ever dropped because a stream ended.
//
//   AdsClient ads(loop, random, {.delta = true, .node = node_bytes, .connect = ...}, this);
//   ads.Want(Type::kRoute, {"outbound"});
//   ads.Start();
//   ... OnUpdate(update) -> apply -> ads.Answer(update, status)
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "source/base/clock.h"
#include "source/event/loop.h"
#include "source/http/grpc/client.h"
#include "source/xds/subscription.h"

namespace heddle::xds {

class AdsEvents {
 public:
  virtual ~AdsEvents() = default;
  // One response. Must be answered once, now or later, by AdsClient::Answer (unless the stream
  // ended meanwhile).
  virtual void OnUpdate(Update update) = 0;
  virtual void OnStreamOpened() {}
};

class AdsClient final : private http::grpc::CallEvents, private http::grpc::ClientListener {
 public:
  struct Options {
    bool delta = true;
    std::string node;  // encoded envoy.config.core.v3.Node
    std::vector<std::pair<std::string, std::string>> metadata;
    // Bootstrap.dynamic_resources: without cds_config clusters are not asked for, nor are listeners
    // without lds_config.
    bool clusters = true, listeners = true;
    // Where and how to connect now; asked at each attempt. The error is logged and tried again.
    std::function<absl::StatusOr<http::grpc::Client::Options>()> connect;
  };
  AdsClient(event::Loop& loop, base::Random& random, Options options, AdsEvents* events);
  ~AdsClient() override;

  void Start();
  // Ends the stream and opens a new one: after a new certificate.
  void Reconnect();
  // Names wanted of a type; wildcard types are asked for from the start.
  void Want(Type type, std::set<std::string> names);
  void Remember(Type type, std::map<std::string, std::string> versions);
  void Answer(const Update& update, const absl::Status& status);

  bool connected() const { return call_ != nullptr && received_; }
  uint64_t reconnects() const { return reconnects_; }
  uint64_t rejected() const { return rejected_; }
  absl::string_view last_error() const { return last_error_; }

 private:
  void OnMessage(std::string message) override;
  void OnDone(const http::grpc::Status& status, const http::Trailers& trailers) override;
  void OnConnected() override;
  void OnClosed(absl::string_view why) override;

  void Open();
  void Fail(absl::string_view why);
  void SendAll();
  bool Asks(Type type) const;

  event::Loop& loop_;
  base::Random& random_;
  Options options_;
  AdsEvents* events_;
  std::array<std::unique_ptr<Subscription>, kTypes.size()> types_;
  std::unique_ptr<http::grpc::Client> client_;
  http::grpc::Call* call_ = nullptr;
  bool first_request_ = true;  // of this stream: carries the node
  bool received_ = false;      // something came on this stream
  uint64_t stream_ = 0;    // number of the stream, so that late answers to an old one are dropped
  uint32_t failures_ = 0;  // in a row
  uint64_t reconnects_ = 0, rejected_ = 0;
  std::string last_error_;
  event::Timer retry_;
};

}  // namespace heddle::xds
