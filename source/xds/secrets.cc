#include "source/xds/secrets.h"

#include "absl/strings/str_cat.h"
#include "source/base/status.h"
#include "source/tls/certificate.h"
#include "source/tls/context.h"
#include "source/xds/no_secret.h"
#include "source/xds/tls_options.h"

namespace heddle::xds {
namespace {

const config::CommonTls* CommonOf(const config::TransportSocket& socket) {
  if (socket.downstream_tls != nullptr) return &socket.downstream_tls->common;
  if (socket.upstream_tls != nullptr) return &socket.upstream_tls->common;
  return nullptr;
}

// combined_validation_context: the discovered one is merged into the default (protobuf MergeFrom:
// single values are replaced, lists appended).
config::Validation Merge(config::Validation base, const config::Validation& over) {
  if (!over.trusted_ca_pem.empty()) base.trusted_ca_pem = over.trusted_ca_pem;
  if (!over.crl_pem.empty()) base.crl_pem = over.crl_pem;
  base.sans.insert(base.sans.end(), over.sans.begin(), over.sans.end());
  base.spki_sha256.insert(base.spki_sha256.end(), over.spki_sha256.begin(), over.spki_sha256.end());
  base.certificate_sha256.insert(base.certificate_sha256.end(), over.certificate_sha256.begin(),
                                 over.certificate_sha256.end());
  base.allow_expired = base.allow_expired || over.allow_expired;
  base.accept_untrusted = base.accept_untrusted || over.accept_untrusted;
  return base;
}

}  // namespace

absl::Status Secrets::Put(Origin origin, Secret secret) {
  const std::string place = absl::StrCat("secret ", secret->name, ": ");
  if (secret->certificate.has_value()) {
    const absl::Status status = tls::CheckCertificate(ToTls(*secret->certificate)).status();
    if (!status.ok()) return absl::InvalidArgumentError(absl::StrCat(place, status.message()));
  }
  if (secret->validation.has_value() && !secret->validation->trusted_ca_pem.empty()) {
    const absl::Status status = tls::ParseCertificates(secret->validation->trusted_ca_pem).status();
    if (!status.ok()) return absl::InvalidArgumentError(absl::StrCat(place, status.message()));
  }
  maps_[static_cast<size_t>(origin)][secret->name] = std::move(secret);
  return absl::OkStatus();
}

void Secrets::Remove(Origin origin, const std::string& name) {
  maps_[static_cast<size_t>(origin)].erase(name);
}

Secrets::Secret Secrets::Find(const std::string& name) const {
  for (int origin = 2; origin >= 0; --origin) {
    const auto it = maps_[origin].find(name);
    if (it != maps_[origin].end()) return it->second;
  }
  return nullptr;
}

std::vector<Secrets::Secret> Secrets::All() const {
  std::map<std::string, Secret> all;
  for (const auto& map : maps_) {
    for (const auto& [name, secret] : map) all[name] = secret;
  }
  std::vector<Secret> out;
  for (auto& [name, secret] : all) out.push_back(std::move(secret));
  return out;
}

void Secrets::Names(const config::TransportSocket& socket, std::set<std::string>* out) {
  const config::CommonTls* common = CommonOf(socket);
  if (common == nullptr) return;
  for (const config::SecretSource& source : common->certificate_sds) out->insert(source.name);
  if (!common->validation_sds.name.empty()) out->insert(common->validation_sds.name);
}

std::vector<config::SecretSource> Secrets::Missing(const config::TransportSocket& socket) const {
  std::vector<config::SecretSource> out;
  const config::CommonTls* common = CommonOf(socket);
  if (common == nullptr) return out;
  for (const config::SecretSource& source : common->certificate_sds) {
    if (Find(source.name) == nullptr) out.push_back(source);
  }
  const config::SecretSource& trust = common->validation_sds;
  if (!trust.name.empty() && Find(trust.name) == nullptr) out.push_back(trust);
  return out;
}

absl::Status Secrets::Resolve(const config::CommonTls& common,
                              std::vector<config::Certificate>* certificates,
                              std::optional<config::Validation>* validation,
                              std::vector<Secret>* used) const {
  *certificates = common.certificates;
  for (const config::SecretSource& source : common.certificate_sds) {
    const std::string& name = source.name;
    Secret secret = Find(name);
    if (secret == nullptr || !secret->certificate.has_value()) {
      return absl::InvalidArgumentError(absl::StrCat("secret ", name, " holds no certificate"));
    }
    certificates->push_back(*secret->certificate);
    used->push_back(std::move(secret));
  }
  *validation = common.validation;
  if (common.validation_sds.name.empty()) return absl::OkStatus();
  Secret secret = Find(common.validation_sds.name);
  if (secret == nullptr || !secret->validation.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("secret ", common.validation_sds.name, " holds no validation context"));
  }
  *validation = Merge(common.validation.value_or(config::Validation()), *secret->validation);
  used->push_back(std::move(secret));
  return absl::OkStatus();
}

