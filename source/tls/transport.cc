#include "source/tls/transport.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/bio.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "source/base/status.h"
#include "source/net/address.h"

namespace heddle::tls {
namespace {

using net::IoOutcome;
using net::IoResult;

constexpr size_t kMaxPlain = 16 * 1024;  // one record
// Worth a record of its own; less is gathered with what follows, by copying.
constexpr size_t kGoodRecord = 8 * 1024;
constexpr size_t kCipherIn = 68 * 1024;   // four records
constexpr size_t kCipherOut = 64 * 1024;  // stop sealing and send when there is this much

// Used within one call and then by the next connection.
struct Scratch {
  std::unique_ptr<char[]> in{new char[kCipherIn]};
  std::unique_ptr<char[]> plain{new char[kMaxPlain]};
  std::string out;
};
Scratch& ThreadScratch() {
  thread_local Scratch scratch;
  return scratch;
}

// Sends the acknowledgement that the kernel delays (by 40 ms on Linux) in the hope of an answer
// that carries it.
void AcknowledgeNow(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

// "TLSV1_ALERT_UNKNOWN_CA" -> "the peer refused: unknown ca".
std::string Explain(const std::string& reasons) {
  absl::string_view reason = reasons;
  if (absl::ConsumePrefix(&reason, "tlsv1_alert_") ||
      absl::ConsumePrefix(&reason, "sslv3_alert_")) {
    return absl::StrCat("the peer refused: ", absl::StrReplaceAll(reason, {{"_", " "}}));
  }
  if (absl::StrContains(reasons, "wrong_version_number") ||
      absl::StrContains(reasons, "http_request") ||
      absl::StrContains(reasons, "https_proxy_request")) {
    return absl::StrCat("the peer does not speak TLS (", reasons, ")");
  }
  if (absl::StrContains(reasons, "peer_did_not_return_a_certificate"))
    return "the peer gave no certificate";
  return reasons;
}

}  // namespace

TlsTransport::TlsTransport(std::shared_ptr<Core> core, std::shared_ptr<const Expected> expected,
                           const net::TransportFactory::Options& options)
    : core_(std::move(core)), expected_(std::move(expected)), ssl_(core_->NewSsl()) {
  HEDDLE_CHECK(ssl_ != nullptr) << "out of memory";
  peer_.tls = true;
  SSL* ssl = ssl_.get();
  SSL_set_app_data(ssl, this);
  // What only a handshake needs goes when it is over.
  SSL_set_shed_handshake_config(ssl, 1);
  BIO* bio = BIO_new(Method());
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl, bio, bio);
  if (core_->server()) {
    SSL_set_accept_state(ssl);
    return;
  }
  SSL_set_connect_state(ssl);
  const std::string& sni = options.sni.empty() ? expected_->sni : options.sni;
  // An address is not a name: RFC 6066, section 3.
  if (!sni.empty() && !net::Address::FromIp(sni, 0).ok())
    SSL_set_tlsext_host_name(ssl, sni.c_str());
  if (!options.alpn.empty()) {
    if (const auto wire = AlpnWire(options.alpn); wire.ok()) {
      SSL_set_alpn_protos(ssl, reinterpret_cast<const uint8_t*>(wire->data()), wire->size());
    }
  }
  session_key_ = std::make_unique<std::string>(absl::StrCat(sni, "\n", options.peer));
  if (const auto session = core_->TakeSession(*session_key_); session != nullptr) {
    SSL_set_session(ssl, session.get());
  }
}

TlsTransport::~TlsTransport() = default;

// -------------------------------------------------------------------------------------------------------------
// BIO

const BIO_METHOD* TlsTransport::Method() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "heddle");
    BIO_meth_set_read(made, BioRead);
    BIO_meth_set_write(made, BioWrite);
    BIO_meth_set_ctrl(made, BioCtrl);
    return made;
  }();
  return method;
}

