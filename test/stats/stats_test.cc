#include "source/stats/stats.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "source/base/clock.h"

namespace heddle::stats {
namespace {

std::vector<std::string> Lines(Registry& registry) {
  std::vector<std::string> lines;
  registry.Visit([&](const Sample& sample) {
    std::string line(sample.name);
    for (const auto& [name, value] : *sample.tags) absl::StrAppend(&line, ",", name, "=", value);
    switch (sample.kind) {
      case Kind::kCounter:
        absl::StrAppend(&line, " ", sample.counter);
        break;
      case Kind::kGauge:
        absl::StrAppend(&line, " ", sample.gauge);
        break;
      case Kind::kHistogram:
        absl::StrAppend(&line, " n=", sample.histogram->count());
        break;
    }
    lines.push_back(line);
  });
  return lines;
}

SCENARIO("a scrape sums what every sheet counted, sorted by name and tags") {
  Registry registry;
  Sheet& one = registry.AddSheet();
  Sheet& two = registry.AddSheet();
  auto b = registry.MakeScope({{"cluster", "b"}});
  auto a = registry.MakeScope({{"cluster", "a"}});
  const CounterId b_total = b->Counter("rq_total"), a_total = a->Counter("rq_total");
  const CounterId a_5xx = a->Counter("rq_xx", {{"class", "5"}});
  const GaugeId active = a->Gauge("cx_active");
  one.Add(a_total);
  two.Add(a_total, 4);
  two.Add(b_total);
  one.Add(a_5xx);
  one.Add(active, 3);
  two.Sub(active);
  CHECK(registry.Total(a_total) == 5);
  CHECK(one.Value(a_total) == 1);
  CHECK(Lines(registry) == std::vector<std::string>{"cx_active,cluster=a 2", "rq_total,cluster=a 5",
                                                    "rq_total,cluster=b 1",
                                                    "rq_xx,cluster=a,class=5 1"});
}

SCENARIO("the same name and tags are the same slot, and it outlives the first scope") {
  Registry registry;
  Sheet& sheet = registry.AddSheet();
  auto old_cluster = registry.MakeScope({{"cluster", "a"}});
  const CounterId before = old_cluster->Counter("rq_total");
  sheet.Add(before, 7);
  auto new_cluster = registry.MakeScope({{"cluster", "a"}});
  const CounterId after = new_cluster->Counter("rq_total");
  CHECK(before.slot == after.slot);
  old_cluster.reset();
  CHECK(Lines(registry) == std::vector<std::string>{"rq_total,cluster=a 7"});
}

SCENARIO(
    "tags that a scope adds come after its own, in order, and the same ones are one statistic") {
  Registry registry;
  Sheet& sheet = registry.AddSheet();
  auto a = registry.MakeScope({{"cluster", "a"}}), b = registry.MakeScope({{"cluster", "b"}});
  sheet.Add(b->Counter("rq", {{"code", "200"}}), 4);
  sheet.Add(a->Counter("rq", {{"code", "503"}}), 2);
  sheet.Add(a->Counter("rq", {{"code", "200"}, {"way", "in"}}), 1);
  sheet.Add(a->Counter("rq_total"), 3);
  sheet.Add(registry.MakeScope({{"cluster", "a"}})->Counter("rq", {{"code", "503"}}), 5);
  sheet.Add(registry.Counter("rq", {{"code", "500"}}), 6);
  CHECK(Lines(registry) == std::vector<std::string>{
                               "rq,cluster=a,code=200,way=in 1", "rq,cluster=a,code=503 7",
                               "rq,cluster=b,code=200 4", "rq,code=500 6", "rq_total,cluster=a 3"});
}

SCENARIO("slots of a cluster that went away are zeroed and used again") {
  Registry registry;
  Sheet& sheet = registry.AddSheet();
  const CounterId forever = registry.Counter("server.total");
  sheet.Add(forever);
  auto scope = registry.MakeScope({{"cluster", "gone"}});
  const CounterId counter = scope->Counter("rq_total");
  const HistogramId histogram = scope->Histogram("rq_time", Unit::kMicroseconds);
  sheet.Add(counter, 9);
  sheet.Record(histogram, 1234);
  std::thread([&] { scope.reset(); }).join();
  CHECK(Lines(registry) == std::vector<std::string>{"server.total 1"});
  const size_t live = registry.live_slots();
  auto next = registry.MakeScope({{"cluster", "next"}});
  const HistogramId reused = next->Histogram("rq_time", Unit::kMicroseconds);
  const CounterId reused_counter = next->Counter("rq_total");
  CHECK(std::max(reused.slot, reused_counter.slot) == std::max(counter.slot, histogram.slot));
  CHECK(registry.Total(reused).count() == 0);
  CHECK(registry.Total(reused_counter) == 0);
  CHECK(registry.live_slots() == live + 2);
}

SCENARIO("a sheet keeps its place while slots are added") {
  Registry registry;
  Sheet& sheet = registry.AddSheet();
  std::vector<CounterId> ids;
  for (int i = 0; i < 5000; ++i) {
    ids.push_back(registry.Counter(absl::StrCat("c", i)));
    sheet.Add(ids.back(), static_cast<uint64_t>(i));
  }
  Sheet& late = registry.AddSheet();
  late.Add(ids[4999]);
  CHECK(registry.Total(ids[0]) == 0);
  CHECK(registry.Total(ids[1234]) == 1234);
  CHECK(registry.Total(ids[4999]) == 5000);
}

SCENARIO("a default id may be written to") {
  Registry registry;
  Sheet& sheet = registry.AddSheet();
  sheet.Add(CounterId());
  sheet.Set(GaugeId(), 5);
  sheet.Record(HistogramId(), 5);
  CHECK(Lines(registry).empty());
}

SCENARIO("a gauge can be set and go below zero") {
  Registry registry;
  Sheet& sheet = registry.AddSheet();
  const GaugeId gauge = registry.Gauge("g");
  sheet.Set(gauge, -3);
  sheet.Add(gauge, 1);
  CHECK(registry.Total(gauge) == -2);
}

SCENARIO("buckets cover all values without gap") {
  for (size_t bucket = 0; bucket + 1 < Distribution::kRows * Distribution::kSteps; ++bucket) {
    REQUIRE(Distribution::UpperBound(bucket) == Distribution::LowerBound(bucket + 1));
    REQUIRE(Distribution::BucketOf(Distribution::LowerBound(bucket)) == bucket);
    REQUIRE(Distribution::BucketOf(Distribution::UpperBound(bucket) - 1) == bucket);
  }
  CHECK(Distribution::BucketOf(UINT64_MAX) == Distribution::kRows * Distribution::kSteps - 1);
}

SCENARIO("quantiles are within a sixteenth of the true value") {
  Registry registry;
  Sheet& sheet = registry.AddSheet();
  const HistogramId id = registry.Histogram("time", Unit::kMicroseconds);
  base::Random random(5);
  std::vector<uint64_t> values;
  uint64_t sum = 0;
  for (int i = 0; i < 20'000; ++i) {
    const uint64_t value = random.Below(1U << (4 + random.Below(20)));
    values.push_back(value);
    sum += value;
    sheet.Record(id, value);
  }
  std::sort(values.begin(), values.end());
  const Distribution all = registry.Total(id);
  CHECK(all.count() == values.size());
  CHECK(all.sum() == sum);
  for (const double q : {0.25, 0.5, 0.9, 0.99, 0.999}) {
    const auto truth = static_cast<double>(values[static_cast<size_t>(q * 20'000)]);
    CHECK(std::abs(all.Quantile(q) - truth) <= truth / 16 + 1);
  }
  for (const double bound : {500.0, 1000.0, 5000.0, 1e6}) {
    const auto truth = static_cast<double>(
        std::upper_bound(values.begin(), values.end(), static_cast<uint64_t>(bound)) -
        values.begin());
    CHECK(std::abs(static_cast<double>(all.CountAtMost(bound)) - truth) <= truth / 50 + 5);
  }
  CHECK(all.CountAtMost(1e15) == all.count());
  CHECK(Distribution().Quantile(0.5) == 0);
}

SCENARIO("a scrape during writes sees whole values") {
  Registry registry;
  Sheet& sheet = registry.AddSheet();
  const CounterId counter = registry.Counter("c");
  const HistogramId histogram = registry.Histogram("h", Unit::kNone);
  std::atomic<bool> stop{false};
  std::thread worker([&] {
    for (uint64_t i = 0; !stop; ++i) {
      sheet.Add(counter);
      sheet.Record(histogram, i % 100'000);
    }
  });
  uint64_t last = 0;
  for (int i = 0; i < 200; ++i) {
    const uint64_t now = registry.Total(counter);
    CHECK(now >= last);
    last = now;
    registry.Total(histogram);
    registry.Counter(absl::StrCat("more", i));
  }
  stop = true;
  worker.join();
  CHECK(registry.Total(histogram).count() == registry.Total(counter));
}

}  // namespace
}  // namespace heddle::stats
