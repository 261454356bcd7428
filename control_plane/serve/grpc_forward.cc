#include "control_plane/serve/grpc_forward.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <chrono>

#include "source/base/log.h"

namespace heddle::serve {
namespace {

constexpr int kMaxInFlight = 64;
constexpr auto kDeadline = std::chrono::seconds(10);
constexpr char kExport[] = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

}  // namespace

struct TraceForwarder::State {
  explicit State(const std::string& target_in)
      : target(target_in),
        stub(grpc::CreateChannel(target_in, grpc::InsecureChannelCredentials())) {}
  const std::string target;
  grpc::GenericStub stub;
  std::atomic<int> in_flight{0};
  std::atomic<uint64_t> sent{0}, failed{0}, dropped{0};
  std::atomic<bool> failing{false};  // logged once per outage
};

TraceForwarder::TraceForwarder(const std::string& target)
    : state_(std::make_shared<State>(target)) {}
TraceForwarder::~TraceForwarder() = default;

void TraceForwarder::Forward(const std::string& request) {
  if (state_->in_flight.fetch_add(1) >= kMaxInFlight) {
    state_->in_flight--;
    state_->dropped++;
    return;
  }
  struct Call {
    std::shared_ptr<State> state;
    grpc::ClientContext context;
    grpc::ByteBuffer request, response;
  };
  auto* const call = new Call{.state = state_, .context = {}, .request = {}, .response = {}};
  const grpc::Slice slice(request);
  call->request = grpc::ByteBuffer(&slice, 1);
  call->context.set_deadline(std::chrono::system_clock::now() + kDeadline);
  call->context.set_wait_for_ready(true);
  state_->stub.UnaryCall(
      &call->context, kExport, grpc::StubOptions(), &call->request, &call->response,
      [call](const grpc::Status& status) {
        State& state = *call->state;
        state.in_flight--;
        (status.ok() ? state.sent : state.failed)++;
        if (state.failing.exchange(!status.ok()) == status.ok()) {
          if (status.ok())
            HEDDLE_LOG(kInfo, "trace") << "spans reach " << state.target << " again";
          else
            HEDDLE_LOG(kWarning, "trace")
                << "spans do not reach " << state.target << ": " << status.error_message();
        }
        delete call;
      });
}

TraceForwarder::Stats TraceForwarder::stats() const {
  return {.sent = state_->sent, .failed = state_->failed, .dropped = state_->dropped};
}

}  // namespace heddle::serve
