// Outlier detection, the workers' half: what one attempt's result does to its host's counters. Any
// thread. (Envoy: DetectorHostMonitorImpl in outlier_detection_impl.cc.)
#pragma once

#include <memory>

#include "source/config/cluster.h"
#include "source/upstream/endpoint.h"
#include "source/upstream/spec.h"

namespace heddle::upstream {

// Calls shared.on_failure_run when a run reached its threshold: once for each run.
void TakeResult(const config::Cluster& config, SharedCluster& shared,
                const std::shared_ptr<HostState>& host, const Result& result);

}  // namespace heddle::upstream
