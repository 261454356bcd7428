#include "control_plane/identity/token.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rand.h>

#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "control_plane/identity/openssl.h"
#include "source/base/status.h"

namespace heddle::identity {
namespace {

using DigestContext = std::unique_ptr<EVP_MD_CTX, OpenSslFree<EVP_MD_CTX_free>>;
using SignaturePtr = std::unique_ptr<ECDSA_SIG, OpenSslFree<ECDSA_SIG_free>>;

constexpr size_t kMaxToken = 4096;
constexpr int kHalf = 32;  // bytes of each of r and s (RFC 7518 section 3.4)
constexpr char kHeader[] = R"({"alg":"ES256","typ":"JWT"})";

const unsigned char* Bytes(absl::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

absl::Status Refuse(absl::string_view why) {
  return absl::UnauthenticatedError(absl::StrCat("join token: ", why));
}

absl::StatusOr<std::string> Sign(EVP_PKEY* key, absl::string_view text) {
  const DigestContext context(EVP_MD_CTX_new());
  unsigned char der[128];
  size_t size = sizeof(der);
  if (EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key) != 1 ||
      EVP_DigestSign(context.get(), der, &size, Bytes(text), text.size()) != 1)
    return OpenSslError("sign token");
  const unsigned char* cursor = der;
  const SignaturePtr signature(d2i_ECDSA_SIG(nullptr, &cursor, static_cast<long>(size)));
  std::string raw(2 * kHalf, '\0');
  auto* out = reinterpret_cast<unsigned char*>(raw.data());
  BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), out, kHalf);
  BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), out + kHalf, kHalf);
  return raw;
}

bool SignatureHolds(EVP_PKEY* key, absl::string_view text, absl::string_view raw) {
  if (raw.size() != 2 * kHalf) return false;
  const SignaturePtr signature(ECDSA_SIG_new());
  if (ECDSA_SIG_set0(signature.get(), BN_bin2bn(Bytes(raw), kHalf, nullptr),
                     BN_bin2bn(Bytes(raw) + kHalf, kHalf, nullptr)) != 1)
    return false;
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(signature.get(), &der);
  if (size <= 0) return false;
  const DigestContext context(EVP_MD_CTX_new());
  const bool holds =
      EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key) == 1 &&
      EVP_DigestVerify(context.get(), der, static_cast<size_t>(size), Bytes(text), text.size()) ==
          1;
  OPENSSL_free(der);
  ERR_clear_error();
  return holds;
}

using JsonObject = google::protobuf::Struct;

bool ParseJson(const std::string& text, JsonObject* out) {
  return google::protobuf::util::JsonStringToMessage(text, out).ok();
}

const std::string& StringField(const JsonObject& object, const char* name) {
  static const std::string none;
  const auto found = object.fields().find(name);
  return found == object.fields().end() ? none : found->second.string_value();
}

bool HasAudience(const JsonObject& claims) {
  const auto found = claims.fields().find("aud");
  if (found == claims.fields().end()) return false;
  if (found->second.string_value() == kTokenAudience) return true;
  for (const auto& one : found->second.list_value().values())
    if (one.string_value() == kTokenAudience) return true;
  return false;
}

// NumericDate (RFC 7519 section 2); false when it is missing, not a number or absurd.
bool TimeField(const JsonObject& object, const char* name, absl::Time* out) {
  const auto found = object.fields().find(name);
  if (found == object.fields().end() || !found->second.has_number_value()) return false;
  const double seconds = found->second.number_value();
  if (!std::isfinite(seconds) || seconds < 0 || seconds > 1e11) return false;
  *out = absl::FromUnixSeconds(static_cast<int64_t>(seconds));
  return true;
}

}  // namespace

struct TokenKey::Key {
  KeyPtr key;
};

TokenKey::TokenKey(std::unique_ptr<Key> key) : key_(std::move(key)) {}
TokenKey::TokenKey(TokenKey&&) noexcept = default;
TokenKey::~TokenKey() = default;

absl::StatusOr<TokenKey> TokenKey::Open(const std::string& dir) {
  auto key = std::make_unique<Key>();
  HEDDLE_ASSIGN_OR_RETURN(key->key, LoadOrCreateKey(dir + "/token.key"));
  return TokenKey(std::move(key));
}

