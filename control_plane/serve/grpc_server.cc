#include "control_plane/serve/grpc_server.h"

#include <grpc/grpc_security_constants.h>
#include <grpc/support/log.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/security/auth_context.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <atomic>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "source/base/log.h"
#include "source/base/status.h"

namespace heddle::serve {
namespace {

constexpr char kDeltaAds[] =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
constexpr char kSotwAds[] =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
constexpr char kCertificates[] = "/istio.v1.auth.IstioCertificateService/CreateCertificate";
constexpr char kTraces[] = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

// The codes are the same numbers (absl took them from gRPC).
grpc::Status ToGrpc(const absl::Status& status) {
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()));
}

std::string ToString(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string out;
  if (!buffer.Dump(&slices).ok()) return out;
  for (const grpc::Slice& slice : slices)
    out.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return out;
}

void DropReference(void* reference) { delete static_cast<translate::ResourceRef*>(reference); }

// Shared bodies are not copied: a slice holds a reference until the transport has sent it.
grpc::ByteBuffer ToBuffer(const std::vector<Piece>& pieces) {
  std::vector<grpc::Slice> slices;
  slices.reserve(pieces.size());
  for (const Piece& piece : pieces) {
    if (piece.shared == nullptr) {
      slices.emplace_back(piece.own);
      continue;
    }
    const std::string& body = piece.shared->body;
    slices.emplace_back(const_cast<char*>(body.data()), body.size(), &DropReference,
                        new translate::ResourceRef(piece.shared));
  }
  return grpc::ByteBuffer(slices.data(), slices.size());
}

std::string First(const grpc::AuthContext& context, const char* property) {
  const std::vector<grpc::string_ref> values = context.FindPropertyValues(property);
  return values.empty() ? std::string() : std::string(values.front().data(), values.front().size());
}

Credentials CredentialsOf(const grpc::GenericCallbackServerContext& context) {
  Credentials out;
  out.address = context.peer();
  const std::shared_ptr<const grpc::AuthContext> auth = context.auth_context();
  if (auth != nullptr) {
    out.certificate_pem = First(*auth, GRPC_X509_PEM_CERT_PROPERTY_NAME);
    for (const grpc::string_ref& uri : auth->FindPropertyValues(GRPC_PEER_URI_PROPERTY_NAME))
      out.uris.emplace_back(uri.data(), uri.size());
  }
  const auto found = context.client_metadata().find("authorization");
  if (found != context.client_metadata().end())
    out.authorization.assign(found->second.data(), found->second.size());
  return out;
}

// gRPC's own words (failed handshakes and the like) become lines of our log.
void LogOfGrpc(gpr_log_func_args* line) {
  switch (line->severity) {
    case GPR_LOG_SEVERITY_ERROR:
      HEDDLE_LOG(kWarning, "grpc") << line->message;
      return;
    case GPR_LOG_SEVERITY_INFO:
      HEDDLE_LOG(kDebug, "grpc") << line->message;
      return;
    case GPR_LOG_SEVERITY_DEBUG:
      HEDDLE_LOG(kTrace, "grpc") << line->message;
      return;
  }
}

// A call that is answered with an error at once.
class Refusal final : public grpc::ServerGenericBidiReactor {
 public:
  explicit Refusal(const absl::Status& status) { Finish(ToGrpc(status)); }
  void OnDone() override { delete this; }
};

class UnaryCall final : public grpc::ServerGenericBidiReactor {
 public:
  UnaryCall(Peer peer, const GrpcServer::Unary& handle) : peer_(std::move(peer)), handle_(handle) {
    StartRead(&buffer_);
  }
  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "no request message"));
    const absl::StatusOr<std::string> answer = handle_(peer_, ToString(buffer_));
    if (!answer.ok()) return Finish(ToGrpc(answer.status()));
    const grpc::Slice slice(*answer);
    buffer_ = grpc::ByteBuffer(&slice, 1);
    StartWriteAndFinish(&buffer_, {}, grpc::Status::OK);
  }
  void OnDone() override { delete this; }

 private:
  const Peer peer_;
  const GrpcServer::Unary& handle_;
  grpc::ByteBuffer buffer_;
};

// One ADS stream. Finish happens once, after the session was told or by the session itself.
class AdsCall final : public grpc::ServerGenericBidiReactor, public Outlet {
 public:
  // Two steps, because the session wants the outlet and the outlet the session.
  void Begin(std::shared_ptr<Session> session) {
    session_ = std::move(session);
    StartRead(&in_);
  }

  void Send(std::vector<Piece> message) override {
    out_ = ToBuffer(message);
    StartWrite(&out_);
  }
  void Close(const absl::Status& why) override {
    if (!finished_.exchange(true)) Finish(ToGrpc(why));
  }

