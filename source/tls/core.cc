#include "source/tls/core.h"

#include <openssl/bytestring.h>

#include <algorithm>
#include <utility>

#include "absl/base/dynamic_annotations.h"
#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "source/base/status.h"
#include "source/tls/transport.h"

namespace heddle::tls {
namespace {

// Envoy's defaults: AES-128 and ChaCha20 equally (the faster one of the two machines wins), then
// AES-256.
constexpr char kCiphers[] =
    "[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-ECDSA-CHACHA20-POLY1305]:"
    "[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-CHACHA20-POLY1305]:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";
// A client sends key shares for what it lists first, and the post-quantum share is 1.2 KB and 0.1
// ms: it is there for whoever asks, not by default. A server takes it from clients that offer it.
constexpr char kClientCurves[] = "X25519:P-256";
constexpr char kServerCurves[] = "X25519MLKEM768:X25519:P-256";

uint16_t WireVersion(Version version, uint16_t if_auto) {
  switch (version) {
    case Version::kAuto:
      return if_auto;
    case Version::k10:
      return TLS1_VERSION;
    case Version::k11:
      return TLS1_1_VERSION;
    case Version::k12:
      return TLS1_2_VERSION;
    case Version::k13:
      return TLS1_3_VERSION;
  }
  return if_auto;
}

bool NameMatches(const std::vector<std::string>& names, absl::string_view wanted) {
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& name) { return name == wanted; });
}

}  // namespace

absl::StatusOr<std::string> AlpnWire(const std::vector<std::string>& protocols) {
  std::string wire;
  for (const std::string& protocol : protocols) {
    if (protocol.empty() || protocol.size() > 255) {
      return absl::InvalidArgumentError(absl::StrCat(
          "ALPN name \"", protocol, "\" has ", protocol.size(), " bytes; allowed are 1 to 255"));
    }
    wire.push_back(static_cast<char>(protocol.size()));
    wire += protocol;
  }
  return wire;
}

absl::StatusOr<std::shared_ptr<Core>> Core::Server(const ServerOptions& options,
                                                   const base::Clock& clock) {
  std::shared_ptr<Core> core(new Core);
  if (options.common.certificates.empty())
    return absl::InvalidArgumentError("a TLS server wants a certificate");
  HEDDLE_RETURN_IF_ERROR(core->Init(options.common, true, clock));
  SSL_CTX* ctx = core->ctx_.get();
  core->SetSessionContext(options.common, options.require_client_certificate);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  if (!options.session_tickets) SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
  const auto timeout = static_cast<uint32_t>(
      std::clamp<int64_t>(absl::ToInt64Seconds(options.session_timeout), 1, 7 * 24 * 3600));
  SSL_CTX_set_timeout(ctx, timeout);
  SSL_CTX_set_session_psk_dhe_timeout(ctx, timeout);
  SSL_CTX_set_num_tickets(ctx, 1);

  const bool ask = options.require_client_certificate || options.common.validation.has_value();
  int mode = ask ? SSL_VERIFY_PEER : SSL_VERIFY_NONE;
  if (options.require_client_certificate) mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  SSL_CTX_set_custom_verify(ctx, mode, TlsTransport::OnVerify);
  bssl::UniquePtr<STACK_OF(CRYPTO_BUFFER)> names(sk_CRYPTO_BUFFER_new_null());
  for (const std::string& name : core->verifier_->ca_names()) {
    bssl::PushToStack(names.get(), bssl::UniquePtr<CRYPTO_BUFFER>(CRYPTO_BUFFER_new(
                                       reinterpret_cast<const uint8_t*>(name.data()), name.size(),
                                       BufferPool())));
  }
  SSL_CTX_set0_client_CAs(ctx, names.release());
  return core;
}

absl::StatusOr<std::shared_ptr<Core>> Core::Client(const ClientOptions& options,
                                                   const base::Clock& clock) {
  std::shared_ptr<Core> core(new Core);
  HEDDLE_RETURN_IF_ERROR(core->Init(options.common, false, clock));
  SSL_CTX* ctx = core->ctx_.get();
  core->max_session_keys_ = options.max_session_keys;
  if (options.max_session_keys > 0) {
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, TlsTransport::OnNewSession);
  } else {
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  }
  SSL_CTX_set_custom_verify(ctx, SSL_VERIFY_PEER, TlsTransport::OnVerify);
  SSL_CTX_set_reverify_on_resume(ctx, 1);
  return core;
}

absl::StatusOr<std::shared_ptr<const Expected>> Core::Expect(std::string sni,
                                                             std::vector<SanMatcher> sans) const {
  if (sni.size() > 255 || sni.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError("sni is longer than 255 bytes or contains NUL");
  }
  if (!sans.empty() && !verifier_->trusts()) {
    return absl::InvalidArgumentError(
        "subject alternative name matchers without trusted_ca prove nothing");
  }
  return std::make_shared<const Expected>(Expected{std::move(sni), std::move(sans)});
}