absl::StatusOr<Secrets::Made> Secrets::Make(const config::TransportSocket& socket,
                                            const std::vector<Secret>& used,
                                            const std::vector<config::Certificate>& certificates,
                                            std::optional<config::Validation> validation) {
  std::string key = Fingerprint(socket);
  for (const Secret& secret : used)
    absl::StrAppend(&key, reinterpret_cast<uintptr_t>(secret.get()), ",");
  const auto known = shared_.find(key);
  Made out;
  if (socket.downstream_tls != nullptr) {
    if (known != shared_.end()) {
      out.shared = &known->second;
    } else {
      HEDDLE_ASSIGN_OR_RETURN(auto context, tls::ServerContext::Make(ServerOptionsOf(
                                                *socket.downstream_tls, certificates, validation)));
      out.shared = &shared_[std::move(key)];
      *out.shared = {.used = used, .server = std::move(context), .client = nullptr};
    }
    out.factory = out.shared->server;
    return out;
  }
  std::vector<tls::SanMatcher> sans;
  if (validation.has_value()) {
    sans = ToTls(*validation).sans;
    validation->sans.clear();
  }
  if (known != shared_.end()) {
    out.shared = &known->second;
  } else {
    tls::ClientOptions options = ClientOptionsOf(*socket.upstream_tls, certificates, validation);
    options.sni.clear();
    HEDDLE_ASSIGN_OR_RETURN(auto context, tls::ClientContext::Make(options));
    out.shared = &shared_[std::move(key)];
    *out.shared = {.used = used, .server = nullptr, .client = std::move(context)};
  }
  HEDDLE_ASSIGN_OR_RETURN(out.factory,
                          out.shared->client->For(socket.upstream_tls->sni, std::move(sans)));
  return out;
}

absl::StatusOr<std::shared_ptr<const net::TransportFactory>> Secrets::Factory(
    const config::TransportSocket& socket) {
  const config::CommonTls* common = CommonOf(socket);
  if (common == nullptr) return std::shared_ptr<const net::TransportFactory>();
  if (!Missing(socket).empty()) return NoSecretTransports();
  std::vector<config::Certificate> certificates;
  std::optional<config::Validation> validation;
  std::vector<Secret> used;
  HEDDLE_RETURN_IF_ERROR(Resolve(*common, &certificates, &validation, &used));
  const std::shared_ptr<const void> key = socket.downstream_tls != nullptr
                                              ? std::shared_ptr<const void>(socket.downstream_tls)
                                              : socket.upstream_tls;
  const auto known = made_.find(key.get());
  if (known != made_.end() && known->second.used == used) {
    known->second.asked = true;
    return known->second.factory;
  }
  HEDDLE_ASSIGN_OR_RETURN(Made made, Make(socket, used, certificates, std::move(validation)));
  made.config = key;
  made.used = std::move(used);
  return (made_[key.get()] = std::move(made)).factory;
}

void Secrets::Sweep() {
  for (auto& [key, shared] : shared_) shared.asked = false;
  for (auto it = made_.begin(); it != made_.end();) {
    if (!it->second.asked) {
      it = made_.erase(it);
    } else {
      it->second.asked = false;
      it->second.shared->asked = true;
      ++it;
    }
  }
  for (auto it = shared_.begin(); it != shared_.end();) {
    it = it->second.asked ? std::next(it) : shared_.erase(it);
  }
}

}  // namespace heddle::xds
