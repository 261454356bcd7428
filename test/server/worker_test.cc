// Configuration that changes under traffic, on a worker with a thread of its own: listeners that
// come, go and are modified in place, and the end.
#include "source/server/worker.h"

#include <poll.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <set>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/substitute.h"
#include "absl/time/clock.h"
#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "source/net/socket.h"
#include "source/proxy/session.h"
#include "test/xds/store_bench.h"

namespace heddle::server {
namespace {

// Generous: only a machine that is overrun needs them.
constexpr absl::Duration kPatience = absl::Seconds(20);

bool Eventually(const std::function<bool()>& done) {
  const absl::Time deadline = absl::Now() + kPatience;
  while (!done()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(1));
  }
  return true;
}

bool Ready(int fd, short what) {
  pollfd one = {fd, what, 0};
  return poll(&one, 1, static_cast<int>(absl::ToInt64Milliseconds(kPatience))) == 1;
}

// A client connection whose calls wait.
class Caller {
 public:
  explicit Caller(const net::Address& to) {
    auto fd = net::Dial(to);
    if (!fd.ok()) return;
    if (!Ready(fd->get(), POLLOUT) || net::TakeError(fd->get()) != 0) return;
    fd_ = *std::move(fd);
  }
  bool connected() const { return fd_.valid(); }
  void Send(absl::string_view path) {
    const std::string text = absl::StrCat("GET ", path, " HTTP/1.1\r\nhost: any.test\r\n\r\n");
    if (send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL) < 0) return;
  }
  // The next response, head and body; empty when the connection ended before it.
  std::string Receive() {
    while (true) {
      const size_t head = in_.find("\r\n\r\n");
      if (head != std::string::npos) {
        const size_t at = in_.find("content-length: ");
        const size_t body = at < head ? std::stoul(in_.substr(at + 16)) : 0;
        if (in_.size() >= head + 4 + body) {
          std::string out = in_.substr(0, head + 4 + body);
          in_.erase(0, out.size());
          return out;
        }
      }
      if (!More()) return "";
    }
  }
  std::string Ask(absl::string_view path) {
    Send(path);
    return Receive();
  }
  // Whether the peer ends the connection.
  bool Ends() {
    while (More()) {
    }
    return eof_;
  }

 private:
  bool More() {
    char scrap[4096];
    if (!Ready(fd_.get(), POLLIN)) return false;
    const ssize_t n = recv(fd_.get(), scrap, sizeof(scrap), 0);
    if (n <= 0) {
      eof_ = true;
      return false;
    }
    in_.append(scrap, static_cast<size_t>(n));
    return true;
  }
  net::Fd fd_;
  std::string in_;
  bool eof_ = false;
};

bool Has(const std::string& text, absl::string_view part) {
  return text.find(std::string(part)) != std::string::npos;
}

// The main thread's half of a proxy, and one worker.
struct Bench : xds::StoreBench {
  Bench() : worker(registry.AddSheet(), base::SystemClock()) {
    worker.Start();
    origin = *net::Listen(*net::Address::FromIp("127.0.0.1", 0));
    PutGood<envoy::config::cluster::v3::Cluster>(
        xds::Type::kCluster,
        absl::Substitute("{name: origin, load_assignment: {cluster_name: origin, endpoints: "
                         "[{lb_endpoints: [{endpoint: {address: {socket_address: {address: "
                         "127.0.0.1, port_value: $0}}}}]}]}}",
                         net::LocalAddress(origin.get()).port()));
  }

  template <typename Message>
  void PutGood(xds::Type type, const std::string& yaml) {
    const absl::Status put = Put<Message>(type, yaml);
    INFO(put.message());
    REQUIRE(put.ok());
  }

  // A listener that answers /text with `text`, and asks the origin for the rest.
  void PutListener(const std::string& name, const std::string& text) {
    if (ports.count(name) == 0) {
      // A port that is free now; the socket is kept and handed over.
      sockets[name] = *net::Listen(*net::Address::FromIp("127.0.0.1", 0));
      ports[name] = net::LocalAddress(sockets[name].get());
    }
    PutGood<envoy::config::listener::v3::Listener>(
        xds::Type::kListener,
        absl::Substitute(
            R"({name: $0, address: {socket_address: {address: 127.0.0.1, port_value: $1}},
 filter_chains: [{filters: [{name: hcm, typed_config: {
 "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager,
 stat_prefix: x,
 route_config: {name: r, virtual_hosts: [{name: v, domains: ['*'], routes: [
   {match: {path: /text}, direct_response: {status: 200, body: {inline_string: "$2"}}},
   {match: {prefix: /}, route: {cluster: origin}}]}]},
 http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
 }}]}]})",
            name, ports[name].port(), text));
  }
  void Remove(const std::string& name) {
    store.Remove(xds::Type::kListener, name);
    ports.erase(name);
  }
  // Builds and waits until the worker has taken it over.
  void Adopt() {
    std::atomic<bool> adopted{false};
    worker.Adopt(store.Build(), std::exchange(sockets, {}), [&] { adopted = true; });
    REQUIRE(Eventually([&] { return adopted.load(); }));
  }
  // The origin's side of a request that was forwarded.
  net::Fd TakeAtOrigin() {
    if (!Ready(origin.get(), POLLIN)) return net::Fd();
    return net::Fd(accept(origin.get(), nullptr, nullptr));
  }

  std::map<std::string, net::Address> ports;
  NewSockets sockets;
  net::Fd origin;
  Worker worker;
};

