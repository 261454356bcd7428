// Resources in, snapshots out: what waits, what is kept, what is refused.
#include "source/xds/config_store.h"

#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/substitute.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "source/tls/context.h"
#include "source/upstream/spec.h"
#include "test/support/fake_clock.h"
#include "test/support/test_ca.h"
#include "test/xds/store_bench.h"

namespace heddle::xds {
namespace {

struct OwnClock {
  test::FakeClock clock;
};

struct Bench : OwnClock, StoreBench {
  Bench() : StoreBench({.clock = &clock}) {}

  absl::Status PutCluster(const std::string& yaml) {
    return Put<envoy::config::cluster::v3::Cluster>(Type::kCluster, yaml);
  }
  absl::Status PutListener(const std::string& yaml) {
    return Put<envoy::config::listener::v3::Listener>(Type::kListener, yaml);
  }

  // Moves the clock; builds as often as the store asks for it. What is served at the end.
  std::shared_ptr<const proxy::Snapshot> After(absl::Duration time) {
    test::Advance(loop, clock, time);
    auto snapshot = store.Build();
    for (int built = 0; built < changes; ++built) snapshot = store.Build();
    changes = 0;
    return snapshot;
  }
  uint64_t Counted(const std::string& name, const stats::Tags& tags = {}) {
    return registry.Total(registry.Counter(name, tags));
  }
};

constexpr char kEdsCluster[] =
    "{name: c, type: EDS, eds_cluster_config: {eds_config: {ads: {}}, service_name: c-endpoints}}";
constexpr char kEndpoints[] =
    "{cluster_name: c-endpoints, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: "
    "{address: 127.0.0.1, "
    "port_value: 80}}}}]}]}";
constexpr char kListener[] =
    R"({name: l, address: {socket_address: {address: 127.0.0.1, port_value: 8080}},
 filter_chains: [{filters: [{name: hcm, typed_config: {
 "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager,
 stat_prefix: x, rds: {route_config_name: r, config_source: {ads: {}}},
 http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
 }}]}]})";
constexpr char kRoutes[] =
    "{name: r, virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, route: "
    "{cluster: c}}]}]}";

SCENARIO("a cluster waits for its endpoints, a listener for its routes; names wanted follow") {
  Bench bench;
  REQUIRE(bench.PutCluster(kEdsCluster).ok());
  REQUIRE(bench.PutListener(kListener).ok());
  CHECK(bench.store.Wanted(Type::kEndpoint) == std::set<std::string>{"c-endpoints"});
  CHECK(bench.store.Wanted(Type::kRoute) == std::set<std::string>{"r"});
  auto snapshot = bench.store.Build();
  CHECK(snapshot->clusters.empty());
  CHECK(snapshot->listeners.empty());
  CHECK(bench.store.waiting().size() == 2);

  REQUIRE(bench.Put<envoy::config::endpoint::v3::ClusterLoadAssignment>(Type::kEndpoint, kEndpoints)
              .ok());
  REQUIRE(bench.Put<envoy::config::route::v3::RouteConfiguration>(Type::kRoute, kRoutes).ok());
  snapshot = bench.store.Build();
  REQUIRE(snapshot->clusters.count("c") == 1);
  CHECK(snapshot->clusters.at("c")->hosts.size() == 1);
  CHECK(snapshot->listeners.size() == 1);
  CHECK(snapshot->routes.count("r") == 1);
  CHECK(bench.store.waiting().empty());

  WHEN("nothing changed, the parts are the same objects") {
    const auto again = bench.store.Build();
    CHECK(again->listeners[0] == snapshot->listeners[0]);
    CHECK(again->routes.at("r") == snapshot->routes.at("r"));
    CHECK(again->clusters.at("c") == snapshot->clusters.at("c"));
  }
  WHEN("a bad form comes, the good one goes on and the error names the field") {
    const absl::Status status = bench.PutCluster(
        "{name: c, type: EDS, eds_cluster_config: {eds_config: {ads: {}}}, connect_timeout: -1s}");
    CHECK_THAT(std::string(status.message()), Catch::Contains("connect_timeout"));
    CHECK(bench.store.Build()->clusters.at("c") == snapshot->clusters.at("c"));
    CHECK_FALSE(bench.store.held(Type::kCluster).at("c").error.empty());
  }
  WHEN("the listener is removed, it is gone from the snapshot") {
    bench.store.Remove(Type::kListener, "l");
    CHECK(bench.store.Build()->listeners.empty());
    CHECK(bench.store.Wanted(Type::kRoute).empty());
  }
  WHEN("state of the world leaves the cluster out, it is gone") {
    bench.store.KeepOnly(Type::kCluster, {});
    CHECK(bench.store.Build()->clusters.empty());
  }
}

