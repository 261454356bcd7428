// Many streams on one Hub, without a transport: limits, slow readers, and how far a configuration
// came.
#include "control_plane/serve/hub.h"

#include <stdlib.h>

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "control_plane/identity/ca.h"
#include "control_plane/identity/files.h"
#include "control_plane/ingest/parse.h"
#include "control_plane/model/build.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "source/base/log.h"
#include "test/support/fake_clock.h"

namespace heddle::serve {
namespace {

namespace discovery = envoy::service::discovery::v3;
constexpr char kCds[] = "type.googleapis.com/envoy.config.cluster.v3.Cluster";

// A proxy's end of a stream.
struct Proxy : Outlet {
  std::shared_ptr<Session> session;
  std::vector<std::string> sent;
  absl::Status closed;
  bool over = false;

  void Send(std::vector<Piece> message) override { sent.push_back(Join(message)); }
  void Close(const absl::Status& why) override {
    closed = why;
    over = true;
  }
  // The last response is read and answered.
  void Answer(const std::string& error = "") {
    discovery::DeltaDiscoveryResponse response;
    REQUIRE(!sent.empty());
    REQUIRE(response.ParseFromString(sent.back()));
    discovery::DeltaDiscoveryRequest request;
    request.set_type_url(response.type_url());
    request.set_response_nonce(response.nonce());
    if (!error.empty()) request.mutable_error_detail()->set_message(error);
    session->OnSent();
    session->OnMessage(request.SerializeAsString());
  }
  // For all clusters, or for some.
  void Ask(const std::string& node, const std::vector<std::string>& names = {}) {
    discovery::DeltaDiscoveryRequest request;
    for (const std::string& name : names) request.add_resource_names_subscribe(name);
    request.mutable_node()->set_id(node);
    request.set_type_url(kCds);
    session->OnMessage(request.SerializeAsString());
  }
};

std::shared_ptr<const model::World> World(int workloads, const std::string& more = "") {
  std::string text =
      "apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: shop}\n"
      "spec: {selector: {app: x}, ports: [{name: http, port: 80}]}\n" +
      more;
  for (int i = 0; i < workloads; ++i)
    absl::StrAppend(&text, "---\napiVersion: heddle.dev/v1\nkind: Workload\nmetadata: {name: w", i,
                    ", namespace: shop}\nspec: {address: 10.0.", i / 200, ".", i % 200 + 1, "}\n");
  const ingest::ParsedFile file = ingest::ParseFile("x.yaml", text);
  model::BuildResult built = model::BuildWorld(file.objects, {});
  if (built.world == nullptr) FAIL(built.problems.front().ToString());
  return built.world;
}

struct Fixture {
  test::FakeClock clock;
  std::unique_ptr<identity::CertificateAuthority> ca;
  std::unique_ptr<Secrets> secrets;
  std::unique_ptr<Hub> hub;
  std::vector<Rejection> rejections;