absl::Status Core::Init(const CommonOptions& options, bool server, const base::Clock& clock) {
  server_ = server;
  // The method without crypto/x509: peers' chains stay shared bytes, parsed only while they are
  // verified.
  ctx_.reset(SSL_CTX_new(TLS_with_buffers_method()));
  HEDDLE_CHECK(ctx_ != nullptr);
  SSL_CTX_set_app_data(ctx_.get(), this);
  SSL_CTX_set0_buffer_pool(ctx_.get(), BufferPool());
  SSL_CTX_set_mode(ctx_.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  HEDDLE_RETURN_IF_ERROR(SetProtocols(options));
  HEDDLE_RETURN_IF_ERROR(AddCertificates(options));
  HEDDLE_RETURN_IF_ERROR(SetAlpn(options));
  HEDDLE_ASSIGN_OR_RETURN(
      verifier_, Verifier::Create(options.validation.has_value() ? &*options.validation : nullptr,
                                  server, clock));
  return absl::OkStatus();
}

absl::Status Core::SetProtocols(const CommonOptions& options) {
  const uint16_t low = WireVersion(options.min_version, TLS1_2_VERSION);
  const uint16_t high = WireVersion(options.max_version, TLS1_3_VERSION);
  if (low > high) return absl::InvalidArgumentError("the lowest TLS version is above the highest");
  if (!SSL_CTX_set_min_proto_version(ctx_.get(), low) ||
      !SSL_CTX_set_max_proto_version(ctx_.get(), high)) {
    return absl::InvalidArgumentError(absl::StrCat("TLS versions: ", TakeErrors()));
  }
  const std::string ciphers =
      options.cipher_suites.empty() ? kCiphers : absl::StrJoin(options.cipher_suites, ":");
  if (!SSL_CTX_set_strict_cipher_list(ctx_.get(), ciphers.c_str())) {
    return absl::InvalidArgumentError(
        absl::StrCat("cipher suites \"", ciphers, "\": ", TakeErrors()));
  }
  const std::string curves = options.curves.empty() ? (server_ ? kServerCurves : kClientCurves)
                                                    : absl::StrJoin(options.curves, ":");
  if (!SSL_CTX_set1_groups_list(ctx_.get(), curves.c_str())) {
    return absl::InvalidArgumentError(absl::StrCat("curves \"", curves, "\": ", TakeErrors()));
  }
  return absl::OkStatus();
}

absl::Status Core::AddCertificates(const CommonOptions& options) {
  for (size_t i = 0; i < options.certificates.size(); ++i) {
    const Certificate& certificate = options.certificates[i];
    const auto where = [&](const absl::Status& status) {
      return absl::InvalidArgumentError(absl::StrCat("certificate ", i, ": ", status.message()));
    };
    const auto info = CheckCertificate(certificate);
    if (!info.ok()) return where(info.status());
    const auto chain = ReadCertificates(certificate.chain_pem);
    const auto key = ReadPrivateKey(certificate.key_pem);
    std::vector<CRYPTO_BUFFER*> buffers;
    for (const auto& buffer : *chain) buffers.push_back(buffer.get());
    Credential credential;
    credential.credential.reset(SSL_CREDENTIAL_new_x509());
    if (!SSL_CREDENTIAL_set1_cert_chain(credential.credential.get(), buffers.data(),
                                        buffers.size()) ||
        !SSL_CREDENTIAL_set1_private_key(credential.credential.get(), key->get())) {
      return where(absl::InvalidArgumentError(TakeErrors()));
    }
    for (const std::string& name : info->dns_sans)
      credential.names.push_back(absl::AsciiStrToLower(name));
    credentials_.push_back(std::move(credential));
    infos_.push_back(*info);
  }
  if (server_ && credentials_.size() > 1) {
    SSL_CTX_set_select_certificate_cb(ctx_.get(), OnSelectCertificate);
    return absl::OkStatus();
  }
  for (const Credential& credential : credentials_)
    SSL_CTX_add1_credential(ctx_.get(), credential.credential.get());
  return absl::OkStatus();
}

// Adds the certificates whose name is the client's; BoringSSL then takes the first whose key the
// client can verify.
ssl_select_cert_result_t Core::OnSelectCertificate(const SSL_CLIENT_HELLO* hello) {
  const auto* self = static_cast<const Core*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(hello->ssl)));
  const char* asked = SSL_get_servername(hello->ssl, TLSEXT_NAMETYPE_host_name);
  const std::string name = absl::AsciiStrToLower(asked != nullptr ? asked : "");
  const size_t dot = name.find('.');
  const std::string wildcard = dot != std::string::npos ? absl::StrCat("*", name.substr(dot)) : "";
  for (const std::string& wanted : {name, wildcard}) {
    bool found = false;
    if (wanted.empty()) continue;
    for (const Credential& credential : self->credentials_) {
      if (!NameMatches(credential.names, wanted)) continue;
      SSL_add1_credential(hello->ssl, credential.credential.get());
      found = true;
    }
    if (found) return ssl_select_cert_success;
  }
  for (const Credential& credential : self->credentials_) {
    SSL_add1_credential(hello->ssl, credential.credential.get());
  }
  return ssl_select_cert_success;
}

