// The admission webhooks of one heddle-control: the server, kept going. Its certificate follows
// the serving certificate's files, its settings the settings file, and the caBundle of the webhook
// configurations in the cluster follows the trust bundle; what was done to a pod becomes an Event.
//
//   HEDDLE_ASSIGN_OR_RETURN(auto webhooks, Webhooks::Start({...}));
//   webhooks->Tick(now);   // from the ticker, a few times a second
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace heddle::kube {
class Client;
}
namespace heddle::model {
struct World;
}

namespace heddle::control {

struct WebhookOptions {
  std::string listen;         // HOST:PORT
  std::string settings_file;  // empty: the defaults
  std::string trust_domain;
  std::string system_namespace;
  std::string key_path, cert_path;      // of the serving certificate, PEM; replaced now and then
  std::function<std::string()> bundle;  // what the certificate is to be verified by, PEM
  // Null: no cluster to write to.
  kube::Client* cluster = nullptr;
  std::string instance;           // of the Events
  std::function<bool()> leading;  // only the leader writes the caBundle
  std::function<std::shared_ptr<const model::World>()> world;
  std::function<std::optional<std::map<std::string, std::string>>(const std::string& ns)>
      namespace_labels;
};

class Webhooks {
 public:
  // Listens when it returns.
  static absl::StatusOr<std::unique_ptr<Webhooks>> Start(WebhookOptions options);
  ~Webhooks();

  // One thread. Never waits for the network; reads small files at most once a second.
  void Tick(absl::Time now);
  int port() const;
  std::string Metrics() const;  // Prometheus text; any thread

 private:
  struct Parts;
  explicit Webhooks(std::unique_ptr<Parts> parts);
  const std::unique_ptr<Parts> parts_;
};

// The JSON patch that puts `bundle` (PEM) into every webhook of a configuration (JSON of a
// Mutating- or ValidatingWebhookConfiguration) that is served by heddle-control of `ns`; empty when
// it is there already. Pure.
absl::StatusOr<std::string> BundlePatch(absl::string_view configuration, absl::string_view bundle,
                                        absl::string_view ns);

}  // namespace heddle::control
