// The workload's certificate: makes a key, has it signed by the control plane, renews it at half
// life. The key never leaves the process except into the state directory (mode 0600), from which a
// restart takes it. Wire: istio.v1.auth.IstioCertificateService.CreateCertificate. Main thread
// only.
//
//   Identity identity(loop, random, clock, options, last_good, [&](const auto& made) { ... });
//   identity.Start();
//   identity.Renew();      // at once: the control plane asked for a rotation
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "source/base/clock.h"
#include "source/config/tls.h"
#include "source/event/loop.h"
#include "source/http/grpc/client.h"
#include "source/xds/last_good.h"

namespace heddle::xds {

struct WorkloadCertificate {
  config::Certificate certificate;
  std::string roots_pem;  // what peers' certificates are checked against
  absl::Time not_before, not_after;
};

class Identity final : private http::grpc::ClientListener {
 public:
  struct Options {
    std::string uri;         // spiffe://<trust domain>/ns/<ns>/sa/<sa>
    std::string token_file;  // read anew for each request that needs it: tokens are rotated
    absl::Duration lifetime = absl::Hours(24);
    // Where and how to connect; `certificate` is null for the first one (server authentication
    // only, token as proof).
    std::function<absl::StatusOr<http::grpc::Client::Options>(
        const WorkloadCertificate* certificate)>
        connect;
  };
  // Told at the start (from disk, when still valid) and after each renewal.
  using OnCertificate = std::function<void(const WorkloadCertificate&)>;

  Identity(event::Loop& loop, base::Random& random, const base::Clock& clock, Options options,
           const LastGood& store, OnCertificate on_certificate);
  ~Identity() override;

  void Start();
  void Renew();
  const std::optional<WorkloadCertificate>& current() const { return current_; }
  uint64_t renewals() const { return renewals_; }
  uint64_t failures() const { return failures_; }

 private:
  void OnClosed(absl::string_view why) override;
  void Request();
  void OnReply(const http::grpc::Status& status, const std::string& reply);
  absl::Status Install(const std::string& reply);
  void Fail(absl::string_view why);
  void Schedule();
  absl::StatusOr<WorkloadCertificate> Load() const;

  event::Loop& loop_;
  base::Random& random_;
  const base::Clock& clock_;
  Options options_;
  const LastGood& store_;
  OnCertificate on_certificate_;
  std::optional<WorkloadCertificate> current_;
  std::string pending_key_;  // of the request that runs; empty: none runs
  std::unique_ptr<http::grpc::Client> client_;
  event::Timer timer_;
  uint32_t failed_in_row_ = 0;
  uint64_t renewals_ = 0, failures_ = 0;
  // The certificate did not serve as proof (its root may be gone): the token is tried instead, in
  // turns.
  bool prefer_token_ = false;
  bool by_certificate_ = false;  // what the request that runs, or ran last, is proven by
  bool again_ = false;           // Renew was called while a request ran
};

}  // namespace heddle::xds
