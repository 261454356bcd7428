// The whole process between a control plane and its clients: what is asked for and taken when, and
// what a drain still takes. The server runs on a thread of its own, the control plane on the
// test's.
#include "source/server/server.h"

#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <csignal>
#include <thread>

#include "absl/strings/substitute.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "source/decode/decode.h"
#include "source/filter/catalogue/catalogue.h"
#include "source/http/grpc/frame.h"
#include "source/net/socket.h"
#include "source/yaml/yaml.h"
#include "test/http/grpc_server.h"
#include "test/support/peer.h"

namespace heddle::server {
namespace {

namespace pb = envoy::service::discovery::v3;
using http::Served;

constexpr char kBootstrap[] = R"(
node: {id: n}
dynamic_resources:
  ads_config: {api_type: GRPC, transport_api_version: V3, grpc_services: [{envoy_grpc: {cluster_name: xds}}]}
  lds_config: {ads: {}}
  cds_config: {ads: {}}
static_resources:
  clusters:
  - name: xds
    load_assignment: {cluster_name: xds, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: $0}}}}]}]}
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
)";
constexpr char kListener[] =
    R"({name: $0, address: {socket_address: {address: 127.0.0.1, port_value: $1}},
 filter_chains: [{filters: [{name: hcm, typed_config: {
 "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager,
 stat_prefix: x, route_config: {name: r, virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, route: {cluster: $2}}]}]},
 http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
 }}]}]})";

template <typename Message>
std::string Bytes(const std::string& yaml) {
  Message message;
  const absl::Status parsed = yaml::Decode(yaml, &message, {.file = "test"});
  INFO(parsed.message());
  REQUIRE(parsed.ok());
  return message.SerializeAsString();
}
std::string Listener(const std::string& name, uint16_t port, const std::string& cluster) {
  return Bytes<envoy::config::listener::v3::Listener>(
      absl::Substitute(kListener, name, port, cluster));
}

