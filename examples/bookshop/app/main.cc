// bookshop: the services of the demo, and the load on them, in one program.
#include <curl/curl.h>
#include <pthread.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <thread>

#include "examples/bookshop/app/load.h"
#include "examples/bookshop/app/services.h"

namespace {

constexpr char kHelp[] = R"(bookshop: the services of Heddle's demo.

  bookshop web|catalog|reviews|stock --listen IP:PORT [options]
  bookshop load [--url URL] [--host NAME] [--connections N] [--rate N] [--seconds N]

  --listen IP:PORT      where the service listens
  --control-port N      stock: port of POST /behave (the others serve it on --listen)
  --name NAME           replica, shown in answers
  --version V           reviews: v1 or v2
  --mesh IP:PORT        call other services through this sidecar, by host name
  --catalog, --reviews, --stock HOST:PORT   call them directly (without --mesh)
  --redis IP:PORT       catalog: the counter of views
  --threads N           default 4
  --drain-seconds N     go on serving for so long after SIGTERM, default 0: callers are told meanwhile

POST /behave?fail_percent=50&delay_ms=20 makes a service fail or be slow.
)";

using Flags = std::map<std::string, std::string>;

bool Parse(int argc, char** argv, Flags* flags) {
  for (int i = 2; i < argc; i += 2) {
    const std::string name = argv[i];
    if (name.rfind("--", 0) != 0 || i + 1 >= argc) {
      std::fprintf(stderr, "bookshop: \"%s\" is no flag or needs a value; see bookshop --help\n",
                   argv[i]);
      return false;
    }
    (*flags)[name.substr(2)] = argv[i + 1];
  }
  return true;
}

std::string Text(const Flags& flags, const std::string& name, const std::string& otherwise) {
  const auto it = flags.find(name);
  return it == flags.end() ? otherwise : it->second;
}

int Number(const Flags& flags, const std::string& name, int otherwise) {
  const auto it = flags.find(name);
  return it == flags.end() ? otherwise : std::atoi(it->second.c_str());
}

void Split(const std::string& address, std::string* ip, int* port) {
  const size_t colon = address.rfind(':');
  *ip = address.substr(0, colon);
  *port = colon == std::string::npos ? 0 : std::atoi(address.c_str() + colon + 1);
}

// Ends the program that long after SIGTERM, from a thread of its own. A container's first process
// would ignore a signal that nobody handles. Before any other thread is started: they inherit that
// SIGTERM is blocked.
void EndAfterSigterm(int drain_seconds) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread([signals, drain_seconds] {
    int received = 0;
    sigwait(&signals, &received);
    std::this_thread::sleep_for(std::chrono::seconds(drain_seconds));
    std::_Exit(0);
  }).detach();
}

int RunService(const std::string& role, const Flags& flags) {
  EndAfterSigterm(Number(flags, "drain-seconds", 0));
  bookshop::Service service;
  service.role = role;
  Split(Text(flags, "listen", "127.0.0.1:0"), &service.ip, &service.port);
  service.control_port = Number(flags, "control-port", 0);
  service.name = Text(flags, "name", role);
  service.version = Text(flags, "version", "v1");
  service.threads = Number(flags, "threads", 4);
  service.mesh = Text(flags, "mesh", "");
  service.catalog = Text(flags, "catalog", service.catalog);
  service.reviews = Text(flags, "reviews", service.reviews);
  service.stock = Text(flags, "stock", service.stock);
  Split(Text(flags, "redis", "127.0.0.1:6379"), &service.redis_ip, &service.redis_port);
  if (role == "web") return bookshop::RunWeb(service);
  if (role == "catalog") return bookshop::RunCatalog(service);
  if (role == "reviews") return bookshop::RunReviews(service);
  return bookshop::RunStock(service);
}

int RunLoad(const Flags& flags) {
  bookshop::Load load;
  load.url = Text(flags, "url", load.url);
  load.host = Text(flags, "host", load.host);
  load.connections = Number(flags, "connections", load.connections);
  load.rate = Number(flags, "rate", load.rate);
  load.seconds = std::atof(Text(flags, "seconds", "5").c_str());
  return bookshop::RunLoad(load);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string role = argc > 1 ? argv[1] : "--help";
  std::signal(SIGPIPE, SIG_IGN);
  curl_global_init(CURL_GLOBAL_DEFAULT);
  Flags flags;
  if (role == "--help" || !Parse(argc, argv, &flags)) {
    std::fputs(kHelp, stdout);
    return role == "--help" ? 0 : 1;
  }
  for (const char* known : {"web", "catalog", "reviews", "stock"}) {
    if (role == known) return RunService(role, flags);
  }
  if (role == "load") return RunLoad(flags);
  std::fprintf(stderr, "bookshop: no role \"%s\"; see bookshop --help\n", role.c_str());
  return 1;
}
