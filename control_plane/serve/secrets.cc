#include "control_plane/serve/secrets.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "control_plane/identity/files.h"
#include "control_plane/model/digest.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "source/base/status.h"

namespace heddle::serve {
namespace {

namespace tls = envoy::extensions::transport_sockets::tls::v3;

// Resource::type has no value for secrets and nothing here reads it: streams know types by URL.
translate::ResourceRef MakeResource(const tls::Secret& secret, std::string version) {
  auto out = std::make_shared<translate::Resource>();
  out->name = secret.name();
  out->version = std::move(version);
  out->body = secret.SerializeAsString();
  return out;
}

translate::ResourceRef MakeRenewal(const std::string& epoch) {
  tls::Secret secret;
  secret.set_name(kRenewSecret);
  secret.mutable_generic_secret()->mutable_secret()->set_inline_string(epoch);
  return MakeResource(secret, model::Digest::Of(epoch).ToString());
}

std::string NewEpoch(absl::Time now) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E9SZ", now, absl::UTCTimeZone());
}

}  // namespace

absl::StatusOr<std::unique_ptr<Secrets>> Secrets::Open(const identity::CertificateAuthority& ca,
                                                       absl::Time now) {
  auto secrets = std::unique_ptr<Secrets>(new Secrets(ca));
  absl::StatusOr<std::string> epoch = identity::ReadFile(secrets->epoch_path());
  if (absl::IsNotFound(epoch.status())) {
    epoch = NewEpoch(now);
    HEDDLE_RETURN_IF_ERROR(identity::ReplaceFile(secrets->epoch_path(), *epoch, 0644));
  }
  HEDDLE_RETURN_IF_ERROR(epoch.status());
  if (epoch->empty() || epoch->size() > 64)
    return absl::FailedPreconditionError(
        absl::StrCat(secrets->epoch_path(),
                     ": not a renewal epoch; remove the file (every workload then renews once)"));
  secrets->Publish(*std::move(epoch));
  return secrets;
}

void Secrets::Publish(std::string epoch) {
  auto shared = std::make_shared<Shared>();
  const std::string bundle = ca_.Bundle();
  tls::Secret root;
  root.set_name(kRootSecret);
  root.mutable_validation_context()->mutable_trusted_ca()->set_inline_string(bundle);
  shared->root = MakeResource(root, model::Digest::Of(bundle).ToString());
  shared->renew = MakeRenewal(epoch);
  shared->epoch = std::move(epoch);
  absl::MutexLock lock(&mutex_);
  shared_ = std::move(shared);
}

std::shared_ptr<const Secrets::Shared> Secrets::Current() const {
  absl::MutexLock lock(&mutex_);
  return shared_;
}

void Secrets::RefreshBundle() { Publish(Current()->epoch); }

absl::Status Secrets::Reload() {
  absl::StatusOr<std::string> epoch = identity::ReadFile(epoch_path());
  if (absl::IsNotFound(epoch.status()) || (epoch.ok() && epoch->empty())) epoch = Current()->epoch;
  HEDDLE_RETURN_IF_ERROR(epoch.status());
  Publish(epoch->substr(0, 64));
  return absl::OkStatus();
}

absl::Status Secrets::RenewAll(absl::Time now) {
  const std::string epoch = NewEpoch(now);
  HEDDLE_RETURN_IF_ERROR(identity::ReplaceFile(epoch_path(), epoch, 0644));
  Publish(epoch);
  return absl::OkStatus();
}

absl::StatusOr<Secrets::Identity> Secrets::Issue(const identity::WorkloadId& id,
                                                 absl::Time now) const {
  Identity out;
  out.epoch = Current()->epoch;
  HEDDLE_ASSIGN_OR_RETURN(const identity::KeyAndCertificate made, ca_.Issue(id, {}, now));
  tls::Secret secret;
  secret.set_name(kIdentitySecret);
  secret.mutable_tls_certificate()->mutable_certificate_chain()->set_inline_string(
      made.certificate.pem);
  secret.mutable_tls_certificate()->mutable_private_key()->set_inline_string(made.key_pem);
  // The version is shown on pages and in logs: the serial number, nothing that depends on the key.
  out.secret = MakeResource(secret, made.certificate.serial_hex);
  out.not_after = made.certificate.not_after;
  out.renew_at = now + (out.not_after - now) / 2;
  return out;
}

}  // namespace heddle::serve
