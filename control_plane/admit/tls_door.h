// TLS for the webhook server: what each accepted connection is read and written by. Bounds how many
// connections there are and how long one may last, and lets the certificate be swapped at run time.
#pragma once

#include <list>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

struct bufferevent;
struct event_base;
struct ssl_ctx_st;

namespace heddle::admit {

// PEM. The chain begins with the server's own certificate.
struct Certificate {
  std::string chain;
  std::string key;
};

struct TlsDoorOptions {
  size_t max_connections = 256;                // those above are closed at the next sweep
  absl::Duration longest = absl::Seconds(15);  // from the accept to the last byte
};

class TlsDoor {
 public:
  static absl::StatusOr<std::unique_ptr<TlsDoor>> Create(const Certificate& certificate,
                                                         TlsDoorOptions options);
  // Every connection was freed.
  ~TlsDoor();

  // New connections use it. Any thread. On error the former one stays.
  absl::Status SetCertificate(const Certificate& certificate);

  // On the server's thread, as Sweep. The connection is forgotten when the bufferevent is freed.
  bufferevent* Make(event_base* base);
  // Ends connections that are too many or too old.
  void Sweep();
  size_t connections() const { return open_.size(); }

 private:
  struct Open {
    TlsDoor* door;
    bufferevent* connection = nullptr;
    absl::Time until;
    std::list<Open>::iterator self;
  };
  friend struct OpenIndex;

  explicit TlsDoor(TlsDoorOptions options) : options_(options) {}

  const TlsDoorOptions options_;
  std::list<Open> open_;
  absl::Mutex mutex_;
  std::shared_ptr<ssl_ctx_st> context_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace heddle::admit
