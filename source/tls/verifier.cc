#include "source/tls/verifier.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/sha.h>

#include <algorithm>
#include <utility>

#include "absl/base/dynamic_annotations.h"
#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "source/base/ids.h"
#include "source/base/status.h"
#include "source/tls/spiffe.h"

namespace heddle::tls {
namespace {

// Errors must stay one readable line however many names a hostile certificate has.
constexpr size_t kShownNames = 4;

const char* TypeName(SanType type) {
  switch (type) {
    case SanType::kUri:
      return "URI";
    case SanType::kDns:
      return "DNS";
    case SanType::kEmail:
      return "email";
    case SanType::kIp:
      return "IP";
  }
  return "";
}

const std::vector<std::string>& NamesOf(const CertificateInfo& info, SanType type) {
  switch (type) {
    case SanType::kUri:
      return info.uri_sans;
    case SanType::kDns:
      return info.dns_sans;
    case SanType::kEmail:
      return info.email_sans;
    case SanType::kIp:
      break;
  }
  return info.ip_sans;
}

// `pattern` is the certificate's: "*.a.b" stands for any one label before ".a.b" (RFC 6125,
// section 6.4.3).
bool DnsEqual(absl::string_view pattern, absl::string_view name) {
  if (absl::EqualsIgnoreCase(pattern, name)) return true;
  if (!absl::StartsWith(pattern, "*.")) return false;
  const size_t dot = name.find('.');
  return dot != name.npos && dot > 0 && absl::EqualsIgnoreCase(name.substr(dot), pattern.substr(1));
}

bool Matches(const SanMatcher& matcher, absl::string_view name) {
  if (matcher.matches) return matcher.matches(name);
  return matcher.type == SanType::kDns ? DnsEqual(name, matcher.exact) : name == matcher.exact;
}

std::string Shown(const SanMatcher& matcher) {
  return absl::StrCat(TypeName(matcher.type), " ", matcher.matches ? matcher.shown : matcher.exact);
}

std::string ShownSans(const CertificateInfo& info) {
  std::vector<std::string> all;
  for (const SanType type : {SanType::kUri, SanType::kDns, SanType::kEmail, SanType::kIp}) {
    for (const std::string& name : NamesOf(info, type)) {
      if (all.size() < kShownNames)
        all.push_back(absl::StrCat(TypeName(type), " ", absl::CHexEscape(name.substr(0, 256))));
    }
  }
  return all.empty() ? "no name" : absl::StrJoin(all, ", ");
}

// How an error calls the peer.
std::string WhoIs(const CertificateInfo& info) {
  const std::string& name = !info.uri_sans.empty()   ? info.uri_sans[0]
                            : !info.dns_sans.empty() ? info.dns_sans[0]
                            : !info.subject.empty()  ? info.subject
                                                     : info.sha256;
  return absl::CHexEscape(name.substr(0, 256));
}

std::string Day(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

std::string ChainKey(const STACK_OF(CRYPTO_BUFFER) * chain) {
  SHA256_CTX sha;
  SHA256_Init(&sha);
  for (size_t i = 0; i < sk_CRYPTO_BUFFER_num(chain); ++i) {
    const absl::string_view der = Der(sk_CRYPTO_BUFFER_value(chain, i));
    const uint64_t size = der.size();  // keeps two chains with equal concatenations apart
    SHA256_Update(&sha, &size, sizeof(size));
    SHA256_Update(&sha, der.data(), der.size());
  }
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256_Final(digest, &sha);
  return std::string(reinterpret_cast<const char*>(digest), sizeof(digest));
}

bool VerifyNames(const std::vector<SanMatcher>& sans, const CertificateInfo& info,
                 PeerVerdict* verdict) {
  if (sans.empty()) return true;
  for (const SanMatcher& matcher : sans) {
    for (const std::string& name : NamesOf(info, matcher.type)) {
      if (Matches(matcher, name)) return true;
    }
  }
  std::vector<std::string> allowed;
  for (const SanMatcher& matcher : sans) {
    if (allowed.size() < kShownNames) allowed.push_back(Shown(matcher));
  }
  verdict->cause = PeerVerdict::Cause::kSan;
  verdict->alert = SSL_AD_BAD_CERTIFICATE;
  verdict->error = absl::StrCat(
      "SAN mismatch: it has ", ShownSans(info), "; allowed: ", absl::StrJoin(allowed, ", "),
      sans.size() > allowed.size() ? absl::StrCat(" and ", sans.size() - allowed.size(), " more")
                                   : "");
  return false;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Verifier>> Verifier::Create(const Validation* validation,
                                                           bool peer_is_client,
                                                           const base::Clock& clock) {
  std::unique_ptr<Verifier> verifier(
      new Verifier(validation != nullptr ? *validation : Validation(), peer_is_client, clock));
  HEDDLE_RETURN_IF_ERROR(verifier->CheckOptions());
  HEDDLE_RETURN_IF_ERROR(verifier->LoadTrust());
  HEDDLE_RETURN_IF_ERROR(verifier->LoadCrl());
  for (std::string& hash : verifier->validation_.certificate_sha256) {
    hash = absl::AsciiStrToLower(absl::StrReplaceAll(hash, {{":", ""}}));
  }
  return verifier;
}

absl::Status Verifier::CheckOptions() const {
  const bool trusts = !validation_.trusted_ca_pem.empty();
  if (!trusts && !validation_.spiffe_trust_domains.empty()) {
    return absl::InvalidArgumentError("SPIFFE trust domains without trusted_ca prove nothing");
  }
  if (!trusts && !validation_.crl_pem.empty())
    return absl::InvalidArgumentError("crl without trusted_ca");
  for (const std::string& pin : validation_.spki_sha256) {
    std::string raw;
    if (!absl::Base64Unescape(pin, &raw) || raw.size() != SHA256_DIGEST_LENGTH) {
      return absl::InvalidArgumentError(absl::StrCat("\"", pin, "\" is not a base64 SHA-256"));
    }
  }
  for (const std::string& pin : validation_.certificate_sha256) {
    std::string raw;
    if (!base::FromHex(absl::StrReplaceAll(pin, {{":", ""}}), &raw) ||
        raw.size() != SHA256_DIGEST_LENGTH) {
      return absl::InvalidArgumentError(absl::StrCat("\"", pin, "\" is not a hex SHA-256"));
    }
  }
  return absl::OkStatus();
}

absl::Status Verifier::LoadTrust() {
  if (validation_.trusted_ca_pem.empty()) return absl::OkStatus();
  const auto anchors = ReadCertificates(validation_.trusted_ca_pem);
  if (!anchors.ok())
    return absl::InvalidArgumentError(absl::StrCat("trusted_ca: ", anchors.status().message()));
  store_.reset(X509_STORE_new());
  std::vector<std::string> subjects;
  for (const auto& anchor : *anchors) {
    const bssl::UniquePtr<X509> parsed(X509_parse_from_buffer(anchor.get()));
    X509_STORE_add_cert(store_.get(), parsed.get());
    uint8_t* der = nullptr;
    const int size = i2d_X509_NAME(X509_get_subject_name(parsed.get()), &der);
    if (size > 0)
      ca_names_.emplace_back(reinterpret_cast<const char*>(der), static_cast<size_t>(size));
    OPENSSL_free(der);
    if (subjects.size() < kShownNames) {
      subjects.push_back(
          absl::StrCat("\"", Describe(parsed.get(), Der(anchor.get())).subject, "\""));
    }
  }
  ca_subjects_ = absl::StrJoin(subjects, ", ");
  return absl::OkStatus();
}

absl::Status Verifier::LoadCrl() {
  if (validation_.crl_pem.empty()) return absl::OkStatus();
  const bssl::UniquePtr<BIO> in(BIO_new_mem_buf(
      validation_.crl_pem.data(), static_cast<ossl_ssize_t>(validation_.crl_pem.size())));
  int count = 0;
  while (true) {
    const bssl::UniquePtr<X509_CRL> crl(PEM_read_bio_X509_CRL(in.get(), nullptr, nullptr, nullptr));
    if (crl == nullptr) break;
    X509_STORE_add_crl(store_.get(), crl.get());
    ++count;
  }
  const std::string why = TakeErrors();
  if (count == 0)
    return absl::InvalidArgumentError(absl::StrCat("crl: no list in the PEM text: ", why));
  return absl::OkStatus();
}

PeerVerdict Verifier::Verify(const STACK_OF(CRYPTO_BUFFER) * chain,
                             const std::vector<SanMatcher>& sans) const {
  PeerVerdict verdict = VerifyAnybody(chain);
  if (verdict.peer == nullptr || VerifyNames(sans, verdict.peer->leaf, &verdict)) return verdict;
  if (validation_.accept_untrusted) {
    PeerVerdict accepted;
    accepted.peer = std::make_shared<const PeerCertificate>(
        PeerCertificate{verdict.peer->leaf, false, verdict.peer->valid_until});
    return accepted;
  }
  verdict.error =
      absl::StrCat("certificate of ", WhoIs(verdict.peer->leaf), " refused: ", verdict.error);
  verdict.peer = nullptr;
  return verdict;
}

PeerVerdict Verifier::VerifyAnybody(const STACK_OF(CRYPTO_BUFFER) * chain) const {
  // A list of revoked certificates has dates of its own; it is asked each time.
  if (!validation_.crl_pem.empty()) return VerifyFresh(chain);
  const std::string key = ChainKey(chain);
  {
    absl::MutexLock lock(&mutex_);
    ABSL_ANNOTATE_RWLOCK_ACQUIRED(&mutex_, 1);  // ThreadSanitizer does not see a lock of Abseil's
    const absl::Cleanup seen = [&] { ABSL_ANNOTATE_RWLOCK_RELEASED(&mutex_, 1); };
    const auto it = accepted_.find(key);
    if (it != accepted_.end()) {
      if (clock_.WallNow() < it->second->valid_until) return {.peer = it->second};
      accepted_.erase(it);
    }
  }
  PeerVerdict verdict = VerifyFresh(chain);
  if (verdict.peer != nullptr && (verdict.peer->verified || store_ == nullptr)) {
    absl::MutexLock lock(&mutex_);
    ABSL_ANNOTATE_RWLOCK_ACQUIRED(&mutex_, 1);  // ThreadSanitizer does not see a lock of Abseil's
    const absl::Cleanup seen = [&] { ABSL_ANNOTATE_RWLOCK_RELEASED(&mutex_, 1); };
    if (accepted_.size() >= kMaxRemembered) accepted_.erase(accepted_.begin());
    accepted_.emplace(key, verdict.peer);
  }
  return verdict;
}

PeerVerdict Verifier::VerifyFresh(const STACK_OF(CRYPTO_BUFFER) * chain) const {
  PeerVerdict verdict;
  bssl::UniquePtr<X509> leaf;
  const bssl::UniquePtr<STACK_OF(X509)> others(sk_X509_new_null());
  absl::Time until = absl::InfiniteFuture();
  CertificateInfo info;
  for (size_t i = 0; i < sk_CRYPTO_BUFFER_num(chain); ++i) {
    CRYPTO_BUFFER* buffer = sk_CRYPTO_BUFFER_value(chain, i);
    bssl::UniquePtr<X509> certificate(X509_parse_from_buffer(buffer));
    if (certificate == nullptr) {
      ERR_clear_error();
      return {.cause = PeerVerdict::Cause::kCa,
              .alert = SSL_AD_BAD_CERTIFICATE,
              .error = absl::StrCat("certificate ", i + 1, " of the peer's chain is broken")};
    }
    CertificateInfo described = Describe(certificate.get(), Der(buffer));
    until = std::min(until, described.not_after);
    if (i == 0) {
      info = std::move(described);
      leaf = std::move(certificate);
    } else {
      bssl::PushToStack(others.get(), std::move(certificate));
    }
  }
  if (validation_.allow_expired) until = absl::InfiniteFuture();

  bool good = store_ == nullptr || VerifyChain(leaf.get(), others.get(), info, &verdict);
  good = good && VerifySpiffe(info, &verdict) && VerifyPins(info, &verdict);
  if (!good && !validation_.accept_untrusted) {
    verdict.error = absl::StrCat("certificate of ", WhoIs(info), " refused: ", verdict.error);
    return verdict;
  }
  const bool asked = store_ != nullptr || !validation_.spki_sha256.empty() ||
                     !validation_.certificate_sha256.empty();
  PeerVerdict accepted;
  accepted.peer = std::make_shared<const PeerCertificate>(
      PeerCertificate{std::move(info), good && asked, until});
  return accepted;
}

bool Verifier::VerifyChain(X509* leaf, STACK_OF(X509) * others, const CertificateInfo& info,
                           PeerVerdict* verdict) const {
  const bssl::UniquePtr<X509_STORE_CTX> context(X509_STORE_CTX_new());
  HEDDLE_CHECK(X509_STORE_CTX_init(context.get(), store_.get(), leaf, others));
  X509_STORE_CTX_set_default(context.get(), peer_is_client_ ? "ssl_client" : "ssl_server");
  X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(context.get());
  unsigned long flags =
      X509_V_FLAG_PARTIAL_CHAIN;  // NOLINT(google-runtime-int): OpenSSL's interface
  if (validation_.allow_expired) flags |= X509_V_FLAG_NO_CHECK_TIME;
  if (!validation_.crl_pem.empty()) flags |= X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL;
  X509_VERIFY_PARAM_set_flags(param, flags);
  X509_VERIFY_PARAM_set_depth(param, static_cast<int>(validation_.max_verify_depth));
  X509_VERIFY_PARAM_set_time_posix(param, absl::ToUnixSeconds(clock_.WallNow()));
  const bool good = X509_verify_cert(context.get()) == 1;
  ERR_clear_error();
  if (good) return true;

  const int code = X509_STORE_CTX_get_error(context.get());
  X509* at = X509_STORE_CTX_get_current_cert(context.get());
  const CertificateInfo bad = at != nullptr ? Describe(at, {}) : info;
  verdict->cause = PeerVerdict::Cause::kCa;
  verdict->alert = static_cast<uint8_t>(SSL_alert_from_verify_result(code));
  switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      verdict->error = absl::StrCat("expired ", Day(bad.not_after));
      break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
      verdict->error = absl::StrCat("not valid before ", Day(bad.not_before));
      break;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      verdict->error = absl::StrCat("unknown CA \"", absl::CHexEscape(bad.issuer.substr(0, 256)),
                                    "\"; trusted: ", ca_subjects_);
      break;
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      verdict->error = absl::StrCat("not signed by the trusted CA of that name \"",
                                    absl::CHexEscape(bad.issuer.substr(0, 256)), "\"");
      break;
    case X509_V_ERR_CERT_REVOKED:
      verdict->error = absl::StrCat("revoked (serial ", bad.serial, ")");
      break;
    default:
      verdict->error = X509_verify_cert_error_string(code);
  }
  return false;
}

bool Verifier::VerifySpiffe(const CertificateInfo& info, PeerVerdict* verdict) const {
  if (validation_.spiffe_trust_domains.empty()) return true;
  const auto refuse = [&](absl::string_view why) {
    verdict->cause = PeerVerdict::Cause::kSan;
    verdict->alert = SSL_AD_BAD_CERTIFICATE;
    verdict->error = std::string(why);
    return false;
  };
  if (info.uri_sans.size() != 1) {
    return refuse(
        absl::StrCat("an X.509-SVID has exactly one URI SAN, this has ", info.uri_sans.size()));
  }
  const auto id = SpiffeId::Parse(info.uri_sans[0]);
  if (!id.ok()) return refuse(id.status().message());
  const auto& domains = validation_.spiffe_trust_domains;
  if (std::find(domains.begin(), domains.end(), id->trust_domain) != domains.end()) return true;
  return refuse(
      absl::StrCat("trust domain ", id->trust_domain, "; allowed: ", absl::StrJoin(domains, ", ")));
}

bool Verifier::VerifyPins(const CertificateInfo& info, PeerVerdict* verdict) const {
  const auto& hashes = validation_.certificate_sha256;
  const auto& keys = validation_.spki_sha256;
  if (hashes.empty() && keys.empty()) return true;
  if (std::find(hashes.begin(), hashes.end(), info.sha256) != hashes.end()) return true;
  if (std::find(keys.begin(), keys.end(), info.spki_sha256) != keys.end()) return true;
  verdict->cause = PeerVerdict::Cause::kHash;
  verdict->alert = SSL_AD_BAD_CERTIFICATE;
  verdict->error = absl::StrCat("neither its hash ", info.sha256, " nor that of its key ",
                                info.spki_sha256, " is among the pinned");
  return false;
}

}  // namespace heddle::tls
