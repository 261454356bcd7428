// The admin pages, one table. A page is a function from a View and a Request to a Reply.
// Source of the set: Envoy's admin interface (proxy_semantics "Admin endpoints").
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "source/admin/server.h"
#include "source/proxy/snapshot.h"
#include "source/stats/stats.h"
#include "source/tls/certificate.h"

namespace google::protobuf {
class Message;
}

namespace heddle::admin {

struct ServerInfo {
  std::string version, state;  // LIVE, DRAINING, PRE_INITIALIZING, INITIALIZING
  std::string node_id, node_cluster;
  uint32_t concurrency = 1;
  absl::Duration uptime;
  std::vector<std::string> command_line;
};

// One resource as it was received, for /config_dump.
struct Dumped {
  std::string kind;  // "static_listeners", "dynamic_active_clusters", ...
  std::string name, version;
  std::string type_url, bytes;  // encoded message
  std::string error;            // why the newest form was refused; empty = it was not
};

struct CertificateView {
  std::string name;  // secret, or the place in the file
  std::vector<tls::CertificateInfo> chain, roots;
};

// What pages may ask of the process. Implemented by server::Server; main thread.
class View {
 public:
  virtual ~View() = default;
  virtual ServerInfo Info() = 0;
  virtual stats::Registry& Stats() = 0;
  virtual std::shared_ptr<const proxy::Snapshot> Current() = 0;
  virtual std::vector<Dumped> Resources() = 0;
  virtual std::vector<CertificateView> Certificates() = 0;
  virtual std::string
  ControlPlane() = 0;  // JSON object: connection, last error, acknowledged, rejected
  // Changes.
  virtual void DrainListeners(bool inbound_only, bool graceful) = 0;
  virtual void Quit() = 0;
  virtual void SetHealthy(bool healthy) = 0;  // /healthcheck/fail and /ok
  virtual void ReopenLogs() = 0;
};

// "/", "/help", "/ready", "/stats" ... 404 for what there is not, 405 for a GET of what changes
// something.
Reply Answer(View& view, const Request& request);

// A message as JSON with every secret replaced by "[redacted]" (private keys, tokens, generic
// secrets, tickets).
std::string RedactedJson(const std::string& type_url, const std::string& bytes);

}  // namespace heddle::admin
