#include "source/tls/context.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "source/base/buffer.h"
#include "source/net/connection.h"
#include "test/support/fake_clock.h"
#include "test/support/peer.h"
#include "test/support/test_ca.h"

namespace heddle::tls {
namespace {

using net::CloseReason;
using net::Connection;
using test::Recorder;
using test::RunUntil;
using test::TestCa;

const TestCa& Root() {
  static const TestCa ca("root");
  return ca;
}
const TestCa& Stranger() {
  static const TestCa ca("stranger");
  return ca;
}
std::string Id(const std::string& account) {
  return "spiffe://cluster.local/ns/bookshop/sa/" + account;
}
Certificate Workload(const std::string& account) {
  return Root().Issue({.uri_sans = {Id(account)}});
}
Validation Trust(const std::string& san = "") {
  Validation validation;
  validation.trusted_ca_pem = Root().pem();
  if (!san.empty()) validation.sans = {{.exact = san}};
  return validation;
}

ServerOptions MutualServer() {
  ServerOptions options;
  options.common.certificates = {Workload("server")};
  options.common.validation = Trust();
  options.common.alpn = {"h2", "http/1.1"};
  options.require_client_certificate = true;
  return options;
}
ClientOptions MutualClient() {
  ClientOptions options;
  options.common.certificates = {Workload("client")};
  options.common.validation = Trust(Id("server"));
  options.common.alpn = {"h2"};
  options.sni = "server.bookshop";
  return options;
}

// One handshake over loopback, and what both ends told.
struct Pair {
  Pair(std::shared_ptr<const net::TransportFactory> server_side,
       std::shared_ptr<const net::TransportFactory> client_side,
       const net::TransportFactory::Options& options = {},
       const net::ConnectionOptions& connection = {}) {
    auto [a, b] = test::TcpPair();
    server = Connection::Accepted(loop, b.Release(), server_side->Create({}), {}, connection,
                                  &at_server);
    client = Connection::Accepted(loop, a.Release(), client_side->Create(options), {}, connection,
                                  &at_client);
  }
  ~Pair() {
    client.reset();
    server.reset();
  }
  bool Up() {
    return RunUntil(loop,
                    [&] {
                      return (at_server.connected && at_client.connected) || at_server.closed ||
                             at_client.closed;
                    }) &&
           at_server.connected && at_client.connected && !at_server.closed && !at_client.closed;
  }
  // The client believes in a TLS 1.3 connection before the server has judged it: let one byte come
  // back.
  bool Works() {
    if (!Up()) return false;
    client->out().Append("ping");
    client->Flush();
    if (!RunUntil(loop, [&] { return at_server.data == "ping" || at_client.closed; })) return false;
    if (at_client.closed) return false;
    server->out().Append("pong");
    server->Flush();
    return RunUntil(loop, [&] { return at_client.data == "pong"; });
  }
  // Runs until both know it failed.
  void Fail() {
    CHECK(RunUntil(loop,
                   [&] { return at_server.closed.has_value() && at_client.closed.has_value(); }));
  }