  void OnReadDone(bool ok) override {
    if (!ok) return Stop("the client closed the stream");
    session_->OnMessage(ToString(in_));
    if (!finished_) StartRead(&in_);
  }
  void OnWriteDone(bool ok) override {
    if (ok) session_->OnSent();
  }
  void OnCancel() override { Stop("the connection is gone"); }
  void OnDone() override {
    if (session_ != nullptr) session_->OnClosed("done");
    delete this;
  }

 private:
  void Stop(const char* why) {
    session_->OnClosed(why);  // from here on it calls neither Send nor Close
    if (!finished_.exchange(true)) Finish(grpc::Status::OK);
  }

  std::shared_ptr<Session> session_;
  std::atomic<bool> finished_{false};
  grpc::ByteBuffer in_, out_;
};

}  // namespace

struct GrpcServer::Service final : public grpc::CallbackGenericService {
  Service(Hub& hub_in, const Authenticator& authenticator_in, Handlers handlers_in)
      : hub(hub_in), authenticator(authenticator_in), handlers(std::move(handlers_in)) {}

  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    const std::string& method = context->method();
    const bool delta = method == kDeltaAds;
    const bool known = delta || method == kSotwAds || method == kCertificates || method == kTraces;
    if (!known)
      return new Refusal(
          absl::UnimplementedError(absl::StrCat("no such method: ", method.substr(0, 200))));
    absl::StatusOr<Peer> peer = authenticator.Authenticate(CredentialsOf(*context), hub.Now());
    if (!peer.ok()) {
      HEDDLE_LOG(kWarning, "auth")
          << "refused " << method << " from " << context->peer() << ": " << peer.status().message();
      return new Refusal(peer.status());
    }
    if (method == kCertificates)
      return new UnaryCall(*std::move(peer), handlers.create_certificate);
    if (method == kTraces) return new UnaryCall(*std::move(peer), handlers.export_traces);
    auto call = std::make_unique<AdsCall>();
    auto session = hub.Open(*std::move(peer),
                            delta ? Session::Variant::kDelta : Session::Variant::kSotw, call.get());
    if (!session.ok()) return new Refusal(session.status());
    call->Begin(*std::move(session));
    return call.release();
  }

  Hub& hub;
  const Authenticator& authenticator;
  const Handlers handlers;
  std::unique_ptr<grpc::Server> server;
};

absl::StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(const GrpcServerOptions& options,
                                                              Hub& hub,
                                                              const Authenticator& authenticator,
                                                              Handlers handlers) {
  namespace creds = grpc::experimental;
  gpr_set_log_function(&LogOfGrpc);
  auto out = std::unique_ptr<GrpcServer>(new GrpcServer());
  out->service_ = std::make_unique<Service>(hub, authenticator, std::move(handlers));

  creds::TlsServerCredentialsOptions tls(std::make_shared<creds::FileWatcherCertificateProvider>(
      options.key_path, options.cert_path, options.roots_path, /*refresh_interval_sec=*/1));
  tls.watch_root_certs();
  tls.watch_identity_key_cert_pairs();
  tls.set_cert_request_type(GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);

  grpc::ServerBuilder builder;
  builder.AddListeningPort(options.listen, creds::TlsServerCredentials(tls), &out->port_);
  builder.RegisterCallbackGenericService(out->service_.get());
  builder.SetMaxReceiveMessageSize(options.max_message_bytes);
  builder.SetMaxSendMessageSize(-1);
  const auto millis = [](absl::Duration d) {
    return static_cast<int>(absl::ToInt64Milliseconds(d));
  };
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 64);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, 16 * 1024);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, millis(absl::Seconds(10)));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, millis(absl::Seconds(30)));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, millis(absl::Seconds(10)));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             millis(absl::Seconds(5)));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, millis(absl::Minutes(5)));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, millis(options.max_connection_age));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, millis(absl::Seconds(10)));
  out->service_->server = builder.BuildAndStart();
  if (out->service_->server == nullptr || out->port_ == 0)
    return absl::UnavailableError(absl::StrCat("cannot listen on ", options.listen,
                                               " (in use, or not an address of this machine)"));
  return out;
}

GrpcServer::~GrpcServer() { Shutdown(absl::ZeroDuration()); }

void GrpcServer::Shutdown(absl::Duration patience) {
  if (service_ == nullptr || service_->server == nullptr) return;
  service_->server->Shutdown(std::chrono::system_clock::now() +
                             std::chrono::milliseconds(absl::ToInt64Milliseconds(patience)));
  service_->server->Wait();
  service_->server.reset();
}

}  // namespace heddle::serve
