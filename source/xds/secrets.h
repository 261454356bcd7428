// Certificates and trust bundles by name, and the TLS contexts made from them. A context is made
// again only when its configuration or one of its secrets changed, so session tickets and caches
// live through everything else. What is configured alike shares one context, and clusters that
// differ only in the server they expect share all of it that is large. Main thread only.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "source/config/tls.h"
#include "source/net/transport.h"

namespace heddle::tls {
class ServerContext;
class ClientContext;
}  // namespace heddle::tls

namespace heddle::xds {

class Secrets {
 public:
  using Secret = std::shared_ptr<const config::Secret>;
  enum class Origin : uint8_t { kFile, kDiscovered, kOwn };  // later ones win

  // Checks that the PEM can be used (key fits, roots parse). InvalidArgument names what is wrong,
  // never the key.
  absl::Status Put(Origin origin, Secret secret);
  void Remove(Origin origin, const std::string& name);
  Secret Find(const std::string& name) const;  // null when there is none
  std::vector<Secret> All() const;
  bool own(const std::string& name) const { return maps_[2].count(name) != 0; }

  // The names a socket refers to.
  static void Names(const config::TransportSocket& socket, std::set<std::string>* out);
  // The secrets that a socket needs and that are not there.
  std::vector<config::SecretSource> Missing(const config::TransportSocket& socket) const;
  // Null factory for plain text. While a secret is missing: one whose connections all fail.
  absl::StatusOr<std::shared_ptr<const net::TransportFactory>> Factory(
      const config::TransportSocket& socket);
  // Forgets contexts that were not asked for since the last call.
  void Sweep();

 private:
  // What several sockets share.
  struct Shared {
    std::vector<Secret> used;  // keeps the addresses in the map's key from being used again
    std::shared_ptr<const tls::ServerContext> server;
    std::shared_ptr<const tls::ClientContext> client;
    bool asked = true;  // by a socket, at the last Sweep
  };
  struct Made {
    std::shared_ptr<const void> config;  // keeps the key's address from being used again
    std::vector<Secret> used;
    std::shared_ptr<const net::TransportFactory> factory;
    Shared* shared = nullptr;  // in shared_
    bool asked = true;
  };
  absl::StatusOr<Made> Make(const config::TransportSocket& socket, const std::vector<Secret>& used,
                            const std::vector<config::Certificate>& certificates,
                            std::optional<config::Validation> validation);
  absl::Status Resolve(const config::CommonTls& common,
                       std::vector<config::Certificate>* certificates,
                       std::optional<config::Validation>* validation,
                       std::vector<Secret>* used) const;

  std::map<std::string, Secret> maps_[3];
  std::map<const void*, Made> made_;
  std::map<std::string, Shared> shared_;  // by Fingerprint
};

}  // namespace heddle::xds
