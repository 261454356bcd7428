// Reads the server name and the protocols out of a TLS ClientHello without decrypting anything:
// what a filter chain is chosen by. Sans-I/O; never trusts a length.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace heddle::net {

struct ClientHello {
  std::string sni;                // lower case, empty when absent
  std::vector<std::string> alpn;  // in the client's order
};

enum class HelloOutcome {
  kNeedMore,  // what is there is a prefix of a ClientHello
  kNotTls,    // plain text, or a hello that is broken or larger than kMaxHelloBytes
  kHello,
};

// As Envoy's inspector: the largest record, though a hello may come in several.
constexpr size_t kMaxHelloBytes = 16 * 1024;

// `bytes` is everything received so far, from the first byte on. Fills `hello` when the answer is
// kHello.
HelloOutcome ParseClientHello(absl::string_view bytes, ClientHello* hello);

// The application protocol that plain bytes begin with, as Envoy's http_inspector names it.
enum class HttpKind {
  kNeedMore,
  kHttp10,
  kHttp11,
  kHttp2,    // the connection preface of RFC 9113, section 3.4
  kNotHttp,  // nothing like a request line in the first kMaxRequestLineBytes
};
constexpr size_t kMaxRequestLineBytes = 8 * 1024;
HttpKind SniffHttp(absl::string_view bytes);

}  // namespace heddle::net
