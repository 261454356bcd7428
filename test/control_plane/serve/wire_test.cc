// heddle-control as one process, spoken to over loopback by real gRPC clients: TLS, tokens,
// certificates, both ADS variants, live edits, rejections and spans.
#include <grpcpp/grpcpp.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <map>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "control_plane/identity/ca.h"
#include "control_plane/identity/files.h"
#include "control_plane/identity/token.h"
#include "control_plane/main/control.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "envoy/service/discovery/v3/ads.grpc.pb.h"
#include "istio/v1/auth/ca.grpc.pb.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.grpc.pb.h"
#include "source/base/log.h"
#include "test/control_plane/serve/http_get.h"

namespace heddle {
namespace {

namespace discovery = envoy::service::discovery::v3;

constexpr char kConfig[] = R"(
apiVersion: heddle.dev/v1
kind: Workload
metadata: {name: web-a, namespace: shop, labels: {app: web}}
spec:
  address: 127.0.1.2
  serviceAccount: web
  ports: [{name: http, port: 8080, appPort: 18080}]
---
apiVersion: heddle.dev/v1
kind: Workload
metadata: {name: reviews-a, namespace: shop, labels: {app: reviews}}
spec:
  address: 127.0.1.3
  serviceAccount: reviews
  ports: [{name: http, port: 9080, appPort: 19080}]
---
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec:
  selector: {app: reviews}
  ports: [{name: http, port: 9080}]
)";

const std::string kCds = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
const std::string kEds = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
const std::string kLds = "type.googleapis.com/envoy.config.listener.v3.Listener";
const std::string kRds = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
const std::string kSds = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

// A mesh of one control plane in this process, with its directories.
struct Mesh {
  std::string root, conf, state;
  std::unique_ptr<control::Control> running;
  control::Options options;

  Mesh() {
    base::SetLogLevel(base::LogLevel::kOff);
    const char* base = ::getenv("TEST_TMPDIR");
    root = absl::StrCat(base != nullptr ? base : "/tmp", "/wire.XXXXXX");
    REQUIRE(::mkdtemp(root.data()) != nullptr);
    conf = root + "/conf";
    state = root + "/state";
    REQUIRE(identity::PrepareStateDir(conf).ok());
    Write("shop.yaml", kConfig);
    options.config = conf;
    options.state_dir = state;
    options.listen = "127.0.0.1:0";
    options.admin = "127.0.0.1:0";
    Start();
  }
  void Start() {
    auto started = control::Control::Start(options);
    INFO(started.status());
    REQUIRE(started.ok());
    running = *std::move(started);
  }
  void Write(const std::string& name, const std::string& text) const {
    REQUIRE(identity::ReplaceFile(conf + "/" + name, text, 0644).ok());
  }
  std::string Token(const std::string& service_account) const {
    const auto key = identity::TokenKey::Open(state);
    return *key->Make(
        {.trust_domain = "cluster.local", .ns = "shop", .service_account = service_account},
        absl::Hours(1), absl::Now());
  }
  // TLS that trusts the mesh's CA; with `pair`, mutual.
  std::shared_ptr<grpc::Channel> Channel(
      const grpc::experimental::IdentityKeyCertPair* pair = nullptr) const {
    grpc::SslCredentialsOptions ssl;
    ssl.pem_root_certs = *identity::ReadFile(state + "/ca.crt");
    if (pair != nullptr) {
      ssl.pem_private_key = pair->private_key;
      ssl.pem_cert_chain = pair->certificate_chain;
    }
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", running->grpc_port()),
                                     grpc::SslCredentials(ssl), arguments);
  }
  std::string Get(const std::string& path) const {
    return test::HttpGet(running->admin_port(), path);
  }
};

void Authorize(grpc::ClientContext* context, const std::string& token) {
  context->AddMetadata("authorization", "Bearer " + token);
  context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
}

struct KeyAndCsr {
  std::string key, csr;
};

KeyAndCsr MakeCsr() {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509_REQ* request = X509_REQ_new();
  X509_REQ_set_pubkey(request, key);
  X509_REQ_sign(request, key, EVP_sha256());
  KeyAndCsr out;
  BIO* bio = BIO_new(BIO_s_mem());
  char* data = nullptr;
  PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  long size = BIO_get_mem_data(bio, &data);
  out.key.assign(data, static_cast<size_t>(size));
  BIO_free(bio);
  bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509_REQ(bio, request);
  size = BIO_get_mem_data(bio, &data);
  out.csr.assign(data, static_cast<size_t>(size));
  BIO_free(bio);
  X509_REQ_free(request);
  EVP_PKEY_free(key);
  return out;
}