SCENARIO("a listener waits for its certificate, and keeps its TLS context when nothing changed") {
  Bench bench;
  const std::string listener =
      R"({name: tls, address: {socket_address: {address: 127.0.0.1, port_value: 8443}},
   filter_chains: [{filters: [{name: tcp, typed_config: {
   "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: x, cluster: c}}],
   transport_socket: {name: tls, typed_config: {
   "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext,
   common_tls_context: {tls_certificate_sds_secret_configs: [{name: default, sds_config: {ads: {}}}]}}}}]})";
  REQUIRE(bench.PutListener(listener).ok());
  CHECK(bench.store.Wanted(Type::kSecret) == std::set<std::string>{"default"});
  CHECK(bench.store.Build()->listeners.empty());
  CHECK(bench.store.waiting() == std::vector<std::string>{"listener tls waits for secret default"});

  const test::TestCa ca("root");
  const auto issue = [&] {
    const auto made = ca.Issue({.uri_sans = {"spiffe://td/ns/a/sa/b"}});
    config::Secret secret;
    secret.name = "default";
    secret.certificate = config::Certificate{.chain_pem = made.chain_pem, .key_pem = made.key_pem};
    return secret;
  };
  REQUIRE(bench.store.PutLocalSecret(Secrets::Origin::kOwn, issue()).ok());
  const auto first = bench.store.Build();
  REQUIRE(first->listeners.size() == 1);
  CHECK(first->listeners[0]->chains[0].transport != nullptr);
  CHECK(bench.store.Build()->listeners[0] == first->listeners[0]);

  // A new certificate: a new context for new handshakes, the same configuration, so nothing is
  // drained.
  REQUIRE(bench.store.PutLocalSecret(Secrets::Origin::kOwn, issue()).ok());
  const auto second = bench.store.Build();
  CHECK(second->listeners[0] != first->listeners[0]);
  CHECK(second->listeners[0]->config == first->listeners[0]->config);

  config::Secret broken = issue();
  broken.certificate->key_pem = "not a key";
  const absl::Status refused = bench.store.PutLocalSecret(Secrets::Origin::kOwn, broken);
  CHECK_FALSE(refused.ok());
  CHECK_THAT(std::string(refused.message()), !Catch::Contains("not a key"));
}

const tls::ClientContext& ClientOf(const proxy::Snapshot& snapshot, const std::string& cluster) {
  return dynamic_cast<const tls::ClientContext&>(*snapshot.clusters.at(cluster)->transports.at(0));
}

SCENARIO("clusters that differ in the server they expect share certificates and trust") {
  Bench bench;
  const test::TestCa ca("root");
  const auto issue = [&] {
    const auto made = ca.Issue({.uri_sans = {"spiffe://td/ns/a/sa/b"}});
    config::Secret secret;
    secret.name = "default";
    secret.certificate = config::Certificate{.chain_pem = made.chain_pem, .key_pem = made.key_pem};
    return secret;
  };
  config::Secret roots;
  roots.name = "ROOTCA";
  roots.validation.emplace();
  roots.validation->trusted_ca_pem = ca.pem();
  REQUIRE(bench.store.PutLocalSecret(Secrets::Origin::kOwn, issue()).ok());
  REQUIRE(bench.store.PutLocalSecret(Secrets::Origin::kFile, roots).ok());
  const auto cluster = [&](const std::string& name, const std::string& alpn) {
    REQUIRE(bench
                .PutCluster("{name: " + name + R"(, type: STATIC, transport_socket: {name: tls,
   typed_config: {"@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext,
   sni: )" + name + R"(.test, common_tls_context: {alpn_protocols: [)" +
                            alpn + R"(],
   tls_certificate_sds_secret_configs: [{name: default, sds_config: {ads: {}}}],
   combined_validation_context: {validation_context_sds_secret_config: {name: ROOTCA, sds_config: {ads: {}}},
   default_validation_context: {match_typed_subject_alt_names: [{san_type: URI, matcher: {exact: "spiffe://td/)" +
                            name + R"("}}]}}}}}})")
                .ok());
  };
  cluster("a", "h2");
  cluster("b", "h2");
  cluster("c", "http/1.1");
  const auto first = bench.store.Build();
  REQUIRE(first->clusters.size() == 3);
  CHECK(&ClientOf(*first, "a") != &ClientOf(*first, "b"));
  CHECK(&ClientOf(*first, "a").certificates() == &ClientOf(*first, "b").certificates());
  CHECK(&ClientOf(*first, "a").certificates() != &ClientOf(*first, "c").certificates());

  WHEN("the certificate is renewed, all have the new one and share it again") {
    REQUIRE(bench.store.PutLocalSecret(Secrets::Origin::kOwn, issue()).ok());
    const auto second = bench.store.Build();
    CHECK(&ClientOf(*second, "a") != &ClientOf(*first, "a"));
    CHECK(&ClientOf(*second, "a").certificates() == &ClientOf(*second, "b").certificates());
    CHECK(ClientOf(*second, "a").certificates()[0].serial !=
          ClientOf(*first, "a").certificates()[0].serial);
  }
  WHEN("one of them goes and comes back, the other has kept what they share") {
    bench.store.Remove(Type::kCluster, "a");
    bench.store.Build();
    bench.store.Build();
    cluster("a", "h2");
    const auto second = bench.store.Build();
    CHECK(&ClientOf(*second, "b") == &ClientOf(*first, "b"));
    CHECK(&ClientOf(*second, "a").certificates() == &ClientOf(*first, "b").certificates());
  }
}

