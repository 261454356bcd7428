#include "source/upstream/intake.h"

namespace heddle::upstream {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr size_t kExternal = 0, kLocal = 1;

class Intake {
 public:
  Intake(const config::OutlierDetection& config, SharedCluster& shared,
         const std::shared_ptr<HostState>& host)
      : config_(config), shared_(shared), host_(host) {}

  void External(int status) {
    host_->bucket_total[kExternal].fetch_add(1, kRelaxed);
    if (status < 500) {
      host_->bucket_success[kExternal].fetch_add(1, kRelaxed);
      host_->consecutive_5xx.store(0, kRelaxed);
      host_->consecutive_gateway.store(0, kRelaxed);
      return;
    }
    if (status >= 502 && status <= 504)
      Count(host_->consecutive_gateway, config_.consecutive_gateway_failure,
            Ejection::kConsecutiveGateway);
    else
      host_->consecutive_gateway.store(0, kRelaxed);
    Count(host_->consecutive_5xx, config_.consecutive_5xx, Ejection::kConsecutive5xx);
  }

  void Local(bool success) {
    host_->bucket_total[kLocal].fetch_add(1, kRelaxed);
    if (success) {
      host_->bucket_success[kLocal].fetch_add(1, kRelaxed);
      host_->consecutive_local.store(0, kRelaxed);
      return;
    }
    Count(host_->consecutive_local, config_.consecutive_local_origin_failure,
          Ejection::kConsecutiveLocal);
  }

 private:
  // Equality, not more: it fires once for each run.
  void Count(std::atomic<uint32_t>& run, uint32_t threshold, Ejection type) {
    if (run.fetch_add(1, kRelaxed) + 1 == threshold && shared_.on_failure_run != nullptr)
      shared_.on_failure_run(host_, type);
  }

  const config::OutlierDetection& config_;
  SharedCluster& shared_;
  const std::shared_ptr<HostState>& host_;
};

// What a result without a response counts as when local origin errors are not kept apart; 0 =
// nothing.
int StatusOf(const Result& result) {
  switch (result.kind) {
    case Result::Kind::kHttp:
      return result.status;
    case Result::Kind::kConnectSuccess:
      return 0;
    case Result::Kind::kConnectDone:
      return 200;
    case Result::Kind::kTimeout:
      return 504;
    case Result::Kind::kConnectFailed:
    case Result::Kind::kReset:
      return 503;
  }
  return 0;
}

}  // namespace

void TakeResult(const config::Cluster& config, SharedCluster& shared,
                const std::shared_ptr<HostState>& host, const Result& result) {
  if (result.kind == Result::Kind::kTimeout) host->total_timeouts.fetch_add(1, kRelaxed);
  const int status = StatusOf(result);
  if (status >= 500)
    host->total_errors.fetch_add(1, kRelaxed);
  else if (status != 0)
    host->total_successes.fetch_add(1, kRelaxed);
  if (!config.outlier) return;
  Intake intake(*config.outlier, shared, host);
  if (!config.outlier->split_external_local_origin_errors) {
    if (status != 0) intake.External(status);
    return;
  }
  switch (result.kind) {
    case Result::Kind::kHttp:
      return intake.External(result.status);
    case Result::Kind::kConnectSuccess:
    case Result::Kind::kConnectDone:
      return intake.Local(true);
    case Result::Kind::kConnectFailed:
    case Result::Kind::kTimeout:
    case Result::Kind::kReset:
      return intake.Local(false);
  }
}

}  // namespace heddle::upstream
