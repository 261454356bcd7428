#include "control_plane/main/webhooks.h"

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "control_plane/admit/references.h"
#include "control_plane/admit/server.h"
#include "control_plane/inject/settings.h"
#include "control_plane/kube/client.h"
#include "control_plane/kube/events.h"
#include "source/base/log.h"
#include "source/base/status.h"

namespace heddle::control {
namespace {

using Json = nlohmann::json;

constexpr absl::Duration kLookAtFiles = absl::Seconds(1);
// A configuration that was just applied has no bundle, and pods are refused until it has one.
constexpr absl::Duration kLookAtBundle = absl::Seconds(2);
constexpr const char* kConfigurations[] = {
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/heddle-injector",
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/heddle-validator",
};

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat(path, ": cannot be read"));
  return std::string(std::istreambuf_iterator<char>(file), {});
}

const Json& At(const Json& object, const char* key) {
  static const Json& null = *new Json;
  if (!object.is_object()) return null;
  const auto found = object.find(key);
  return found == object.end() ? null : *found;
}

// Keeps the caBundle of one webhook configuration. Answers come on the client's thread and may come
// after the owner is gone: they hold the keeper too.
struct BundleKeeper {
  using Ptr = std::shared_ptr<BundleKeeper>;

  kube::Client& client;
  const std::string path;
  const std::string ns;
  absl::Mutex mutex;
  bool busy ABSL_GUARDED_BY(mutex) = false;
  absl::Status said ABSL_GUARDED_BY(mutex) = absl::OkStatus();

  BundleKeeper(kube::Client& of, std::string configuration, std::string system_namespace)
      : client(of), path(std::move(configuration)), ns(std::move(system_namespace)) {}

  // Any thread.
  static void Look(const Ptr& keeper, std::string bundle) {
    {
      absl::MutexLock lock(&keeper->mutex);
      if (std::exchange(keeper->busy, true)) return;
    }
    keeper->client.Send({.path = keeper->path, .timeout = absl::Seconds(5), .max_bytes = 1 << 20},
                        [keeper, bundle = std::move(bundle)](absl::StatusOr<std::string> body) {
                          Have(keeper, std::move(body), bundle);
                        });
  }

 private:
  static void Have(const Ptr& keeper, absl::StatusOr<std::string> body, const std::string& bundle) {
    absl::StatusOr<std::string> patch = std::move(body);
    if (patch.ok()) patch = BundlePatch(*patch, bundle, keeper->ns);
    if (!patch.ok() || patch->empty()) return keeper->Done(patch.status());
    keeper->client.Send({.method = "PATCH",
                         .path = absl::StrCat(keeper->path, "?fieldManager=heddle-control"),
                         .body = *std::move(patch),
                         .content_type = kube::kJsonPatch,
                         .timeout = absl::Seconds(5),
                         .max_bytes = 1 << 20},
                        [keeper](const absl::StatusOr<std::string>& answer) {
                          if (answer.ok())
                            HEDDLE_LOG(kInfo, "webhook") << keeper->path << ": the caBundle is set";
                          keeper->Done(answer.status());
                        });
  }

  void Done(const absl::Status& status) {
    absl::MutexLock lock(&mutex);
    busy = false;
    // Not installed, or we are ending: nothing to say.
    const bool quiet = status.ok() || absl::IsNotFound(status) || absl::IsCancelled(status);
    if (!quiet && status != said)
      HEDDLE_LOG(kWarning, "webhook") << path << ": the caBundle: " << status.message();
    said = status;
  }
};

}  // namespace

struct Webhooks::Parts {
  WebhookOptions options;
  std::optional<kube::EventRecorder> events;
  std::vector<std::shared_ptr<BundleKeeper>> keepers;
  std::unique_ptr<admit::Server> server;
  // The tick's.
  admit::Certificate certificate;
  std::string settings_text;
  absl::Time look_at_files = absl::InfinitePast();
  absl::Time look_at_bundle = absl::InfinitePast();

  absl::StatusOr<admit::Certificate> ReadCertificate() const {
    HEDDLE_ASSIGN_OR_RETURN(std::string key, ReadFile(options.key_path));
    HEDDLE_ASSIGN_OR_RETURN(std::string chain, ReadFile(options.cert_path));
    return admit::Certificate{.chain = std::move(chain), .key = std::move(key)};
  }

  absl::StatusOr<inject::Settings> ReadSettings(const std::string& text) const {
    inject::Settings base;
    base.trust_domain = options.trust_domain;
    base.system_namespace = options.system_namespace;
    return inject::ReadSettings(text, options.settings_file, std::move(base));
  }

  admit::ReviewSource Source() {
    admit::ReviewSource source;
    source.namespace_labels = options.namespace_labels;
    source.world.trust_domain = options.trust_domain;
    if (options.world)
      source.objects = [this] {
        const std::shared_ptr<const model::World> world = options.world();
        return world == nullptr ? std::vector<model::Object>() : admit::ServicesOf(*world);
      };
    source.on_injection = [this](const admit::Injection& injection) { Tell(injection); };
    return source;
  }

