#include "source/probe/prober.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "heddle/proxy/v1/probes.pb.h"
#include "source/base/status.h"
#include "source/http/grpc/client.h"
#include "source/net/connection.h"
#include "source/probe/http_call.h"
#include "source/tls/context.h"

namespace heddle::probe {
namespace {

// In this order; the second is asked where nobody listens at the first.
constexpr absl::string_view kLoopback[] = {"127.0.0.1", "::1"};
constexpr char kHealthCheck[] = "/grpc.health.v1.Health/Check";
constexpr size_t kMaxHealthReply = 4096;
constexpr int kServing = 1;

struct Where {
  event::Loop& loop;
  const std::string& host;
  const net::TransportFactory* unverified;
};

class Running final : public event::Destroyable, private net::ConnectionEvents {
 public:
  Running(const Where& where, const Probe& probe, Prober::Done done)
      : where_(where), probe_(probe), done_(std::move(done)), timer_(where.loop, [this] {
          Finish(absl::DeadlineExceededError(
              absl::StrCat("no answer within ", absl::FormatDuration(probe_.timeout))));
        }) {
    timer_.Start(probe.timeout);
    Attempt();
  }

 private:
  void Attempt() {
    address_ = *net::Address::FromIp(kLoopback[attempt_], probe_.port);
    switch (probe_.kind) {
      case Probe::Kind::kHttp:
        return AskHttp();
      case Probe::Kind::kTcp:
        connection_ = net::Connection::Connect(where_.loop, address_, net::Address(),
                                               net::MakePlainTransport(),
                                               {.connect_timeout = probe_.timeout}, this);
        return;
      case Probe::Kind::kGrpc:
        return AskGrpc();
    }
  }

  void AskHttp() {
    HttpCall::Request request;
    request.address = address_;
    request.transport = probe_.tls ? where_.unverified : nullptr;
    request.authority = probe_.host.empty() ? absl::StrCat(absl::StrContains(where_.host, ":")
                                                               ? absl::StrCat("[", where_.host, "]")
                                                               : where_.host,
                                                           ":", probe_.port)
                                            : probe_.host;
    request.path = probe_.path;
    bool agent = false;
    for (const auto& header : probe_.headers) agent |= header.first == "user-agent";
    request.headers = probe_.headers;
    // Applications know probes by it, and leave them out of their logs.
    if (!agent) request.headers.emplace_back("user-agent", "kube-probe/heddle");
    request.headers.emplace_back("connection", "close");
    request.timeout = probe_.timeout;
    call_ = HttpCall::Start(where_.loop, std::move(request),
                            [this](const absl::StatusOr<HttpCall::Reply>& reply) {
                              if (!reply.ok()) return OnFailed(reply.status());
                              if (reply->status >= 200 && reply->status < 400)
                                return Finish(absl::OkStatus());
                              Finish(absl::UnknownError(absl::StrCat("status ", reply->status)));
                            });
  }

  void AskGrpc() {
    heddle::proxy::v1::HealthCheckRequest request;
    request.set_service(probe_.service);
    client_ = http::grpc::Client::Connect(
        where_.loop, {.address = address_, .user_agent = "kube-probe/heddle"}, nullptr);
    client_->Unary(
        {.path = kHealthCheck, .timeout = probe_.timeout, .max_message_bytes = kMaxHealthReply},
        request.SerializeAsString(),
        [this](const http::grpc::Status& status, const std::string& reply) {
          OnHealth(status, reply);
        });
  }

  void OnHealth(const http::grpc::Status& status, const std::string& reply) {
    if (!status.ok()) {
      return OnFailed(
          absl::Status(static_cast<absl::StatusCode>(status.code),
                       absl::StrCat(http::grpc::CodeName(status.code), " ", status.message)));
    }
    heddle::proxy::v1::HealthCheckResponse response;
    if (!response.ParseFromString(reply)) return Finish(absl::UnknownError("a broken answer"));
    if (response.status() == kServing) return Finish(absl::OkStatus());
    Finish(absl::UnknownError(absl::StrCat("health status ", response.status(), ", SERVING is 1")));
  }

  // TCP.
  void OnConnected() override { Finish(absl::OkStatus()); }
  void OnData(base::Buffer& in, bool) override { in.Clear(); }
  void OnClosed(net::CloseReason) override {
    OnFailed(absl::UnavailableError(connection_->failure()));
  }

  // Unavailable: nobody listens there.
  void OnFailed(const absl::Status& status) {
    if (!absl::IsUnavailable(status) || attempt_ + 1 == std::size(kLoopback)) {
      return Finish(absl::IsUnavailable(status) && !first_.ok() ? first_ : status);
    }
    if (first_.ok()) first_ = status;
    ++attempt_;
    if (connection_ != nullptr) where_.loop.Destroy(std::move(connection_));
    if (call_ != nullptr) where_.loop.Destroy(std::move(call_));
    if (client_ != nullptr) where_.loop.Destroy(std::move(client_));
    Attempt();
  }

  std::string Question() const {
    switch (probe_.kind) {
      case Probe::Kind::kHttp:
        return absl::StrCat("GET ", probe_.tls ? "https" : "http", "://", kLoopback[0], ":",
                            probe_.port, probe_.path);
      case Probe::Kind::kTcp:
        return absl::StrCat("TCP ", kLoopback[0], ":", probe_.port);
      case Probe::Kind::kGrpc:
        return absl::StrCat("gRPC health of \"", probe_.service, "\" at ", kLoopback[0], ":",
                            probe_.port);
    }
    return "";
  }

  void Finish(const absl::Status& status) {
    timer_.Stop();
    const Prober::Done done = std::exchange(done_, nullptr);
    if (done == nullptr) return;
    if (status.ok()) return done(status);
    done(absl::Status(status.code(), absl::StrCat(Question(), ": ", status.message())));
  }

  const Where where_;
  const Probe& probe_;
  Prober::Done done_;
  event::Timer timer_;
  size_t attempt_ = 0;
  net::Address address_;
  absl::Status first_;  // what the first attempt failed with: it names the usual address
  std::unique_ptr<net::Connection> connection_;
  std::unique_ptr<HttpCall> call_;
  std::unique_ptr<http::grpc::Client> client_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Prober>> Prober::Create(event::Loop& loop, const std::string& host) {
  tls::ClientOptions options;
  options.max_session_keys = 0;
  HEDDLE_ASSIGN_OR_RETURN(std::shared_ptr<const tls::ClientContext> unverified,
                          tls::ClientContext::Make(options));
  return std::unique_ptr<Prober>(new Prober(loop, host, std::move(unverified)));
}

std::unique_ptr<event::Destroyable> Prober::Start(const Probe& probe, Done done) const {
  return std::make_unique<Running>(
      Where{.loop = loop_, .host = host_, .unverified = unverified_.get()}, probe, std::move(done));
}

}  // namespace heddle::probe
