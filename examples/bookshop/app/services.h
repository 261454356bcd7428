// The bookshop's services. Each runs until its process ends and can be told to misbehave:
//   POST /behave?fail_percent=50&delay_ms=20      (sent to the app's own port, not through the
//   mesh)
#pragma once

#include <string>

namespace bookshop {

struct Service {
  std::string role, name = "bookshop", version = "v1";
  std::string ip = "127.0.0.1";
  int port = 0;
  int control_port = 0;  // stock: where /behave is served; the others serve it on `port`
  int threads = 4;
  // Where other services are reached: "127.0.1.2:15001" (the sidecar, by host name) or empty: by
  // name and port, directly.
  std::string mesh;
  std::string redis_ip = "127.0.0.1";
  int redis_port = 6379;
  // Direct addresses, used when `mesh` is empty.
  std::string catalog = "catalog:9080", reviews = "reviews:9080", stock = "stock:9090";
};

int RunWeb(const Service& service);
int RunCatalog(const Service& service);
int RunReviews(const Service& service);
int RunStock(const Service& service);

}  // namespace bookshop
