// The first bytes of any connection, from anybody: whatever they are, the answer comes without
// reading past them, and more bytes never turn a verdict round.
#include <cstdint>
#include <string>

#include "source/base/status.h"
#include "source/net/client_hello.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using heddle::net::ClientHello;
  using heddle::net::HelloOutcome;
  // A copy of the exact size, so that a sanitizer sees the byte behind it.
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  ClientHello whole;
  const HelloOutcome outcome = heddle::net::ParseClientHello(bytes, &whole);
  if (outcome == HelloOutcome::kHello) HEDDLE_CHECK(whole.sni.size() <= 255);
  for (const size_t cut : {size / 4, size / 2, size - size / 8}) {
    if (cut >= size) continue;
    ClientHello part;
    const HelloOutcome early = heddle::net::ParseClientHello(bytes.substr(0, cut), &part);
    HEDDLE_CHECK(early == HelloOutcome::kNeedMore || early == outcome)
        << "verdict changed at " << cut;
    if (early == HelloOutcome::kHello)
      HEDDLE_CHECK(part.sni == whole.sni && part.alpn == whole.alpn);
  }
  heddle::net::SniffHttp(bytes);
  return 0;
}
