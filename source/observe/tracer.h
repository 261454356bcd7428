// Spans: one for each request that a connection manager with tracing sees. A Tracer decides and
// names; finished spans wait in a SpanQueue from which the main thread exports them over OTLP
// (server/). Nothing here does I/O.
//
//   Span span = tracer->Start(head, random);      // reads traceparent, decides
//   tracer->Inject(span, &upstream_head);         // writes traceparent for the next hop
//   tracer->Finish(span, record);                 // queues it when sampled
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "source/config/http.h"
#include "source/http/headers.h"
#include "source/observe/access_record.h"
#include "source/observe/trace_context.h"

namespace heddle::observe {

// A finished span as it is exported.
struct SpanData {
  TraceContext context;
  std::array<uint8_t, 8> parent{};  // zero: a root
  std::string name;
  bool server = true;                      // OTLP kind SERVER, else CLIENT
  int64_t start_nanos = 0, end_nanos = 0;  // unix time
  std::vector<std::pair<std::string, std::string>> attributes;
  bool error = false;
};

// Spans of one destination and service, waiting to be exported. Any thread.
class SpanQueue {
 public:
  static constexpr size_t kMaxWaiting = 8192;  // more are dropped and counted

  explicit SpanQueue(config::SpanTarget target) : target_(std::move(target)) {}
  void Add(SpanData span);
  std::vector<SpanData> Take(size_t max);
  bool empty();
  uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }
  const config::SpanTarget& target() const { return target_; }

 private:
  const config::SpanTarget target_;
  std::mutex mutex_;
  std::vector<SpanData> waiting_;
  std::atomic<uint64_t> dropped_{0};
};

// The queues of the process, one for each destination and service. Main thread only.
class SpanQueues {
 public:
  std::shared_ptr<SpanQueue> Get(const config::SpanTarget& target);
  const std::vector<std::shared_ptr<SpanQueue>>& all() const { return queues_; }
  // Forgets the queue if no tracer holds it any more and nothing waits in it; tells whether it did.
  bool DropIfUnused(const SpanQueue* queue);

 private:
  std::vector<std::shared_ptr<SpanQueue>> queues_;
};

// opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest, encoded.
std::string EncodeExport(const std::string& service_name, const std::vector<SpanData>& spans);

// A span that runs.
struct Span {
  TraceContext context;
  std::array<uint8_t, 8> parent{};
  std::string name;  // operation; empty: made from the record at the end
};

class Tracer {
 public:
  // `outbound`: the listener's traffic direction; names the span "egress ..." instead of "ingress
  // ...".
  Tracer(config::Tracing config, bool outbound, std::shared_ptr<SpanQueue> queue)
      : config_(std::move(config)), outbound_(outbound), queue_(std::move(queue)) {}

  // The parent's decision stands; without one, random sampling (x-envoy-force-trace forces) within
  // overall sampling.
  Span Start(const http::RequestHead& head, base::Random& random) const;
  // Replaces traceparent. tracestate passes through untouched.
  void Inject(const Span& span, http::RequestHead* head) const;
  void Finish(const Span& span, const AccessRecord& record) const;
  const config::Tracing& config() const { return config_; }

 private:
  config::Tracing config_;
  bool outbound_;
  std::shared_ptr<SpanQueue> queue_;
};

}  // namespace heddle::observe
