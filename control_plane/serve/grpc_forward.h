// Hands received spans on to a real collector (Jaeger, an OpenTelemetry collector) over OTLP/gRPC
// without TLS. Never slows a sender: what does not fit in flight is dropped and counted.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

namespace heddle::serve {

class TraceForwarder {
 public:
  // `target`: "host:port". Connects when first used, again when the connection breaks.
  explicit TraceForwarder(const std::string& target);
  ~TraceForwarder();

  // Bytes of an ExportTraceServiceRequest. Any thread.
  void Forward(const std::string& request);

  struct Stats {
    uint64_t sent = 0, failed = 0, dropped = 0;  // requests
  };
  Stats stats() const;

 private:
  struct State;
  const std::shared_ptr<State> state_;  // shared with the calls in flight
};

}  // namespace heddle::serve
