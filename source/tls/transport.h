// A connection's TLS. One recv and one send per call: BoringSSL works on memory that this feeds and
// drains. Private to source/tls.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "source/base/buffer.h"
#include "source/net/transport.h"
#include "source/tls/core.h"
#include "source/tls/crypto.h"

namespace heddle::tls {

class TlsTransport final : public net::Transport {
 public:
  TlsTransport(std::shared_ptr<Core> core, std::shared_ptr<const Expected> expected,
               const net::TransportFactory::Options& options);
  ~TlsTransport() override;

  net::IoResult Read(int fd, base::Buffer& in, size_t max) override;
  net::IoResult Write(int fd, base::Buffer& out) override;
  bool ready() const override { return state_ == State::kReady; }
  void Shutdown(int fd) override;
  bool write_pending() const override { return !pending_.empty(); }
  const net::PeerInfo& peer() const override { return peer_; }
  absl::string_view error() const override { return error_; }

  // Hooks of Core's SSL_CTX.
  static ssl_verify_result_t OnVerify(SSL* ssl, uint8_t* alert);
  static int OnNewSession(SSL* ssl, SSL_SESSION* session);

 private:
  enum class State : uint8_t { kStart, kHandshake, kReady, kClosed, kFailed };

  static const BIO_METHOD* Method();
  static int BioRead(BIO* bio, char* out, int size);
  static int BioWrite(BIO* bio, const char* in, int size);
  // NOLINTNEXTLINE(google-runtime-int): OpenSSL's interface
  static long BioCtrl(BIO* bio, int command, long number, void* pointer);

  void Handshake();
  void FinishHandshake();
  bool AcceptResumedPeer();
  void SetPeerCertificate(const PeerCertificate& certificate);
  size_t Decrypt(base::Buffer& in);
  size_t Encrypt(base::Buffer& out);
  // Sends what BoringSSL produced; what does not fit waits in pending_. False on a broken socket.
  bool Send(int fd);
  bool SendPending(int fd);
  net::IoResult Broken();
  void Fail(int ssl_error);

  std::shared_ptr<Core> core_;
  std::shared_ptr<const Expected> expected_;
  bssl::UniquePtr<SSL> ssl_;
  State state_ = State::kStart;
  bool refused_ = false;  // error_ says why our side refused the peer's certificate
  int system_error_ = 0;
  absl::string_view feed_;  // ciphertext not yet taken by BoringSSL; empty between calls
  base::Buffer pending_;    // ciphertext not yet taken by the kernel
  std::unique_ptr<std::string> session_key_;  // client with resumption
  net::PeerInfo peer_;
  std::string error_;
};

}  // namespace heddle::tls
