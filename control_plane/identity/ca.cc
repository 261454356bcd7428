#include "control_plane/identity/ca.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "control_plane/identity/files.h"
#include "control_plane/identity/openssl.h"
#include "source/base/log.h"
#include "source/base/status.h"

namespace heddle::identity {
namespace {

constexpr size_t kMaxCsr = 16 * 1024;
constexpr absl::Duration kMinLifetime = absl::Minutes(1);

std::vector<CertPtr> CertsFromPem(absl::string_view pem) {
  std::vector<CertPtr> out;
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  while (X509* cert = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr))
    out.emplace_back(cert);
  ERR_clear_error();  // the end of the file is reported as an error
  return out;
}

absl::Time FromAsn1(const ASN1_TIME* time) {
  struct tm fields {};
  if (ASN1_TIME_to_tm(time, &fields) != 1) return absl::InfinitePast();
  return absl::FromTM(fields, absl::UTCTimeZone());
}

std::string SerialHex(X509* cert) {
  const BigNumberPtr number(ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), nullptr));
  char* text = BN_bn2hex(number.get());
  std::string out(text);
  OPENSSL_free(text);
  return out;
}

std::string CommonName(X509* cert) {
  char name[128] = "";
  X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, name, sizeof(name));
  return name;
}

std::string FirstUri(X509* cert) {
  std::string out;
  auto* names =
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(cert, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names) && out.empty(); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_URI) continue;
    const ASN1_IA5STRING* uri = name->d.uniformResourceIdentifier;
    out.assign(reinterpret_cast<const char*>(ASN1_STRING_get0_data(uri)),
               static_cast<size_t>(ASN1_STRING_length(uri)));
  }
  GENERAL_NAMES_free(names);
  return out;
}

struct Extension {
  int nid;
  std::string value;  // X509V3_EXT_conf's syntax; every part is validated before it gets here
};

bool AddExtension(X509* cert, X509* issuer, const Extension& extension) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, cert, nullptr, nullptr, 0);
  const ExtensionPtr made(
      X509V3_EXT_conf_nid(nullptr, &context, extension.nid, extension.value.c_str()));
  return made != nullptr && X509_add_ext(cert, made.get(), -1) == 1;
}

// 128 random bits after a fixed first byte: positive, never zero, 17 octets (RFC 5280
// section 4.1.2.2 allows 20).
bool SetRandomSerial(X509* cert) {
  unsigned char bytes[17] = {0x01};
  if (RAND_bytes(bytes + 1, sizeof(bytes) - 1) != 1) return false;
  const BigNumberPtr number(BN_bin2bn(bytes, sizeof(bytes), nullptr));
  return BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(cert)) != nullptr;
}

bool SetValidity(X509* cert, absl::Time not_before, absl::Time not_after) {
  return ASN1_TIME_set(X509_getm_notBefore(cert), absl::ToTimeT(not_before)) != nullptr &&
         ASN1_TIME_set(X509_getm_notAfter(cert), absl::ToTimeT(not_after)) != nullptr;
}

bool AddName(X509_NAME* name, const char* field, const std::string& value) {
  return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(value.data()),
                                    static_cast<int>(value.size()), -1, 0) == 1;
}

// The name follows from the key alone, so a root made again from the same key still verifies what
// the first one signed.
std::string RootName(EVP_PKEY* key) {
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(key, &der);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int digest_size = 0;
  EVP_Digest(der, static_cast<size_t>(size), digest, &digest_size, EVP_sha256(), nullptr);
  OPENSSL_free(der);
  return absl::StrCat("heddle root ", absl::BytesToHexString(
                                          absl::string_view(reinterpret_cast<char*>(digest), 4)));
}

absl::StatusOr<CertPtr> MakeRoot(EVP_PKEY* key, const CaOptions& options, absl::Time now) {
  CertPtr cert(X509_new());
  X509_NAME* name = X509_get_subject_name(cert.get());
  const std::vector<Extension> extensions = {
      {NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
      {NID_key_usage, "critical,keyCertSign,cRLSign"},
      {NID_subject_key_identifier, "hash"},
      {NID_subject_alt_name, absl::StrCat("URI:spiffe://", options.trust_domain)},
  };
  bool ok = X509_set_version(cert.get(), X509_VERSION_3) == 1 && SetRandomSerial(cert.get()) &&
            SetValidity(cert.get(), now - options.backdate, now + options.root_lifetime) &&
            AddName(name, "O", options.trust_domain) && AddName(name, "CN", RootName(key)) &&
            X509_set_issuer_name(cert.get(), name) == 1 && X509_set_pubkey(cert.get(), key) == 1;
  for (const Extension& extension : extensions)
    ok = ok && AddExtension(cert.get(), cert.get(), extension);
  if (!ok || X509_sign(cert.get(), key, EVP_sha256()) == 0)
    return OpenSslError("make root certificate");
  return cert;
}

}  // namespace