  explicit Fixture(HubOptions options = {}) {
    base::SetLogLevel(base::LogLevel::kOff);
    const char* base = ::getenv("TEST_TMPDIR");
    std::string dir = absl::StrCat(base != nullptr ? base : "/tmp", "/hub.XXXXXX");
    REQUIRE(::mkdtemp(dir.data()) != nullptr);
    REQUIRE(identity::PrepareStateDir(dir).ok());
    auto opened = identity::CertificateAuthority::Open(
        {.dir = dir, .trust_domain = "cluster.local"}, clock.WallNow());
    REQUIRE(opened.ok());
    ca = *std::move(opened);
    secrets = *Secrets::Open(*ca, clock.WallNow());
    options.on_rejection = [this](const Rejection& one) { rejections.push_back(one); };
    hub = std::make_unique<Hub>(std::move(options), *secrets, clock);
  }
  absl::Status Connect(Proxy* proxy) {
    Peer peer;
    peer.id = {.trust_domain = "cluster.local", .ns = "shop", .service_account = "default"};
    peer.expires = clock.WallNow() + absl::Hours(1);
    auto session = hub->Open(std::move(peer), Session::Variant::kDelta, proxy);
    if (session.ok()) proxy->session = *session;
    return session.status();
  }
};

SCENARIO("a thousand proxies come back at once; more than the limit are told to come again") {
  Fixture t({.new_streams_per_second = 400});
  t.hub->SetWorld(World(1000), 1);
  std::vector<std::unique_ptr<Proxy>> proxies;
  proxies.reserve(1000);
  int waiting = 1000, rounds = 0;
  for (int i = 0; i < 1000; ++i) proxies.push_back(std::make_unique<Proxy>());
  while (waiting > 0 && rounds < 10) {
    waiting = 0;
    for (int i = 0; i < 1000; ++i) {
      Proxy& one = *proxies[static_cast<size_t>(i)];
      if (one.session != nullptr) continue;
      const absl::Status status = t.Connect(&one);
      if (!status.ok()) {
        REQUIRE(absl::IsResourceExhausted(status));
        ++waiting;
        continue;
      }
      one.Ask(absl::StrCat("shop/w", i));
      one.Answer();
    }
    if (rounds++ == 0) REQUIRE(waiting == 200);
    t.clock.Advance(absl::Seconds(1));
  }
  REQUIRE(rounds == 2);
  REQUIRE(t.hub->SpreadOf(1).total == 1000);
  REQUIRE(t.hub->counters().streams_refused == 200);
  for (const auto& one : proxies) one->session->OnClosed("done");
  REQUIRE(t.hub->SpreadOf(1).total == 0);
}

SCENARIO("a stream that never reads has one response waiting, and is ended after a minute") {
  Fixture t;
  t.hub->SetWorld(World(1), 1);
  Proxy slow;
  REQUIRE(t.Connect(&slow).ok());
  slow.Ask("shop/w0");
  REQUIRE(slow.sent.size() == 1);
  for (uint64_t i = 2; i < 50; ++i)
    t.hub->SetWorld(
        World(1, absl::StrCat("---\napiVersion: v1\nkind: Service\nmetadata: {name: t", i,
                              ", namespace: shop}\nspec: {selector: {app: x}, ports: [{name: http, "
                              "port: 80}]}\n")),
        i);
  REQUIRE(slow.sent.size() == 1);
  t.clock.Advance(absl::Seconds(59));
  t.hub->Tick();
  REQUIRE_FALSE(slow.over);
  t.clock.Advance(absl::Seconds(2));
  t.hub->Tick();
  REQUIRE(absl::IsDeadlineExceeded(slow.closed));
  slow.session->OnClosed("done");
  REQUIRE(t.hub->Report().sessions.empty());
}

SCENARIO("a stream that says nothing is ended after ten seconds") {
  Fixture t;
  t.hub->SetWorld(World(1), 1);
  Proxy silent;
  REQUIRE(t.Connect(&silent).ok());
  REQUIRE(t.hub->SpreadOf(1).total == 0);
  t.clock.Advance(absl::Seconds(11));
  t.hub->Tick();
  REQUIRE(absl::IsDeadlineExceeded(silent.closed));
  silent.session->OnClosed("done");
}

SCENARIO("how far a configuration came: acknowledged, rejected, not answered") {
  Fixture t;
  t.hub->SetWorld(World(5), 1);
  std::vector<std::unique_ptr<Proxy>> proxies;
  for (int i = 0; i < 5; ++i) {
    proxies.push_back(std::make_unique<Proxy>());
    REQUIRE(t.Connect(proxies.back().get()).ok());
    proxies.back()->Ask(absl::StrCat("shop/w", i), {"s.shop:80", "t.shop:80"});
    proxies.back()->Answer();
  }
  const auto settled = [&](uint64_t generation) {
    const Spread found = t.hub->SpreadOf(generation);
    return std::vector<size_t>{found.total, found.acked, found.nacked};
  };
  REQUIRE(settled(1) == std::vector<size_t>{5, 5, 0});
  t.hub->SetWorld(World(5,
                        "---\napiVersion: v1\nkind: Service\nmetadata: {name: t, namespace: "
                        "shop}\nspec: {selector: {app: x}, ports: [{name: http, port: 80}]}\n"),
                  2);
  REQUIRE(t.hub->generation() == 2);
  REQUIRE(settled(2) == std::vector<size_t>{5, 0, 0});
  proxies[0]->Answer();
  REQUIRE(settled(2) == std::vector<size_t>{5, 1, 0});
  for (size_t i = 1; i < 5; ++i) proxies[i]->Answer(absl::StrCat("no ", i));
  REQUIRE(settled(2) == std::vector<size_t>{5, 1, 4});
  const Spread found = t.hub->SpreadOf(2);
  REQUIRE(found.rejections.size() == 3);
  REQUIRE(found.rejections[0].node_id == "shop/w1");
  REQUIRE(found.rejections[0].type == "CDS");
  REQUIRE(found.rejections[0].why == "no 1");
  REQUIRE(t.rejections.size() == 4);
  REQUIRE(t.hub->counters().rejections == 4);
  for (const auto& one : proxies) one->session->OnClosed("done");
}

}  // namespace
}  // namespace heddle::serve
