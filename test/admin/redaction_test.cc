// Private keys that discovery brought: in no page, no error and no log line.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "source/admin/pages.h"
#include "source/base/log.h"
#include "source/xds/config_store.h"
#include "test/support/test_ca.h"
#include "test/xds/store_bench.h"

namespace heddle::admin {
namespace {

// What goes to the process log while this lives.
class CapturedLog {
 public:
  CapturedLog() : file_(std::tmpfile()), stderr_(dup(STDERR_FILENO)) {
    base::SetLogLevel(base::LogLevel::kTrace);
    dup2(fileno(file_), STDERR_FILENO);
  }
  ~CapturedLog() {
    dup2(stderr_, STDERR_FILENO);
    close(stderr_);
    std::fclose(file_);
    base::SetLogLevel(base::LogLevel::kInfo);
  }
  std::string Text() {
    std::string out(1 << 20, '\0');
    const ssize_t n = pread(fileno(file_), out.data(), out.size(), 0);
    out.resize(n > 0 ? static_cast<size_t>(n) : 0);
    return out;
  }

 private:
  std::FILE* file_;
  int stderr_;
};

struct Proxy final : View, xds::StoreBench {
  ServerInfo Info() override { return {}; }
  stats::Registry& Stats() override { return registry; }
  std::shared_ptr<const proxy::Snapshot> Current() override { return store.Build(); }
  std::vector<Dumped> Resources() override {
    std::vector<Dumped> out;
    for (const xds::Type type : xds::kTypes) {
      for (const auto& [name, held] : store.held(type)) {
        out.push_back({.kind = std::string(xds::ShortName(type)),
                       .name = name,
                       .version = held.resource.version,
                       .type_url = std::string(xds::TypeUrl(type)),
                       .bytes = held.resource.bytes,
                       .error = held.error});
      }
    }
    return out;
  }
  std::vector<CertificateView> Certificates() override { return {}; }
  std::string ControlPlane() override { return "null"; }
  void DrainListeners(bool, bool) override {}
  void Quit() override {}
  void SetHealthy(bool) override {}
  void ReopenLogs() override {}

  absl::Status Put(xds::Type type, const google::protobuf::Message& message) {
    xds::Resource resource{.name = "", .version = "7", .bytes = message.SerializeAsString()};
    return store.Put(type, &resource);
  }
  std::string Dump() {
    Request request;
    request.method = "GET";
    request.path = "/config_dump";
    return Answer(*this, request).body;
  }
};

using envoy::extensions::transport_sockets::tls::v3::Secret;

Secret SecretOf(const tls::Certificate& certificate) {
  Secret out;
  out.set_name("default");
  auto* pair = out.mutable_tls_certificate();
  pair->mutable_certificate_chain()->set_inline_string(certificate.chain_pem);
  pair->mutable_private_key()->set_inline_string(certificate.key_pem);
  return out;
}

// The middle of a key's base64, and the same when it was written inside a JSON string.
std::string Marrow(const tls::Certificate& certificate) {
  const std::string& pem = certificate.key_pem;
  return pem.substr(pem.find('\n') + 1, 40);
}

bool Has(const std::string& text, absl::string_view part) {
  return text.find(std::string(part)) != std::string::npos;
}

SCENARIO("a discovered certificate is listed by name and version, and its key is nowhere") {
  CapturedLog log;
  Proxy proxy;
  const test::TestCa ca("root");
  const tls::Certificate good = ca.Issue({.uri_sans = {"spiffe://td/ns/a/sa/b"}});
  const tls::Certificate other = ca.Issue({.uri_sans = {"spiffe://td/ns/a/sa/c"}});
  REQUIRE(proxy.Put(xds::Type::kSecret, SecretOf(good)).ok());

  Secret wrong = SecretOf(good);  // the key of another certificate
  wrong.mutable_tls_certificate()->mutable_private_key()->set_inline_string(other.key_pem);
  const absl::Status refused = proxy.Put(xds::Type::kSecret, wrong);
  CHECK_FALSE(refused.ok());
  Secret generic;
  generic.set_name("password");
  generic.mutable_generic_secret()->mutable_secret()->set_inline_string("hunter2");
  REQUIRE(proxy.Put(xds::Type::kSecret, generic).ok());

  const std::string dump = proxy.Dump();
  CHECK(Has(dump, "\"default\""));
  CHECK(Has(dump, "\"version_info\":\"7\""));
  CHECK(Has(dump, "error_state"));
  for (const std::string& text : {dump, std::string(refused.message()), log.Text()}) {
    CHECK_FALSE(Has(text, Marrow(good)));
    CHECK_FALSE(Has(text, Marrow(other)));
    CHECK_FALSE(Has(text, "PRIVATE KEY"));
    CHECK_FALSE(Has(text, "hunter2"));
  }
}

SCENARIO("a key inside a discovered listener is redacted, the rest of the listener is shown") {
  CapturedLog log;
  Proxy proxy;
  const test::TestCa ca("root");
  const tls::Certificate certificate = ca.Issue({.dns_sans = {"shop.test"}});
  envoy::config::listener::v3::Listener listener;
  listener.set_name("secured");
  auto* address = listener.mutable_address()->mutable_socket_address();
  address->set_address("127.0.0.1");
  address->set_port_value(8443);
  envoy::extensions::transport_sockets::tls::v3::DownstreamTlsContext tls;
  *tls.mutable_common_tls_context()->add_tls_certificates() =
      SecretOf(certificate).tls_certificate();
  auto* chain = listener.add_filter_chains();
  chain->mutable_transport_socket()->set_name("tls");
  chain->mutable_transport_socket()->mutable_typed_config()->PackFrom(tls);
  envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy tcp;
  tcp.set_stat_prefix("x");
  tcp.set_cluster("c");
  auto* filter = chain->add_filters();
  filter->set_name("tcp");
  filter->mutable_typed_config()->PackFrom(tcp);
  REQUIRE(proxy.Put(xds::Type::kListener, listener).ok());
  REQUIRE(proxy.Current()->listeners.size() == 1);

  const std::string dump = proxy.Dump();
  CHECK(Has(dump, "BEGIN CERTIFICATE"));
  CHECK(Has(dump, "[redacted]"));
  for (const std::string& text : {dump, log.Text()}) {
    CHECK_FALSE(Has(text, Marrow(certificate)));
    CHECK_FALSE(Has(text, "PRIVATE KEY"));
  }
}

}  // namespace
}  // namespace heddle::admin