struct CertificateAuthority::Root {
  CertPtr cert;
  std::string pem;
  absl::Time not_after;
};

struct CertificateAuthority::State {
  KeyPtr key;
  std::vector<Root> roots;  // the signing one first
};

CertificateAuthority::~CertificateAuthority() = default;

std::string CertificateAuthority::Path(absl::string_view name) const {
  return absl::StrCat(options_.dir, "/", name);
}

absl::StatusOr<std::shared_ptr<const CertificateAuthority::State>> CertificateAuthority::Load(
    absl::Time now) const {
  auto state = std::make_shared<State>();
  HEDDLE_ASSIGN_OR_RETURN(state->key, LoadOrCreateKey(Path("ca.key")));
  absl::StatusOr<std::string> bundle = ReadFile(bundle_path());
  if (absl::IsNotFound(bundle.status())) {
    HEDDLE_ASSIGN_OR_RETURN(const CertPtr root, MakeRoot(state->key.get(), options_, now));
    HEDDLE_RETURN_IF_ERROR(ReplaceFile(bundle_path(), CertToPem(root.get()), 0644));
    HEDDLE_LOG(kInfo, "identity") << "made a new root certificate for trust domain "
                                  << options_.trust_domain << ": " << bundle_path();
    bundle = ReadFile(bundle_path());
  }
  HEDDLE_RETURN_IF_ERROR(bundle.status());
  bool signing = false;
  for (CertPtr& cert : CertsFromPem(*bundle)) {
    const std::string want = absl::StrCat("spiffe://", options_.trust_domain);
    if (const std::string uri = FirstUri(cert.get()); uri != want)
      return absl::FailedPreconditionError(absl::StrCat(
          bundle_path(), ": a root of ", uri.empty() ? "no trust domain" : uri, ", wanted ", want,
          "; give the --trust-domain it was made for or another --state-dir"));
    const bool signs = X509_check_private_key(cert.get(), state->key.get()) == 1;
    ERR_clear_error();
    const absl::Time not_after = FromAsn1(X509_get0_notAfter(cert.get()));
    if (signs && not_after <= now)
      return absl::FailedPreconditionError(absl::StrCat(
          bundle_path(), ": the root expired at ", absl::FormatTime(not_after, absl::UTCTimeZone()),
          "; move ca.key and ca.crt away to make new ones, then give every proxy the new ca.crt"));
    Root root{.cert = std::move(cert), .pem = {}, .not_after = not_after};
    root.pem = CertToPem(root.cert.get());
    if (signs) {
      state->roots.insert(state->roots.begin(), std::move(root));
      signing = true;
    } else {
      state->roots.push_back(std::move(root));
    }
  }
  if (!signing)
    return absl::FailedPreconditionError(
        absl::StrCat(bundle_path(), ": none of its certificates belongs to ", Path("ca.key"),
                     "; put back the pair that belongs together"));
  return state;
}

absl::StatusOr<std::unique_ptr<CertificateAuthority>> CertificateAuthority::Open(CaOptions options,
                                                                                 absl::Time now) {
  HEDDLE_RETURN_IF_ERROR(ValidateTrustDomain(options.trust_domain));
  HEDDLE_RETURN_IF_ERROR(PrepareStateDir(options.dir));
  auto ca = std::unique_ptr<CertificateAuthority>(new CertificateAuthority(std::move(options)));
  HEDDLE_ASSIGN_OR_RETURN(auto state, ca->Load(now));
  absl::MutexLock lock(&ca->mutex_);
  ca->state_ = std::move(state);
  return ca;
}

