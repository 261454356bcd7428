// The health port: what a kubelet and a scraper may ask from outside. Everything else is 404, and
// nothing here changes anything; the admin page stays on loopback.
//
//   /healthz/ready                                   200 when the sidecar serves, as admin's /ready
//   /app-health/<container>/{livez,...,prestop}  200 when the application answers that probe
//   /stats/prometheus                                statistics
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "source/admin/server.h"
#include "source/event/loop.h"
#include "source/net/address.h"
#include "source/probe/probe.h"
#include "source/probe/prober.h"

namespace heddle::probe {

class HealthServer {
 public:
  struct Options {
    net::Address address;  // port 0: the kernel chooses
    Probes probes;
    std::string host;      // the pod's address, for the host of HTTP probes
    admin::Handler admin;  // answers GET /ready and GET /stats/prometheus
  };
  static absl::StatusOr<std::unique_ptr<HealthServer>> Start(event::Loop& loop, Options options);
  const net::Address& address() const { return server_->address(); }

 private:
  HealthServer(Options options, std::unique_ptr<Prober> prober)
      : options_(std::move(options)), prober_(std::move(prober)) {}
  std::unique_ptr<event::Destroyable> Answer(const admin::Request& request,
                                             std::function<void(admin::Reply)> answer) const;

  const Options options_;
  const std::unique_ptr<Prober> prober_;
  std::unique_ptr<admin::AdminServer> server_;
};

}  // namespace heddle::probe
