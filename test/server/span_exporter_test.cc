// Spans on their way to a collector, which is a gRPC server on a loopback socket.
#include "source/server/span_exporter.h"

#include <catch2/catch.hpp>

#include "source/upstream/spec.h"
#include "test/http/grpc_server.h"
#include "test/support/peer.h"

namespace heddle::server {
namespace {

using http::Served;

struct Bench {
  explicit Bench(config::SpanTarget to)
      : queue(queues.Get(to)), exporter(loop, random, queues, Find()) {
    exporter.Start();
  }
  SpanExporter::FindCluster Find() {
    return [this](const std::string& name) {
      auto config = std::make_shared<config::Cluster>();
      config->name = name;
      auto spec = std::make_shared<upstream::ClusterSpec>();
      spec->config = config;
      spec->transports = {nullptr};
      upstream::Host host;
      host.state = std::make_shared<upstream::HostState>(server.address(), "");
      spec->hosts.push_back(host);
      cluster = cluster == nullptr ? spec : cluster;
      return cluster;
    };
  }
  event::Loop loop;
  base::Random random{1};
  http::grpc::WireServer server{loop};
  std::shared_ptr<const upstream::ClusterSpec> cluster;
  observe::SpanQueues queues;
  std::shared_ptr<observe::SpanQueue> queue;
  SpanExporter exporter;
};

config::SpanTarget Collector() {
  config::SpanTarget out;
  out.service_name = "web";
  out.cluster = "collector";
  return out;
}

SCENARIO("a call to the collector carries initial_metadata and its timeout") {
  config::SpanTarget to = Collector();
  to.headers = {{"authorization", "Bearer key"}, {"x-tenant", "a"}};
  to.timeout = absl::Milliseconds(50'250);
  Bench bench(to);
  bench.server.peer.on_event = [](Served& s) {
    if (s.ended) http::grpc::Answer(s, {""}, "0");
  };
  bench.queue->Add({});
  REQUIRE(test::RunUntil(bench.loop, [&] { return bench.exporter.exported() == 1; }));
  const http::Headers& headers = bench.server.peer.last().head.headers;
  CHECK(headers.Get("authorization") == "Bearer key");
  CHECK(headers.Get("x-tenant") == "a");
  CHECK(headers.Get("grpc-timeout") == "50250m");
}

SCENARIO("a collector that does not answer costs the call's spans when its timeout is over") {
  config::SpanTarget to = Collector();
  to.timeout = absl::Milliseconds(20);
  Bench bench(to);
  bench.queue->Add({});
  CHECK(test::RunUntil(bench.loop, [&] { return bench.exporter.failed() == 1; }));
  CHECK(bench.exporter.exported() == 0);
}

SCENARIO("a collector that the configuration names no more gets what waits for it and is left") {
  Bench bench(Collector());
  bench.server.peer.on_event = [](Served& s) {
    if (s.ended) http::grpc::Answer(s, {""}, "0");
  };
  for (int i = 0; i < 513; ++i) bench.queue->Add({});  // two calls
  config::SpanTarget other = Collector();
  other.service_name = "other";
  const auto kept = bench.queues.Get(other);
  bench.queue = nullptr;
  REQUIRE(test::RunUntil(bench.loop, [&] { return bench.exporter.lines() == 1; }));
  CHECK(bench.exporter.exported() == 513);
  REQUIRE(bench.queues.all().size() == 1);
  CHECK(bench.queues.all().front() == kept);
  // Named again, it is served again.
  bench.queue = bench.queues.Get(Collector());
  CHECK(test::RunUntil(bench.loop, [&] { return bench.exporter.lines() == 2; }));
}

}  // namespace
}  // namespace heddle::server