absl::Status Core::SetAlpn(const CommonOptions& options) {
  HEDDLE_ASSIGN_OR_RETURN(alpn_, AlpnWire(options.alpn));
  if (alpn_.empty()) return absl::OkStatus();
  if (server_) {
    SSL_CTX_set_alpn_select_cb(ctx_.get(), OnAlpn, this);
  } else {
    SSL_CTX_set_alpn_protos(ctx_.get(), reinterpret_cast<const uint8_t*>(alpn_.data()),
                            alpn_.size());
  }
  return absl::OkStatus();
}

// Our order decides. Without a common protocol the handshake goes on without one, as in Envoy.
int Core::OnAlpn(SSL*, const uint8_t** out, uint8_t* out_size, const uint8_t* in, unsigned in_size,
                 void* self) {
  const std::string& ours = static_cast<const Core*>(self)->alpn_;
  uint8_t* chosen;
  const int result =
      SSL_select_next_proto(&chosen, out_size, reinterpret_cast<const uint8_t*>(ours.data()),
                            static_cast<unsigned>(ours.size()), in, in_size);
  if (result != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_NOACK;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

// A session is bound to everything that decided about the peer and to who we were; tickets are
// sealed by this context's own keys besides.
void Core::SetSessionContext(const CommonOptions& options, bool require_client_certificate) {
  std::string all = require_client_certificate ? "required" : "";
  for (const CertificateInfo& info : infos_) absl::StrAppend(&all, "\n", info.sha256);
  if (options.validation.has_value()) {
    const Validation& v = *options.validation;
    absl::StrAppend(&all, "\n", Sha256(v.trusted_ca_pem), Sha256(v.crl_pem),
                    absl::StrJoin(v.spki_sha256, ","), "\n",
                    absl::StrJoin(v.certificate_sha256, ","), "\n",
                    absl::StrJoin(v.spiffe_trust_domains, ","));
    for (const SanMatcher& san : v.sans) {
      absl::StrAppend(&all, "\n", static_cast<int>(san.type), san.exact, "\x1f", san.shown);
    }
  }
  const std::string id = Sha256(all);
  static_assert(SSL_MAX_SID_CTX_LENGTH >= 32);
  SSL_CTX_set_session_id_context(ctx_.get(), reinterpret_cast<const uint8_t*>(id.data()),
                                 id.size());
}

bssl::UniquePtr<SSL_SESSION> Core::TakeSession(const std::string& key) {
  if (max_session_keys_ == 0) return nullptr;
  absl::MutexLock lock(&mutex_);
  ABSL_ANNOTATE_RWLOCK_ACQUIRED(&mutex_, 1);  // ThreadSanitizer does not see a lock of Abseil's
  const absl::Cleanup seen = [&] { ABSL_ANNOTATE_RWLOCK_RELEASED(&mutex_, 1); };
  const auto it = sessions_.find(key);
  if (it == sessions_.end()) return nullptr;
  bssl::UniquePtr<SSL_SESSION> session;
  if (SSL_SESSION_should_be_single_use(it->second.back().get())) {
    session = std::move(it->second.back());
    it->second.pop_back();
    if (it->second.empty()) sessions_.erase(it);
  } else {
    session = bssl::UpRef(it->second.back());
  }
  return session;
}

void Core::KeepSession(const std::string& key, bssl::UniquePtr<SSL_SESSION> session) {
  absl::MutexLock lock(&mutex_);
  ABSL_ANNOTATE_RWLOCK_ACQUIRED(&mutex_, 1);  // ThreadSanitizer does not see a lock of Abseil's
  const absl::Cleanup seen = [&] { ABSL_ANNOTATE_RWLOCK_RELEASED(&mutex_, 1); };
  if (sessions_.size() >= kMaxSessionPeers && !sessions_.contains(key))
    sessions_.erase(sessions_.begin());
  auto& kept = sessions_[key];
  kept.push_back(std::move(session));
  if (kept.size() > max_session_keys_) kept.pop_front();
}

ContextStats Core::stats() const {
  const auto read = [](const std::atomic<uint64_t>& value) {
    return value.load(std::memory_order_relaxed);
  };
  return {.handshakes = read(counters_.handshakes),
          .resumed = read(counters_.resumed),
          .failed = read(counters_.failed),
          .no_certificate = read(counters_.no_certificate),
          .verify_ca = read(counters_.verify_ca),
          .verify_san = read(counters_.verify_san),
          .verify_hash = read(counters_.verify_hash)};
}

}  // namespace heddle::tls
