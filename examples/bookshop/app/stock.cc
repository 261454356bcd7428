// Both ends of the stock service: the only file of the bookshop that knows gRPC.
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "bookshop/stock.grpc.pb.h"
#include "examples/bookshop/app/behaviour.h"
#include "examples/bookshop/app/services.h"
#include "examples/bookshop/app/stock_client.h"

namespace bookshop {
namespace {

class StockService final : public Stock::Service {
 public:
  Behaviour& behaviour() { return behaviour_; }

  grpc::Status Get(grpc::ServerContext* context, const StockRequest*, StockReply* reply) override {
    if (behaviour_.ShouldFail()) return {grpc::StatusCode::UNAVAILABLE, "told to fail"};
    reply->set_copies(7);
    const auto& metadata = context->client_metadata();
    const auto caller = metadata.find("x-forwarded-client-cert");
    if (caller != metadata.end())
      reply->set_caller(std::string(caller->second.data(), caller->second.size()));
    return grpc::Status::OK;
  }

 private:
  Behaviour behaviour_;
};

const char* CodeText(grpc::StatusCode code) {
  switch (code) {
    case grpc::StatusCode::PERMISSION_DENIED:
      return "PERMISSION_DENIED";
    case grpc::StatusCode::UNAVAILABLE:
      return "UNAVAILABLE";
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return "DEADLINE_EXCEEDED";
    default:
      return "ERROR";
  }
}

}  // namespace

struct StockClient::Stub {
  std::unique_ptr<bookshop::Stock::Stub> stub;
};

StockClient::StockClient(const std::string& address, const std::string& authority)
    : stub_(std::make_unique<Stub>()) {
  grpc::ChannelArguments arguments;
  arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, authority);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  stub_->stub = bookshop::Stock::NewStub(
      grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
}

StockClient::~StockClient() = default;

StockClient::Answer StockClient::Ask(const std::string& book, const Headers& trace,
                                     int timeout_ms) const {
  grpc::ClientContext context;
  for (const auto& [name, value] : trace) context.AddMetadata(name, value);
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(timeout_ms));
  context.set_wait_for_ready(true);
  StockRequest request;
  request.set_book(book);
  StockReply reply;
  const grpc::Status status = stub_->stub->Get(&context, request, &reply);
  if (!status.ok())
    return {.ok = false,
            .caller = "",
            .error = std::string(CodeText(status.error_code())) + ": " + status.error_message()};
  return {.ok = true, .copies = reply.copies(), .caller = reply.caller(), .error = ""};
}

int RunStock(const Service& service) {
  StockService stock;
  grpc::ServerBuilder builder;
  int bound = 0;
  builder.AddListeningPort(service.ip + ":" + std::to_string(service.port),
                           grpc::InsecureServerCredentials(), &bound);
  builder.RegisterService(&stock);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || bound == 0) {
    std::fprintf(stderr, "bookshop: cannot listen on %s:%d\n", service.ip.c_str(), service.port);
    return 1;
  }
  if (service.control_port != 0) {
    const Handler handler = [&](const Request& request) { return stock.behaviour().Set(request); };
    return Serve(service.ip, service.control_port, 1, handler) ? 0 : 1;
  }
  server->Wait();
  return 0;
}

}  // namespace bookshop
