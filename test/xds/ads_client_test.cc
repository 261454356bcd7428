// The ADS stream against a server on a loopback socket: what it asks for, and when.
#include "source/xds/ads_client.h"

#include <catch2/catch.hpp>

#include "envoy/service/discovery/v3/discovery.pb.h"
#include "source/http/grpc/frame.h"
#include "test/http/grpc_server.h"
#include "test/support/peer.h"

namespace heddle::xds {
namespace {

namespace pb = envoy::service::discovery::v3;
using http::Served;

struct Applied final : AdsEvents {
  void OnUpdate(Update update) override { updates.push_back(std::move(update)); }
  std::vector<Update> updates;
};

// Short names of the types that were asked for on the stream, in order.
template <typename Request>
std::vector<std::string> TypesAsked(const Served& stream) {
  std::vector<std::string> out;
  base::Buffer bytes(stream.body);
  http::grpc::Deframer deframer;
  REQUIRE(deframer.Feed(bytes).ok());
  while (true) {
    const auto message = deframer.Next();
    if (!message.ok() || !message->has_value()) return out;
    Request request;
    REQUIRE(request.ParseFromString(**message));
    out.emplace_back(ShortName(*TypeOf(request.type_url())));
  }
}

SCENARIO("clusters and listeners are asked for only when dynamic_resources names their source") {
  struct Case {
    bool clusters, listeners;
    std::vector<std::string> asked;  // the endpoints' name is wanted by somebody in all cases
  };
  const std::vector<Case> cases = {{true, true, {"CDS", "EDS", "LDS"}},
                                   {true, false, {"CDS", "EDS"}},
                                   {false, true, {"EDS", "LDS"}},
                                   {false, false, {"EDS"}}};
  for (const Case& c : cases) {
    for (const bool delta : {false, true}) {
      CAPTURE(c.clusters, c.listeners, delta);
      event::Loop loop;
      base::Random random(1);
      http::grpc::WireServer server(loop);
      Applied applied;
      AdsClient ads(
          loop, random,
          {.delta = delta,
           .node = "",
           .metadata = {},
           .clusters = c.clusters,
           .listeners = c.listeners,
           .connect = [&] { return http::grpc::Client::Options{.address = server.address()}; }},
          &applied);
      ads.Want(Type::kEndpoint, {"e"});
      ads.Start();
      // Asked for last, so that everything else has been by then.
      REQUIRE(test::RunUntil(loop, [&] { return !server.peer.requests.empty(); }));
      ads.Want(Type::kSecret, {"last"});
      Served& stream = server.peer.last();
      const auto asked = [&] {
        return delta ? TypesAsked<pb::DeltaDiscoveryRequest>(stream)
                     : TypesAsked<pb::DiscoveryRequest>(stream);
      };
      REQUIRE(test::RunUntil(loop, [&] { return !asked().empty() && asked().back() == "SDS"; }));
      std::vector<std::string> expected = c.asked;
      expected.push_back("SDS");
      CHECK(asked() == expected);

      // What was not asked for is not taken either; what comes after it is.
      stream.stream->SendHead(Served::Head(200, {{"content-type", "application/grpc"}}), false);
      for (const Type type : {Type::kCluster, Type::kListener, Type::kSecret}) {
        pb::DiscoveryResponse whole;
        whole.set_type_url(std::string(TypeUrl(type)));
        pb::DeltaDiscoveryResponse change;
        change.set_type_url(whole.type_url());
        stream.SendBody(
            http::grpc::Framed(delta ? change.SerializeAsString() : whole.SerializeAsString()),
            false);
      }
      server.Touch();
      REQUIRE(test::RunUntil(loop, [&] {
        return !applied.updates.empty() && applied.updates.back().type == Type::kSecret;
      }));
      const size_t wildcards = (c.clusters ? 1 : 0) + (c.listeners ? 1 : 0);
      CHECK(applied.updates.size() == wildcards + 1);
    }
  }
}

}  // namespace
}  // namespace heddle::xds
