// One upstream connection of one TCP session, counted in its cluster. Used through
// Cluster::ConnectTcp.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "source/net/connection.h"
#include "source/stats/stats.h"
#include "source/upstream/limits.h"
#include "source/upstream/spec.h"

namespace heddle::upstream {

struct TcpOptions {
  Priority priority = Priority::kDefault;
  absl::string_view sni;          // overrides the cluster's; empty = the cluster's
  std::vector<std::string> alpn;  // overrides the cluster's; empty = the cluster's
  bool half_close = true;
};

// Destroying it closes the connection at once, if it is open, and gives back its place in the
// limits; its ConnectionEvents hear no more.
class TcpLease {
 public:
  virtual ~TcpLease() = default;
  virtual net::Connection* connection() = 0;  // never null
};

struct TcpLeaseContext {
  event::Loop& loop;
  stats::Sheet& sheet;
  std::shared_ptr<const ClusterSpec> spec;
  std::shared_ptr<const net::TransportFactory> transport;  // null = plain text
  std::shared_ptr<HostState> host;
};

std::unique_ptr<TcpLease> MakeTcpLease(TcpLeaseContext context, const TcpOptions& options,
                                       net::ConnectionEvents* events);

}  // namespace heddle::upstream
