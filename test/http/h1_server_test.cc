#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "source/http/h1/codec.h"
#include "test/http/peers.h"

namespace heddle::http {
namespace {

using h1::Options;

constexpr size_t kCuts[] = {1, 2, 3, 7, 4096};

ServerPeer MakeServer(const Options& options = {}) {
  return ServerPeer([options](base::Buffer* out, ServerEvents* e) {
    return h1::MakeServerCodec(options, out, e);
  });
}

// What a server makes of `input` when it answers nothing; the same for every cut.
std::string LogOf(const std::string& input, const Options& options = {}) {
  std::string log;
  for (const size_t cut : kCuts) {
    ServerPeer server([&options](base::Buffer* out, ServerEvents* e) {
      return h1::MakeServerCodec(options, out, e);
    });
    server.Feed(input, cut);
    const std::string this_log = server.Log();
    if (cut == kCuts[0]) log = this_log;
    CHECK(this_log == log);
  }
  return log;
}

std::string Get(const std::string& fields) {
  return absl::StrCat("GET / HTTP/1.1\r\nhost: a\r\n", fields, "\r\n");
}
std::string Post(const std::string& fields, const std::string& body) {
  return absl::StrCat("POST / HTTP/1.1\r\nhost: a\r\n", fields, "\r\n", body);
}

TEST_CASE("requests are read the same however they are cut") {
  struct Case {
    std::string input, log;
  };
  const std::vector<Case> cases = {
      {"GET /a?b=c HTTP/1.1\r\nHost: Example.com:80\r\nX-One: 1\r\nAccept:\t */* \r\n\r\n",
       "GET http://Example.com:80 /a?b=c x-one=1 accept=*/* end\n"},
      {Get("x-empty:\r\nx-blank:   \r\n"), "GET http://a / x-empty= x-blank= end\n"},
      {"\r\n\r\n" + Get(""), "GET http://a / end\n"},
      {Post("content-length: 5\r\n", "hello"), "POST http://a / content-length=5 body:hello end\n"},
      {Post("content-length: 0\r\n", ""), "POST http://a / content-length=0 end\n"},
      {Post("Transfer-Encoding: Chunked\r\n", "5\r\nhello\r\n6;a=b\r\n world\r\n0\r\n\r\n"),
       "POST http://a / body:hello world end\n"},
      {Post("transfer-encoding: chunked\r\n", "0\r\n\r\n"), "POST http://a / end\n"},
      {Post("transfer-encoding: chunked\r\n", "a;n=\"q v\"\r\n0123456789\r\n00\r\nx-t: 1\r\n\r\n"),
       "POST http://a / body:0123456789 end\n"},
      {"OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n", "OPTIONS http://a * end\n"},
      {"GET http://other:81/p?q HTTP/1.1\r\nhost: a\r\n\r\n", "GET http://other:81 /p?q end\n"},
      {"GET http://other HTTP/1.1\r\nhost: a\r\n\r\n", "GET http://other / end\n"},
      {"GET http://other?q HTTP/1.1\r\nhost: a\r\n\r\n", "GET http://other /?q end\n"},
      {"M-SEARCH / HTTP/1.1\r\nhost: a\r\n\r\n", "M-SEARCH http://a / end\n"},
      {Get("x-fold: one\r\n two\r\n\tthree\r\nx-next: n\r\n"),
       "GET http://a / x-fold=one two\tthree x-next=n end\n"},
      {Get("x_under_score: 1\r\n"), "GET http://a / x_under_score=1 end\n"},
      {Get("x-high: caf\xc3\xa9\r\n"), "GET http://a / x-high=caf\xc3\xa9 end\n"},
  };
  for (const Case& c : cases) {
    INFO(c.input);
    CHECK(LogOf(c.input) == c.log);
  }
}

TEST_CASE("a body of many blocks arrives whole") {
  const std::string body(100'000, 'b');
  for (const std::string& input :
       {Post("content-length: 100000\r\n", body),
        Post("transfer-encoding: chunked\r\n", absl::StrCat("186A0\r\n", body, "\r\n0\r\n\r\n"))}) {
    ServerPeer server = MakeServer();
    server.Feed(input, 5000);
    CHECK(server.last().body == body);
    CHECK(server.last().ended);
  }
}

struct Refusal {
  std::string input;
  int status;
  std::string detail;
};

void CheckRefused(const Refusal& c, const Options& options = {}) {
  for (const size_t cut : kCuts) {
    INFO(c.input << " cut " << cut);
    ServerPeer server(
        [&](base::Buffer* out, ServerEvents* e) { return h1::MakeServerCodec(options, out, e); });
    server.Feed(c.input, cut);
    CHECK(server.status.message() == c.detail);
    const std::string answer = server.TakeOutput();
    CHECK(absl::StartsWith(answer, absl::StrCat("HTTP/1.1 ", c.status, " ")));
    CHECK(absl::StrContains(answer, "\r\nconnection: close\r\n"));
    CHECK(server.codec->finished());
    // Told once: of what never was a request, or by the request there is.
    REQUIRE(server.requests.size() + server.refused.size() == 1);
    for (const auto& r : server.requests) CHECK(r->malformed == c.detail);
    for (const Malformed& m : server.refused) {
      CHECK(m.details == c.detail);
      CHECK(m.status == c.status);
      CHECK(m.kind == Malformed::Kind::kBroken);
    }
  }
}

TEST_CASE("what two parsers could read in two ways is refused") {
  const std::string kChunks = "5\r\nhello\r\n0\r\n\r\n";
  const std::string kBoth = "http1.content_length_and_chunked_not_allowed";
  const std::string kCoding = "http1.invalid_transfer_encoding";
  const std::string kCodec = "http1.codec_error";
  const std::string kCharacters = "http1.invalid_characters";
  const std::vector<Refusal> cases = {
      // Two lengths.
      {Post("content-length: 5\r\ntransfer-encoding: chunked\r\n", kChunks), 400, kBoth},
      {Post("transfer-encoding: chunked\r\ncontent-length: 5\r\n", kChunks), 400, kBoth},
      {Post("Transfer-Encoding:\tchunked \r\nContent-Length: 0\r\n", kChunks), 400, kBoth},
      {Post("transfer-encoding: identity\r\ncontent-length: 5\r\n", "hello"), 400, kBoth},
      {Post("transfer-encoding: xchunked\r\ncontent-length: 5\r\n", "hello"), 400, kBoth},
      {Post("content-length: 5\r\ncontent-length: 6\r\n", "hello!"), 400, kCodec},
      {Post("content-length: 5\r\ncontent-length: 5\r\n", "hello"), 400, kCodec},
      {Post("content-length: 5, 5\r\n", "hello"), 400, kCodec},
      // Lengths that are not digits.
      {Post("content-length: 0x5\r\n", "hello"), 400, kCodec},
      {Post("content-length: +5\r\n", "hello"), 400, kCodec},
      {Post("content-length: -5\r\n", "hello"), 400, kCodec},
      {Post("content-length:\r\n", "hello"), 400, kCodec},
      {Post("content-length: 5 5\r\n", "hello"), 400, kCodec},
      {Post("content-length: 5_0\r\n", "hello"), 400, kCodec},
      {Post("content-length: 99999999999999999999\r\n", "hello"), 400, kCodec},
      {Post("content-length: 18446744073709551621\r\n", "hello"), 400, kCodec},
      // Codings that are not exactly chunked.
      {Post("transfer-encoding: ,chunked\r\n", kChunks), 501, kCoding},
      {Post("transfer-encoding: chunked,\r\n", kChunks), 501, kCoding},
      {Post("transfer-encoding: chunked, chunked\r\n", kChunks), 501, kCoding},
      {Post("transfer-encoding: identity, chunked\r\n", kChunks), 501, kCoding},
      {Post("transfer-encoding: chunked, identity\r\n", kChunks), 501, kCoding},
      {Post("transfer-encoding: identity\r\n", kChunks), 501, kCoding},
      {Post("transfer-encoding: gzip\r\n", kChunks), 501, kCoding},
      {Post("transfer-encoding:\r\n", kChunks), 501, kCoding},
      {Post("transfer-encoding: \"chunked\"\r\n", kChunks), 501, kCoding},
      {Post("transfer-encoding: chunked;a=b\r\n", kChunks), 501, kCoding},
      {Post("transfer-encoding: \xa0"
            "chunked\r\n",
            kChunks),
       501, kCoding},
      {Post("transfer-encoding:\xa0"
            "chunked\r\n",
            kChunks),
       501, kCoding},
      {Post("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", kChunks), 501, kCoding},
      {Post("transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n", kChunks), 501,
       kCoding},
      {Post("transfer-encoding: chun\r\n ked\r\n", kChunks), 501, kCoding},
      {Post("transfer-encoding\xa0: chunked\r\n", kChunks), 400, kCodec},
      // Lines.
      {Post("content-length : 5\r\n", "hello"), 400, kCodec},
      {Post("transfer-encoding : chunked\r\n", kChunks), 400, kCodec},
      {"GET / HTTP/1.1\r\n host: a\r\n\r\n", 400, kCodec},
      {"GET / HTTP/1.1\nhost: a\n\n", 400, kCodec},
      {"GET / HTTP/1.1\r\nhost: a\n\r\n", 400, kCodec},
      {"GET / HTTP/1.1\r\nhost: a\r\nx: y\n\n", 400, kCodec},
      {"GET / HTTP/1.1\rhost: a\r\r", 400, kCodec},
      {"GET / HTTP/1.1\r\nhost: a\r\nx: y\rz: w\r\n\r\n", 400, kCodec},
      {"GET / HTTP/1.1\r\nhost: a\r\nx:\rtransfer-encoding: chunked\r\n\r\n", 400, kCodec},
      {"GET / HTTP/1.1\r\nhost: a\r\nx: y\r\r\n\r\n", 400, kCodec},
      {Get("x: a\rb\r\n"), 400, kCodec},
      {Get(std::string("x: a\0b\r\n", 8)), 400, kCharacters},
      {Get(std::string("x\0y: a\r\n", 8)), 400, kCharacters},
      {Get("x: a\x01"
           "b\r\n"),
       400, kCharacters},
      {Get("x: a\x7f\r\n"), 400, kCharacters},
      {Get("x\x85: a\r\n"), 400, kCodec},
      {Get("x y: a\r\n"), 400, kCodec},
      {Get("x(y): a\r\n"), 400, kCodec},
      {Get("no colon\r\n"), 400, kCodec},
      {Get("nocolon\r\n"), 400, kCodec},
      {Get(": a\r\n"), 400, kCodec},
      // Chunks.
      {Post("transfer-encoding: chunked\r\n", "5 x\r\nhello\r\n0\r\n\r\n"), 400, kCodec},
      {Post("transfer-encoding: chunked\r\n", "5\rx\nhello\r\n0\r\n\r\n"), 400, kCodec},
      {Post("transfer-encoding: chunked\r\n", "5;a\rb=c\r\nhello\r\n0\r\n\r\n"), 400, kCodec},
      {Post("transfer-encoding: chunked\r\n", "5;a\nhello\r\n0\r\n\r\n"), 400, kCodec},
      {Post("transfer-encoding: chunked\r\n", "5\nhello\r\n0\r\n\r\n"), 400, kCodec},
      {Post("transfer-encoding: chunked\r\n", "0x5\r\nhello\r\n0\r\n\r\n"), 400, kCodec},
      {Post("transfer-encoding: chunked\r\n", "+5\r\nhello\r\n0\r\n\r\n"), 400, kCodec},
      {Post("transfer-encoding: chunked\r\n", "-5\r\nhello\r\n0\r\n\r\n"), 400, kCodec},
      {Post("transfer-encoding: chunked\r\n", " 5\r\nhello\r\n0\r\n\r\n"), 400, kCodec},
      {Post("transfer-encoding: chunked\r\n", "\r\nhello\r\n0\r\n\r\n"), 400, kCodec},
      {Post("transfer-encoding: chunked\r\n", "10000000000000005\r\nhello\r\n0\r\n\r\n"), 400,
       kCodec},
      {Post("transfer-encoding: chunked\r\n", "5\r\nhelloX\r\n0\r\n\r\n"), 400, kCodec},
      {Post("transfer-encoding: chunked\r\n", "5\r\nhello\n0\r\n\r\n"), 400, kCodec},
      {Post("transfer-encoding: chunked\r\n", "5\r\nhelloXX0\r\n\r\n"), 400, kCodec},
      {Post("transfer-encoding: chunked\r\n", "0\r\nx y: z\r\n\r\n"), 400, kCodec},
      {Post("transfer-encoding: chunked\r\n", "0\r\nx: z\n\r\n"), 400, kCodec},
      {Post("transfer-encoding: chunked\r\n", "0;" + std::string(20'000, 'x') + "\r\n\r\n"), 400,
       kCodec},
      // CONNECT.
      {"CONNECT a:80 HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n", 400,
       "http1.content_length_not_allowed"},
      {"CONNECT a:80 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n", 501, kCoding},
      {"CONNECT / HTTP/1.1\r\nhost: a\r\n\r\n", 400, "http1.invalid_url"},
      {"CONNECT http://a:80/ HTTP/1.1\r\nhost: a\r\n\r\n", 400, "http1.invalid_url"},
      {"CONNECT a HTTP/1.1\r\nhost: a\r\n\r\n", 400, "http1.invalid_url"},
      // Methods, versions, targets, hosts.
      {"BREW / HTTP/1.1\r\nhost: a\r\n\r\n", 400, kCodec},
      {"get / HTTP/1.1\r\nhost: a\r\n\r\n", 400, kCodec},
      {"GET  / HTTP/1.1\r\nhost: a\r\n\r\n", 400, kCodec},
      {"GET /  HTTP/1.1\r\nhost: a\r\n\r\n", 400, kCodec},
      {"GET\t/ HTTP/1.1\r\nhost: a\r\n\r\n", 400, kCodec},
      {"GET /\tx HTTP/1.1\r\nhost: a\r\n\r\n", 400, kCodec},
      {"GET /\xc3\xa9 HTTP/1.1\r\nhost: a\r\n\r\n", 400, kCodec},
      {"GET / HTTP/1.1 \r\nhost: a\r\n\r\n", 400, kCodec},
      {"GET / HTTP/1.10\r\nhost: a\r\n\r\n", 400, kCodec},
      {"GET / HTTP/01.1\r\nhost: a\r\n\r\n", 400, kCodec},
      {"GET / HTTP/257.1\r\nhost: a\r\n\r\n", 400, kCodec},
      {"GET / HTTP/1.257\r\nhost: a\r\n\r\n", 400, kCodec},
      {"GET / HTTP/1.2\r\nhost: a\r\n\r\n", 426, "low_version"},
      {"GET / HTTP/2.0\r\nhost: a\r\n\r\n", 426, "low_version"},
      {"GET / HTTP/1.0\r\nhost: a\r\n\r\n", 426, "low_version"},
      {"GET / HTTP/0.9\r\nhost: a\r\n\r\n", 426, "low_version"},
      {"GET / http/1.1\r\nhost: a\r\n\r\n", 400, kCodec},
      {"GET / ICE/1.0\r\nhost: a\r\n\r\n", 400, kCodec},
      {"DESCRIBE / RTSP/1.0\r\nhost: a\r\n\r\n", 400, kCodec},
      {"PRI * HTTP/2.0\r\n\r\n", 400, kCodec},
      {"GET * HTTP/1.1\r\nhost: a\r\n\r\n", 400, "http1.invalid_url"},
      {"GET nopath HTTP/1.1\r\nhost: a\r\n\r\n", 400, kCodec},
      {"GET ftp://a/ HTTP/1.1\r\nhost: a\r\n\r\n", 400, "http1.invalid_scheme"},
      {"GET https://a/ HTTP/1.1\r\nhost: a\r\n\r\n", 400, "http1.invalid_scheme"},
      {"GET http://u@a/ HTTP/1.1\r\nhost: a\r\n\r\n", 400, "http1.invalid_url"},
      {"GET http:/// HTTP/1.1\r\nhost: a\r\n\r\n", 400, "http1.invalid_url"},
      {"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400, kCodec},
      {"GET / HTTP/1.1\r\nhost: a/b\r\n\r\n", 400, "http.invalid_authority"},
      {"GET / HTTP/1.1\r\nhost: a b\r\n\r\n", 400, "http.invalid_authority"},
      {"GET / HTTP/1.1\r\nhost: u@a\r\n\r\n", 400, "http.invalid_authority"},
      {"\x16\x03\x01\x02", 400, kCodec},
      // Nominations.
      {Get("connection: x-forwarded-for\r\n"), 400, "http1.connection_header_rejected"},
      {Get("connection: close, :path\r\n"), 400, "http1.connection_header_rejected"},
      {Get("connection: x-forwarded-client-cert\r\n"), 400, "http1.connection_header_rejected"},
      {Get("connection: a,b,c,d,e,f,g,h,i,j,k\r\n"), 400, "http1.connection_header_rejected"},
  };
  for (const Refusal& c : cases) CheckRefused(c);
}

TEST_CASE("a request without a host is the receiver's to refuse") {
  CHECK(LogOf("GET /a HTTP/1.1\r\n\r\n") == "GET http:// /a end\n");
  CHECK(LogOf("GET /a HTTP/1.1\r\nhost:\r\n\r\n") == "GET http:// /a end\n");
  CHECK(LogOf("GET /a HTTP/1.1\r\nhost: a\r\nconnection: Host\r\n\r\n") == "GET http:// /a end\n");
  // Nor is there one in the target, then.
  CHECK(LogOf("GET http://a/b HTTP/1.1\r\n\r\n") == "GET http:// http://a/b end\n");
}

TEST_CASE("a head that takes too long is given up with an answer, and nothing else is") {
  ServerPeer server = MakeServer();
  const Malformed late{
      .status = 408, .details = "request_header_timeout", .kind = Malformed::Kind::kLate};
  server.Feed("GET / HTTP/1.1\r\nhost");
  server.codec->GiveUp(late);
  REQUIRE(server.refused.size() == 1);
  CHECK(server.refused[0].details == "request_header_timeout");
  CHECK(absl::StartsWith(server.TakeOutput(), "HTTP/1.1 408 Request Timeout\r\n"));
  CHECK(server.codec->finished());

  ServerPeer busy = MakeServer();
  busy.Feed(Get(""));
  busy.codec->GiveUp(late);
  CHECK(busy.refused.empty());
  busy.last().Reply(200, "");
  CHECK(absl::StartsWith(busy.TakeOutput(), "HTTP/1.1 200 OK\r\n"));
}

TEST_CASE("a broken body after the response began ends the connection without a word") {
  ServerPeer server = MakeServer();
  server.Feed(Post("transfer-encoding: chunked\r\n", "5\r\nhello\r\n"));
  server.last().stream->SendHead(Served::Head(200), false);
  server.TakeOutput();
  server.Feed("zz\r\n");
  CHECK(server.status.message() == "http1.codec_error");
  CHECK(server.TakeOutput().empty());
  CHECK(server.last().malformed == "http1.codec_error");
  CHECK(server.last().reset == ResetReason::kProtocolError);
}

TEST_CASE("HTTP/1.0 is answered in its own version") {
  Options options;
  options.accept_http_10 = true;
  ServerPeer server = MakeServer(options);
  server.on_request = [](Served& s) { s.Reply(200, ""); };
  server.Feed("GET / HTTP/1.0\r\nhost: a\r\n\r\n");
  CHECK(absl::StartsWith(server.TakeOutput(), "HTTP/1.0 200 OK\r\n"));
}

TEST_CASE("limits on heads and trailers answer 431") {
  Options options;
  options.max_headers_count = 3;
  options.max_headers_bytes = 200;
  CheckRefused({Get("a: 1\r\nb: 2\r\nc: 3\r\n"), 431, "http1.too_many_headers"}, options);
  CheckRefused({Get("a: " + std::string(200, 'x') + "\r\n"), 431, "http1.headers_too_large"},
               options);
  CheckRefused({"GET /" + std::string(300, 'x'), 431, "http1.headers_too_large"}, options);
  const std::string chunked = "transfer-encoding: chunked\r\n";
  CheckRefused(
      {Post(chunked, "0\r\na: 1\r\nb: 2\r\nc: 3\r\nd: 4\r\n\r\n"), 431, "http1.too_many_headers"},
      options);
  CheckRefused({Post(chunked, "0\r\na: " + std::string(200, 'x') + "\r\n\r\n"), 431,
                "http1.trailers_too_large"},
               options);
  CHECK(LogOf(Get("a: 1\r\nb: 2\r\n"), options) == "GET http://a / a=1 b=2 end\n");
}

TEST_CASE("options change what is refused") {
  Options options;
  SECTION("allow_chunked_length drops the length") {
    options.allow_chunked_length = true;
    CHECK(LogOf(Post("content-length: 3\r\ntransfer-encoding: chunked\r\n",
                     "5\r\nhello\r\n0\r\n\r\n"),
                options) == "POST http://a / body:hello end\n");
    CheckRefused({Post("content-length: 3\r\ntransfer-encoding: x\r\n", "abc"), 400,
                  "http1.content_length_and_chunked_not_allowed"},
                 options);
  }
  SECTION("underscores are refused or dropped") {
    options.underscores = Options::Underscores::kReject;
    CheckRefused({Get("a_b: c\r\n"), 400, "http1.unexpected_underscore"}, options);
    options.underscores = Options::Underscores::kDrop;
    CHECK(LogOf(Get("a_b: c\r\nd: e\r\n"), options) == "GET http://a / d=e end\n");
  }
  SECTION("absolute targets are refused") {
    options.allow_absolute_url = false;
    CheckRefused({"GET http://a/ HTTP/1.1\r\nhost: a\r\n\r\n", 400, "http1.invalid_url"}, options);
  }
  SECTION("https targets pass on TLS") {
    options.secure = true;
    CHECK(LogOf("GET https://b/ HTTP/1.1\r\nhost: a\r\n\r\n", options) == "GET https://b / end\n");
    CHECK(LogOf(Get(""), options) == "GET https://a / end\n");
  }
  SECTION("trailers are passed on, without those that frame or route") {
    options.enable_trailers = true;
    CHECK(LogOf(Post("transfer-encoding: chunked\r\n",
                     "1\r\nx\r\n0\r\nX-T: 1\r\nhost: b\r\ncontent-length: 5\r\n\r\n"),
                options) == "POST http://a / body:x trailers: x-t=1 end\n");
  }
  SECTION("HTTP/1.0 is accepted, never with a coding") {
    options.accept_http_10 = true;
    CHECK(LogOf("GET / HTTP/1.0\r\nhost: a\r\n\r\n", options) == "GET http://a / end\n");
    CHECK(LogOf("GET / HTTP/1.0\r\n\r\n", options) == "GET http:// / end\n");
    CheckRefused({"POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n", 400,
                  "http1.transfer_encoding_not_allowed"},
                 options);
    options.default_host_for_http_10 = "default";
    CHECK(LogOf("GET / HTTP/1.0\r\n\r\n", options) == "GET http://default / end\n");
  }
}

TEST_CASE("fields of the connection are not passed on") {
  CHECK(LogOf(Get("connection: keep-alive, X-Mine, te\r\nx-mine: 1\r\nkeep-alive: "
                  "5\r\nproxy-connection: x\r\n"
                  "te: gzip, trailers;q=1\r\nx-other: 2\r\n")) ==
        "GET http://a / x-other=2 te=trailers end\n");
  CHECK(LogOf(Get("te: gzip\r\n")) == "GET http://a / end\n");
  CHECK(
      LogOf(Get("connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: x\r\n")) ==
      "GET http://a / end\n");
  CHECK(LogOf(Get("upgrade: websocket\r\n")) == "GET http://a / end\n");
}

TEST_CASE("responses are framed by what is known of them") {
  struct Case {
    std::string request;
    int status;
    std::vector<std::pair<std::string, std::string>> fields;
    std::vector<std::string> body;
    std::string output;
  };
  const std::string kHead = "HEAD / HTTP/1.1\r\nhost: a\r\n\r\n";
  const std::string kOld = "GET / HTTP/1.0\r\nhost: a\r\n\r\n";
  const std::vector<Case> cases = {
      {Get(""),
       200,
       {{"content-length", "2"}},
       {"hi"},
       "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"},
      {Get(""),
       200,
       {},
       {"hi", "ho"},
       "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n2\r\nho\r\n0\r\n\r\n"},
      {Get(""), 200, {}, {}, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"},
      {Get(""),
       404,
       {{"x", "y"}},
       {},
       "HTTP/1.1 404 Not Found\r\nx: y\r\ncontent-length: 0\r\n\r\n"},
      {Get(""), 299, {}, {}, "HTTP/1.1 299 Unknown\r\ncontent-length: 0\r\n\r\n"},
      {Get(""), 204, {{"content-length", "0"}}, {}, "HTTP/1.1 204 No Content\r\n\r\n"},
      {Get(""), 204, {}, {"body"}, "HTTP/1.1 204 No Content\r\n\r\n"},
      {Get(""),
       304,
       {{"content-length", "7"}},
       {},
       "HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n"},
      {kHead, 200, {{"content-length", "7"}}, {}, "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n"},
      {kHead, 200, {}, {"body"}, "HTTP/1.1 200 OK\r\n\r\n"},
      {Get(""),
       200,
       {{"connection", "x"}, {"transfer-encoding", "gzip"}, {"upgrade", "x"}, {"keep-alive", "1"}},
       {},
       "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"},
      {Get("connection: close\r\n"),
       200,
       {},
       {},
       "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"},
      {kOld, 200, {}, {"hi"}, "HTTP/1.0 200 OK\r\nconnection: close\r\n\r\nhi"},
      {"GET / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n",
       200,
       {{"content-length", "2"}},
       {"hi"},
       "HTTP/1.0 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nhi"},
  };
  for (const Case& c : cases) {
    Options options;
    options.accept_http_10 = true;
    ServerPeer server = MakeServer(options);
    server.Feed(c.request);
    INFO(c.request << c.status);
    REQUIRE(server.requests.size() == 1);
    server.last().stream->SendHead(Served::Head(c.status, c.fields), c.body.empty());
    for (size_t i = 0; i < c.body.size(); ++i)
      server.last().SendBody(c.body[i], i + 1 == c.body.size());
    CHECK(server.TakeOutput() == c.output);
    CHECK(server.codec->active_streams() == 0);
    CHECK(server.codec->finished() == absl::StrContains(c.output, "connection: close"));
  }
}

TEST_CASE("a response longer or shorter than it said ends the connection") {
  ServerPeer server = MakeServer();
  server.Feed(Get(""));
  server.last().stream->SendHead(Served::Head(200, {{"content-length", "3"}}), false);
  server.last().SendBody("hello", true);
  CHECK(server.TakeOutput() == "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nhel");
  CHECK_FALSE(server.codec->finished());

  server.Feed(Get(""));
  server.last().stream->SendHead(Served::Head(200, {{"content-length", "30"}}), false);
  server.last().SendBody("hello", true);
  CHECK(server.codec->finished());
}

TEST_CASE("informational heads go before the final one") {
  ServerPeer server = MakeServer();
  server.Feed(Post("expect: 100-continue\r\ncontent-length: 2\r\n", ""));
  REQUIRE(server.requests.size() == 1);
  CHECK(server.last().head.headers.Get("expect") == "100-continue");
  server.last().stream->SendHead(Served::Head(100), false);
  server.last().stream->SendHead(Served::Head(103, {{"link", "x"}}), false);
  server.Feed("hi");
  CHECK(server.last().Text() == "POST http://a / expect=100-continue content-length=2 body:hi end");
  server.last().Reply(200, "ok");
  CHECK(server.TakeOutput() ==
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
}

TEST_CASE("response trailers are chunked's only") {
  Options options;
  options.enable_trailers = true;
  ServerPeer server = MakeServer(options);
  Trailers trailers;
  trailers.Add("x-t", "1");
  server.Feed(Get(""));
  server.last().stream->SendHead(Served::Head(200), false);
  server.last().stream->SendTrailers(trailers);
  CHECK(server.TakeOutput() ==
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx-t: 1\r\n\r\n");
  server.Feed(Get(""));
  server.last().stream->SendHead(Served::Head(200, {{"content-length", "1"}}), false);
  server.last().SendBody("x", false);
  server.last().stream->SendTrailers(trailers);
  CHECK(server.TakeOutput() == "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx");
}

TEST_CASE("a pipelined request waits for the response before it") {
  for (const size_t cut : kCuts) {
    ServerPeer server = MakeServer();
    server.Feed(Get("n: 1\r\n") + Get("n: 2\r\n") + Get("n: 3\r\n"), cut);
    REQUIRE(server.requests.size() == 1);
    CHECK_FALSE(server.codec->wants_input());
    server.last().Reply(200, "one");
    CHECK(server.codec->wants_input());
    server.FeedAgain();
    REQUIRE(server.requests.size() == 2);
    CHECK(server.last().head.headers.Get("n") == "2");
    server.last().Reply(200, "");
    server.FeedAgain();
    CHECK(server.requests.size() == 3);
    CHECK(server.codec->wants_input());
  }
}

TEST_CASE("requests answered from inside the event follow each other in one Feed") {
  ServerPeer server = MakeServer();
  server.on_request = [](Served& s) { s.Reply(200, ""); };
  server.Feed(Get("") + Get("") + Post("content-length: 3\r\n", "abc") + Get("n: 4\r\n"));
  CHECK(server.requests.size() == 4);
  CHECK(server.last().head.headers.Get("n") == "4");
  CHECK(server.codec->wants_input());
}

TEST_CASE("a request body that nobody wants is dropped, up to a limit") {
  for (const size_t cut : kCuts) {
    ServerPeer server = MakeServer();
    server.on_request = [](Served& s) { s.Reply(403, "no"); };
    server.Feed(Post("content-length: 5\r\n", "hello") +
                    Post("transfer-encoding: chunked\r\n", "2\r\nhi\r\n0\r\n\r\n"),
                cut);
    CHECK(server.requests.size() == 2);
    CHECK(server.requests[0]->body.empty());
    CHECK_FALSE(server.codec->finished());
  }
  ServerPeer server = MakeServer();
  server.on_request = [](Served& s) { s.Reply(403, "no"); };
  server.Feed(Post("content-length: 1000000\r\n", ""));
  CHECK(absl::StrContains(server.TakeOutput(), "connection: close"));
  CHECK(server.codec->finished());

  ServerPeer chunky = MakeServer();
  chunky.on_request = [](Served& s) { s.Reply(403, "no"); };
  chunky.Feed(Post("transfer-encoding: chunked\r\n", "100000\r\n" + std::string(300'000, 'x')),
              10'000);
  CHECK(chunky.codec->finished());
}

TEST_CASE("a drained server closes after the response") {
  ServerPeer server = MakeServer();
  server.Feed(Get(""));
  server.codec->Drain();
  server.last().Reply(200, "ok");
  CHECK(server.TakeOutput() ==
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
  CHECK(server.codec->finished());
  server.Feed(Get(""));
  CHECK(server.requests.size() == 1);
}

TEST_CASE("a WebSocket becomes a tunnel when the response accepts it") {
  const std::string request =
      Get("Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket, h2c\r\nsec-websocket-key: k\r\n");
  for (const size_t cut : kCuts) {
    ServerPeer server = MakeServer();
    server.Feed(request + "early", cut);
    REQUIRE(server.requests.size() == 1);
    CHECK(server.last().Text() == "GET http://a / upgrade:WebSocket sec-websocket-key=k");
    CHECK(server.last().body.empty());
    CHECK_FALSE(server.codec->wants_input());
    server.last().stream->SendHead(Served::Head(101, {{"sec-websocket-accept", "x"}}), false);
    CHECK(server.codec->wants_input());
    server.FeedAgain();
    server.Feed("GET / HTTP/1.1\r\n\r\n", cut);
    CHECK(server.last().body == "earlyGET / HTTP/1.1\r\n\r\n");
    server.last().SendBody("raw", false);
    CHECK(server.TakeOutput() ==
          "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: x\r\nconnection: upgrade\r\n"
          "upgrade: WebSocket\r\n\r\nraw");
    server.FeedAgain(/*eof=*/true);
    CHECK(server.last().ended);
    CHECK_FALSE(server.codec->finished());
    server.last().SendBody("", true);
    CHECK(server.codec->finished());
  }
}

TEST_CASE("a refused upgrade leaves an ordinary connection") {
  ServerPeer server = MakeServer();
  server.Feed(Get("connection: upgrade\r\nupgrade: websocket\r\n") + Get("n: 2\r\n"));
  server.last().Reply(403, "");
  server.FeedAgain();
  REQUIRE(server.requests.size() == 2);
  CHECK(server.last().head.headers.Get("n") == "2");
}

TEST_CASE("CONNECT becomes a tunnel on 2xx") {
  ServerPeer server = MakeServer();
  server.Feed("CONNECT b:443 HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\nhello");
  REQUIRE(server.requests.size() == 1);
  CHECK(server.last().Text() == "CONNECT http://b:443 ");
  server.last().stream->SendHead(Served::Head(200, {{"content-length", "0"}}), false);
  server.FeedAgain();
  CHECK(server.last().body == "hello");
  CHECK(server.TakeOutput() == "HTTP/1.1 200 OK\r\n\r\n");
}

TEST_CASE("a client that goes away mid-body resets the stream") {
  ServerPeer server = MakeServer();
  server.Feed(Post("content-length: 5\r\n", "he"));
  server.FeedAgain(/*eof=*/true);
  CHECK(server.last().reset == ResetReason::kConnectionClosed);
  CHECK(server.codec->finished());
}

TEST_CASE("a client that half-closes after its request gets the response") {
  ServerPeer server = MakeServer();
  server.Feed(Get(""));
  server.FeedAgain(/*eof=*/true);
  CHECK_FALSE(server.last().reset);
  server.last().Reply(200, "ok");
  CHECK(server.codec->finished());
}

TEST_CASE("reading stops while the stream wants no more") {
  ServerPeer server = MakeServer();
  server.on_request = [](Served& s) { s.stream->SetReading(false); };
  server.Feed(Post("content-length: 4\r\n", "abcd"));
  CHECK(server.last().body.empty());
  CHECK_FALSE(server.codec->wants_input());
  server.last().stream->SetReading(true);
  CHECK(server.codec->wants_input());
  server.FeedAgain();
  CHECK(server.last().body == "abcd");
}

TEST_CASE("resets end the connection") {
  ServerPeer server = MakeServer();
  server.Feed(Get(""));
  server.last().stream->Reset(ResetReason::kInternal);
  CHECK(server.codec->finished());
  CHECK_FALSE(server.last().reset);

  ServerPeer gone = MakeServer();
  gone.Feed(Get(""));
  gone.codec->ResetAll(ResetReason::kConnectionClosed);
  CHECK(gone.last().reset == ResetReason::kConnectionClosed);
  CHECK(gone.codec->active_streams() == 0);
}

}  // namespace
}  // namespace heddle::http
