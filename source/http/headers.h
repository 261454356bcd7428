// Header fields of one message, and the heads built on them.
//
// Names are lower case. Text lives in an arena that belongs to the Headers, so views stay valid
// until the Headers is destroyed or moved from (a move keeps them valid in the new owner). Common
// names have a small integer id: the request path compares integers.
//
//   RequestHead head;
//   head.headers.Add("x-request-id", id);
//   if (auto te = head.headers.Get(HeaderId::kTe)) ...
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/container/inlined_vector.h"
#include "absl/strings/string_view.h"

namespace heddle::http {

// Names the proxy itself looks at. The table of texts stands in headers.cc in this order. kOther:
// look at the name.
enum class HeaderId : uint8_t {
  kOther,
  kAccept,
  kAcceptEncoding,
  kAuthorization,
  kB3,
  kCacheControl,
  kConnection,
  kContentEncoding,
  kContentLength,
  kContentType,
  kCookie,
  kDate,
  kExpect,
  kGrpcMessage,
  kGrpcStatus,
  kGrpcTimeout,
  kHost,
  kHttp2Settings,
  kKeepAlive,
  kLocation,
  kOrigin,
  kProxyConnection,
  kReferer,
  kRetryAfter,
  kServer,
  kSetCookie,
  kTe,
  kTraceparent,
  kTracestate,
  kTrailer,
  kTransferEncoding,
  kUpgrade,
  kUserAgent,
  kVia,
  kXEnvoyAttemptCount,
  kXEnvoyDecoratorOperation,
  kXEnvoyDegraded,
  kXEnvoyExpectedRqTimeoutMs,
  kXEnvoyHedgeOnPerTryTimeout,
  kXEnvoyImmediateHealthCheckFail,
  kXEnvoyInternal,
  kXEnvoyMaxRetries,
  kXEnvoyOriginalHost,
  kXEnvoyOriginalPath,
  kXEnvoyOverloaded,
  kXEnvoyRatelimited,
  kXEnvoyRetriableHeaderNames,
  kXEnvoyRetriableStatusCodes,
  kXEnvoyRetryGrpcOn,
  kXEnvoyRetryOn,
  kXEnvoyUpstreamRqPerTryTimeoutMs,
  kXEnvoyUpstreamRqTimeoutAltResponse,
  kXEnvoyUpstreamRqTimeoutMs,
  kXEnvoyUpstreamServiceTime,
  kXForwardedClientCert,
  kXForwardedFor,
  kXForwardedHost,
  kXForwardedProto,
  kXRequestId,
  kCount,
};

HeaderId IdOf(absl::string_view lower_case_name);  // kOther when not in the table; no allocation
absl::string_view NameOf(HeaderId id);             // static text; not for kOther

// Bump allocator of one message. Grows by doubling blocks; the first is 2 KiB (a usual head and
// what is added to it) and comes from a per-thread free list.
class Arena {
 public:
  Arena() = default;
  ~Arena();
  Arena(Arena&& other) noexcept;
  Arena& operator=(Arena&& other) noexcept;
  char* Allocate(size_t bytes);
  absl::string_view Copy(absl::string_view text);

 private:
  struct Block;
  Block* blocks_ = nullptr;
  char* free_ = nullptr;
  size_t room_ = 0;
};

class Headers {
 public:
  struct Entry {
    HeaderId id;
    absl::string_view name;  // lower case
    absl::string_view value;
  };
  using Entries = absl::InlinedVector<Entry, 16>;

  Headers() = default;
  Headers(Headers&&) = default;
  Headers& operator=(Headers&&) = default;
  Headers Copy() const;

  // Both copy their text into the arena. `name` must be lower case already.
  void Add(absl::string_view name, absl::string_view value);
  void Add(HeaderId id, absl::string_view value);
  // `name` lowered while copying: for parsers and configured names.
  void AddLowering(absl::string_view name, absl::string_view value);
  // Without a copy: both views point into arena() or are static; `name` is lower case and `id` is
  // its IdOf.
  void AddView(HeaderId id, absl::string_view name, absl::string_view value) {
    entries_.push_back(Entry{id, name, value});
  }
  // Replaces every field of that name by one.
  void Set(HeaderId id, absl::string_view value);
  void Set(absl::string_view name, absl::string_view value);
  // First value, none when absent. (Several values: iterate, or GetAll joins with ",".)
  std::optional<absl::string_view> Get(HeaderId id) const;
  std::optional<absl::string_view> Get(absl::string_view name) const;
  std::string GetAll(absl::string_view name) const;
  bool Has(HeaderId id) const { return Get(id).has_value(); }
  size_t Remove(HeaderId id);  // how many fields went
  size_t Remove(absl::string_view name);

  const Entries& entries() const { return entries_; }
  Entries& mutable_entries() { return entries_; }
  bool empty() const { return entries_.empty(); }
  size_t size() const { return entries_.size(); }
  size_t bytes() const;  // sum of name + value
  Arena& arena() { return arena_; }

 private:
  Arena arena_;
  Entries entries_;
};

enum class Protocol : uint8_t { kHttp10, kHttp11, kHttp2 };
absl::string_view ProtocolName(Protocol p);  // "HTTP/1.1"

// A request's head. `headers` holds no pseudo-headers and no host field: authority is the one place
// for it.
struct RequestHead {
  absl::string_view method;  // views into headers.arena(), or static text
  absl::string_view scheme;
  absl::string_view authority;
  absl::string_view path;  // with query; "*" for OPTIONS *, empty for CONNECT
  absl::string_view
      protocol;  // extended CONNECT (RFC 8441) or HTTP/1 upgrade token ("websocket"); else empty
  Protocol version = Protocol::kHttp11;
  bool keep_alive = true;  // HTTP/1: what the message asked of the connection
  Headers headers;

  void SetMethod(absl::string_view v) { method = headers.arena().Copy(v); }
  void SetScheme(absl::string_view v) { scheme = headers.arena().Copy(v); }
  void SetAuthority(absl::string_view v) { authority = headers.arena().Copy(v); }
  void SetPath(absl::string_view v) { path = headers.arena().Copy(v); }
  bool upgrade() const { return !protocol.empty(); }
  absl::string_view path_without_query() const;
  absl::string_view query() const;  // without '?', empty when none
  bool grpc() const;                // content-type application/grpc[+...]
  RequestHead Copy() const;         // for retries and mirrors
};

struct ResponseHead {
  int status = 0;  // 100..599
  Protocol version = Protocol::kHttp11;
  bool keep_alive = true;
  Headers headers;
  bool informational() const { return status >= 100 && status < 200; }
  ResponseHead Copy() const;
};

using Trailers = Headers;

}  // namespace heddle::http
