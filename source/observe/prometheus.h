// The statistics as text: Prometheus exposition format 0.0.4 and Envoy's plain `name: value` lines.
#pragma once

#include <string>

#include "source/stats/stats.h"

namespace heddle::observe {

struct StatsOptions {
  bool used_only = false;  // leave out what never changed from zero
  // Only names holding this text (Prometheus: after naming); empty = all.
  std::string contains = {};
};

// Names are prefixed "envoy_", dots become underscores, tags become labels; histograms in Envoy's
// millisecond buckets.
std::string PrometheusText(stats::Registry& registry, const StatsOptions& options);

// "cluster.reviews.upstream_rq_total: 5"; histograms as P50/P90/P99.
std::string PlainText(stats::Registry& registry, const StatsOptions& options);

}  // namespace heddle::observe