int TlsTransport::BioRead(BIO* bio, char* out, int size) {
  auto* self = static_cast<TlsTransport*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  const size_t n = std::min(self->feed_.size(), static_cast<size_t>(size));
  if (n == 0) {
    BIO_set_retry_read(bio);
    return -1;
  }
  std::memcpy(out, self->feed_.data(), n);
  self->feed_.remove_prefix(n);
  return static_cast<int>(n);
}

int TlsTransport::BioWrite(BIO*, const char* in, int size) {
  ThreadScratch().out.append(in, static_cast<size_t>(size));
  return size;
}

// NOLINTNEXTLINE(google-runtime-int): OpenSSL's interface
long TlsTransport::BioCtrl(BIO*, int command, long, void*) {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

bool TlsTransport::SendPending(int fd) {
  while (!pending_.empty()) {
    iovec runs[8];
    msghdr message = {};
    message.msg_iov = runs;
    message.msg_iovlen = static_cast<size_t>(pending_.Slices(runs, 8));
    const ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return true;
      system_error_ = errno;
      return false;
    }
    pending_.Consume(static_cast<size_t>(n));
  }
  return true;
}

bool TlsTransport::Send(int fd) {
  std::string& out = ThreadScratch().out;
  if (!SendPending(fd)) {
    out.clear();
    return false;
  }
  absl::string_view rest = out;
  while (pending_.empty() && !rest.empty()) {
    const ssize_t n = send(fd, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (n >= 0) {
      rest.remove_prefix(static_cast<size_t>(n));
      if (!rest.empty()) break;  // the kernel is full
    } else if (errno == EAGAIN) {
      break;
    } else if (errno != EINTR) {
      system_error_ = errno;
      out.clear();
      return false;
    }
  }
  pending_.Append(rest);
  out.clear();
  return true;
}

IoResult TlsTransport::Broken() {
  state_ = State::kFailed;
  if (error_.empty()) error_ = std::strerror(system_error_);
  return {.outcome = IoOutcome::kError, .system_error = system_error_};
}

// -------------------------------------------------------------------------------------------------------
// handshake

void TlsTransport::Handshake() {
  state_ = State::kHandshake;
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) {
    FinishHandshake();
    return;
  }
  const int error = SSL_get_error(ssl_.get(), result);
  if (error != SSL_ERROR_WANT_READ) Fail(error);
}

void TlsTransport::Fail(int ssl_error) {
  const bool in_handshake = state_ != State::kReady;
  state_ = State::kFailed;
  const std::string reasons = TakeErrors();
  if (in_handshake) core_->counters().failed.fetch_add(1, std::memory_order_relaxed);
  if (refused_) return;  // error_ is better than "certificate verify failed"
  if (absl::StrContains(reasons, "peer_did_not_return_a_certificate")) {
    core_->counters().no_certificate.fetch_add(1, std::memory_order_relaxed);
  }
  error_ = reasons.empty() ? absl::StrCat("TLS error ", ssl_error) : Explain(reasons);
}

ssl_verify_result_t TlsTransport::OnVerify(SSL* ssl, uint8_t* alert) {
  auto* self = static_cast<TlsTransport*>(SSL_get_app_data(ssl));
  const STACK_OF(CRYPTO_BUFFER)* chain = SSL_get0_peer_certificates(ssl);
  if (chain == nullptr || sk_CRYPTO_BUFFER_num(chain) == 0)
    return ssl_verify_ok;  // asked for, not required
  const PeerVerdict verdict = self->core_->verifier().Verify(chain, self->expected_->sans);
  if (verdict.peer != nullptr) {
    self->SetPeerCertificate(*verdict.peer);
    return ssl_verify_ok;
  }
  self->error_ = verdict.error;
  self->refused_ = true;
  *alert = verdict.alert;
  Core::Counters& counters = self->core_->counters();
  switch (verdict.cause) {
    case PeerVerdict::Cause::kNone:
      break;
    case PeerVerdict::Cause::kCa:
      counters.verify_ca.fetch_add(1, std::memory_order_relaxed);
      break;
    case PeerVerdict::Cause::kSan:
      counters.verify_san.fetch_add(1, std::memory_order_relaxed);
      break;
    case PeerVerdict::Cause::kHash:
      counters.verify_hash.fetch_add(1, std::memory_order_relaxed);
      break;
  }
  return ssl_verify_invalid;
}

