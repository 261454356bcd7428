#include "source/proxy/listener_chains.h"

#include <catch2/catch.hpp>

namespace heddle::proxy {
namespace {

using Match = config::FilterChainMatch;

net::Address At(const char* text) { return *net::Address::Parse(text); }
net::Cidr Net(const char* ip, uint32_t bits) { return *net::Cidr::Create(ip, bits); }

ChainFacts Facts(const char* destination, const char* source = "10.9.9.9:5000") {
  ChainFacts facts;
  facts.destination = At(destination);
  facts.source = facts.direct_source = At(source);
  return facts;
}

int Choose(const std::vector<Match>& chains, const ChainFacts& facts) {
  std::vector<const Match*> pointers;
  for (const Match& m : chains) pointers.push_back(&m);
  return ChooseChain(pointers, facts);
}

SCENARIO("the destination port is looked at first, and a chain chosen for it is not left again") {
  std::vector<Match> chains(2);
  chains[0].server_names = {"a.b"};
  chains[1].destination_port = 443;
  chains[1].transport_protocol = "tls";
  auto facts = Facts("10.0.0.1:443");
  facts.server_name = "a.b";
  CHECK(Choose(chains, facts) == -1);  // the port's chain wants TLS: no way back to the first
  facts.transport = "tls";
  CHECK(Choose(chains, facts) == 1);
  facts.destination = At("10.0.0.1:80");
  CHECK(Choose(chains, facts) == 0);
}

SCENARIO("the longest destination prefix wins") {
  std::vector<Match> chains(3);
  chains[0].destinations = {Net("10.0.0.0", 8)};
  chains[1].destinations = {Net("10.1.0.0", 16), Net("192.168.0.0", 16)};
  CHECK(Choose(chains, Facts("10.1.2.3:1")) == 1);
  CHECK(Choose(chains, Facts("10.2.2.3:1")) == 0);
  CHECK(Choose(chains, Facts("192.168.1.1:1")) == 1);
  CHECK(Choose(chains, Facts("172.16.0.1:1")) == 2);
}

SCENARIO("server names: exact, then the longest wildcard, then none") {
  std::vector<Match> chains(4);
  chains[0].server_names = {"*.b.c"};
  chains[1].server_names = {"x.b.c"};
  chains[2].server_names = {"*.y.b.c"};
  const auto with = [](const char* name) {
    auto facts = Facts("10.0.0.1:443");
    facts.server_name = name;
    return facts;
  };
  CHECK(Choose(chains, with("x.b.c")) == 1);
  CHECK(Choose(chains, with("z.b.c")) == 0);
  CHECK(Choose(chains, with("z.y.b.c")) == 2);
  CHECK(Choose(chains, with("b.c")) == 3);
  CHECK(Choose(chains, with("")) == 3);
}

SCENARIO("transport protocol and ALPN; what the client offers first wins") {
  std::vector<Match> chains(3);
  chains[0].transport_protocol = "tls";
  chains[0].application_protocols = {"h2"};
  chains[1].transport_protocol = "tls";
  chains[1].application_protocols = {"http/1.1", "istio"};
  auto facts = Facts("10.0.0.1:443");
  CHECK(Choose(chains, facts) == 2);
  facts.transport = "tls";
  CHECK(Choose(chains, facts) == -1);
  facts.alpn = {"istio", "h2"};
  CHECK(Choose(chains, facts) == 1);
  facts.alpn = {"h2", "http/1.1"};
  CHECK(Choose(chains, facts) == 0);
}

SCENARIO("source type, address and port") {
  std::vector<Match> chains(4);
  chains[0].source_type = Match::SourceType::kSameIpOrLoopback;
  chains[1].source_type = Match::SourceType::kExternal;
  chains[1].sources = {Net("10.0.0.0", 8)};
  chains[2].source_type = Match::SourceType::kExternal;
  chains[2].sources = {Net("10.0.0.0", 8)};
  chains[2].source_ports = {777};
  chains[3].source_type = Match::SourceType::kAny;
  CHECK(Choose(chains, Facts("10.0.0.1:80", "127.0.0.1:5")) == 0);
  CHECK(Choose(chains, Facts("10.0.0.1:80", "10.0.0.1:5")) == 0);
  CHECK(Choose(chains, Facts("10.0.0.1:80", "10.0.0.2:5")) == 1);
  CHECK(Choose(chains, Facts("10.0.0.1:80", "10.0.0.2:777")) == 2);
  CHECK(Choose(chains, Facts("10.0.0.1:80", "11.0.0.2:777")) ==
        -1);  // an external chain exists, none for this net
}

SCENARIO("the default chain takes what no chain matches") {
  auto config = std::make_shared<config::Listener>();
  config->chains.resize(1);
  config->chains[0].match.destination_port = 1;
  config->default_chain.emplace();
  ListenerSpec listener;
  listener.config = config;
  listener.chains.resize(1);
  listener.chains[0].config = &config->chains[0];
  CHECK(ChooseChain(listener, Facts("10.0.0.1:2")) == nullptr);
  listener.default_chain.emplace();
  listener.default_chain->config = &*config->default_chain;
  CHECK(ChooseChain(listener, Facts("10.0.0.1:2")) == &*listener.default_chain);
  CHECK(ChooseChain(listener, Facts("10.0.0.1:1")) == &listener.chains[0]);
}

}  // namespace
}  // namespace heddle::proxy
