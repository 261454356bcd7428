#include "source/upstream/load.h"

#include <catch2/catch.hpp>
#include <numeric>

namespace heddle::upstream {
namespace {

using Counts = std::vector<PriorityCounts>;
using Loads = std::vector<uint32_t>;

// Of 100 hosts in each priority, so that counts are percents.
Counts Percent(const std::vector<uint32_t>& healthy) {
  Counts counts;
  for (uint32_t h : healthy) counts.push_back({100, h, 0});
  return counts;
}

TEST_CASE("traffic spills to the next priority as the first loses hosts") {
  struct Row {
    std::vector<uint32_t> healthy;
    Loads loads;
  };
  // docs/.../load_balancing/priority.rst
  const std::vector<Row> rows = {
      {{100}, {100}},        {{72, 100}, {100, 0}},        {{71, 100}, {99, 1}},
      {{50, 100}, {70, 30}}, {{25, 100}, {35, 65}},        {{0, 100}, {0, 100}},
      {{25, 25}, {50, 50}},  {{100, 0}, {100, 0}},         {{20, 20, 10}, {40, 40, 20}},
      {{25, 75}, {35, 65}},  {{10, 10, 80}, {14, 14, 72}},
  };
  for (const Row& row : rows) {
    const PriorityLoad load = ComputeLoad(Percent(row.healthy), 140, 0);
    CAPTURE(row.healthy, load.healthy);
    CHECK(load.healthy == row.loads);
    CHECK(std::accumulate(load.healthy.begin(), load.healthy.end(), 0u) == 100);
  }
}

TEST_CASE("degraded hosts get what the healthy ones cannot carry") {
  const Counts counts = {{100, 50, 50}};
  const PriorityLoad load = ComputeLoad(counts, 140, 50);
  CHECK(load.healthy == Loads{70});
  CHECK(load.degraded == Loads{30});
  // Healthy ones of a lower priority come first.
  const Counts two = {{100, 50, 50}, {100, 100, 0}};
  const PriorityLoad spread = ComputeLoad(two, 140, 50);
  CHECK(spread.healthy == Loads{70, 30});
  CHECK(spread.degraded == Loads{0, 0});
}

TEST_CASE("a priority panics below half, but not while all together carry everything") {
  struct Row {
    std::vector<uint32_t> healthy;
    std::vector<bool> panic;
  };
  const std::vector<Row> rows = {
      {{49}, {true}},           {{50}, {false}},
      {{72}, {false}},          {{0, 100}, {false, false}},
      {{25, 25}, {true, true}}, {{0, 72}, {false, false}},
      {{5, 65}, {true, false}}, {{0}, {true}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.healthy);
    CHECK(ComputeLoad(Percent(row.healthy), 140, 50).panic == row.panic);
  }
}

TEST_CASE("when every priority panics, hosts count and health does not") {
  const Counts counts = {{30, 1, 0}, {60, 2, 0}, {10, 0, 0}};
  const PriorityLoad load = ComputeLoad(counts, 140, 50);
  CHECK(load.healthy == Loads{30, 60, 10});
  CHECK(load.panic == std::vector<bool>{true, true, true});
}

TEST_CASE("without panic an all-unhealthy cluster gets nothing") {
  const PriorityLoad load = ComputeLoad(Percent({0, 0}), 140, 0);
  CHECK(load.healthy == Loads{0, 0});
  CHECK(load.panic == std::vector<bool>{false, false});
  CHECK(ComputeLoad({}, 140, 50).healthy.empty());
}

TEST_CASE("a roll falls into healthy loads first, then degraded ones") {
  PriorityLoad load;
  load.healthy = {40, 30};
  load.degraded = {0, 30};
  CHECK(ChoosePriority(load, 0).priority == 0);
  CHECK(ChoosePriority(load, 39).priority == 0);
  CHECK(ChoosePriority(load, 40).priority == 1);
  CHECK(!ChoosePriority(load, 69).degraded);
  CHECK(ChoosePriority(load, 70).priority == 1);
  CHECK(ChoosePriority(load, 99).degraded);
}

}  // namespace
}  // namespace heddle::upstream