struct DeltaClient {
  explicit DeltaClient(const std::shared_ptr<grpc::Channel>& channel, const std::string& token = "")
      : stub(discovery::AggregatedDiscoveryService::NewStub(channel)) {
    if (!token.empty()) Authorize(&context, token);
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    stream = stub->DeltaAggregatedResources(&context);
  }
  void Ask(const std::string& type, std::vector<std::string> names, const std::string& node = "") {
    discovery::DeltaDiscoveryRequest request;
    request.set_type_url(type);
    for (const std::string& name : names) request.add_resource_names_subscribe(name);
    if (!node.empty()) {
      request.mutable_node()->set_id(node);
      request.mutable_node()->set_user_agent_name("test");
    }
    REQUIRE(stream->Write(request));
  }
  void Answer(const discovery::DeltaDiscoveryResponse& response, const std::string& error = "") {
    discovery::DeltaDiscoveryRequest request;
    request.set_type_url(response.type_url());
    request.set_response_nonce(response.nonce());
    if (!error.empty()) {
      request.mutable_error_detail()->set_code(3);
      request.mutable_error_detail()->set_message(error);
    }
    REQUIRE(stream->Write(request));
  }
  discovery::DeltaDiscoveryResponse Read() {
    discovery::DeltaDiscoveryResponse out;
    if (!stream->Read(&out)) FAIL(stream->Finish().error_message());
    return out;
  }
  grpc::Status Status() {
    discovery::DeltaDiscoveryResponse out;
    while (stream->Read(&out)) {
    }
    return stream->Finish();
  }

  std::unique_ptr<discovery::AggregatedDiscoveryService::Stub> stub;
  grpc::ClientContext context;
  std::unique_ptr<
      grpc::ClientReaderWriter<discovery::DeltaDiscoveryRequest, discovery::DeltaDiscoveryResponse>>
      stream;
};

std::set<std::string> Names(const discovery::DeltaDiscoveryResponse& response) {
  std::set<std::string> out;
  for (const auto& resource : response.resources()) out.insert(resource.name());
  return out;
}

// Waits, bounded, for a page to say something.
std::string Await(const Mesh& mesh, const std::string& path, const std::string& text) {
  std::string page;
  for (int i = 0; i < 200; ++i) {
    page = mesh.Get(path);
    if (page.find(text) != std::string::npos) return page;
    std::this_thread::sleep_for(std::chrono::milliseconds(25));
  }
  FAIL(path << " never said " << text << " but " << page);
  return page;
}

}  // namespace

