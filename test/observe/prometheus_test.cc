// The statistics as text.
#include "source/observe/prometheus.h"

#include <catch2/catch.hpp>

namespace heddle::observe {
namespace {

TEST_CASE("names get a prefix, tags become labels, histograms become buckets in milliseconds") {
  stats::Registry registry;
  stats::Sheet& sheet = registry.AddSheet();
  auto scope = registry.MakeScope({{"envoy_cluster_name", "a\"b"}});
  const auto requests = scope->Counter("cluster.upstream_rq_total");
  const auto time = scope->Histogram("cluster.upstream_rq_time", stats::Unit::kMicroseconds);
  scope->Gauge("cluster.upstream_cx_active");
  sheet.Add(requests, 3);
  sheet.Record(time, 900);
  sheet.Record(time, 40'000);
  const std::string text = PrometheusText(registry, {});
  CHECK_THAT(text,
             Catch::Contains("# TYPE envoy_cluster_upstream_rq_total counter\n"
                             "envoy_cluster_upstream_rq_total{envoy_cluster_name=\"a\\\"b\"} 3\n"));
  CHECK_THAT(
      text,
      Catch::Contains(
          "envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"a\\\"b\",le=\"1\"} 1\n"));
  CHECK_THAT(text, Catch::Contains("le=\"+Inf\"} 2\n"));
  CHECK_THAT(text, Catch::Contains(
                       "envoy_cluster_upstream_rq_time_count{envoy_cluster_name=\"a\\\"b\"} 2\n"));
  CHECK_THAT(text, Catch::Contains("envoy_cluster_upstream_cx_active"));
  CHECK_THAT(PrometheusText(registry, {.used_only = true}),
             !Catch::Contains("envoy_cluster_upstream_cx_active"));
  CHECK_THAT(PrometheusText(registry, {.contains = "rq_total"}), !Catch::Contains("rq_time"));
}

TEST_CASE("plain names carry their tag where Envoy has it") {
  stats::Registry registry;
  stats::Sheet& sheet = registry.AddSheet();
  auto scope = registry.MakeScope({{"envoy_cluster_name", "reviews"}});
  sheet.Add(scope->Counter("cluster.upstream_rq_total"), 5);
  CHECK_THAT(PlainText(registry, {}), Catch::Contains("cluster.reviews.upstream_rq_total: 5\n"));
}

}  // namespace
}  // namespace heddle::observe