absl::StatusOr<SignedCertificate> CertificateAuthority::Sign(void* public_key, const WorkloadId& id,
                                                             const ServerNames& names,
                                                             absl::Duration lifetime,
                                                             absl::Time now) const {
  if (id.trust_domain != options_.trust_domain)
    return absl::PermissionDeniedError(absl::StrCat(
        "identity ", id.Uri(), " is of another trust domain than ", options_.trust_domain));
  const std::shared_ptr<const State> state = this->state();
  const Root& root = state->roots.front();
  if (lifetime <= absl::ZeroDuration() || lifetime > options_.leaf_lifetime)
    lifetime = options_.leaf_lifetime;
  SignedCertificate out;
  out.not_before = absl::FromTimeT(absl::ToTimeT(now - options_.backdate));
  out.not_after = absl::FromTimeT(
      absl::ToTimeT(std::min(now + std::max(lifetime, kMinLifetime), root.not_after)));

  std::vector<std::string> alternative = {absl::StrCat("URI:", id.Uri())};
  for (const std::string& dns : names.dns) alternative.push_back(absl::StrCat("DNS:", dns));
  for (const std::string& ip : names.ip) alternative.push_back(absl::StrCat("IP:", ip));
  const CertPtr cert(X509_new());
  const std::vector<Extension> extensions = {
      {NID_basic_constraints, "critical,CA:FALSE"},
      {NID_key_usage, "critical,digitalSignature"},
      {NID_ext_key_usage, "serverAuth,clientAuth"},
      {NID_subject_key_identifier, "hash"},
      {NID_authority_key_identifier, "keyid:always"},
      // The subject is empty, so the names must be critical (RFC 5280 section 4.1.2.6).
      {NID_subject_alt_name, absl::StrCat("critical,", absl::StrJoin(alternative, ","))},
  };
  bool ok = X509_set_version(cert.get(), X509_VERSION_3) == 1 && SetRandomSerial(cert.get()) &&
            SetValidity(cert.get(), out.not_before, out.not_after) &&
            X509_set_issuer_name(cert.get(), X509_get_subject_name(root.cert.get())) == 1 &&
            X509_set_pubkey(cert.get(), static_cast<EVP_PKEY*>(public_key)) == 1;
  for (const Extension& extension : extensions)
    ok = ok && AddExtension(cert.get(), root.cert.get(), extension);
  if (!ok || X509_sign(cert.get(), state->key.get(), EVP_sha256()) == 0)
    return OpenSslError("sign certificate");
  out.pem = CertToPem(cert.get());
  out.serial_hex = SerialHex(cert.get());
  return out;
}

absl::StatusOr<SignedCertificate> CertificateAuthority::SignCsr(absl::string_view csr_pem,
                                                                const WorkloadId& id,
                                                                absl::Duration lifetime,
                                                                absl::Time now) const {
  if (csr_pem.size() > kMaxCsr) return absl::InvalidArgumentError("csr: larger than 16 KiB");
  const BioPtr bio(BIO_new_mem_buf(csr_pem.data(), static_cast<int>(csr_pem.size())));
  const RequestPtr request(PEM_read_bio_X509_REQ(bio.get(), nullptr, nullptr, nullptr));
  if (request == nullptr) return OpenSslError("csr: not a PEM certificate request");
  EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
  if (key == nullptr) return OpenSslError("csr: no usable public key");
  if (!IsP256(key))
    return absl::InvalidArgumentError(absl::StrCat(
        "csr: key type ", OBJ_nid2sn(EVP_PKEY_get_base_id(key)), " (", EVP_PKEY_get_bits(key),
        " bits): only ECDSA P-256 is signed, one kind of key in the whole mesh; make the key "
        "with `openssl ecparam -name prime256v1 -genkey`"));
  if (X509_REQ_verify(request.get(), key) != 1)
    return OpenSslError("csr: its signature does not prove the key");
  return Sign(key, id, {}, lifetime, now);
}

absl::StatusOr<KeyAndCertificate> CertificateAuthority::Issue(const WorkloadId& id,
                                                              const ServerNames& names,
                                                              absl::Time now) const {
  const KeyPtr key = MakeP256Key();
  KeyAndCertificate out;
  HEDDLE_ASSIGN_OR_RETURN(out.key_pem, KeyToPem(key.get()));
  HEDDLE_ASSIGN_OR_RETURN(out.certificate, Sign(key.get(), id, names, {}, now));
  return out;
}

std::string CertificateAuthority::Bundle() const {
  std::string out;
  for (const Root& root : state()->roots) out += root.pem;
  return out;
}

std::vector<RootInfo> CertificateAuthority::Roots() const {
  const std::shared_ptr<const State> state = this->state();
  std::vector<RootInfo> out;
  for (const Root& root : state->roots)
    out.push_back(
        {.name = CommonName(root.cert.get()), .not_after = root.not_after, .signing = out.empty()});
  return out;
}

absl::Status CertificateAuthority::Reload(absl::Time now) {
  absl::MutexLock rotating(&rotation_);
  HEDDLE_ASSIGN_OR_RETURN(auto state, Load(now));
  absl::MutexLock lock(&mutex_);
  state_ = std::move(state);
  return absl::OkStatus();
}