bool Connects(uint16_t port) {
  auto fd = net::Dial(*net::Address::FromIp("127.0.0.1", port));
  if (!fd.ok()) return false;
  pollfd one = {fd->get(), POLLOUT, 0};
  poll(&one, 1, 10'000);
  return net::TakeError(fd->get()) == 0;
}

uint16_t FreePort() {
  const auto listener = net::Listen(*net::Address::FromIp("127.0.0.1", 0));
  return net::LocalAddress(listener->get()).port();
}

struct Bench {
  Bench() {
    auto bootstrap = decode::BootstrapFromText(
        absl::Substitute(kBootstrap, control.address().port()), "test", filter::AllFilters());
    INFO(bootstrap.status().message());
    REQUIRE(bootstrap.ok());
    Options options;
    options.config_path = "test";
    thread = std::thread([this, options, bootstrap = *std::move(bootstrap)] {
      Server server(options, bootstrap, {});
      started = server.Start().ok();
      if (started) server.Run();
      ended = true;
    });
  }
  ~Bench() {
    // The second SIGTERM ends at once; a third, when it has ended already, would end the test.
    while (signals < 2 && !ended) Terminate();
    thread.join();
  }
  void Terminate() {
    ++signals;
    kill(getpid(), SIGTERM);
  }
  // Whose endpoint takes connections and never answers.
  std::string Cluster() const {
    return Bytes<envoy::config::cluster::v3::Cluster>(absl::Substitute(
        "{name: c, load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: [{endpoint: "
        "{address: {socket_address: {address: 127.0.0.1, port_value: $0}}}}]}]}}",
        net::LocalAddress(silent.get()).port()));
  }
  bool Until(const std::function<bool()>& done) { return test::RunUntil(loop, done); }

  // Requests of the stream so far.
  std::vector<pb::DiscoveryRequest> Requests() {
    std::vector<pb::DiscoveryRequest> out;
    if (control.peer.requests.empty()) return out;
    base::Buffer bytes(control.peer.last().body);
    http::grpc::Deframer deframer;
    REQUIRE(deframer.Feed(bytes).ok());
    while (true) {
      const auto message = deframer.Next();
      if (!message.ok() || !message->has_value()) return out;
      REQUIRE(out.emplace_back().ParseFromString(**message));
    }
  }
  bool Asked(xds::Type type) {
    for (const auto& request : Requests()) {
      if (request.type_url() == xds::TypeUrl(type)) return true;
    }
    return false;
  }
  void Push(xds::Type type, const std::string& nonce, const std::vector<std::string>& resources) {
    pb::DiscoveryResponse out;
    out.set_type_url(std::string(xds::TypeUrl(type)));
    out.set_version_info(nonce);
    out.set_nonce(nonce);
    for (const std::string& bytes : resources) {
      google::protobuf::Any* any = out.add_resources();
      any->set_type_url(out.type_url());
      any->set_value(bytes);
    }
    Served& stream = control.peer.last();
    if (!std::exchange(answered, true))
      stream.stream->SendHead(Served::Head(200, {{"content-type", "application/grpc"}}), false);
    stream.SendBody(http::grpc::Framed(out.SerializeAsString()), false);
    control.Touch();
  }
  // The answer to a push: "ACK", the NACK's text, or that there was none.
  std::string Answer(const std::string& nonce) {
    std::string out = "nothing";
    Until([&] {
      for (const auto& request : Requests()) {
        if (request.response_nonce() != nonce) continue;
        out = request.has_error_detail() ? request.error_detail().message() : "ACK";
      }
      return out != "nothing";
    });
    return out;
  }

  event::Loop loop;
  http::grpc::WireServer control{loop};
  net::Fd silent = *net::Listen(*net::Address::FromIp("127.0.0.1", 0));
  bool answered = false;
  std::atomic<bool> started{false}, ended{false};
  int signals = 0;
  std::thread thread;
};

SCENARIO("listeners that come before the clusters of their routes are taken when clusters came") {
  Bench bench;
  REQUIRE(bench.Until([&] { return bench.Asked(xds::Type::kListener); }));
  const uint16_t port = FreePort();
  bench.Push(xds::Type::kListener, "l1", {Listener("a", port, "c")});
  bench.Push(xds::Type::kCluster, "c1", {bench.Cluster()});
  CHECK(bench.Answer("c1") == "ACK");
  CHECK(bench.Answer("l1") == "ACK");
  CHECK(Connects(port));
  bench.Push(xds::Type::kListener, "l2", {Listener("a", port, "nobody")});
  CHECK(bench.Answer("l2") ==
        "a.filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].routes[0].route."
        "cluster: unknown cluster \"nobody\"");
}

SCENARIO("a server that drains takes what is pushed and opens nothing for it") {
  Bench bench;
  REQUIRE(bench.Until([&] { return bench.Asked(xds::Type::kListener); }));
  const uint16_t first = FreePort();
  bench.Push(xds::Type::kCluster, "c1", {bench.Cluster()});
  bench.Push(xds::Type::kListener, "l1", {Listener("a", first, "c")});
  REQUIRE(bench.Answer("l1") == "ACK");
  // A request that runs, so that there is something to wait for.
  auto open = net::Dial(*net::Address::FromIp("127.0.0.1", first));
  REQUIRE(open.ok());
  pollfd writable = {open->get(), POLLOUT, 0};
  REQUIRE(poll(&writable, 1, 10'000) == 1);
  const std::string request = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
  REQUIRE(send(open->get(), request.data(), request.size(), MSG_NOSIGNAL) > 0);
  pollfd arrives = {bench.silent.get(), POLLIN, 0};
  REQUIRE(poll(&arrives, 1, 10'000) == 1);
  bench.Terminate();
  REQUIRE(bench.Until([&] { return !Connects(first); }));
  const uint16_t second = FreePort();
  bench.Push(xds::Type::kListener, "l2", {Listener("a", first, "c"), Listener("b", second, "c")});
  CHECK(bench.Answer("l2") == "ACK");
  CHECK_FALSE(Connects(first));
  CHECK_FALSE(Connects(second));
}

}  // namespace
}  // namespace heddle::server