SCENARIO("a listener that comes is served, one that goes finishes what it has and takes no more") {
  Bench bench;
  bench.PutListener("a", "from a");
  bench.Adopt();
  const net::Address a = bench.ports["a"];
  Caller idle(a), busy(a);
  CHECK(Has(idle.Ask("/text"), "from a"));
  busy.Send("/slow");
  net::Fd request = bench.TakeAtOrigin();
  REQUIRE(request.valid());

  bench.PutListener("b", "from b");
  bench.Remove("a");
  bench.Adopt();
  CHECK(Has(Caller(bench.ports["b"]).Ask("/text"), "from b"));
  CHECK_FALSE(Caller(a).connected());

  const std::string answer = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone";
  REQUIRE(send(request.get(), answer.data(), answer.size(), MSG_NOSIGNAL) > 0);
  const std::string late = busy.Receive();
  CHECK(Has(late, "done"));
  CHECK(Has(late, "connection: close"));
  CHECK(busy.Ends());
  // The idle one may ask once more; then it is over for it too.
  const std::string last = idle.Ask("/text");
  CHECK((last.empty() || Has(last, "connection: close")));
  CHECK(idle.Ends());
}

SCENARIO(
    "a listener is modified in place: nobody who connects is refused, and old connections end") {
  Bench bench;
  bench.PutListener("a", "first");
  bench.Adopt();
  const net::Address a = bench.ports["a"];
  Caller old(a);
  CHECK(Has(old.Ask("/text"), "first"));

  std::atomic<bool> stop{false};
  std::atomic<int> asked{0}, lost{0};
  std::thread load([&] {
    while (!stop) {
      Caller one(a);
      if (!one.connected() || !Has(one.Ask("/text"), "200 OK")) ++lost;
      ++asked;
    }
  });
  for (int i = 0; i < 10; ++i) {
    const int before = asked;
    bench.PutListener("a", absl::StrCat("version ", i));
    bench.Adopt();
    CHECK(Eventually([&] { return asked > before + 2; }));
  }
  stop = true;
  load.join();
  CHECK(lost == 0);
  CHECK(Has(Caller(a).Ask("/text"), "version 9"));
  const std::string last = old.Ask("/text");
  CHECK((last.empty() || Has(last, "connection: close")));
  CHECK(old.Ends());
}

SCENARIO("a push that does not concern a listener leaves its connections alone") {
  Bench bench;
  bench.PutListener("a", "from a");
  bench.Adopt();
  Caller one(bench.ports["a"]);
  CHECK(Has(one.Ask("/text"), "from a"));
  for (int i = 0; i < 3; ++i) {
    bench.PutListener("b", absl::StrCat("version ", i));
    bench.Adopt();
    const std::string answer = one.Ask("/text");
    CHECK(Has(answer, "from a"));
    CHECK_FALSE(Has(answer, "connection: close"));
  }
}

SCENARIO(
    "a drain lets requests finish, closes the idle, and the count of connections reaches zero") {
  Bench bench;
  bench.PutListener("a", "from a");
  bench.Adopt();
  const net::Address a = bench.ports["a"];
  Caller idle(a), busy(a);
  CHECK(Has(idle.Ask("/text"), "from a"));
  busy.Send("/slow");
  net::Fd request = bench.TakeAtOrigin();
  REQUIRE(request.valid());

  bench.worker.Drain(false);
  bench.worker.CloseListeners(false);
  REQUIRE(Eventually([&] { return bench.worker.connections() == 2; }));
  CHECK(Eventually([&] { return !Caller(a).connected(); }));
  bench.worker.CloseIdle(false);
  CHECK(idle.Ends());
  REQUIRE(Eventually([&] { return bench.worker.connections() == 1; }));
  const std::string answer = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone";
  REQUIRE(send(request.get(), answer.data(), answer.size(), MSG_NOSIGNAL) > 0);
  CHECK(Has(busy.Receive(), "done"));
  CHECK(busy.Ends());
  CHECK(Eventually([&] { return bench.worker.connections() == 0; }));
}

SCENARIO("a worker that is stopped ends whatever it has") {
  Bench bench;
  bench.PutListener("a", "from a");
  bench.Adopt();
  Caller idle(bench.ports["a"]), busy(bench.ports["a"]);
  CHECK(Has(idle.Ask("/text"), "from a"));
  busy.Send("/slow");
  REQUIRE(bench.TakeAtOrigin().valid());
  bench.worker.Stop();
  CHECK(idle.Ends());
  CHECK(busy.Ends());
}

}  // namespace
}  // namespace heddle::server