void TlsTransport::SetPeerCertificate(const PeerCertificate& certificate) {
  peer_.certificate_verified = certificate.verified;
  peer_.uri_sans = certificate.leaf.uri_sans;
  peer_.dns_sans = certificate.leaf.dns_sans;
  peer_.subject = certificate.leaf.subject;
  peer_.certificate_sha256 = certificate.leaf.sha256;
}

// A server does not ask OnVerify about a resumed client: its certificate may have expired since the
// ticket was made.
bool TlsTransport::AcceptResumedPeer() {
  if (!core_->server() || !SSL_session_reused(ssl_.get())) return true;
  uint8_t alert = SSL_AD_BAD_CERTIFICATE;
  if (OnVerify(ssl_.get(), &alert) == ssl_verify_ok) return true;
  SSL_send_fatal_alert(ssl_.get(), alert);
  Fail(SSL_ERROR_SSL);
  return false;
}

void TlsTransport::FinishHandshake() {
  if (!AcceptResumedPeer()) return;
  state_ = State::kReady;
  SSL* ssl = ssl_.get();
  Core::Counters& counters = core_->counters();
  counters.handshakes.fetch_add(1, std::memory_order_relaxed);
  if (SSL_session_reused(ssl)) counters.resumed.fetch_add(1, std::memory_order_relaxed);
  if (core_->server()) {
    if (const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name); name != nullptr) {
      peer_.sni = absl::AsciiStrToLower(name);
    }
  }
  const uint8_t* alpn;
  unsigned alpn_size;
  SSL_get0_alpn_selected(ssl, &alpn, &alpn_size);
  peer_.alpn.assign(reinterpret_cast<const char*>(alpn), alpn_size);
  peer_.tls_version = SSL_get_version(ssl);
  peer_.cipher = SSL_CIPHER_get_name(SSL_get_current_cipher(ssl));
  // With several certificates they are one workload's or one gateway's; the first speaks for it.
  if (!core_->certificates().empty()) peer_.local_uri_sans = core_->certificates()[0].uri_sans;
}

int TlsTransport::OnNewSession(SSL* ssl, SSL_SESSION* session) {
  auto* self = static_cast<TlsTransport*>(SSL_get_app_data(ssl));
  if (self->session_key_ == nullptr) return 0;
  self->core_->KeepSession(*self->session_key_, bssl::UniquePtr<SSL_SESSION>(session));
  return 1;
}

// --------------------------------------------------------------------------------------------------------------
// I/O

IoResult TlsTransport::Read(int fd, base::Buffer& in, size_t) {
  switch (state_) {
    case State::kFailed:
      return Broken();
    case State::kClosed:
      return {.outcome = IoOutcome::kEof};
    case State::kStart:
      if (!core_->server()) {  // the client speaks first
        Handshake();
        if (!Send(fd) || state_ == State::kFailed) return Broken();
        return {.outcome = IoOutcome::kWouldBlock};
      }
      break;
    case State::kHandshake:
    case State::kReady:
      break;
  }
  char* const cipher = ThreadScratch().in.get();
  ssize_t n;
  do {
    n = recv(fd, cipher, kCipherIn, 0);
  } while (n < 0 && errno == EINTR);
  if (n < 0) {
    if (errno == EAGAIN) return {.outcome = IoOutcome::kWouldBlock, .drained = true};
    system_error_ = errno;
    return Broken();
  }
  // A FIN without close_notify cuts nothing that HTTP would not notice by itself; Envoy takes it as
  // the end too.
  if (n == 0) return {.outcome = IoOutcome::kEof};
  feed_ = {cipher, static_cast<size_t>(n)};
  IoResult result = {.drained = static_cast<size_t>(n) < kCipherIn};
  bool finished = false;
  if (state_ != State::kReady) {
    Handshake();
    finished = state_ == State::kReady;
  }
  if (state_ == State::kReady) result.bytes = Decrypt(in);
  feed_ = {};
  // The client's Finished needs no answer in TLS 1.3 (BoringSSL keeps the ticket until there is
  // something to send), and the client's request may wait for its acknowledgement.
  if (finished && core_->server() && result.bytes == 0 && ThreadScratch().out.empty()) {
    AcknowledgeNow(fd);
  }
  if (!Send(fd) && state_ != State::kFailed) return Broken();
  if (state_ == State::kFailed) return Broken();
  if (state_ == State::kClosed) {
    if (result.bytes == 0) return {.outcome = IoOutcome::kEof};
    result.drained = false;  // there is an end to be read
  }
  return result;
}