constexpr char kTlsCluster[] = R"({name: c, type: STATIC, transport_socket: {name: tls,
   typed_config: {"@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext,
   common_tls_context: {validation_context_sds_secret_config: {name: roots, sds_config: {ads: {}$0}}}}}})";
constexpr char kTlsListener[] =
    R"({name: l, address: {socket_address: {address: 127.0.0.1, port_value: 8443}},
   filter_chains: [{filters: [{name: tcp, typed_config: {
   "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: x, cluster: c}}],
   transport_socket: {name: tls, typed_config: {
   "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext,
   common_tls_context: {tls_certificate_sds_secret_configs: [{name: default, sds_config: {ads: {}$0}}]}}}}]})";
constexpr char kRoutedListener[] =
    R"({name: l, address: {socket_address: {address: 127.0.0.1, port_value: 8080}},
 filter_chains: [{filters: [{name: hcm, typed_config: {
 "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager,
 stat_prefix: x, rds: {route_config_name: r, config_source: {ads: {}$0}},
 http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
 }}]}]})";
constexpr char kWaitingEds[] =
    "{name: c, type: EDS, eds_cluster_config: {eds_config: {ads: {}$0}}}";

struct WaitCase {
  const char* what;
  bool listener;
  const char* yaml;  // $0: after "ads: {}" of the source
  const char* counter;
  stats::Tags tags;
};