SCENARIO("a sidecar's day: token, certificate, delta ADS over mutual TLS, an edit, a rejection") {
  Mesh mesh;
  const KeyAndCsr made = MakeCsr();
  istio::v1::auth::IstioCertificateRequest request;
  request.set_csr(made.csr);
  istio::v1::auth::IstioCertificateResponse response;
  {
    grpc::ClientContext context;
    Authorize(&context, mesh.Token("web"));
    const auto status = istio::v1::auth::IstioCertificateService::NewStub(mesh.Channel())
                            ->CreateCertificate(&context, request, &response);
    INFO(status.error_message());
    REQUIRE(status.ok());
  }
  REQUIRE(response.cert_chain_size() == 2);
  CHECK(identity::ReadCertificate(response.cert_chain(0))->uri ==
        "spiffe://cluster.local/ns/shop/sa/web");
  CHECK(identity::VerifyChain(response.cert_chain(0), response.cert_chain(1), absl::Now()).ok());
  const grpc::experimental::IdentityKeyCertPair pair{.private_key = made.key,
                                                     .certificate_chain = response.cert_chain(0)};
  {
    INFO("the certificate renews itself without a token");
    grpc::ClientContext context;
    const auto channel = mesh.Channel(&pair);
    CHECK(istio::v1::auth::IstioCertificateService::NewStub(channel)
              ->CreateCertificate(&context, request, &response)
              .ok());
  }

  DeltaClient client(mesh.Channel(&pair));
  client.Ask(kCds, {}, "shop/web-a");
  const auto clusters = client.Read();
  CHECK(clusters.type_url() == kCds);
  CHECK(Names(clusters).count("reviews.shop:9080") == 1);
  CHECK(clusters.resources(0).resource().type_url() == kCds);
  client.Answer(clusters);
  client.Ask(kEds, {"reviews.shop:9080", "nothing:1"});
  const auto endpoints = client.Read();
  CHECK(Names(endpoints) == std::set<std::string>{"reviews.shop:9080"});
  CHECK(endpoints.removed_resources_size() == 1);
  client.Answer(endpoints);
  client.Ask(kLds, {});
  const auto listeners = client.Read();
  CHECK(listeners.resources_size() > 0);
  client.Answer(listeners);
  client.Ask(kRds, {"outbound"});
  const auto routes = client.Read();
  CHECK(Names(routes) == std::set<std::string>{"outbound"});
  client.Answer(routes);
  Await(mesh, "/status", "\"state\":\"synced\"");

  WHEN("the workload behind the service moves, only its endpoints are pushed") {
    const auto began = std::chrono::steady_clock::now();
    mesh.Write("shop.yaml", absl::StrReplaceAll(kConfig, {{"127.0.1.3", "127.0.1.33"}}));
    const auto moved = client.Read();
    CHECK(moved.type_url() == kEds);
    CHECK(Names(moved) == std::set<std::string>{"reviews.shop:9080"});
    CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(2));
    client.Answer(moved);
    Await(mesh, "/status", "\"outstanding\":0");
  }
  WHEN("an edit does not validate, nothing is pushed and the file is named") {
    mesh.Write("bad.yaml",
               "apiVersion: heddle.dev/v1\nkind: Workload\nmetadata: {name: x, namespace: "
               "shop}\nspec: {adress: 1}\n");
    CHECK_THAT(Await(mesh, "/status", "bad.yaml"), Catch::Contains("adress"));
    mesh.Write("shop.yaml", absl::StrReplaceAll(kConfig, {{"127.0.1.3", "127.0.1.34"}}));
    CHECK(client.Read().type_url() == kEds);
  }
  WHEN("it rejects, the status page has the text, and nothing is sent again") {
    client.Ask(kRds, {"outbound"});
    const auto again = client.Read();
    client.Answer(again, "virtual_hosts[0]: <bad>");
    const std::string page = Await(mesh, "/status", "\"state\":\"rejecting\"");
    CHECK_THAT(page, Catch::Contains("virtual_hosts[0]: \\u003cbad>"));
    CHECK_THAT(mesh.Get("/"), Catch::Contains("&lt;bad&gt;"));
    CHECK_THAT(mesh.Get("/metrics"), Catch::Contains("heddle_control_rejections_total 1"));
  }
  WHEN("the whole mesh is told to renew, the renewal secret changes and comes by itself") {
    client.Ask(kSds, {"heddle:renew", "ROOTCA"});
    const auto before = client.Read();
    CHECK(Names(before) == std::set<std::string>{"heddle:renew", "ROOTCA"});
    client.Answer(before);
    CHECK_THAT(test::HttpPost(mesh.running->admin_port(), "/rotate", false),
               Catch::Contains("403"));
    CHECK_THAT(test::HttpPost(mesh.running->admin_port(), "/rotate", true), Catch::Contains("200"));
    const auto after = client.Read();
    CHECK(Names(after) == std::set<std::string>{"heddle:renew"});
    CHECK(after.resources(0).resource().value().find("heddle:renew") != std::string::npos);
    client.Answer(after);
    THEN("a next root comes in the bundle, beside the old one") {
      CHECK_THAT(test::HttpPost(mesh.running->admin_port(), "/rotate?root=prepare", true),
                 Catch::Contains("200"));
      const auto roots = client.Read();
      CHECK(Names(roots) == std::set<std::string>{"ROOTCA"});
      envoy::extensions::transport_sockets::tls::v3::Secret secret;
      REQUIRE(roots.resources(0).resource().UnpackTo(&secret));
      const std::string& bundle = secret.validation_context().trusted_ca().inline_string();
      CHECK(bundle.find("BEGIN", bundle.find("END")) != std::string::npos);
    }
  }
  WHEN("the workload leaves the configuration, its stream ends with the reason") {
    mesh.Write("shop.yaml", absl::StrReplaceAll(kConfig, {{"name: web-a", "name: web-b"}}));
    const grpc::Status status = client.Status();
    CHECK(status.error_code() == grpc::StatusCode::PERMISSION_DENIED);
    CHECK_THAT(status.error_message(), Catch::Contains("no Workload shop/web-a"));
  }
  WHEN("heddle-control stops, the stream ends and a restart knows the same identities") {
    mesh.running->Stop();
    CHECK(client.Status().error_code() == grpc::StatusCode::UNAVAILABLE);
    mesh.running.reset();
    mesh.Start();
    DeltaClient again(mesh.Channel(&pair));
    discovery::DeltaDiscoveryRequest first;
    first.set_type_url(kCds);
    first.mutable_node()->set_id("shop/web-a");
    for (const auto& resource : clusters.resources())
      (*first.mutable_initial_resource_versions())[resource.name()] = resource.version();
    REQUIRE(again.stream->Write(first));
    CHECK(again.Read().resources_size() == 0);
    again.context.TryCancel();
  }
  client.context.TryCancel();
}

