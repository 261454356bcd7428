#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "source/http/h2/codec.h"
#include "test/http/h2_frames.h"
#include "test/http/peers.h"

namespace heddle::http {
namespace {

using h2::Options;

constexpr size_t kCuts[] = {1, 2, 3, 7, 4096};

ServerPeer MakeServer(const Options& options = {}) {
  return ServerPeer([options](base::Buffer* out, ServerEvents* e) {
    return h2::MakeServerCodec(options, out, e);
  });
}
ClientPeer MakeClient(const Options& options = {}) {
  return ClientPeer([options](base::Buffer* out, ClientEvents* e) {
    return h2::MakeClientCodec(options, out, e);
  });
}

struct Pair {
  explicit Pair(const Options& options = {}, size_t at = SIZE_MAX)
      : client([options](base::Buffer* out, ClientEvents* e) {
          return h2::MakeClientCodec(options, out, e);
        }),
        server([options](base::Buffer* out, ServerEvents* e) {
          return h2::MakeServerCodec(options, out, e);
        }),
        cut(at) {}
  void Run() {
    Exchange(client, server, cut);
    CHECK(client.status.message() == "");
    CHECK(server.status.message() == "");
  }
  ClientPeer client;
  ServerPeer server;
  size_t cut;
};

TEST_CASE("a request and its response cross however they are cut") {
  for (const size_t cut : kCuts) {
    Pair pair({}, cut);
    pair.server.on_request = [](Served& s) { s.Reply(200, "hello"); };
    Asked* a =
        pair.client.Ask(ClientPeer::Head("GET", "/x?y", {{"x-one", "1"}, {"te", "trailers"}}));
    Asked* b = pair.client.Ask(ClientPeer::Head("POST", "/post", {{"content-length", "4"}}), false);
    b->SendBody("bo", false);
    b->SendBody("dy", true);
    pair.Run();
    CHECK(pair.server.Log() ==
          "GET http://a /x?y x-one=1 te=trailers end\n"
          "POST http://a /post content-length=4\n");  // over with its response
    CHECK(a->Text() == "200 content-length=5 body:hello end");
    CHECK(b->Text() == "200 content-length=5 body:hello end");
    CHECK(pair.client.codec->active_streams() == 0);
    CHECK(pair.server.codec->active_streams() == 0);
    CHECK(pair.client.peer_streams == 1024);
  }
}

TEST_CASE("bodies and trailers go both ways") {
  for (const size_t cut : kCuts) {
    Pair pair({}, cut);
    pair.server.on_event = [](Served& s) {
      if (!s.ended) return;
      s.stream->SendHead(Served::Head(200), false);
      s.SendBody(s.body, false);
      Trailers trailers;
      trailers.Add("grpc-status", "0");
      s.stream->SendTrailers(trailers);
    };
    Asked* a = pair.client.Ask(ClientPeer::Head("POST", "/"), false);
    a->SendBody("abc", false);
    Trailers trailers;
    trailers.Add("x-t", "1");
    a->stream->SendTrailers(trailers);
    pair.Run();
    CHECK(pair.server.Log() == "POST http://a / body:abc trailers: x-t=1 end\n");
    CHECK(a->Text() == "200 body:abc trailers: grpc-status=0 end");
    // Three frames each way, their fields compressed.
    constexpr uint64_t kLeast = 3 * 9 + 3;
    CHECK(a->wire.sent > kLeast);
    CHECK(a->wire.sent < kLeast + 60);
    CHECK(a->wire.received > kLeast);
    CHECK(a->wire.received < kLeast + 60);
  }
}

TEST_CASE("a response may be trailers alone, or a head and trailers") {
  Pair pair;
  int n = 0;
  pair.server.on_request = [&](Served& s) {
    if (n++ == 0) return s.stream->SendHead(Served::Head(200, {{"grpc-status", "12"}}), true);
    s.stream->SendHead(Served::Head(200), false);
    Trailers trailers;
    trailers.Add("grpc-status", "5");
    s.stream->SendTrailers(trailers);
  };
  Asked* a = pair.client.Get();
  Asked* b = pair.client.Get();
  pair.Run();
  CHECK(a->Text() == "200 grpc-status=12 end");
  CHECK(b->Text() == "200 trailers: grpc-status=5 end");
}

TEST_CASE("informational heads come before the final one") {
  Pair pair;
  pair.server.on_request = [](Served& s) {
    s.stream->SendHead(Served::Head(100), false);
    s.stream->SendHead(Served::Head(103, {{"link", "x"}}), false);
    s.Reply(200, "");
  };
  Asked* a = pair.client.Get();
  pair.Run();
  CHECK(a->Text() == "100 103 link=x 200 content-length=0 end");
}

TEST_CASE("fields of HTTP/1 connections do not enter HTTP/2") {
  Pair pair;
  pair.server.on_request = [](Served& s) { s.Reply(200, ""); };
  pair.client.Ask(ClientPeer::Head("GET", "/",
                                   {{"connection", "x"},
                                    {"keep-alive", "1"},
                                    {"host", "b"},
                                    {"transfer-encoding", "chunked"},
                                    {"upgrade", "h2c"},
                                    {"te", "gzip"},
                                    {"x", "y"}}));
  pair.Run();
  CHECK(pair.server.Log() == "GET http://a / x=y end\n");
}

TEST_CASE("cookie crumbs are joined and host stands in for a missing authority") {
  ServerPeer server = MakeServer();
  server.Feed(Hello() +
              HeadersFrame(1, GetFields({{"cookie", "a=1"}, {"x", "y"}, {"cookie", "b=2"}})));
  server.Feed(
      HeadersFrame(3, {{":method", "GET"}, {":scheme", "https"}, {":path", "/"}, {"host", "h:1"}}));
  server.Feed(HeadersFrame(5, GetFields({{"host", "other"}})));
  CHECK(server.Log() ==
        "GET http://a / x=y cookie=a=1; b=2 end\n"
        "GET https://h:1 / end\n"
        "GET http://a / end\n");
}

TEST_CASE("large bodies obey windows that only Consumed opens") {
  Options options;
  options.initial_stream_window = 65535;
  options.initial_connection_window = 100'000;
  Pair pair(options);
  const std::string body(300'000, 'b');
  pair.server.on_request = [&](Served& s) { s.give_credit = false; };
  Asked* a = pair.client.Ask(ClientPeer::Head("POST", "/"), false);
  a->SendBody(body, true);
  pair.Run();
  Served& s = pair.server.last();
  CHECK(s.body.size() == 65535);
  CHECK(a->stream->Pending() == body.size() - 65535);
  CHECK(a->writable == 0);
  s.stream->Consumed(65535);
  CHECK(pair.server.output_waits);
  pair.Run();
  CHECK(s.body.size() == 2 * 65535);
  s.give_credit = true;
  s.stream->Consumed(65535);
  pair.Run();
  CHECK(s.body == body);
  CHECK(s.ended);
  s.Reply(200, "ok");
  pair.Run();
  CHECK(a->Text() == "200 content-length=2 body:ok end");
}

TEST_CASE("a sender is told when what it had waiting has gone") {
  Options options;
  options.initial_stream_window = 65535;
  Pair pair(options);
  pair.server.on_request = [&](Served& s) { s.give_credit = false; };
  Asked* a = pair.client.Ask(ClientPeer::Head("POST", "/"), false);
  a->SendBody(std::string(100'000, 'x'), false);
  pair.Run();
  CHECK(a->stream->Pending() == 100'000 - 65535);
  CHECK(a->writable == 0);
  pair.server.last().stream->Consumed(65535);
  pair.Run();
  CHECK(a->stream->Pending() == 0);
  CHECK(a->writable == 1);
}

TEST_CASE("a full output buffer holds bodies back until it is writable") {
  Options options;
  options.output_limit = 50'000;
  Pair pair(options);
  pair.server.on_request = [](Served& s) {
    s.stream->SendHead(Served::Head(200), false);
    s.SendBody(std::string(500'000, 'x'), true);
  };
  Asked* a = pair.client.Get();
  pair.server.Feed(pair.client.TakeOutput());
  pair.server.codec->PrepareFlush();
  CHECK(pair.server.out.size() > 50'000);
  CHECK(pair.server.out.size() < 100'000);
  for (int i = 0; i < 20 && !a->ended; ++i) {
    pair.client.Feed(pair.server.TakeOutput());
    pair.server.codec->OnOutWritable();
  }
  CHECK(a->body.size() == 500'000);
  CHECK(a->ended);
}

TEST_CASE("resets name their reason") {
  struct Case {
    ResetReason sent, seen;
  };
  for (const Case c : {Case{ResetReason::kCancel, ResetReason::kCancel},
                       Case{ResetReason::kRefused, ResetReason::kRefused},
                       Case{ResetReason::kProtocolError, ResetReason::kProtocolError},
                       Case{ResetReason::kConnectionClosed, ResetReason::kInternal},
                       Case{ResetReason::kHttp11Required, ResetReason::kHttp11Required}}) {
    Pair pair;
    pair.server.on_request = [&](Served& s) { s.stream->Reset(c.sent); };
    Asked* a = pair.client.Get();
    pair.Run();
    CHECK(a->reset == c.seen);
    CHECK_FALSE(pair.server.last().reset);
    CHECK(pair.client.codec->active_streams() == 0);
    CHECK(pair.server.codec->active_streams() == 0);
  }
  Pair pair;
  Asked* a = pair.client.Get();
  pair.Run();
  a->stream->Reset(ResetReason::kCancel);
  pair.Run();
  CHECK(pair.server.last().reset == ResetReason::kCancel);
  CHECK_FALSE(a->reset);
}

TEST_CASE("a response that ends early tells the client to stop sending") {
  Pair pair;
  pair.server.on_request = [](Served& s) { s.Reply(413, "no"); };
  Asked* a = pair.client.Ask(ClientPeer::Head("POST", "/"), false);
  a->SendBody("some", false);
  pair.Run();
  CHECK(a->heads.at(0).status == 413);
  CHECK(a->body == "no");
  CHECK(a->ended);
  CHECK(a->reset == ResetReason::kCancel);
  CHECK(pair.client.codec->active_streams() == 0);
  CHECK(pair.server.codec->active_streams() == 0);
}

TEST_CASE("a failed stream gives its part of the connection's window back") {
  Options options;
  options.initial_stream_window = 65535;
  options.initial_connection_window = 65535;
  Pair pair(options);
  pair.server.on_request = [](Served& s) { s.give_credit = false; };
  for (int i = 0; i < 10; ++i) {
    Asked* a = pair.client.Ask(ClientPeer::Head("POST", "/"), false);
    a->SendBody(std::string(60'000, 'x'), false);
    pair.Run();
    CHECK(pair.server.last().body.size() == 60'000);
    a->stream->Reset(ResetReason::kCancel);
    pair.Run();
  }
}

TEST_CASE("a drained server finishes the requests it has") {
  Pair pair;
  Asked* a = pair.client.Get("/1");
  pair.Run();
  pair.server.codec->Drain();
  pair.Run();
  CHECK(pair.client.go_aways == 1);
  CHECK_FALSE(pair.client.codec->reusable());
  CHECK(pair.client.Get("/2") == nullptr);
  CHECK_FALSE(pair.server.codec->finished());
  pair.server.codec->Drain();
  pair.Run();
  CHECK_FALSE(pair.server.codec->finished());
  pair.server.last().Reply(200, "ok");
  pair.Run();
  CHECK(a->Text() == "200 content-length=2 body:ok end");
  CHECK(pair.server.codec->finished());
}

TEST_CASE("a stream above a GOAWAY's last id is refused") {
  ClientPeer client = MakeClient();
  Asked* a = client.Get();
  Asked* b = client.Get();
  client.TakeOutput();
  client.Feed(Frame(kSettings, 0, 0) + Frame(kGoAway, 0, 0, Big32(1) + Big32(0)));
  CHECK_FALSE(a->reset);
  CHECK(b->reset == ResetReason::kRefused);
  CHECK(client.go_aways == 1);
}

TEST_CASE("a client opens no more streams than the server allows") {
  Options options;
  options.max_concurrent_streams = 2;
  Pair pair(options);
  pair.client.Get();
  pair.Run();
  CHECK(pair.client.peer_streams == 2);
  CHECK(pair.client.codec->max_streams() == 2);
  CHECK(pair.client.Get() != nullptr);
  CHECK(pair.client.Get() == nullptr);
  pair.Run();
  pair.server.requests[0]->Reply(200, "");
  pair.Run();
  CHECK(pair.client.Get() != nullptr);
}

TEST_CASE("a stream that was never sent goes without a trace") {
  Pair pair;
  Asked asked;
  ClientStream* stream = pair.client.codec->NewStream(&asked);
  CHECK(pair.client.codec->active_streams() == 1);
  stream->Reset(ResetReason::kCancel);
  CHECK(pair.client.codec->active_streams() == 0);
  pair.Run();
  CHECK(pair.server.requests.empty());
}

TEST_CASE("pings are answered") {
  Pair pair;
  pair.client.Get();
  pair.client.codec->SendPing(7);
  pair.server.codec->SendPing(9);
  pair.Run();
  CHECK(pair.client.pongs == std::vector<uint64_t>{7});
  CHECK(pair.server.pongs == std::vector<uint64_t>{9});
}

TEST_CASE("a WebSocket rides an extended CONNECT") {
  Options options;
  options.allow_connect = true;
  Pair pair(options);
  pair.server.on_request = [](Served& s) {
    s.stream->SendHead(Served::Head(101, {{"x", "y"}}), false);
  };
  RequestHead head = ClientPeer::Head("GET", "/chat");
  head.protocol = "websocket";
  Asked* a = pair.client.Ask(head, false);
  pair.Run();
  CHECK(pair.server.last().Text() == "GET http://a /chat upgrade:websocket");
  CHECK(a->Text() == "101 x=y ");
  a->SendBody("ping", false);
  pair.server.last().SendBody("pong", false);
  pair.Run();
  CHECK(pair.server.last().body == "ping");
  CHECK(a->body == "pong");
  a->SendBody("", true);
  pair.server.last().SendBody("", true);
  pair.Run();
  CHECK(a->ended);
  CHECK(pair.server.codec->active_streams() == 0);
}

TEST_CASE("a WebSocket asks for HTTP/1.1 where extended CONNECT is not spoken") {
  Pair pair;
  pair.client.Get();
  pair.Run();
  RequestHead head = ClientPeer::Head("GET", "/chat");
  head.protocol = "websocket";
  Asked* a = pair.client.Ask(head, false);
  pair.Run();
  CHECK(a->reset == ResetReason::kHttp11Required);
  CHECK(pair.server.requests.size() == 1);
}

TEST_CASE("CONNECT carries bytes both ways") {
  Pair pair;
  pair.server.on_request = [](Served& s) { s.stream->SendHead(Served::Head(200), false); };
  RequestHead head = ClientPeer::Head("CONNECT", "");
  head.SetAuthority("b:443");
  Asked* a = pair.client.Ask(head, false);
  a->SendBody("hi", false);
  pair.Run();
  CHECK(pair.server.Log() == "CONNECT ://b:443  body:hi\n");
  CHECK(a->Text() == "200 ");
}

TEST_CASE("a lost connection resets every stream") {
  Pair pair;
  Asked* a = pair.client.Get();
  Asked* b = pair.client.Get();
  pair.Run();
  pair.client.FeedAgain(/*eof=*/true);
  CHECK(a->reset == ResetReason::kConnectionClosed);
  CHECK(b->reset == ResetReason::kConnectionClosed);
  CHECK_FALSE(pair.client.codec->reusable());
  pair.server.codec->ResetAll(ResetReason::kConnectionClosed);
  CHECK(pair.server.requests[0]->reset == ResetReason::kConnectionClosed);
  CHECK(pair.server.codec->finished());
}

TEST_CASE("streams may be reset from inside their own events") {
  Pair pair;
  pair.server.on_event = [](Served& s) { s.stream->Reset(ResetReason::kInternal); };
  Asked* a = pair.client.Ask(ClientPeer::Head("POST", "/"), false);
  a->on_event = [](Asked& asked) { asked.stream->Reset(ResetReason::kCancel); };
  a->SendBody("x", true);
  Asked* b = pair.client.Ask(ClientPeer::Head("POST", "/"), false);
  b->SendBody("x", true);
  pair.server.on_request = [](Served& s) {
    if (s.stream->id() == 1) s.stream->SendHead(Served::Head(200), false);
  };
  pair.Run();
  CHECK(pair.client.codec->active_streams() == 0);
  CHECK(pair.server.codec->active_streams() == 0);
  CHECK(b->reset == ResetReason::kInternal);
}

// ---- Malformed messages

TEST_CASE("a malformed request ends the connection, or the stream where asked") {
  struct Case {
    Fields fields;
    std::string detail;
  };
  const std::string kField = "http2.invalid.header.field";
  const std::string kRule = "http2.violation.of.messaging.rule";
  const std::vector<Case> cases = {
      {{{":method", "GET"}, {":scheme", "http"}, {":authority", "a"}}, kRule},
      {{{":method", "GET"}, {":path", "/"}, {":authority", "a"}}, kRule},
      {{{":scheme", "http"}, {":path", "/"}, {":authority", "a"}}, kRule},
      {{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}}, kRule},
      {GetFields({{":path", "/b"}}), kField},
      {GetFields({{"x", "y"}, {":authority", "b"}}), kField},
      {GetFields({{":unknown", "x"}}), kField},
      {GetFields({{":status", "200"}}), kField},
      {GetFields({{"Upper", "x"}}), kField},
      {GetFields({{"connection", "close"}}), kField},
      {GetFields({{"keep-alive", "1"}}), kField},
      {GetFields({{"proxy-connection", "1"}}), kField},
      {GetFields({{"upgrade", "x"}}), kField},
      {GetFields({{"transfer-encoding", "chunked"}}), kField},
      {GetFields({{"te", "gzip"}}), kField},
      {GetFields({{"x", "a\rb"}}), kField},
      {GetFields({{"x", "a\nb"}}), kField},
      {GetFields({{"x", std::string("a\0b", 3)}}), kField},
      {GetFields({{"x y", "a"}}), kField},
      {GetFields({{"", "a"}}), kField},
      {GetFields({{"content-length", "1"}, {"content-length", "1"}}), kField},
      {GetFields({{"content-length", "x"}}), kField},
      {GetFields({{"content-length", "5"}}), kRule},
      {{{":method", "GET"}, {":scheme", "http"}, {":path", "nopath"}, {":authority", "a"}}, kRule},
      {{{":method", "GET"}, {":scheme", "http"}, {":path", "*"}, {":authority", "a"}}, kRule},
      {{{":method", "GET"}, {":scheme", "http"}, {":path", "/ x"}, {":authority", "a"}}, kField},
      {{{":method", "GET"}, {":scheme", "http"}, {":path", ""}, {":authority", "a"}}, kField},
      {{{":method", "G T"}, {":scheme", "http"}, {":path", "/"}, {":authority", "a"}}, kField},
      {{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":authority", "a b"}}, kField},
      {{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":authority", "u@a"}}, kField},
      {{{":method", "CONNECT"}, {":authority", "a:1"}, {":path", "/"}}, kRule},
      {{{":method", "CONNECT"},
        {":protocol", "websocket"},
        {":scheme", "http"},
        {":path", "/"},
        {":authority", "a"}},
       kField},
  };
  for (const Case& c : cases) {
    INFO(Hpack(c.fields));
    for (const size_t cut : kCuts) {
      ServerPeer strict = MakeServer();
      strict.Feed(Hello() + HeadersFrame(1, c.fields), cut);
      CHECK(strict.status.message() == c.detail);
      CHECK(strict.requests.empty());
      REQUIRE(strict.refused.size() == 1);
      CHECK(strict.refused[0].details == c.detail);
      CHECK(strict.refused[0].kind == Malformed::Kind::kBroken);
      CHECK(ParseFrames(strict.TakeOutput()).back().type == kGoAway);
    }
    Options options;
    options.stream_error_on_invalid = true;
    ServerPeer lenient = MakeServer(options);
    lenient.Feed(Hello() + HeadersFrame(1, c.fields) + HeadersFrame(3, GetFields()));
    CHECK(lenient.status.message() == "");
    CHECK(lenient.requests.size() == 1);
    bool reset = false;
    for (const ParsedFrame& f : ParseFrames(lenient.TakeOutput())) {
      reset = reset || (f.type == kRstStream && f.stream == 1);
    }
    CHECK(reset);
    lenient.TakeOutput();
    REQUIRE(lenient.refused.size() == 1);
    CHECK(lenient.refused[0].details == c.detail);
  }
}

TEST_CASE("a body of another length than it said resets the stream") {
  for (const std::string body : {"a", "abc"}) {
    Options options;
    options.stream_error_on_invalid = true;
    ServerPeer server = MakeServer(options);
    server.Feed(Hello() + HeadersFrame(1, GetFields({{"content-length", "2"}}), false));
    server.Feed(Frame(kData, kEndStream, 1, body));
    server.TakeOutput();
    CHECK(server.last().reset == ResetReason::kProtocolError);
    CHECK_FALSE(server.last().ended);
  }
}

TEST_CASE("limits on fields reset the stream in the middle of its block") {
  Options options;
  options.max_headers_count = 4;
  options.max_headers_bytes = 300;
  const Fields many = {{"a", "1"}, {"b", "1"}, {"c", "1"}, {"d", "1"}, {"e", "1"}};
  for (const Fields& fields : {GetFields(many), GetFields({{"a", std::string(300, 'x')}})}) {
    ServerPeer server = MakeServer(options);
    server.Feed(Hello() + HeadersFrame(1, fields) + HeadersFrame(3, GetFields({{"a", "1"}})));
    CHECK(server.status.message() == "");
    REQUIRE(server.requests.size() == 1);
    CHECK(server.last().stream->id() == 3);
    CHECK(server.codec->active_streams() == 2);
    server.TakeOutput();
    CHECK(server.codec->active_streams() == 1);
    REQUIRE(server.refused.size() == 1);
    CHECK(server.refused[0].details == (fields.size() > many.size()
                                            ? "http2.too_many_headers"
                                            : "http2.header_list_size_too_large"));
    CHECK(server.refused[0].kind == Malformed::Kind::kReset);
  }
  ClientPeer client = MakeClient(options);
  Asked* a = client.Get();
  client.TakeOutput();
  Fields response = {{":status", "200"}};
  response.insert(response.end(), many.begin(), many.end());
  client.Feed(Frame(kSettings, 0, 0) + HeadersFrame(1, response));
  client.TakeOutput();
  CHECK(a->reset == ResetReason::kTooLarge);
}

TEST_CASE("underscores in names are refused or dropped") {
  Options options;
  options.underscores = Options::Underscores::kDrop;
  ServerPeer drop = MakeServer(options);
  drop.Feed(Hello() + HeadersFrame(1, GetFields({{"a_b", "1"}, {"c", "2"}})));
  CHECK(drop.Log() == "GET http://a / c=2 end\n");
  options.underscores = Options::Underscores::kReject;
  ServerPeer reject = MakeServer(options);
  reject.Feed(Hello() + HeadersFrame(1, GetFields({{"a_b", "1"}})));
  reject.TakeOutput();
  CHECK(reject.requests.empty());
  CHECK(reject.status.message() == "");
  REQUIRE(reject.refused.size() == 1);
  CHECK(reject.refused[0].details == "http2.unexpected_underscore");
  CHECK(reject.refused[0].kind == Malformed::Kind::kReset);
}

TEST_CASE("a client refuses responses that make no sense") {
  for (const Fields& fields :
       {Fields{{":status", "abc"}}, Fields{{":status", "99"}}, Fields{{":status", "101"}},
        Fields{{"x", "y"}}, Fields{{":status", "200"}, {"connection", "x"}}}) {
    ClientPeer client = MakeClient();
    Asked* a = client.Get();
    client.TakeOutput();
    client.Feed(Frame(kSettings, 0, 0) + HeadersFrame(1, fields));
    client.TakeOutput();
    CHECK(a->heads.empty());
    CHECK(a->reset);
  }
}

TEST_CASE("what is no HTTP/2 at all is an error") {
  for (const std::string& bytes :
       {std::string("GET / HTTP/1.1\r\n\r\n") + std::string(20, ' '),
        Hello() + Frame(kSettings, 0, 1), Hello() + Frame(kData, 0, 1, "x"),
        Hello() + Frame(kWindowUpdate, 0, 0, Big32(0)), Hello() + HeadersFrame(2, GetFields()),
        Hello() + Frame(kContinuation, 0, 1, "x"), Hello() + Frame(kPing, 0, 0, "short"),
        Hello() + Frame(kHeaders, kEndHeaders, 1, "\xff\xff\xff\xff\xff\xff")}) {
    for (const size_t cut : kCuts) {
      INFO(bytes);
      ServerPeer server = MakeServer();
      server.Feed(bytes, cut);
      server.TakeOutput();
      CHECK(server.codec->finished());
      CHECK(server.requests.empty());
    }
  }
}

// ---- Floods

std::string Repeat(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

struct Flood {
  std::string bytes, detail;
};

void CheckFlood(const std::string& bytes, const std::string& detail) {
  INFO(detail);
  for (const size_t cut : {size_t{7}, size_t{4096}, SIZE_MAX}) {
    ServerPeer server = MakeServer();
    server.Feed(Hello());
    server.TakeOutput();
    server.Feed(bytes, cut);
    CHECK(server.status.message() == detail);
    CHECK(server.codec->finished());
  }
}

TEST_CASE("floods of frames that cost nothing end the connection") {
  const std::string post = HeadersFrame(1, GetFields(), false);
  CheckFlood(post + Repeat(Frame(kData, 0, 1), 2), "http2.inbound_empty_frames_flood");
  CheckFlood(post + Repeat(Frame(kData, kPadded, 1, std::string("\x03\0\0\0", 4)), 2),
             "http2.inbound_empty_frames_flood");
  CheckFlood(Frame(kHeaders, kEndStream, 1) + Repeat(Frame(kContinuation, 0, 1), 3),
             "http2.inbound_empty_frames_flood");
  CheckFlood(Repeat(Frame(kPriority, 0, 3, std::string("\0\0\0\0\1", 5)), 101),
             "http2.inbound_priority_frames_flood");
  CheckFlood(Repeat(Frame(kWindowUpdate, 0, 0, Big32(1)), 6),
             "http2.inbound_window_update_frames_flood");
  CheckFlood(Repeat(Frame(kPing, 0, 0, "12345678"), 1100), "http2.outbound_control_flood");
  CheckFlood(Repeat(Frame(kSettings, 0, 0), 1100), "http2.outbound_control_flood");
}

TEST_CASE("as many as are allowed do not") {
  ServerPeer server = MakeServer();
  server.Feed(Hello() + HeadersFrame(1, GetFields(), false));
  server.Feed(Frame(kData, 0, 1) + Frame(kData, 0, 1, "x") + Frame(kData, 0, 1));
  server.Feed(Repeat(Frame(kPriority, 0, 3, std::string("\0\0\0\0\1", 5)), 200));
  server.Feed(Repeat(Frame(kWindowUpdate, 0, 0, Big32(1)), 7));
  for (int i = 0; i < 5; ++i) {
    server.Feed(Repeat(Frame(kPing, 0, 0, "12345678"), 900));
    server.TakeOutput();
  }
  CHECK(server.status.message() == "");
}

TEST_CASE("pings of a peer that does not read end the connection") {
  ServerPeer server = MakeServer();
  server.Feed(Hello());
  server.TakeOutput();
  for (int i = 0; i < 3; ++i) {
    server.Feed(Repeat(Frame(kPing, 0, 0, "12345678"), 400));
    server.codec->PrepareFlush();
  }
  server.Feed(Frame(kPing, 0, 0, "12345678"));
  CHECK(server.status.message() == "http2.outbound_control_flood");
}

TEST_CASE("endless continuations end the connection or the stream") {
  ServerPeer server = MakeServer();
  server.Feed(Hello() + Frame(kHeaders, kEndStream, 1, Hpack(GetFields())));
  for (int i = 0; i < 600 && server.status.ok(); ++i) {
    server.Feed(Frame(kContinuation, 0, 1, Hpack({{"x", std::string(10, 'x')}})));
  }
  CHECK_FALSE(server.status.ok());
  CHECK(server.requests.empty());
}

TEST_CASE("a head that is given up is answered; what comes of it later is dropped") {
  ServerPeer server = MakeServer();
  CHECK_FALSE(server.codec->reading_head());
  server.Feed(Hello() + Frame(kHeaders, 0, 1, Hpack({{":method", "GET"}})));
  CHECK(server.codec->reading_head());
  server.TakeOutput();
  server.codec->GiveUp({.status = 408, .details = "late", .kind = Malformed::Kind::kLate});
  REQUIRE(server.refused.size() == 1);
  CHECK(server.refused[0].details == "late");
  CHECK(server.TakeOutput() != "");
  CHECK_FALSE(server.codec->reading_head());
  server.Feed(Frame(kContinuation, kEndHeaders, 1,
                    Hpack({{":scheme", "http"}, {":path", "/"}, {":authority", "a"}})));
  server.Feed(Frame(kHeaders, kEndHeaders | kEndStream, 3, Hpack(GetFields())));
  CHECK(server.status.ok());
  REQUIRE(server.requests.size() == 1);
  CHECK(server.last().ended);
  CHECK(server.refused.size() == 1);
}

TEST_CASE("trailers that are not whole are no head") {
  ServerPeer server = MakeServer();
  server.Feed(Hello() + Frame(kHeaders, kEndHeaders, 1, Hpack(GetFields())) +
              Frame(kHeaders, kEndStream, 1, Hpack({{"x", "y"}})));
  CHECK_FALSE(server.codec->reading_head());
  server.codec->GiveUp({.status = 408, .details = "late", .kind = Malformed::Kind::kLate});
  CHECK(server.refused.empty());
}

struct HandClock : base::Clock {
  base::Micros Now() const override { return now; }
  absl::Time WallNow() const override { return absl::UnixEpoch(); }
  base::Micros now = 1'000'000;
};

TEST_CASE("rapid resets end the connection") {
  HandClock clock;
  Options options;
  options.clock = &clock;
  SECTION("in one read: the streams are never seen") {
    ServerPeer server = MakeServer(options);
    std::string bytes = Hello();
    for (uint32_t i = 0; i < 300; ++i) {
      bytes += HeadersFrame(2 * i + 1, GetFields()) + Frame(kRstStream, 0, 2 * i + 1, Big32(8));
    }
    server.Feed(bytes);
    CHECK(server.status.message() == "too_many_premature_resets");
    CHECK(server.requests.empty());
  }
  SECTION("one by one") {
    ServerPeer server = MakeServer(options);
    server.Feed(Hello());
    uint32_t i = 0;
    for (; i < 1000 && server.status.ok(); ++i) {
      server.Feed(HeadersFrame(2 * i + 1, GetFields()));
      server.Feed(Frame(kRstStream, 0, 2 * i + 1, Big32(8)));
      server.TakeOutput();
    }
    CHECK(server.status.message() == "too_many_premature_resets");
    CHECK(i == 250);
  }
  SECTION("but resets after a second, or of answered requests, do not") {
    ServerPeer server = MakeServer(options);
    server.Feed(Hello());
    for (uint32_t i = 0; i < 1000; ++i) {
      server.Feed(HeadersFrame(2 * i + 1, GetFields()));
      if (i % 2 == 0) {
        clock.now += 1'000'001;
      } else {
        server.last().stream->SendHead(Served::Head(200), false);
      }
      server.Feed(Frame(kRstStream, 0, 2 * i + 1, Big32(8)));
      server.TakeOutput();
    }
    CHECK(server.status.message() == "");
    CHECK(server.requests.size() == 1000);
  }
}

TEST_CASE("more streams than allowed are refused") {
  Options options;
  options.max_concurrent_streams = 2;
  ServerPeer server = MakeServer(options);
  server.Feed(Hello());
  server.TakeOutput();
  server.Feed(Frame(kSettings, kAck, 0));
  server.Feed(HeadersFrame(1, GetFields()) + HeadersFrame(3, GetFields()) +
              HeadersFrame(5, GetFields()));
  CHECK(server.requests.size() == 2);
}

}  // namespace
}  // namespace heddle::http
