// Asks the application what a kubelet would: HTTP (a status below 400 is health), TCP (a connection
// is), gRPC (grpc.health.v1, SERVING is). From inside the pod, at the address that inbound traffic
// is sent to: 127.0.0.1, and ::1 where nobody listens there. Everything on the loop's thread.
//
//   HEDDLE_ASSIGN_OR_RETURN(auto prober, Prober::Create(loop, "10.244.0.7"));
//   running_ = prober->Start(probe, [this](const absl::Status& health) { ... });
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "source/event/loop.h"
#include "source/net/transport.h"
#include "source/probe/probe.h"

namespace heddle::probe {

class Prober {
 public:
  // `host`: the pod's address, for the host of HTTP requests.
  static absl::StatusOr<std::unique_ptr<Prober>> Create(event::Loop& loop, const std::string& host);

  // Called once, from the loop. An error is one line: what was asked and what came.
  using Done = std::function<void(const absl::Status& health)>;
  // Destroying what is returned cancels; from inside `done` only by loop.Destroy. `probe` must
  // outlive it.
  std::unique_ptr<event::Destroyable> Start(const Probe& probe, Done done) const;

 private:
  Prober(event::Loop& loop, std::string host,
         std::shared_ptr<const net::TransportFactory> unverified)
      : loop_(loop), host_(std::move(host)), unverified_(std::move(unverified)) {}

  event::Loop& loop_;
  const std::string host_;
  const std::shared_ptr<const net::TransportFactory> unverified_;  // TLS with any certificate
};

}  // namespace heddle::probe
