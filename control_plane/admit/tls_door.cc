#include "control_plane/admit/tls_door.h"

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include "absl/strings/str_cat.h"
#include "source/base/status.h"

namespace heddle::admit {
namespace {

template <auto free_function>
struct Free {
  template <typename T>
  void operator()(T* object) const {
    free_function(object);
  }
};
using BioPtr = std::unique_ptr<BIO, Free<BIO_free_all>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using CertPtr = std::unique_ptr<X509, Free<X509_free>>;

absl::Status Wrong(absl::string_view what) {
  const unsigned long first = ERR_get_error();
  ERR_clear_error();
  char text[200] = "";
  if (first != 0) ERR_error_string_n(first, text, sizeof(text));
  return absl::InvalidArgumentError(absl::StrCat("webhook certificate: ", what, " ", text));
}

int NoPassword(char*, int, int, void*) { return -1; }

absl::StatusOr<std::shared_ptr<SSL_CTX>> MakeContext(const Certificate& certificate) {
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  // Each connection serves one review: sessions would only keep memory.
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context.get(), 0);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET);

  const BioPtr chain(
      BIO_new_mem_buf(certificate.chain.data(), static_cast<int>(certificate.chain.size())));
  const CertPtr leaf(PEM_read_bio_X509(chain.get(), nullptr, NoPassword, nullptr));
  if (leaf == nullptr || SSL_CTX_use_certificate(context.get(), leaf.get()) != 1)
    return Wrong("the chain holds no certificate;");
  while (true) {
    CertPtr next(PEM_read_bio_X509(chain.get(), nullptr, NoPassword, nullptr));
    if (next == nullptr) break;
    if (SSL_CTX_add0_chain_cert(context.get(), next.get()) != 1) return Wrong("the chain:");
    (void)next.release();  // the context has it now
  }
  ERR_clear_error();  // the end of the text
  const BioPtr key_text(
      BIO_new_mem_buf(certificate.key.data(), static_cast<int>(certificate.key.size())));
  const KeyPtr key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, NoPassword, nullptr));
  if (key == nullptr) return Wrong("no private key in PEM;");
  if (SSL_CTX_use_PrivateKey(context.get(), key.get()) != 1 ||
      SSL_CTX_check_private_key(context.get()) != 1)
    return Wrong("the key is not the certificate's;");
  return context;
}

}  // namespace

// Where an SSL keeps its entry; freeing the SSL forgets the entry.
struct OpenIndex {
  static int Get() {
    static const int index = SSL_get_ex_new_index(
        0, nullptr, nullptr, nullptr, [](void*, void* entry, CRYPTO_EX_DATA*, int, long, void*) {
          if (entry == nullptr) return;
          auto* open = static_cast<TlsDoor::Open*>(entry);
          open->door->open_.erase(open->self);
        });
    return index;
  }
};

absl::StatusOr<std::unique_ptr<TlsDoor>> TlsDoor::Create(const Certificate& certificate,
                                                         TlsDoorOptions options) {
  auto out = std::unique_ptr<TlsDoor>(new TlsDoor(options));
  HEDDLE_RETURN_IF_ERROR(out->SetCertificate(certificate));
  return out;
}

TlsDoor::~TlsDoor() { HEDDLE_CHECK(open_.empty()) << "the server is destroyed before its door"; }

absl::Status TlsDoor::SetCertificate(const Certificate& certificate) {
  HEDDLE_ASSIGN_OR_RETURN(std::shared_ptr<SSL_CTX> fresh, MakeContext(certificate));
  absl::MutexLock lock(&mutex_);
  context_ = std::move(fresh);
  return absl::OkStatus();
}

bufferevent* TlsDoor::Make(event_base* base) {
  SSL* ssl = nullptr;
  {
    absl::MutexLock lock(&mutex_);
    ssl = SSL_new(context_.get());
  }
  HEDDLE_CHECK(ssl != nullptr) << "out of memory";
  const bool full = open_.size() >= options_.max_connections;
  open_.push_back({.door = this,
                   .connection = nullptr,
                   .until = full ? absl::InfinitePast() : absl::Now() + options_.longest,
                   .self = {}});
  Open& entry = open_.back();
  entry.self = std::prev(open_.end());
  SSL_set_ex_data(ssl, OpenIndex::Get(), &entry);
  entry.connection = bufferevent_openssl_socket_new(base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING,
                                                    BEV_OPT_CLOSE_ON_FREE);
  HEDDLE_CHECK(entry.connection != nullptr) << "out of memory";
  // Who goes away without saying so is gone all the same.
  bufferevent_openssl_set_allow_dirty_shutdown(entry.connection, 1);
  return entry.connection;
}

void TlsDoor::Sweep() {
  const absl::Time now = absl::Now();
  // The server sees the end of the stream and frees the connection, which may be later.
  for (const Open& one : open_)
    if (one.until <= now) ::shutdown(bufferevent_getfd(one.connection), SHUT_RDWR);
}

}  // namespace heddle::admit
