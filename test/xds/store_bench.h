// A ConfigStore and all that it needs, filled from YAML.
//
//   StoreBench bench({.clock = &clock});
//   REQUIRE(bench.Put<envoy::config::cluster::v3::Cluster>(Type::kCluster, "{name: c}").ok());
//   auto snapshot = bench.store.Build();
#pragma once

#include <catch2/catch.hpp>
#include <string>

#include "absl/status/status.h"
#include "source/base/clock.h"
#include "source/event/loop.h"
#include "source/filter/catalogue/catalogue.h"
#include "source/observe/access_log.h"
#include "source/observe/tracer.h"
#include "source/stats/stats.h"
#include "source/xds/config_store.h"
#include "source/yaml/yaml.h"

namespace heddle::xds {

struct StoreBench {
  explicit StoreBench(const event::LoopOptions& options = {}) : loop(options) {}

  template <typename Message>
  absl::Status Put(Type type, const std::string& yaml) {
    Message message;
    const absl::Status parsed = yaml::Decode(yaml, &message, {.file = "test"});
    INFO(parsed.message());
    REQUIRE(parsed.ok());
    Resource resource{.name = "", .version = "1", .bytes = message.SerializeAsString()};
    return store.Put(type, &resource);
  }

  int changes = 0;  // builds that the store asked for
  event::Loop loop;
  stats::Registry registry;
  stats::Sheet& sheet = registry.AddSheet();
  base::Random random{1};
  observe::LogFiles logs;
  observe::SpanQueues queues;
  ConfigStore store{{.loop = loop,
                     .registry = registry,
                     .sheet = sheet,
                     .random = random,
                     .resolver = nullptr,
                     .log_files = logs,
                     .span_queues = queues,
                     .catalogue = filter::AllFilters(),
                     .on_change = [this] { ++changes; }}};
};

}  // namespace heddle::xds
