// What the ADS client says, message by message.
#include "source/xds/subscription.h"

#include <catch2/catch.hpp>

#include "envoy/service/discovery/v3/discovery.pb.h"

namespace heddle::xds {
namespace {

namespace pb = envoy::service::discovery::v3;

pb::DeltaDiscoveryRequest NextDelta(Subscription& subscription) {
  const auto bytes = subscription.Next();
  REQUIRE(bytes.has_value());
  pb::DeltaDiscoveryRequest request;
  REQUIRE(request.ParseFromString(*bytes));
  return request;
}

pb::DiscoveryRequest NextWorld(Subscription& subscription) {
  const auto bytes = subscription.Next();
  REQUIRE(bytes.has_value());
  pb::DiscoveryRequest request;
  REQUIRE(request.ParseFromString(*bytes));
  return request;
}

template <typename Repeated>
std::vector<std::string> List(const Repeated& names) {
  return {names.begin(), names.end()};
}

Update UpdateOf(Type type, const std::string& nonce, const std::string& version,
                std::vector<Resource> resources = {}) {
  Update update;
  update.type = type;
  update.nonce = nonce;
  update.version = version;
  update.resources = std::move(resources);
  return update;
}

SCENARIO("delta: wildcard types are asked for at once, named ones when a name is wanted") {
  auto clusters = MakeSubscription(Type::kCluster, true);
  clusters->OnStream();
  const auto first = NextDelta(*clusters);
  CHECK(first.type_url() == "type.googleapis.com/envoy.config.cluster.v3.Cluster");
  CHECK(first.resource_names_subscribe_size() == 0);
  CHECK(first.response_nonce().empty());
  CHECK_FALSE(clusters->Next().has_value());

  auto routes = MakeSubscription(Type::kRoute, true);
  routes->OnStream();
  CHECK_FALSE(routes->Next().has_value());
  routes->Want({"a", "b"});
  CHECK(List(NextDelta(*routes).resource_names_subscribe()) == std::vector<std::string>{"a", "b"});
  routes->Want({"b", "c"});
  const auto change = NextDelta(*routes);
  CHECK(List(change.resource_names_subscribe()) == std::vector<std::string>{"c"});
  CHECK(List(change.resource_names_unsubscribe()) == std::vector<std::string>{"a"});
  CHECK(change.response_nonce().empty());
  CHECK_FALSE(routes->Next().has_value());
}

SCENARIO("delta: each response is answered once, with its nonce; a refusal carries the text") {
  auto clusters = MakeSubscription(Type::kCluster, true);
  clusters->OnStream();
  NextDelta(*clusters);
  clusters->Answer(UpdateOf(Type::kCluster, "n1", "", {{"c", "v1", ""}}), absl::OkStatus());
  clusters->Answer(UpdateOf(Type::kCluster, "n2", ""),
                   absl::InvalidArgumentError("c.lb_policy: no"));
  const auto ack = NextDelta(*clusters);
  CHECK(ack.response_nonce() == "n1");
  CHECK_FALSE(ack.has_error_detail());
  const auto nack = NextDelta(*clusters);
  CHECK(nack.response_nonce() == "n2");
  CHECK(nack.error_detail().message() == "c.lb_policy: no");
  CHECK_FALSE(clusters->Next().has_value());
}

SCENARIO(
    "delta: a new stream says which versions are held, and forgets what is not wanted any more") {
  auto routes = MakeSubscription(Type::kRoute, true);
  routes->Remember({{"a", "v1"}, {"gone", "v7"}});
  routes->Want({"a"});
  routes->OnStream();
  const auto first = NextDelta(*routes);
  CHECK(first.initial_resource_versions_size() == 1);
  CHECK(first.initial_resource_versions().at("a") == "v1");
  routes->Answer(UpdateOf(Type::kRoute, "n", "", {{"a", "v2", ""}}), absl::OkStatus());
  NextDelta(*routes);
  routes->OnStream();
  CHECK(NextDelta(*routes).initial_resource_versions().at("a") == "v2");
}

SCENARIO("state of the world: version and nonce of the last good response") {
  auto listeners = MakeSubscription(Type::kListener, false);
  listeners->OnStream();
  const auto first = NextWorld(*listeners);
  CHECK(first.resource_names_size() == 0);
  CHECK(first.version_info().empty());
  listeners->Answer(UpdateOf(Type::kListener, "n1", "1"), absl::OkStatus());
  const auto ack = NextWorld(*listeners);
  CHECK(ack.version_info() == "1");
  CHECK(ack.response_nonce() == "n1");
  listeners->Answer(UpdateOf(Type::kListener, "n2", "2"), absl::InvalidArgumentError("bad"));
  const auto nack = NextWorld(*listeners);
  CHECK(nack.version_info() == "1");
  CHECK(nack.response_nonce() == "n2");
  CHECK(nack.error_detail().message() == "bad");
  CHECK_FALSE(listeners->Next().has_value());

  auto endpoints = MakeSubscription(Type::kEndpoint, false);
  endpoints->OnStream();
  CHECK_FALSE(endpoints->Next().has_value());
  endpoints->Want({"a"});
  CHECK(List(NextWorld(*endpoints).resource_names()) == std::vector<std::string>{"a"});
  endpoints->Answer(UpdateOf(Type::kEndpoint, "n1", "1"), absl::OkStatus());
  endpoints->Want({"a", "b"});
  const auto both = NextWorld(*endpoints);  // acknowledges and asks in one
  CHECK(both.response_nonce() == "n1");
  CHECK(List(both.resource_names()) == std::vector<std::string>{"a", "b"});
  CHECK_FALSE(endpoints->Next().has_value());
}

SCENARIO("responses are read out of their envelopes") {
  pb::DeltaDiscoveryResponse delta;
  delta.set_type_url(std::string(TypeUrl(Type::kRoute)));
  delta.set_nonce("n");
  auto* with_body = delta.add_resources();
  with_body->set_name("a");
  with_body->set_version("v");
  with_body->mutable_resource()->set_value("bytes");
  delta.add_resources()->set_name("heartbeat");
  delta.add_removed_resources("gone");
  const std::string bytes = delta.SerializeAsString();
  CHECK(TypeOfResponse(bytes, true) == Type::kRoute);
  const auto update = MakeSubscription(Type::kRoute, true)->Read(bytes);
  REQUIRE(update.ok());
  REQUIRE(update->resources.size() == 1);
  CHECK(update->resources[0].bytes == "bytes");
  CHECK(update->removed == std::vector<std::string>{"gone"});

  CHECK_FALSE(MakeSubscription(Type::kRoute, true)->Read("\xff\xff").ok());
  CHECK_FALSE(TypeOfResponse("\xff\xff", false).has_value());
  pb::DiscoveryResponse other;
  other.set_type_url("type.googleapis.com/some.Other");
  CHECK_FALSE(TypeOfResponse(other.SerializeAsString(), false).has_value());
}

SCENARIO("the node goes into the first request") {
  pb::DeltaDiscoveryRequest delta;
  delta.set_type_url("t");
  envoy::config::core::v3::Node node;
  node.set_id("ns/name");
  pb::DeltaDiscoveryRequest out;
  REQUIRE(out.ParseFromString(WithNode(delta.SerializeAsString(), node.SerializeAsString(), true)));
  CHECK(out.node().id() == "ns/name");
  CHECK(out.type_url() == "t");
}

}  // namespace
}  // namespace heddle::xds
