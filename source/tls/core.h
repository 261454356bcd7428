// One SSL_CTX and what belongs to it; shared by all connections made from it, and by client
// contexts that differ in whom they expect. Private to source/tls.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "source/tls/context.h"
#include "source/tls/crypto.h"
#include "source/tls/verifier.h"

namespace heddle::tls {

// Whom one context expects to meet. Immutable, any thread.
struct Expected {
  std::string sni;               // client side
  std::vector<SanMatcher> sans;  // one must match; empty: any
};

class Core {
 public:
  static absl::StatusOr<std::shared_ptr<Core>> Server(const ServerOptions& options,
                                                      const base::Clock& clock);
  static absl::StatusOr<std::shared_ptr<Core>> Client(const ClientOptions& options,
                                                      const base::Clock& clock);

  // InvalidArgument when the name is no server name, or when matchers would prove nothing.
  absl::StatusOr<std::shared_ptr<const Expected>> Expect(std::string sni,
                                                         std::vector<SanMatcher> sans) const;
  // For one connection. Null when memory is out.
  bssl::UniquePtr<SSL> NewSsl() const { return bssl::UniquePtr<SSL>(SSL_new(ctx_.get())); }
  bool server() const { return server_; }
  const Verifier& verifier() const { return *verifier_; }
  const std::vector<CertificateInfo>& certificates() const { return infos_; }

  // The session to resume with the peer of this name, if there is one; a TLS 1.3 session is given
  // out once.
  bssl::UniquePtr<SSL_SESSION> TakeSession(const std::string& key);
  void KeepSession(const std::string& key, bssl::UniquePtr<SSL_SESSION> session);

  struct Counters {
    std::atomic<uint64_t> handshakes{0}, resumed{0}, failed{0}, no_certificate{0};
    std::atomic<uint64_t> verify_ca{0}, verify_san{0}, verify_hash{0};
  };
  Counters& counters() const { return counters_; }
  ContextStats stats() const;

 private:
  static constexpr size_t kMaxSessionPeers = 1024;

  struct Credential {
    bssl::UniquePtr<SSL_CREDENTIAL> credential;
    std::vector<std::string> names;  // DNS SANs, lower case
  };

  Core() = default;
  absl::Status Init(const CommonOptions& options, bool server, const base::Clock& clock);
  absl::Status SetProtocols(const CommonOptions& options);
  absl::Status AddCertificates(const CommonOptions& options);
  absl::Status SetAlpn(const CommonOptions& options);
  void SetSessionContext(const CommonOptions& options, bool require_client_certificate);

  static ssl_select_cert_result_t OnSelectCertificate(const SSL_CLIENT_HELLO* hello);
  static int OnAlpn(SSL*, const uint8_t** out, uint8_t* out_size, const uint8_t* in,
                    unsigned in_size, void* self);

  bssl::UniquePtr<SSL_CTX> ctx_;
  bool server_ = false;
  std::unique_ptr<Verifier> verifier_;
  std::vector<Credential> credentials_;
  std::vector<CertificateInfo> infos_;
  std::string alpn_;  // wire form
  uint32_t max_session_keys_ = 0;
  mutable Counters counters_;
  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, std::deque<bssl::UniquePtr<SSL_SESSION>>> sessions_
      ABSL_GUARDED_BY(mutex_);
};

// The wire form of a protocol list; an error when a name is empty or longer than 255 bytes.
absl::StatusOr<std::string> AlpnWire(const std::vector<std::string>& protocols);

}  // namespace heddle::tls