size_t TlsTransport::Decrypt(base::Buffer& in) {
  size_t total = 0;
  while (!feed_.empty() || SSL_pending(ssl_.get()) > 0) {
    const auto room = in.Reserve(kMaxPlain);
    const int n = SSL_read(ssl_.get(), room.data(), static_cast<int>(room.size()));
    in.Commit(n > 0 ? static_cast<size_t>(n) : 0);
    if (n > 0) {
      total += static_cast<size_t>(n);
      continue;
    }
    const int error = SSL_get_error(ssl_.get(), n);
    if (error == SSL_ERROR_WANT_READ) break;
    if (error == SSL_ERROR_ZERO_RETURN) {
      state_ = State::kClosed;
    } else {
      Fail(error);
    }
    break;
  }
  return total;
}

IoResult TlsTransport::Write(int fd, base::Buffer& out) {
  switch (state_) {
    case State::kFailed:
      return Broken();
    case State::kStart:
      if (!core_->server()) {
        Handshake();
        if (!Send(fd) || state_ == State::kFailed) return Broken();
      }
      return {.outcome = pending_.empty() ? IoOutcome::kProgress : IoOutcome::kWouldBlock};
    case State::kHandshake:
      if (!SendPending(fd)) return Broken();
      return {.outcome = pending_.empty() ? IoOutcome::kProgress : IoOutcome::kWouldBlock};
    case State::kReady:
    case State::kClosed:  // the peer is done; it may still listen
      break;
  }
  if (!SendPending(fd)) return Broken();
  if (!pending_.empty()) return {.outcome = IoOutcome::kWouldBlock};
  IoResult result;
  result.bytes = Encrypt(out);
  if (!Send(fd) || state_ == State::kFailed) return Broken();
  if (!pending_.empty()) result.outcome = IoOutcome::kWouldBlock;
  return result;
}

size_t TlsTransport::Encrypt(base::Buffer& out) {
  Scratch& scratch = ThreadScratch();
  size_t total = 0;
  while (!out.empty() && scratch.out.size() < kCipherOut) {
    absl::string_view plain = out.Front().substr(0, kMaxPlain);
    if (plain.size() < kGoodRecord && plain.size() < out.size()) {
      iovec runs[64];
      const int count = out.Slices(runs, 64);
      size_t size = 0;
      for (int i = 0; i < count && size < kMaxPlain; ++i) {
        const size_t n = std::min(runs[i].iov_len, kMaxPlain - size);
        std::memcpy(scratch.plain.get() + size, runs[i].iov_base, n);
        size += n;
      }
      plain = {scratch.plain.get(), size};
    }
    const int n = SSL_write(ssl_.get(), plain.data(), static_cast<int>(plain.size()));
    if (n <= 0) {
      Fail(SSL_get_error(ssl_.get(), n));
      break;
    }
    out.Consume(static_cast<size_t>(n));
    total += static_cast<size_t>(n);
  }
  return total;
}

void TlsTransport::Shutdown(int fd) {
  if (state_ != State::kReady && state_ != State::kClosed) return;
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
  Send(fd);
}

}  // namespace heddle::tls