  event::Loop loop;
  Recorder at_server, at_client;
  std::unique_ptr<Connection> server, client;
};

template <typename Context, typename Options>
std::shared_ptr<const Context> Make(const Options& options,
                                    const base::Clock& clock = base::SystemClock()) {
  auto made = Context::Make(options, clock);
  INFO(made.status().ToString());
  REQUIRE(made.ok());
  return *made;
}
auto Server(const ServerOptions& options) { return Make<ServerContext>(options); }
auto Client(const ClientOptions& options) { return Make<ClientContext>(options); }

bool Has(absl::string_view text, absl::string_view part) { return text.find(part) != text.npos; }

SCENARIO("mutual TLS tells both sides who the other is") {
  Pair pair(Server(MutualServer()), Client(MutualClient()));
  REQUIRE(pair.Works());
  const net::PeerInfo& seen = pair.server->peer();
  CHECK(seen.tls);
  CHECK(seen.certificate_verified);
  CHECK(seen.uri_sans == std::vector<std::string>{Id("client")});
  CHECK(seen.local_uri_sans == std::vector<std::string>{Id("server")});
  CHECK(seen.sni == "server.bookshop");
  CHECK(seen.alpn == "h2");
  CHECK(seen.tls_version == "TLSv1.3");
  CHECK_FALSE(seen.cipher.empty());
  CHECK(seen.certificate_sha256.size() == 64);
  CHECK(pair.client->peer().uri_sans == std::vector<std::string>{Id("server")});
  CHECK(pair.client->peer().certificate_verified);
}

// Of what this end sent, segments that the other end has not acknowledged.
uint32_t Unacknowledged(int fd) {
  tcp_info info = {};
  socklen_t size = sizeof(info);
  return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? info.tcpi_unacked : UINT32_MAX;
}

SCENARIO("a client that waits for the acknowledgement of its Finished need not wait for a timer") {
  // Without a client certificate, so that Finished is one small segment.
  ServerOptions options = MutualServer();
  options.require_client_certificate = false;
  options.common.validation.reset();
  Pair pair(Server(options), Client(MutualClient()));
  // Looked at from the very call in which the server learns that it is connected.
  std::optional<uint32_t> waiting;
  pair.at_server.on_connected = [&] { waiting = Unacknowledged(pair.client->fd()); };
  REQUIRE(pair.Up());
  REQUIRE(waiting.has_value());
  CHECK(*waiting == 0);
}

SCENARIO("a context made from another expects its own server and shares the rest") {
  ClientOptions options = MutualClient();
  options.common.validation->sans.clear();
  const auto anybody = Client(options);
  const auto right = anybody->For("server.bookshop", {{.exact = Id("server")}});
  const auto wrong = anybody->For("server.bookshop", {{.exact = Id("reviews")}});
  REQUIRE(right.ok());
  REQUIRE(wrong.ok());
  CHECK(&(*right)->certificates() == &anybody->certificates());
  const auto server = Server(MutualServer());
  {
    Pair pair(server, *right);
    REQUIRE(pair.Works());
    CHECK(pair.server->peer().sni == "server.bookshop");
    CHECK(pair.client->peer().certificate_verified);
  }
  {
    // Refused although the chain is known by now, and although there is a session to resume.
    Pair pair(server, *wrong);
    CHECK_FALSE(pair.Works());
    CHECK(Has(pair.client->transport_error(), "SAN mismatch"));
  }
  CHECK((*wrong)->stats().verify_san == 1);
  CHECK(anybody->stats().handshakes == 1);

  options.common.validation.reset();
  CHECK_FALSE(Client(options)->For("a", {{.exact = Id("server")}}).ok());
  CHECK_FALSE(anybody->For(std::string(256, 'a'), {}).ok());
}

SCENARIO("megabytes pass unchanged through TLS in both directions, and no block stays") {
  const size_t before = base::Buffer::UsedBlocks();
  {
    Pair pair(Server(MutualServer()), Client(MutualClient()));
    REQUIRE(pair.Up());
    std::string text(3'000'000, '\0');
    for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 31 + i / 977);
    for (size_t at = 0; at < text.size(); at += 1000)
      pair.client->out().Append(absl::string_view(text).substr(at, 1000));
    pair.client->Flush();
    pair.server->out().Append(text);
    pair.server->Flush();
    REQUIRE(RunUntil(pair.loop, [&] {
      return pair.at_server.data.size() == text.size() && pair.at_client.data.size() == text.size();
    }));
    CHECK(pair.at_server.data == text);
    CHECK(pair.at_client.data == text);
    CHECK(base::Buffer::UsedBlocks() == before);
  }
}

SCENARIO("TLS 1.2 works where it is asked for, and 1.1 does not by default") {
  ServerOptions server = MutualServer();
  server.common.max_version = Version::k12;
  Pair pair(Server(server), Client(MutualClient()));
  REQUIRE(pair.Works());
  CHECK(pair.client->peer().tls_version == "TLSv1.2");
  CHECK(pair.client->peer().cipher == "ECDHE-ECDSA-AES128-GCM-SHA256");

  server.common.min_version = Version::k11;
  server.common.max_version = Version::k11;
  Pair old(Server(server), Client(MutualClient()));
  CHECK_FALSE(old.Up());
}

SCENARIO("the post-quantum key exchange is used when the client offers it") {
  ClientOptions client = MutualClient();
  client.common.curves = {"X25519MLKEM768", "X25519"};
  Pair pair(Server(MutualServer()), Client(client));
  CHECK(pair.Works());
}

SCENARIO("close_notify is a clean end, and half close keeps the other direction") {
  Pair pair(Server(MutualServer()), Client(MutualClient()), {}, {.half_close = true});
  REQUIRE(pair.Up());
  pair.client->out().Append("question");
  pair.client->ShutdownWrite();
  REQUIRE(RunUntil(pair.loop, [&] { return pair.at_server.eof; }));
  CHECK(pair.at_server.data == "question");
  pair.server->out().Append("answer");
  pair.server->ShutdownWrite();
  REQUIRE(RunUntil(pair.loop, [&] { return pair.at_client.closed.has_value(); }));
  CHECK(pair.at_client.data == "answer");
  CHECK(*pair.at_client.closed == CloseReason::kRemote);
}

SCENARIO("a client without certificate is refused only when one is required") {
  ClientOptions anonymous = MutualClient();
  anonymous.common.certificates.clear();
  ServerOptions server = MutualServer();
  WHEN("required") {
    auto context = Server(server);
    Pair pair(context, Client(anonymous));
    CHECK_FALSE(pair.Works());
    pair.Fail();
    CHECK(Has(pair.server->failure(), "the peer gave no certificate"));
    CHECK(Has(pair.client->failure(), "the peer refused: certificate required"));
    CHECK(*pair.at_client.closed == CloseReason::kTransportFailed);
    CHECK(context->stats().no_certificate == 1);
    CHECK(context->stats().failed == 1);
  }
  WHEN("only asked for") {
    server.require_client_certificate = false;
    Pair pair(Server(server), Client(anonymous));
    REQUIRE(pair.Works());
    CHECK_FALSE(pair.server->peer().certificate_verified);
    CHECK(pair.server->peer().uri_sans.empty());
  }
}

SCENARIO("a refused certificate is explained: what was seen, what is allowed") {
  struct Case {
    const char* what;
    std::function<void(ServerOptions&, ClientOptions&)> change;
    bool server_refuses;
    std::vector<std::string> says;
  };
  const absl::Time now = absl::Now();
  const std::vector<Case> cases = {
      {"expired",
       [&](auto& s, auto&) {
         s.common.certificates = {
             Root().Issue({.uri_sans = {Id("server")}, .not_after = now - absl::Minutes(1)})};
       },
       false,
       {"certificate of " + Id("server") + " refused: expired 20"}},
      {"early",
       [&](auto& s, auto&) {
         s.common.certificates = {
             Root().Issue({.uri_sans = {Id("server")}, .not_before = now + absl::Hours(1)})};
       },
       false,
       {"not valid before 20"}},
      {"unknown CA",
       [&](auto&, auto& c) {
         c.common.certificates = {Stranger().Issue({.uri_sans = {Id("client")}})};
       },
       true,
       {"unknown CA \"CN=stranger\"; trusted: \"CN=root\""}},
      {"other name",
       [&](auto&, auto& c) { c.common.validation->sans = {{.exact = Id("stock")}}; },
       false,
       {"SAN mismatch: it has URI " + Id("server") + "; allowed: URI " + Id("stock")}},
      {"no name",
       [&](auto& s, auto&) { s.common.certificates = {Root().Issue({.common_name = "x"})}; },
       false,
       {"certificate of CN=x refused: SAN mismatch: it has no name"}},
      {"wrong kind of name",
       [&](auto&, auto& c) {
         c.common.validation->sans = {{.type = SanType::kDns, .exact = Id("server")}};
       },
       false,
       {"allowed: DNS spiffe"}},
      {"pin",
       [&](auto& s, auto&) { s.common.validation->certificate_sha256 = {std::string(64, 'a')}; },
       true,
       {"is among the pinned"}},
      {"trust domain",
       [&](auto& s, auto&) { s.common.validation->spiffe_trust_domains = {"other.example"}; },
       true,
       {"trust domain cluster.local; allowed: other.example"}},
      {"two URIs",
       [&](auto& s, auto& c) {
         s.common.validation->spiffe_trust_domains = {"cluster.local"};
         c.common.certificates = {Root().Issue({.uri_sans = {Id("a"), Id("b")}})};
       },
       true,
       {"exactly one URI SAN, this has 2"}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.what);
    ServerOptions server = MutualServer();
    ClientOptions client = MutualClient();
    c.change(server, client);
    Pair pair(Server(server), Client(client));
    CHECK_FALSE(pair.Works());
    pair.Fail();
    const std::string& failure = c.server_refuses ? pair.server->failure() : pair.client->failure();
    CAPTURE(failure);
    for (const std::string& part : c.says) CHECK(Has(failure, part));
    const std::string& told = c.server_refuses ? pair.client->failure() : pair.server->failure();
    CAPTURE(told);
    CHECK(Has(told, "the peer refused"));
  }
}

SCENARIO("names match exactly, by function, and by certificate wildcard for DNS") {
  ServerOptions server = MutualServer();
  server.common.certificates = {
      Root().Issue({.uri_sans = {Id("server")}, .dns_sans = {"*.shop.example"}})};
  const auto tls = Server(server);
  const auto accepts = [&](const SanMatcher& matcher) {
    ClientOptions client = MutualClient();
    client.common.validation->sans = {{.exact = "spiffe://nobody"}, matcher};
    Pair pair(tls, Client(client));
    return pair.Works();
  };
  CHECK(accepts({.exact = Id("server")}));
  CHECK(accepts(
      {.matches = [](absl::string_view name) { return name.find("/sa/server") != name.npos; },
       .shown = "s"}));
  CHECK(accepts({.type = SanType::kDns, .exact = "api.shop.example"}));
  CHECK_FALSE(accepts({.type = SanType::kDns, .exact = "a.b.shop.example"}));
  CHECK_FALSE(accepts({.type = SanType::kDns, .exact = "shop.example"}));
  CHECK_FALSE(accepts({.type = SanType::kDns, .exact = ".shop.example"}));
}

SCENARIO("an intermediate CA is followed to the root, and may be an anchor itself") {
  const TestCa below = Root().Intermediate("below");
  ServerOptions server = MutualServer();
  server.common.certificates = {below.Issue({.uri_sans = {Id("server")}})};
  CHECK(Pair(Server(server), Client(MutualClient())).Works());
  ClientOptions client = MutualClient();
  client.common.validation->trusted_ca_pem = below.pem();
  CHECK(Pair(Server(server), Client(client)).Works());
  client.common.validation->trusted_ca_pem = Stranger().pem() + Root().pem();
  CHECK(Pair(Server(server), Client(client)).Works());
  server.common.certificates = {
      Stranger().Intermediate("root").Issue({.uri_sans = {Id("server")}})};
  CHECK_FALSE(Pair(Server(server), Client(MutualClient())).Works());
}

SCENARIO("a revoked certificate is refused") {
  ClientOptions client = MutualClient();
  ServerOptions server = MutualServer();
  server.common.validation->crl_pem = Root().Revoke({});
  CHECK(Pair(Server(server), Client(client)).Works());
  server.common.validation->crl_pem = Root().Revoke(client.common.certificates);
  Pair pair(Server(server), Client(client));
  CHECK_FALSE(pair.Works());
  pair.Fail();
  CHECK(Has(pair.server->failure(), "revoked (serial "));
}

SCENARIO("pins accept the certificate or its key") {
  ClientOptions client = MutualClient();
  const auto info = CheckCertificate(client.common.certificates[0]);
  ServerOptions server = MutualServer();
  server.common.validation = Validation();
  server.common.validation->spki_sha256 = {info->spki_sha256};
  Pair by_key(Server(server), Client(client));
  REQUIRE(by_key.Works());
  CHECK(by_key.server->peer().certificate_verified);
  server.common.validation->spki_sha256 = {CheckCertificate(Workload("x"))->spki_sha256};
  server.common.validation->certificate_sha256 = {info->sha256};
  CHECK(Pair(Server(server), Client(client)).Works());
}

SCENARIO("untrusted peers may be let in, marked as such") {
  ServerOptions server = MutualServer();
  server.common.validation->accept_untrusted = true;
  ClientOptions client = MutualClient();
  client.common.certificates = {Stranger().Issue({.uri_sans = {Id("client")}})};
  Pair pair(Server(server), Client(client));
  REQUIRE(pair.Works());
  CHECK_FALSE(pair.server->peer().certificate_verified);
}

SCENARIO("the certificate is chosen by SNI: equal, wildcard, first") {
  ServerOptions server;
  server.common.certificates = {Root().Issue({.dns_sans = {"first.example"}}),
                                Root().Issue({.dns_sans = {"*.shop.example"}}),
                                Root().Issue({.dns_sans = {"api.shop.example"}})};
  const auto context = Server(server);
  for (const auto& [sni, got] :
       std::vector<std::pair<std::string, std::string>>{{"api.shop.example", "api.shop.example"},
                                                        {"API.Shop.Example", "api.shop.example"},
                                                        {"web.shop.example", "*.shop.example"},
                                                        {"a.b.shop.example", "first.example"},
                                                        {"other", "first.example"},
                                                        {"", "first.example"}}) {
    CAPTURE(sni);
    ClientOptions client;
    client.sni = sni;
    Pair pair(context, Client(client));
    REQUIRE(pair.Works());
    CHECK(pair.client->peer().dns_sans == std::vector<std::string>{got});
  }
}

SCENARIO("an RSA certificate beside an ECDSA one serves clients that cannot do better") {
  ServerOptions server;
  server.common.certificates = {Root().Issue({.dns_sans = {"a"}}),
                                Root().Issue({.dns_sans = {"a"}, .rsa = true})};
  server.common.max_version = Version::k12;
  const auto context = Server(server);
  ClientOptions client;
  client.common.max_version = Version::k12;
  client.common.cipher_suites = {"ECDHE-RSA-AES128-GCM-SHA256"};
  Pair pair(context, Client(client));
  REQUIRE(pair.Works());
  CHECK(pair.client->peer().cipher == "ECDHE-RSA-AES128-GCM-SHA256");
}

// Lets the session ticket, which comes after the handshake, arrive.
bool ConnectOnce(std::shared_ptr<const ServerContext> server,
                 std::shared_ptr<const ClientContext> client,
                 const net::TransportFactory::Options& options = {}) {
  Pair pair(std::move(server), std::move(client), options);
  return pair.Works();
}

SCENARIO("a second connection resumes, with the identity of the first") {
  for (const Version version : {Version::k12, Version::k13}) {
    ServerOptions server_options = MutualServer();
    server_options.common.max_version = version;
    const auto server = Server(server_options);
    const auto client = Client(MutualClient());
    CHECK(ConnectOnce(server, client));
    Pair second(server, client);
    REQUIRE(second.Works());
    CHECK(server->stats().resumed == 1);
    CHECK(client->stats().resumed == 1);
    CHECK(server->stats().handshakes == 2);
    CHECK(second.server->peer().uri_sans == std::vector<std::string>{Id("client")});
    CHECK(second.server->peer().certificate_verified);
    CHECK(second.client->peer().uri_sans == std::vector<std::string>{Id("server")});
  }
}

SCENARIO("sessions are remembered for each peer, and not at all when turned off") {
  const auto server = Server(MutualServer());
  const auto client = Client(MutualClient());
  CHECK(ConnectOnce(server, client, {.sni = "", .alpn = {}, .peer = "a"}));
  CHECK(ConnectOnce(server, client, {.sni = "", .alpn = {}, .peer = "b"}));
  CHECK(server->stats().resumed == 0);
  CHECK(ConnectOnce(server, client, {.sni = "", .alpn = {}, .peer = "a"}));
  CHECK(server->stats().resumed == 1);

  ClientOptions off = MutualClient();
  off.max_session_keys = 0;
  const auto forgetful = Client(off);
  CHECK(ConnectOnce(server, forgetful));
  CHECK(ConnectOnce(server, forgetful));
  CHECK(server->stats().resumed == 1);

  ServerOptions no_tickets = MutualServer();
  no_tickets.session_tickets = false;
  const auto strict = Server(no_tickets);
  CHECK(ConnectOnce(strict, client));
  CHECK(ConnectOnce(strict, client));
  CHECK(strict->stats().resumed == 0);
}

SCENARIO("a ticket of before a rotation is worth nothing after it") {
  const auto client = Client(MutualClient());
  CHECK(ConnectOnce(Server(MutualServer()), client));
  const auto rotated = Server(MutualServer());
  CHECK(ConnectOnce(rotated, client));
  CHECK(rotated->stats().resumed == 0);
  CHECK(rotated->stats().handshakes == 1);
}

SCENARIO("a resumed client whose certificate expired meanwhile is refused") {
  test::FakeClock clock;
  clock.Set(absl::ToInt64Microseconds(absl::Now() - test::FakeClock().WallNow()) + clock.Now());
  const auto server = Make<ServerContext>(MutualServer(), clock);
  const auto client = Client(MutualClient());
  CHECK(ConnectOnce(server, client));
  clock.Advance(absl::Hours(25));
  Pair pair(server, client);
  CHECK_FALSE(pair.Works());
  pair.Fail();
  CHECK(Has(pair.server->failure(), "expired"));
}

SCENARIO("a client resumes no session with a server whose certificate expired meanwhile") {
  test::FakeClock clock;
  clock.Set(absl::ToInt64Microseconds(absl::Now() - test::FakeClock().WallNow()) + clock.Now());
  const auto server = Server(MutualServer());
  const auto client = Make<ClientContext>(MutualClient(), clock);
  CHECK(ConnectOnce(server, client));
  clock.Advance(absl::Hours(25));
  CHECK_FALSE(ConnectOnce(server, client));
}

SCENARIO("plain text to a TLS port is told from a broken handshake") {
  event::Loop loop;
  auto [a, b] = test::TcpPair();
  Recorder events;
  auto server =
      Connection::Accepted(loop, b.Release(), Server(MutualServer())->Create({}), {}, {}, &events);
  test::SendAll(loop, a.get(), "GET / HTTP/1.1\r\nhost: x\r\n\r\n");
  REQUIRE(RunUntil(loop, [&] { return events.closed.has_value(); }));
  CHECK(*events.closed == CloseReason::kTransportFailed);
  CHECK(Has(server->failure(), "does not speak TLS"));
}

SCENARIO("a handshake that stalls is ended, and one that the peer leaves says so") {
  event::Loop loop;
  auto [a, b] = test::TcpPair();
  Recorder events;
  auto server = Connection::Accepted(loop, b.Release(), Server(MutualServer())->Create({}), {},
                                     {.handshake_timeout = absl::Milliseconds(30)}, &events);
  WHEN("it stalls") {
    REQUIRE(RunUntil(loop, [&] { return events.closed.has_value(); }));
    CHECK(Has(server->failure(), "timeout"));
  }
  WHEN("it leaves") {
    a.Reset();
    REQUIRE(RunUntil(loop, [&] { return events.closed.has_value(); }));
    CHECK(Has(server->failure(), "closed by the peer during the handshake"));
  }
  CHECK(events.connected == 0);
}

SCENARIO("bytes cut at any place make the same stream") {
  const auto server_context = Server(MutualServer());
  const auto client_context = Client(MutualClient());
  for (const size_t cut : {1U, 2U, 3U, 7U, 4096U}) {
    // A relay between the two that passes `cut` bytes at a time.
    event::Loop loop;
    auto [client_end, relay_a] = test::TcpPair();
    auto [relay_b, server_end] = test::TcpPair();
    Recorder at_server, at_client;
    auto server = Connection::Accepted(loop, server_end.Release(), server_context->Create({}), {},
                                       {}, &at_server);
    auto client = Connection::Accepted(loop, client_end.Release(), client_context->Create({}), {},
                                       {}, &at_client);
    client->out().Append("hello over a slow wire");
    const auto pass = [&](int from, int to) {
      char bytes[4096];
      const ssize_t n = recv(from, bytes, cut, MSG_DONTWAIT);
      if (n > 0) REQUIRE(send(to, bytes, static_cast<size_t>(n), 0) == n);
    };
    CHECK(RunUntil(loop, [&] {
      for (int i = 0; i < 50; ++i) {
        pass(relay_a.get(), relay_b.get());
        pass(relay_b.get(), relay_a.get());
        loop.RunOnce(false);
      }
      return at_server.data == "hello over a slow wire";
    }));
  }
}

SCENARIO("options that cannot work are refused with the reason") {
  struct Case {
    std::function<void(ServerOptions&)> change;
    std::string says;
  };
  const std::vector<Case> cases = {
      {[](auto& s) { s.common.certificates.clear(); }, "wants a certificate"},
      {[](auto& s) { s.common.certificates[0].key_pem = Workload("x").key_pem; },
       "certificate 0: the private key does not belong"},
      {[](auto& s) { s.common.validation->trusted_ca_pem = "x"; }, "trusted_ca: "},
      {[](auto& s) {
         s.common.validation->trusted_ca_pem = "", s.common.validation->sans = {{.exact = "x"}};
       },
       "without trusted_ca"},
      {[](auto& s) { s.common.validation->crl_pem = "x"; }, "crl: "},
      {[](auto& s) { s.common.validation->spki_sha256 = {"x"}; }, "not a base64 SHA-256"},
      {[](auto& s) { s.common.validation->certificate_sha256 = {"abcd"}; }, "not a hex SHA-256"},
      {[](auto& s) { s.common.cipher_suites = {"ROT13"}; }, "cipher suites \"ROT13\""},
      {[](auto& s) { s.common.curves = {"P-1"}; }, "curves \"P-1\""},
      {[](auto& s) { s.common.alpn = {""}; }, "ALPN"},
      {[](auto& s) { s.common.min_version = Version::k13, s.common.max_version = Version::k12; },
       "above the highest"},
  };
  for (const Case& c : cases) {
    ServerOptions options = MutualServer();
    c.change(options);
    const auto context = ServerContext::Make(options);
    CAPTURE(c.says);
    REQUIRE_FALSE(context.ok());
    CHECK(Has(context.status().message(), c.says));
  }
}

}  // namespace
}  // namespace heddle::tls