SCENARIO("nobody is served who did not prove to be the workload's service account") {
  Mesh mesh;
  struct {
    std::string token, node;
    grpc::StatusCode code;
    const char* why;
  } table[] = {
      {"", "shop/web-a", grpc::StatusCode::UNAUTHENTICATED, "heddlectl token"},
      {"nonsense", "shop/web-a", grpc::StatusCode::UNAUTHENTICATED, "not a JWT"},
      {mesh.Token("reviews"), "shop/web-a", grpc::StatusCode::PERMISSION_DENIED,
       "runs as service account web"},
      {mesh.Token("web"), "shop/unknown", grpc::StatusCode::PERMISSION_DENIED,
       "no Workload shop/unknown"},
      {mesh.Token("web"), "web-a", grpc::StatusCode::INVALID_ARGUMENT, "node.id"},
      {mesh.Token("web"), "", grpc::StatusCode::INVALID_ARGUMENT, "node.id"},
  };
  for (const auto& row : table) {
    DeltaClient client(mesh.Channel(), row.token);
    discovery::DeltaDiscoveryRequest request;
    request.set_type_url(kCds);
    if (!row.node.empty()) request.mutable_node()->set_id(row.node);
    client.stream->Write(request);
    const grpc::Status status = client.Status();
    INFO(status.error_message());
    CHECK(status.error_code() == row.code);
    CHECK_THAT(status.error_message(), Catch::Contains(row.why));
  }
  GIVEN("a certificate of another CA") {
    identity::CaOptions other{.dir = mesh.root + "/other"};
    const auto ca = identity::CertificateAuthority::Open(other, absl::Now());
    const auto made = (*ca)->Issue(
        {.trust_domain = "cluster.local", .ns = "shop", .service_account = "web"}, {}, absl::Now());
    const grpc::experimental::IdentityKeyCertPair pair{.private_key = made->key_pem,
                                                       .certificate_chain = made->certificate.pem};
    DeltaClient client(mesh.Channel(&pair));
    CHECK_FALSE(client.Status().ok());
  }
}