absl::Status CertificateAuthority::PrepareRoot(absl::Time now) {
  absl::MutexLock rotating(&rotation_);
  HEDDLE_ASSIGN_OR_RETURN(const KeyPtr key, LoadOrCreateKey(Path("ca.next.key")));
  HEDDLE_ASSIGN_OR_RETURN(const CertPtr root, MakeRoot(key.get(), options_, now));
  for (const RootInfo& known : Roots())
    if (known.name == CommonName(root.get()))
      return absl::FailedPreconditionError(
          "the next root is published already: activate it when every proxy has it");
  HEDDLE_RETURN_IF_ERROR(ReplaceFile(bundle_path(), Bundle() + CertToPem(root.get()), 0644));
  HEDDLE_ASSIGN_OR_RETURN(auto state, Load(now));
  absl::MutexLock lock(&mutex_);
  state_ = std::move(state);
  return absl::OkStatus();
}

absl::Status CertificateAuthority::ActivateRoot() {
  absl::MutexLock rotating(&rotation_);
  const absl::StatusOr<std::string> read = ReadPrivateFile(Path("ca.next.key"));
  if (absl::IsNotFound(read.status()))
    return absl::FailedPreconditionError(
        "no next root is prepared: `heddlectl rotate --root prepare` comes first");
  HEDDLE_RETURN_IF_ERROR(read.status());
  const std::string& pem = *read;
  HEDDLE_ASSIGN_OR_RETURN(const KeyPtr next, KeyFromPem(pem, Path("ca.next.key")));
  bool published = false;
  for (const Root& root : state()->roots)
    published = published || X509_check_private_key(root.cert.get(), next.get()) == 1;
  ERR_clear_error();
  if (!published)
    return absl::FailedPreconditionError("the next root is not published yet: prepare it first");
  // The one moment that changes who signs: Load finds the certificate that belongs to ca.key,
  // wherever it stands.
  HEDDLE_RETURN_IF_ERROR(ReplaceFile(Path("ca.key"), pem, 0600));
  ::remove(Path("ca.next.key").c_str());
  HEDDLE_ASSIGN_OR_RETURN(auto state, Load(absl::InfinitePast()));
  absl::MutexLock lock(&mutex_);
  state_ = std::move(state);
  return absl::OkStatus();
}

absl::Status CertificateAuthority::RetireRoots() {
  absl::MutexLock rotating(&rotation_);
  const std::shared_ptr<const State> before = state();
  if (before->roots.size() == 1)
    return absl::FailedPreconditionError("there is one root only: nothing to retire");
  if (!absl::IsNotFound(ReadFile(Path("ca.next.key")).status()))
    return absl::FailedPreconditionError("a next root is prepared: activate it first");
  HEDDLE_RETURN_IF_ERROR(ReplaceFile(bundle_path(), before->roots.front().pem, 0644));
  HEDDLE_ASSIGN_OR_RETURN(auto state, Load(absl::InfinitePast()));
  absl::MutexLock lock(&mutex_);
  state_ = std::move(state);
  return absl::OkStatus();
}

absl::StatusOr<CertificateFacts> ReadCertificate(absl::string_view pem) {
  const std::vector<CertPtr> certs = CertsFromPem(pem);
  if (certs.empty()) return absl::InvalidArgumentError("no PEM certificate");
  X509* cert = certs.front().get();
  return CertificateFacts{.uri = FirstUri(cert),
                          .serial_hex = SerialHex(cert),
                          .not_before = FromAsn1(X509_get0_notBefore(cert)),
                          .not_after = FromAsn1(X509_get0_notAfter(cert))};
}

absl::Status VerifyChain(absl::string_view leaf_pem, absl::string_view bundle_pem, absl::Time now) {
  using StorePtr = std::unique_ptr<X509_STORE, OpenSslFree<X509_STORE_free>>;
  using ContextPtr = std::unique_ptr<X509_STORE_CTX, OpenSslFree<X509_STORE_CTX_free>>;
  const std::vector<CertPtr> leaf = CertsFromPem(leaf_pem);
  const std::vector<CertPtr> roots = CertsFromPem(bundle_pem);
  if (leaf.empty() || roots.empty()) return absl::InvalidArgumentError("no PEM certificate");
  const StorePtr store(X509_STORE_new());
  for (const CertPtr& root : roots) X509_STORE_add_cert(store.get(), root.get());
  for (const int purpose : {X509_PURPOSE_SSL_CLIENT, X509_PURPOSE_SSL_SERVER}) {
    const ContextPtr context(X509_STORE_CTX_new());
    X509_STORE_CTX_init(context.get(), store.get(), leaf.front().get(), nullptr);
    X509_STORE_CTX_set_purpose(context.get(), purpose);
    X509_STORE_CTX_set_time(context.get(), 0, absl::ToTimeT(now));
    if (X509_verify_cert(context.get()) != 1)
      return absl::UnauthenticatedError(
          X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get())));
  }
  return absl::OkStatus();
}

}  // namespace heddle::identity
