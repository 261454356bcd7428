#include "source/net/client_hello.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "test/net/hello_bytes.h"

namespace heddle::net {
namespace {

using test::HelloBytes;
using test::HelloRecord;

SCENARIO("server name and protocols are read from a hello") {
  ClientHello hello;
  CHECK(ParseClientHello(HelloRecord("Reviews.Example.COM", {"h2", "http/1.1"}), &hello) ==
        HelloOutcome::kHello);
  CHECK(hello.sni == "reviews.example.com");
  CHECK(hello.alpn == std::vector<std::string>{"h2", "http/1.1"});

  ClientHello plain;
  CHECK(ParseClientHello(HelloRecord("", {}), &plain) == HelloOutcome::kHello);
  CHECK(plain.sni.empty());
  CHECK(plain.alpn.empty());
}

SCENARIO("any prefix of a hello asks for more, and bytes after it do not matter") {
  const std::string whole = HelloRecord("a.b", {"h2"});
  for (size_t n = 0; n < whole.size(); ++n) {
    ClientHello hello;
    CAPTURE(n);
    CHECK(ParseClientHello(absl::string_view(whole).substr(0, n), &hello) ==
          HelloOutcome::kNeedMore);
  }
  ClientHello hello;
  CHECK(ParseClientHello(whole + "early data", &hello) == HelloOutcome::kHello);
}

SCENARIO("a hello cut into several records is joined") {
  const std::string message = HelloBytes("cut.example", {"h2"});
  for (const size_t cut : {1U, 2U, 3U, 7U, 50U}) {
    std::string wire;
    for (size_t at = 0; at < message.size(); at += cut)
      wire += test::Record(message.substr(at, cut));
    ClientHello hello;
    CAPTURE(cut);
    CHECK(ParseClientHello(wire, &hello) == HelloOutcome::kHello);
    CHECK(hello.sni == "cut.example");
    CHECK(ParseClientHello(wire.substr(0, wire.size() - 1), &hello) == HelloOutcome::kNeedMore);
  }
}

SCENARIO("what is not TLS is told at the first byte that shows it") {
  ClientHello hello;
  for (const std::string& text :
       {std::string("G"), std::string("GET / HTTP/1.1\r\n"), std::string("\x16\x02", 2),
        std::string("\x17\x03\x01", 3), std::string("\x16\x03\x01\x00\x00", 5),
        std::string("\x16\x03\x01\xff\xff", 5),
        std::string("\x16\x03\x01\x00\x04\x02\x00\x00\x00", 9)}) {
    CAPTURE(text);
    CHECK(ParseClientHello(text, &hello) == HelloOutcome::kNotTls);
  }
  CHECK(ParseClientHello("\x16", &hello) == HelloOutcome::kNeedMore);
  CHECK(ParseClientHello("", &hello) == HelloOutcome::kNeedMore);
}

SCENARIO("a hello with a broken length inside is not TLS, whichever byte is broken") {
  const std::string whole = HelloRecord("name.example", {"h2"});
  for (size_t at = 5; at < whole.size(); ++at) {
    for (const int value : {0x00, 0x7f, 0xff}) {
      std::string broken = whole;
      broken[at] = static_cast<char>(value);
      ClientHello hello;
      ParseClientHello(broken, &hello);  // must not crash; the answer depends on the byte
      CHECK(hello.sni.size() <= 255);
    }
  }
  ClientHello hello;
  CHECK(ParseClientHello(HelloRecord(std::string("a\0b", 3), {}), &hello) == HelloOutcome::kNotTls);
  CHECK(ParseClientHello(HelloRecord(std::string(256, 'a'), {}), &hello) == HelloOutcome::kNotTls);
  CHECK(ParseClientHello(HelloRecord("a", {""}), &hello) == HelloOutcome::kNotTls);
}

SCENARIO("HTTP is told from its first bytes") {
  struct Case {
    const char* bytes;
    HttpKind kind;
  };
  for (const Case& c : {
           Case{"GET / HTTP/1.1\r\n", HttpKind::kHttp11},
           Case{"POST /a b HTTP/1.0\n", HttpKind::kHttp10},
           Case{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HttpKind::kHttp2},
           Case{"PRI * HTTP/2.0\r\n\r\nSM", HttpKind::kNeedMore},
           Case{"P", HttpKind::kNeedMore},
           Case{"PR", HttpKind::kNeedMore},
           Case{"PUT /", HttpKind::kNeedMore},
           Case{"GET /", HttpKind::kNeedMore},
           Case{"M-SEARCH * HTTP/1.1\r\n", HttpKind::kHttp11},
           Case{"get / HTTP/1.1\r\n", HttpKind::kNotHttp},
           Case{"*1\r\n$4\r\nPING\r\n", HttpKind::kNotHttp},
           Case{"\x16\x03\x01", HttpKind::kNotHttp},
           Case{"HELO mail\r\n", HttpKind::kNotHttp},
           Case{"QUIT\r\n", HttpKind::kNotHttp},
           Case{" / HTTP/1.1\r\n", HttpKind::kNotHttp},
       }) {
    CAPTURE(c.bytes);
    CHECK(SniffHttp(c.bytes) == c.kind);
  }
  CHECK(SniffHttp("GET /" + std::string(kMaxRequestLineBytes, 'a')) == HttpKind::kNotHttp);
}

}  // namespace
}  // namespace heddle::net