SCENARIO("stock Envoy's way: state of the world with a token, its certificate by SDS") {
  Mesh mesh;
  const auto stub = discovery::AggregatedDiscoveryService::NewStub(mesh.Channel());
  grpc::ClientContext context;
  Authorize(&context, mesh.Token("web"));
  const auto stream = stub->StreamAggregatedResources(&context);
  const auto ask = [&](const std::string& type, std::vector<std::string> names,
                       const discovery::DiscoveryResponse* answer) {
    discovery::DiscoveryRequest request;
    request.mutable_node()->set_id("shop/web-a");
    request.set_type_url(type);
    for (const std::string& name : names) request.add_resource_names(name);
    if (answer != nullptr) {
      request.set_response_nonce(answer->nonce());
      request.set_version_info(answer->version_info());
    }
    REQUIRE(stream->Write(request));
  };
  const auto read = [&] {
    discovery::DiscoveryResponse out;
    if (!stream->Read(&out)) FAIL(stream->Finish().error_message());
    return out;
  };
  ask(kCds, {}, nullptr);
  const auto clusters = read();
  CHECK(clusters.resources_size() > 1);
  CHECK(clusters.resources(0).type_url() == kCds);
  ask(kCds, {}, &clusters);
  ask(kSds, {"default", "ROOTCA"}, nullptr);
  const auto secrets = read();
  REQUIRE(secrets.resources_size() == 2);
  std::map<std::string, envoy::extensions::transport_sockets::tls::v3::Secret> by_name;
  for (const auto& any : secrets.resources()) {
    envoy::extensions::transport_sockets::tls::v3::Secret secret;
    REQUIRE(any.UnpackTo(&secret));
    by_name[secret.name()] = secret;
  }
  const auto& own = by_name["default"].tls_certificate();
  const std::string& roots = by_name["ROOTCA"].validation_context().trusted_ca().inline_string();
  CHECK(identity::ReadCertificate(own.certificate_chain().inline_string())->uri ==
        "spiffe://cluster.local/ns/shop/sa/web");
  CHECK(identity::VerifyChain(own.certificate_chain().inline_string(), roots, absl::Now()).ok());
  ask(kSds, {"default", "ROOTCA"}, &secrets);
  {
    INFO("what it was given opens a mutual TLS connection");
    const grpc::experimental::IdentityKeyCertPair pair{
        .private_key = own.private_key().inline_string(),
        .certificate_chain = own.certificate_chain().inline_string()};
    DeltaClient client(mesh.Channel(&pair));
    client.Ask(kCds, {}, "shop/web-a");
    CHECK(client.Read().resources_size() > 1);
    client.context.TryCancel();
  }
  {
    INFO("a forced rotation makes a new key for it");
    CHECK_THAT(test::HttpPost(mesh.running->admin_port(), "/rotate", true), Catch::Contains("200"));
    const auto renewed = read();
    REQUIRE(renewed.resources_size() == 1);
    envoy::extensions::transport_sockets::tls::v3::Secret secret;
    REQUIRE(renewed.resources(0).UnpackTo(&secret));
    CHECK(secret.name() == "default");
    CHECK(secret.tls_certificate().private_key().inline_string() !=
          own.private_key().inline_string());
  }
  CHECK_THAT(mesh.Get("/status"), !Catch::Contains("PRIVATE KEY"));
  context.TryCancel();
}

SCENARIO("spans come in over OTLP and are found by their trace") {
  Mesh mesh;
  opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest request;
  auto* resource = request.add_resource_spans();
  auto* name = resource->mutable_resource()->add_attributes();
  name->set_key("service.name");
  name->mutable_value()->set_string_value("web.shop");
  auto* span = resource->add_scope_spans()->add_spans();
  span->set_trace_id(std::string(16, '\x1a'));
  span->set_span_id(std::string(8, '\x02'));
  span->set_name("egress reviews");
  span->set_start_time_unix_nano(1'800'000'000'000'000'000);
  span->set_end_time_unix_nano(1'800'000'000'005'000'000);
  const auto stub =
      opentelemetry::proto::collector::trace::v1::TraceService::NewStub(mesh.Channel());
  opentelemetry::proto::collector::trace::v1::ExportTraceServiceResponse response;
  {
    grpc::ClientContext context;
    CHECK(stub->Export(&context, request, &response).error_code() ==
          grpc::StatusCode::UNAUTHENTICATED);
  }
  grpc::ClientContext context;
  Authorize(&context, mesh.Token("web"));
  REQUIRE(stub->Export(&context, request, &response).ok());
  CHECK_THAT(mesh.Get("/traces?trace_id=1A1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a"),
             Catch::Contains("\"name\":\"egress reviews\""));
  CHECK_THAT(mesh.Get("/traces"), Catch::Contains("\"service\":\"web.shop\""));
  CHECK_THAT(mesh.Get("/traces?trace_id=zz"), Catch::Contains("400"));
  CHECK_THAT(mesh.Get("/traces?trace_id=00000000000000000000000000000000"), Catch::Contains("404"));
}

SCENARIO("a second heddle-control on the same state directory refuses to start") {
  Mesh mesh;
  const auto second = control::Control::Start(mesh.options);
  REQUIRE_FALSE(second.ok());
  CHECK_THAT(std::string(second.status().message()), Catch::Contains("another heddle-control"));
}

SCENARIO("unknown methods are refused, and pages that do not exist say which do") {
  Mesh mesh;
  CHECK_THAT(mesh.Get("/nope"), Catch::Contains("GET /status"));
  CHECK_THAT(mesh.Get("/ready"), Catch::Contains("serving"));
  CHECK_THAT(mesh.Get("/debug/proxy?workload=shop/web-a"), Catch::Contains("reviews.shop:9080"));
  CHECK_THAT(mesh.Get("/debug/proxy?workload=shop/none"), Catch::Contains("404"));
}

}  // namespace heddle