absl::StatusOr<std::string> TokenKey::Make(const WorkloadId& id, absl::Duration lifetime,
                                           absl::Time now) const {
  if (lifetime <= absl::ZeroDuration() || lifetime > kMaxTokenLifetime)
    return absl::InvalidArgumentError(
        absl::StrCat("token lifetime ", absl::FormatDuration(lifetime),
                     ": want more than 0 and at most ", absl::FormatDuration(kMaxTokenLifetime)));
  unsigned char token_id[16];
  if (RAND_bytes(token_id, sizeof(token_id)) != 1) return OpenSslError("make token id");
  // Every string in it is validated to need no JSON escape.
  HEDDLE_RETURN_IF_ERROR(WorkloadId::FromUri(id.Uri()).status());
  const std::string claims = absl::StrFormat(
      R"({"iss":"%s","sub":"%s","aud":"%s","iat":%d,"exp":%d,"jti":"%s"})", id.trust_domain,
      id.Subject(), kTokenAudience, absl::ToUnixSeconds(now), absl::ToUnixSeconds(now + lifetime),
      absl::BytesToHexString(
          absl::string_view(reinterpret_cast<char*>(token_id), sizeof(token_id))));
  const std::string text =
      absl::StrCat(absl::WebSafeBase64Escape(kHeader), ".", absl::WebSafeBase64Escape(claims));
  HEDDLE_ASSIGN_OR_RETURN(const std::string signature, Sign(key_->key.get(), text));
  return absl::StrCat(text, ".", absl::WebSafeBase64Escape(signature));
}

absl::StatusOr<TokenKey::Claims> TokenKey::Verify(absl::string_view token,
                                                  absl::string_view trust_domain,
                                                  absl::Time now) const {
  if (token.size() > kMaxToken) return Refuse("longer than 4096 bytes");
  const std::vector<absl::string_view> parts = absl::StrSplit(token, '.');
  std::string header, claims, signature;
  if (parts.size() != 3 || !absl::WebSafeBase64Unescape(parts[0], &header) ||
      !absl::WebSafeBase64Unescape(parts[1], &claims) ||
      !absl::WebSafeBase64Unescape(parts[2], &signature))
    return Refuse("not a JWT");
  // Nothing inside is read, not even the algorithm, before the one key and the one algorithm we
  // have vouch for it.
  const absl::string_view signed_text = token.substr(0, parts[0].size() + 1 + parts[1].size());
  if (!SignatureHolds(key_->key.get(), signed_text, signature))
    return Refuse(
        "not signed by this heddle-control's token.key (ES256); make one with `heddlectl token`");
  JsonObject head, body;
  if (!ParseJson(header, &head) || !ParseJson(claims, &body)) return Refuse("not JSON inside");
  if (StringField(head, "alg") != "ES256") return Refuse("alg is not ES256");
  if (StringField(body, "iss") != trust_domain)
    return Refuse(absl::StrCat("issued for trust domain \"", StringField(body, "iss"),
                               "\", this one is \"", trust_domain, "\""));
  if (!HasAudience(body)) return Refuse(absl::StrCat("aud is not ", kTokenAudience));
  absl::Time issued, expires;
  if (!TimeField(body, "iat", &issued) || !TimeField(body, "exp", &expires))
    return Refuse("no iat or exp");
  if (issued > now + kTokenClockSkew) return Refuse("issued in the future; compare the clocks");
  if (expires + kTokenClockSkew <= now)
    return Refuse(absl::StrCat("expired at ", absl::FormatTime(expires, absl::UTCTimeZone()),
                               "; make a new one with `heddlectl token`"));
  if (expires - issued > kMaxTokenLifetime) return Refuse("lives longer than allowed");
  Claims out;
  auto id = WorkloadId::FromSubject(trust_domain, StringField(body, "sub"));
  if (!id.ok()) return Refuse(id.status().message());
  out.id = *std::move(id);
  out.expires = expires;
  out.token_id = StringField(body, "jti");
  return out;
}

}  // namespace heddle::identity