SCENARIO(
    "what waits for a resource goes on without it after initial_fetch_timeout, and counts it") {
  const std::vector<WaitCase> cases = {
      {"endpoints of c",
       false,
       kWaitingEds,
       "cluster.init_fetch_timeout",
       {{"envoy_cluster_name", "c"}}},
      {"routes r",
       true,
       kRoutedListener,
       "http.rds.init_fetch_timeout",
       {{"envoy_http_conn_manager_prefix", "x"}, {"envoy_rds_route_config", "r"}}},
      {"secret roots",
       false,
       kTlsCluster,
       "sds.init_fetch_timeout",
       {{"envoy_sds_secret", "roots"}}},
      {"secret default",
       true,
       kTlsListener,
       "sds.init_fetch_timeout",
       {{"envoy_sds_secret", "default"}}},
  };
  for (const WaitCase& c : cases) {
    INFO(c.what);
    const auto put = [&](Bench* bench, const char* timeout) {
      const std::string yaml = absl::Substitute(c.yaml, timeout);
      REQUIRE((c.listener ? bench->PutListener(yaml) : bench->PutCluster(yaml)).ok());
    };
    const auto there = [&](const proxy::Snapshot& snapshot) {
      return c.listener ? snapshot.listeners.size() == 1 : snapshot.clusters.size() == 1;
    };
    const std::string waits =
        absl::StrCat(c.listener ? "listener l" : "cluster c", " waits for ", c.what);
    Bench by_default, shorter, endless;
    put(&by_default, "");
    put(&shorter, ", initial_fetch_timeout: 2.5s");
    put(&endless, ", initial_fetch_timeout: 0s");
    for (Bench* bench : {&by_default, &shorter, &endless}) {
      CHECK_FALSE(there(*bench->store.Build()));
      CHECK(bench->store.waiting() == std::vector<std::string>{waits});
    }

    CHECK_FALSE(there(*shorter.After(absl::Milliseconds(2499))));
    CHECK(there(*shorter.After(absl::Milliseconds(10))));
    CHECK(shorter.store.waiting().empty());
    CHECK(shorter.Counted(c.counter, c.tags) == 1);

    CHECK_FALSE(there(*by_default.After(absl::Milliseconds(14'999))));
    CHECK(by_default.Counted(c.counter, c.tags) == 0);
    CHECK(there(*by_default.After(absl::Milliseconds(10))));
    CHECK(there(*by_default.After(absl::Hours(1))));
    CHECK(by_default.Counted(c.counter, c.tags) == 1);

    CHECK_FALSE(there(*endless.After(absl::Hours(1))));
    CHECK(endless.changes == 0);
    CHECK(endless.Counted(c.counter, c.tags) == 0);
  }
}

SCENARIO("TLS without its certificate fails each handshake until the certificate comes") {
  Bench bench;
  REQUIRE(bench.PutListener(absl::Substitute(kTlsListener, "")).ok());
  bench.store.Build();
  const auto without = bench.After(absl::Seconds(16));
  REQUIRE(without->listeners.size() == 1);
  const auto& factory = without->listeners[0]->chains[0].transport;
  REQUIRE(factory != nullptr);
  CHECK(factory->secure());
  const auto transport = factory->Create({});
  base::Buffer buffer;
  CHECK_FALSE(transport->ready());
  CHECK(transport->Read(-1, buffer, 100).outcome == net::IoOutcome::kError);
  CHECK(transport->Write(-1, buffer).outcome == net::IoOutcome::kError);
  CHECK(transport->error() == "TLS error: Secret is not supplied by SDS");

  const test::TestCa ca("root");
  const auto made = ca.Issue({.uri_sans = {"spiffe://td/ns/a/sa/b"}});
  config::Secret secret;
  secret.name = "default";
  secret.certificate = config::Certificate{.chain_pem = made.chain_pem, .key_pem = made.key_pem};
  REQUIRE(bench.store.PutLocalSecret(Secrets::Origin::kDiscovered, secret).ok());
  const auto with = bench.store.Build();
  CHECK(with->listeners[0] != without->listeners[0]);
  CHECK(with->listeners[0]->chains[0].transport != factory);
}

SCENARIO("secrets and endpoints of a new cluster are waited for at the same time") {
  Bench bench;
  REQUIRE(bench
              .PutCluster(R"({name: c, type: EDS, eds_cluster_config: {eds_config: {ads: {}}},
   transport_socket: {name: tls, typed_config: {
   "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext,
   common_tls_context: {validation_context_sds_secret_config: {name: roots, sds_config: {ads: {}}}}}}})")
              .ok());
  CHECK(bench.store.Build()->clusters.empty());
  CHECK(bench.store.waiting().size() == 2);
  CHECK(bench.After(absl::Seconds(16))->clusters.size() == 1);
}

SCENARIO("a new form that waits leaves the old one in force, with the newest endpoints") {
  Bench bench;
  const auto endpoints = [&](int port) {
    const std::string yaml = absl::Substitute(
        "{cluster_name: c, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: "
        "{address: 127.0.0.1, port_value: $0}}}}]}]}",
        port);
    REQUIRE(
        bench.Put<envoy::config::endpoint::v3::ClusterLoadAssignment>(Type::kEndpoint, yaml).ok());
  };
  const auto address = [](const proxy::Snapshot& snapshot) {
    REQUIRE(snapshot.clusters.count("c") == 1);
    REQUIRE(snapshot.clusters.at("c")->hosts.size() == 1);
    return snapshot.clusters.at("c")->hosts[0].state->address_text;
  };
  WHEN("it waits for a secret") {
    REQUIRE(bench.PutCluster(absl::Substitute(kWaitingEds, "")).ok());
    endpoints(80);
    CHECK(address(*bench.store.Build()) == "127.0.0.1:80");
    REQUIRE(bench
                .PutCluster(R"({name: c, type: EDS, eds_cluster_config: {eds_config: {ads: {}}},
   transport_socket: {name: tls, typed_config: {
   "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext,
   common_tls_context: {validation_context_sds_secret_config: {name: roots, sds_config: {ads: {}}}}}}})")
                .ok());
    endpoints(81);
    const auto old = bench.store.Build();
    CHECK(address(*old) == "127.0.0.1:81");
    CHECK(old->clusters.at("c")->transports.at(0) == nullptr);
    const auto over = bench.After(absl::Seconds(16));
    CHECK(address(*over) == "127.0.0.1:81");
    REQUIRE(over->clusters.at("c")->transports.at(0) != nullptr);
    CHECK(over->clusters.at("c")->transports.at(0)->secure());
  }
  WHEN("it waits for endpoints") {
    REQUIRE(bench
                .PutCluster("{name: c, load_assignment: {cluster_name: c, endpoints: "
                            "[{lb_endpoints: [{endpoint: {address: {socket_address: {address: "
                            "127.0.0.1, port_value: 79}}}}]}]}}")
                .ok());
    CHECK(address(*bench.store.Build()) == "127.0.0.1:79");
    REQUIRE(bench.PutCluster(absl::Substitute(kWaitingEds, "")).ok());
    CHECK(address(*bench.store.Build()) == "127.0.0.1:79");
    CHECK(bench.store.waiting() == std::vector<std::string>{"cluster c waits for endpoints of c"});
    endpoints(80);
    CHECK(address(*bench.store.Build()) == "127.0.0.1:80");
  }
}

SCENARIO(
    "routes to clusters that are not there are refused: inline by default, by RDS when asked") {
  struct Case {
    bool rds;
    const char* validate;
    bool refused;
  };
  const Case cases[] = {{false, "", true},
                        {false, "validate_clusters: true, ", true},
                        {false, "validate_clusters: false, ", false},
                        {true, "", false},
                        {true, "validate_clusters: true, ", true},
                        {true, "validate_clusters: false, ", false}};
  const char* const kActions[][2] = {
      {"{cluster: d}", "route.cluster"},
      {"{weighted_clusters: {clusters: [{name: c, weight: 1}, {name: d, weight: 1}]}}",
       "route.weighted_clusters.clusters[1].name"},
      {"{cluster: c, request_mirror_policies: [{cluster: d}]}",
       "route.request_mirror_policies[0].cluster"},
      {"{cluster_header: x}", nullptr},
      {"{cluster: c}", nullptr}};
  for (const Case& c : cases) {
    for (const auto& [action, place] : kActions) {
      CAPTURE(c.rds, c.validate, action);
      Bench bench;
      REQUIRE(bench.PutCluster("{name: c}").ok());
      const std::string table = absl::StrCat(
          "{name: r, ", c.validate,
          "virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, route: ", action,
          "}]}]}");
      const std::string listener = absl::Substitute(
          R"({name: l, address: {socket_address: {address: 127.0.0.1, port_value: 8080}},
 filter_chains: [{filters: [{name: hcm, typed_config: {
 "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager,
 stat_prefix: x, route_config: $0,
 http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
 }}]}]})",
          table);
      const auto put = [&] {
        return c.rds ? bench.Put<envoy::config::route::v3::RouteConfiguration>(Type::kRoute, table)
                     : bench.PutListener(listener);
      };
      const absl::Status status = put();
      if (!c.refused || place == nullptr) {
        CHECK(status.ok());
        continue;
      }
      const std::string at =
          c.rds ? "r" : "l.filter_chains[0].filters[0].typed_config.route_config";
      CHECK(status.message() ==
            absl::StrCat(at, ".virtual_hosts[0].routes[0].", place, ": unknown cluster \"d\""));
      REQUIRE(bench.PutCluster("{name: d}").ok());
      CHECK(put().ok());
    }
  }
}

}  // namespace
}  // namespace heddle::xds