  void Tell(const admit::Injection& injection) {
    HEDDLE_LOG(kInfo, "webhook") << "pod " << injection.ns << "/" << injection.pod << ": "
                                 << injection.EventReason() << ": " << injection.message;
    if (!events.has_value()) return;
    events->Record({.object = {.api_version = injection.about.api_version,
                               .kind = injection.about.kind,
                               .ns = injection.ns,
                               .name = injection.about.name,
                               .uid = injection.about.uid},
                    .warning = injection.verdict == inject::Verdict::kRefuse,
                    .reason = std::string(injection.EventReason()),
                    .message = injection.message});
  }

  void LookAtFiles() {
    if (absl::StatusOr<admit::Certificate> fresh = ReadCertificate();
        fresh.ok() && (fresh->chain != certificate.chain || fresh->key != certificate.key)) {
      // Between the writing of one file and the other they do not fit: the next look will see both.
      if (server->SetCertificate(*fresh).ok()) certificate = *std::move(fresh);
    }
    if (options.settings_file.empty()) return;
    absl::StatusOr<std::string> text = ReadFile(options.settings_file);
    if (!text.ok() || *text == settings_text) return;
    settings_text = *std::move(text);
    absl::StatusOr<inject::Settings> settings = ReadSettings(settings_text);
    if (!settings.ok()) {
      HEDDLE_LOG(kError, "webhook")
          << settings.status().message() << " (injection goes by the former settings)";
      return;
    }
    server->SetSettings(*std::move(settings));
    HEDDLE_LOG(kInfo, "webhook") << options.settings_file << ": read again";
  }
};

Webhooks::Webhooks(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Webhooks::~Webhooks() = default;

absl::StatusOr<std::unique_ptr<Webhooks>> Webhooks::Start(WebhookOptions options) {
  auto parts = std::make_unique<Parts>();
  parts->options = std::move(options);
  const WebhookOptions& given = parts->options;
  if (given.cluster != nullptr) {
    parts->events.emplace(*given.cluster, kube::EventOptions{.instance = given.instance});
    for (const char* path : kConfigurations)
      parts->keepers.push_back(
          std::make_shared<BundleKeeper>(*given.cluster, path, given.system_namespace));
  }
  if (!given.settings_file.empty()) {
    HEDDLE_ASSIGN_OR_RETURN(parts->settings_text, ReadFile(given.settings_file));
  }
  HEDDLE_ASSIGN_OR_RETURN(inject::Settings settings, parts->ReadSettings(parts->settings_text));
  HEDDLE_ASSIGN_OR_RETURN(parts->certificate, parts->ReadCertificate());
  HEDDLE_ASSIGN_OR_RETURN(parts->server, admit::Server::Start({.listen = given.listen,
                                                               .certificate = parts->certificate,
                                                               .settings = std::move(settings),
                                                               .source = parts->Source()}));
  return std::unique_ptr<Webhooks>(new Webhooks(std::move(parts)));
}

void Webhooks::Tick(absl::Time now) {
  Parts& parts = *parts_;
  if (now >= parts.look_at_files) {
    parts.look_at_files = now + kLookAtFiles;
    parts.LookAtFiles();
  }
  if (now < parts.look_at_bundle || parts.keepers.empty()) return;
  parts.look_at_bundle = now + kLookAtBundle;
  if (!parts.options.leading()) return;
  for (const std::shared_ptr<BundleKeeper>& keeper : parts.keepers)
    BundleKeeper::Look(keeper, parts.options.bundle());
}

int Webhooks::port() const { return parts_->server->port(); }
std::string Webhooks::Metrics() const { return parts_->server->Metrics(); }

absl::StatusOr<std::string> BundlePatch(absl::string_view configuration, absl::string_view bundle,
                                        absl::string_view ns) {
  const Json json = Json::parse(configuration.begin(), configuration.end(), nullptr, false);
  const Json& webhooks = At(json, "webhooks");
  const Json& version = At(At(json, "metadata"), "resourceVersion");
  if (!webhooks.is_array() || !version.is_string())
    return absl::InvalidArgumentError("no webhook configuration");
  // Written by somebody else in between, the indices would mean other webhooks.
  Json patch = {{{"op", "test"}, {"path", "/metadata/resourceVersion"}, {"value", version}}};
  const std::string wanted = absl::Base64Escape(bundle);
  for (size_t i = 0; i < webhooks.size(); ++i) {
    const Json& client = At(webhooks[i], "clientConfig");
    const Json& service = At(client, "service");
    if (At(service, "name") != "heddle-control" || At(service, "namespace") != std::string(ns) ||
        At(client, "caBundle") == wanted)
      continue;
    patch.push_back({{"op", "add"},
                     {"path", absl::StrCat("/webhooks/", i, "/clientConfig/caBundle")},
                     {"value", wanted}});
  }
  return patch.size() == 1 ? "" : patch.dump();
}

}  // namespace heddle::control
