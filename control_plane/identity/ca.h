// The mesh's certificate authority: one ECDSA P-256 root per trust domain, kept in the state
// directory, signing 24 h workload certificates. Everything that goes into a certificate comes from
// the caller's authenticated identity; of a CSR only the public key is used.
//
//   ca.key       the signing key, mode 0600, made on first start
//   ca.crt       the trust bundle: the signing root and, while roots overlap, the one before or
//   after it ca.next.key  present between PrepareRoot and ActivateRoot
//
// Root rotation, in three steps with at least one leaf lifetime between them so that no proxy ever
// meets a root it does not know:  PrepareRoot (publish the next root)  ->  ActivateRoot (sign with
// it)  ->  RetireRoots (forget the old one).
//
// Thread-safe: what signing reads is an immutable value that the rotation replaces.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "control_plane/identity/spiffe.h"

namespace heddle::identity {

struct CaOptions {
  std::string dir;
  std::string trust_domain = "cluster.local";
  absl::Duration root_lifetime = absl::Hours(24 * 3650);
  absl::Duration leaf_lifetime = absl::Hours(24);  // also the longest a CSR can ask for
  absl::Duration backdate = absl::Minutes(5);      // for clocks that run behind ours
};

// Names beside the SPIFFE URI; only heddle-control's own serving certificate has any.
struct ServerNames {
  std::vector<std::string> dns;
  std::vector<std::string> ip;
};

struct SignedCertificate {
  std::string pem;  // the leaf
  std::string serial_hex;
  absl::Time not_before;
  absl::Time not_after;
};

struct KeyAndCertificate {
  std::string key_pem;
  SignedCertificate certificate;
};

// What the status page shows of a root.
struct RootInfo {
  std::string name;  // subject common name
  absl::Time not_after;
  bool signing = false;
};

class CertificateAuthority {
 public:
  // Loads or makes the root. Refuses a key that others can read, a root of another trust domain, an
  // expired root.
  static absl::StatusOr<std::unique_ptr<CertificateAuthority>> Open(CaOptions options,
                                                                    absl::Time now);
  ~CertificateAuthority();

  // Signs the public key of a PEM PKCS #10 request (its self-signature is checked; at most 16 KiB;
  // ECDSA P-256 only). `lifetime` is shortened to CaOptions::leaf_lifetime and the root's end; zero
  // means the default.
  absl::StatusOr<SignedCertificate> SignCsr(absl::string_view csr_pem, const WorkloadId& id,
                                            absl::Duration lifetime, absl::Time now) const;
  // A key made here, for peers that take theirs by SDS and for heddle-control itself.
  absl::StatusOr<KeyAndCertificate> Issue(const WorkloadId& id, const ServerNames& names,
                                          absl::Time now) const;

  std::string Bundle() const;  // every trusted root, PEM, the signing one first
  std::vector<RootInfo> Roots() const;
  const CaOptions& options() const { return options_; }
  std::string bundle_path() const { return options_.dir + "/ca.crt"; }

  // Takes up files that somebody else changed (ca_secret.h).
  absl::Status Reload(absl::Time now);
  absl::Status PrepareRoot(absl::Time now);
  absl::Status ActivateRoot();
  absl::Status RetireRoots();

 private:
  struct Root;
  struct State;
  explicit CertificateAuthority(CaOptions options) : options_(std::move(options)) {}
  absl::StatusOr<std::shared_ptr<const State>> Load(absl::Time now) const;
  absl::StatusOr<SignedCertificate> Sign(void* public_key, const WorkloadId& id,
                                         const ServerNames& names, absl::Duration lifetime,
                                         absl::Time now) const;
  std::shared_ptr<const State> state() const {
    absl::MutexLock lock(&mutex_);
    return state_;
  }
  std::string Path(absl::string_view name) const;

  const CaOptions options_;
  mutable absl::Mutex mutex_;  // guards the pointer only
  std::shared_ptr<const State> state_ ABSL_GUARDED_BY(mutex_);
  absl::Mutex rotation_;  // one rotation step at a time; they write files
};

// What a peer certificate (PEM) says, for the status page and for tests. The chain is not verified
// here.
struct CertificateFacts {
  std::string uri;
  std::string serial_hex;
  absl::Time not_before;
  absl::Time not_after;
};
absl::StatusOr<CertificateFacts> ReadCertificate(absl::string_view pem);

// Whether `leaf_pem` chains to a root of `bundle_pem` at `now` for both TLS directions.
absl::Status VerifyChain(absl::string_view leaf_pem, absl::string_view bundle_pem, absl::Time now);

}  // namespace heddle::identity
