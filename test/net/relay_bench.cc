// The least a proxy on this tree's net and tls can cost: accepts, connects once per client, passes
// bytes both ways. For measuring a change to net or tls without the rest of the proxy (CPU, system
// calls, memory per idle connection).
//
//   relay_bench LISTEN_PORT UPSTREAM_PORT [server-tls] [client-tls]     two of them make a
//   mutual-TLS pair
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <string>
#include <unordered_map>

#include "source/base/status.h"
#include "source/event/loop.h"
#include "source/net/connection.h"
#include "source/net/listener.h"
#include "source/tls/context.h"
#include "test/support/test_ca.h"

namespace heddle {
namespace {

class Relay;
std::unordered_map<Relay*, std::unique_ptr<Relay>> g_relays;

class Relay final : public event::Destroyable {
 public:
  struct Side final : net::ConnectionEvents {
    Side(Relay& relay, std::unique_ptr<net::Connection>& other) : relay(relay), other(other) {}
    void OnData(base::Buffer& in, bool) override {
      other->out().Move(in);
      other->Flush();
      relay.Update();
    }
    void OnWritable() override { relay.Update(); }
    void OnClosed(net::CloseReason) override { relay.End(); }
    Relay& relay;
    std::unique_ptr<net::Connection>& other;
  };

  Relay(event::Loop& loop, int fd, const net::Address& peer, const net::Address& to,
        const net::TransportFactory& down_tls, const net::TransportFactory& up_tls)
      : loop_(loop), down_side_(*this, up_), up_side_(*this, down_) {
    down_ = net::Connection::Accepted(loop, fd, down_tls.Create({}), peer, {}, &down_side_);
    net::TransportFactory::Options options;
    options.peer = to.ToString();
    up_ = net::Connection::Connect(loop, to, net::Address(), up_tls.Create(options), {}, &up_side_);
  }

 private:
  void Update() {
    down_->SetReading(!up_->above_limit());
    up_->SetReading(!down_->above_limit());
  }
  void End() {
    down_->Close(net::Connection::How::kFlush);
    up_->Close(net::Connection::How::kFlush);
    const auto it = g_relays.find(this);
    if (it == g_relays.end() || !down_->closed() || !up_->closed()) return;
    loop_.Destroy(std::move(it->second));
    g_relays.erase(it);
  }

  event::Loop& loop_;
  std::unique_ptr<net::Connection> down_, up_;
  Side down_side_, up_side_;
};

std::shared_ptr<const net::TransportFactory> Tls(bool server) {
  // Peers of another process have a CA of their own: both let everybody in, and still verify.
  static const test::TestCa ca("bench");
  tls::Validation trust;
  trust.trusted_ca_pem = ca.pem();
  trust.accept_untrusted = true;
  if (server) {
    tls::ServerOptions options;
    options.common.certificates = {ca.Issue({.uri_sans = {"spiffe://bench/server"}})};
    options.common.validation = trust;
    options.require_client_certificate = std::getenv("NO_CLIENT_CERT") == nullptr;
    if (std::getenv("NO_CLIENT_CERT") != nullptr) options.common.validation.reset();
    return *tls::ServerContext::Make(options);
  }
  tls::ClientOptions options;
  options.common.certificates = {ca.Issue({.uri_sans = {"spiffe://bench/client"}})};
  options.common.validation = trust;
  return *tls::ClientContext::Make(options);
}

int Main(int argc, char** argv) {
  // NOLINTNEXTLINE(bugprone-infinite-loop): it ends the process
  HEDDLE_CHECK(argc >= 3) << "see the first comment";
  bool server_tls = false, client_tls = false;
  for (int i = 3; i < argc; ++i) {
    server_tls = server_tls || std::strcmp(argv[i], "server-tls") == 0;
    client_tls = client_tls || std::strcmp(argv[i], "client-tls") == 0;
  }
  event::Loop loop;
  const auto port = [](const char* text) { return static_cast<uint32_t>(std::atoi(text)); };
  const net::Address to = *net::Address::FromIp("127.0.0.1", port(argv[2]));
  const auto down = server_tls ? Tls(true) : net::PlainTransports();
  const auto up = client_tls ? Tls(false) : net::PlainTransports();
  net::Listener listener(loop, *net::Listen(*net::Address::FromIp("127.0.0.1", port(argv[1]))), {},
                         [&](int fd, const net::Address& peer) {
                           auto relay = std::make_unique<Relay>(loop, fd, peer, to, *down, *up);
                           g_relays[relay.get()] = std::move(relay);
                         });
  event::SignalEvent on_term(loop, SIGTERM, [&] { loop.Stop(); });
  loop.Run();
  g_relays.clear();
  return 0;
}

}  // namespace
}  // namespace heddle

int main(int argc, char** argv) { return heddle::Main(argc, argv); }
