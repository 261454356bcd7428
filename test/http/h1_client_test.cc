#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "source/http/h1/codec.h"
#include "test/http/peers.h"

namespace heddle::http {
namespace {

using h1::Options;

constexpr size_t kCuts[] = {1, 2, 3, 7, 4096};

ClientPeer::Make Maker(const Options& options = {}) {
  return [options](base::Buffer* out, ClientEvents* e) {
    return h1::MakeClientCodec(options, out, e);
  };
}

TEST_CASE("requests are framed by what is known of them") {
  struct Case {
    std::string method, path;
    std::vector<std::pair<std::string, std::string>> fields;
    std::vector<std::string> body;
    std::string output;
  };
  const std::vector<Case> cases = {
      {"GET", "/x?y", {{"a", "b"}}, {}, "GET /x?y HTTP/1.1\r\nhost: a\r\na: b\r\n\r\n"},
      {"GET",
       "/",
       {{"content-length", "0"}},
       {},
       "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"},
      {"POST", "/", {}, {}, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"},
      {"DELETE", "/", {}, {}, "DELETE / HTTP/1.1\r\nhost: a\r\n\r\n"},
      {"OPTIONS", "*", {}, {}, "OPTIONS * HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"},
      {"POST",
       "/",
       {{"content-length", "4"}},
       {"bo", "dy"},
       "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody"},
      {"POST",
       "/",
       {},
       {"bo", "dy"},
       "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: "
       "chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n"},
      {"GET",
       "/",
       {{"connection", "x"},
        {"host", "b"},
        {"upgrade", "x"},
        {"keep-alive", "1"},
        {"transfer-encoding", "x"},
        {"te", "trailers"}},
       {},
       "GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\n\r\n"},
  };
  for (const Case& c : cases) {
    ClientPeer client(Maker());
    Asked* a = client.Ask(ClientPeer::Head(c.method, c.path, c.fields), c.body.empty());
    for (size_t i = 0; i < c.body.size(); ++i) a->SendBody(c.body[i], i + 1 == c.body.size());
    CHECK(client.TakeOutput() == c.output);
    CHECK(client.Get() == nullptr);
    client.Feed("HTTP/1.1 204 No Content\r\n\r\n");
    CHECK(a->Text() == "204 end");
    CHECK(client.codec->reusable());
  }
}

TEST_CASE("responses are read the same however they are cut") {
  struct Case {
    std::string method, input, log;
    bool reusable = true;
    bool eof = false;
  };
  const std::vector<Case> cases = {
      {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y\r\n\r\nhi",
       "200 content-length=2 x=y body:hi end"},
      {"GET", "HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n", "200 content-length=0 end"},
      {"GET", "HTTP/1.1 200 Fine by me\r\ncontent-length: 0\r\n\r\n", "200 content-length=0 end"},
      {"GET", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx: y\r\n\r\n",
       "200 body:hi end"},
      {"HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n", "200 content-length=10 end"},
      {"HEAD", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "200 end"},
      {"GET", "HTTP/1.1 304 Not Modified\r\ncontent-length: 10\r\n\r\n",
       "304 content-length=10 end"},
      {"GET", "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n", "204 end"},
      {"GET",
       "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 204 "
       "No\r\n\r\n",
       "100 103 link=x 204 end"},
      {"GET", "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi",
       "200 content-length=2 body:hi end", false},
      {"GET", "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi", "200 content-length=2 body:hi end",
       false},
      {"GET", "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nhi",
       "200 content-length=2 body:hi end", true},
      {"GET", "HTTP/1.1 200 OK\r\n\r\nuntil the end", "200 body:until the end end", false, true},
      {"GET",
       "HTTP/1.1 200 OK\r\nconnection: x-hop\r\nx-hop: 1\r\nkeep-alive: 5\r\nupgrade: "
       "h2c\r\ncontent-length: 0\r\n\r\n",
       "200 content-length=0 end"},
  };
  for (const Case& c : cases) {
    for (const size_t cut : kCuts) {
      INFO(c.input << " cut " << cut);
      ClientPeer client(Maker());
      Asked* a = client.Ask(ClientPeer::Head(c.method, "/"));
      client.Feed(c.input, cut);
      if (c.eof) client.FeedAgain(/*eof=*/true);
      CHECK(client.status.message() == "");
      CHECK(a->Text() == c.log);
      CHECK(client.codec->reusable() == c.reusable);
      CHECK(client.codec->active_streams() == 0);
    }
  }
}

TEST_CASE("responses that two parsers could read in two ways are refused") {
  const std::string kBoth = "http1.content_length_and_chunked_not_allowed";
  const std::string kCodec = "http1.codec_error";
  struct Case {
    std::string input, detail;
  };
  const std::vector<Case> cases = {
      {"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n", kBoth},
      {"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n", "http1.invalid_transfer_encoding"},
      {"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
       "http1.invalid_transfer_encoding"},
      {"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
       "http1.transfer_encoding_not_allowed"},
      {"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nhi", kCodec},
      {"HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nhi", kCodec},
      {"HTTP/1.1 204 No Content\r\ncontent-length: 2\r\n\r\nhi",
       "http1.content_length_not_allowed"},
      {"HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n",
       "http1.transfer_encoding_not_allowed"},
      {"HTTP/1.1 103 Early\r\ncontent-length: 2\r\n\r\nhi", "http1.content_length_not_allowed"},
      {"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n", kCodec},
      {"HTTP/1.1 200 OK\ncontent-length: 0\n\n", kCodec},
      {"HTTP/1.1 200 OK\r\nx: y\rz: w\r\n\r\n", kCodec},
      {"HTTP/1.1 200 OK\r\nx y: z\r\n\r\n", "http1.codec_error"},
      {"HTTP/2.0 200 OK\r\n\r\n", kCodec},
      {"HTTP/1.2 200 OK\r\n\r\n", kCodec},
      {"HTTP/1.1 099 No\r\n\r\n", kCodec},
      {"HTTP/1.1 2x0 OK\r\n\r\n", kCodec},
      {"SSH-2.0-x\r\n", kCodec},
      {"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhiX\r\n0\r\n\r\n", kCodec},
      {"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi!", "http1.unexpected_data"},
      {"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "http1.unexpected_data"},
  };
  for (const Case& c : cases) {
    for (const size_t cut : kCuts) {
      INFO(c.input << " cut " << cut);
      ClientPeer client(Maker());
      Asked* a = client.Get();
      client.Feed(c.input, cut);
      CHECK(client.status.message() == c.detail);
      CHECK_FALSE(client.codec->reusable());
      CHECK((a->ended || a->reset == ResetReason::kProtocolError));
      CHECK(client.codec->active_streams() == 0);
    }
  }
}

TEST_CASE("a response head over the limit is too large") {
  Options options;
  options.max_headers_bytes = 100;
  ClientPeer client(Maker(options));
  Asked* a = client.Get();
  client.Feed("HTTP/1.1 200 OK\r\nx: " + std::string(100, 'y'));
  CHECK(a->reset == ResetReason::kTooLarge);
  CHECK(client.status.message() == "http1.headers_too_large");
}

TEST_CASE("a connection that ends takes its stream with it") {
  for (const std::string input :
       {"", "HTTP/1.1 20", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhi"}) {
    ClientPeer client(Maker());
    Asked* a = client.Get();
    client.Feed(input);
    client.FeedAgain(/*eof=*/true);
    // An orderly end in the middle of a message is a broken message.
    CHECK(a->reset ==
          (input.empty() ? ResetReason::kConnectionClosed : ResetReason::kProtocolError));
    CHECK_FALSE(client.codec->reusable());
  }
  ClientPeer idle(Maker());
  idle.FeedAgain(/*eof=*/true);
  CHECK_FALSE(idle.codec->reusable());
  CHECK(idle.Get() == nullptr);
}

TEST_CASE("a response before the end of its request leaves the connection unfit for another") {
  ClientPeer client(Maker());
  Asked* a = client.Ask(ClientPeer::Head("POST", "/"), false);
  a->SendBody("some", false);
  client.Feed("HTTP/1.1 413 Too Much\r\ncontent-length: 0\r\n\r\n");
  CHECK(a->Text() == "413 content-length=0 end");
  CHECK_FALSE(client.codec->reusable());
  CHECK(client.codec->active_streams() == 1);
  a->SendBody("", true);
  CHECK(client.codec->active_streams() == 0);
}

TEST_CASE(
    "an upgrade becomes a tunnel when it is accepted, and what was sent early waits for that") {
  RequestHead head = ClientPeer::Head("GET", "/chat");
  head.protocol = "websocket";
  for (const size_t cut : kCuts) {
    ClientPeer client(Maker());
    Asked* a = client.Ask(head, false);
    a->SendBody("early", false);
    CHECK(client.TakeOutput() ==
          "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
    CHECK(a->stream->Pending() == 5);
    client.Feed(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "
        "websocket\r\n\r\nraw\r\n",
        cut);
    CHECK(a->Text() == "101 upgrade=websocket body:raw\r\n ");
    CHECK(client.TakeOutput() == "early");
    a->SendBody("more", false);
    CHECK(client.TakeOutput() == "more");
    client.FeedAgain(/*eof=*/true);
    CHECK(a->ended);
    CHECK_FALSE(client.codec->reusable());
  }
  ClientPeer refused(Maker());
  Asked* a = refused.Ask(head, false);
  a->SendBody("GET /smuggled HTTP/1.1\r\n\r\n", false);
  refused.TakeOutput();
  refused.Feed("HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n");
  CHECK(refused.TakeOutput().empty());
  CHECK_FALSE(refused.codec->reusable());
}

TEST_CASE("CONNECT opens a tunnel") {
  RequestHead head = ClientPeer::Head("CONNECT", "");
  head.SetAuthority("b:443");
  ClientPeer client(Maker());
  Asked* a = client.Ask(head, false);
  CHECK(client.TakeOutput() == "CONNECT b:443 HTTP/1.1\r\nhost: b:443\r\n\r\n");
  client.Feed("HTTP/1.1 200 OK\r\n\r\nbytes");
  CHECK(a->Text() == "200 body:bytes ");
}

TEST_CASE("a stream that was never sent leaves the connection as it was") {
  ClientPeer client(Maker());
  Asked asked;
  client.codec->NewStream(&asked)->Reset(ResetReason::kCancel);
  CHECK(client.codec->reusable());
  CHECK(client.Get() != nullptr);
}

TEST_CASE("client and server understand each other") {
  Options options;
  options.enable_trailers = true;
  for (const size_t cut : kCuts) {
    ClientPeer client(Maker(options));
    ServerPeer server(
        [&](base::Buffer* out, ServerEvents* e) { return h1::MakeServerCodec(options, out, e); });
    server.on_event = [](Served& s) {
      if (!s.ended) return;
      s.stream->SendHead(Served::Head(200), false);
      s.SendBody(s.body, false);
      Trailers trailers;
      trailers.Add("x-t", "1");
      s.stream->SendTrailers(trailers);
    };
    for (int i = 0; i < 3; ++i) {
      Asked* a = client.Ask(ClientPeer::Head("POST", "/"), false);
      REQUIRE(a != nullptr);
      a->SendBody("hello", false);
      a->SendBody(" world", true);
      Exchange(client, server, cut);
      CHECK(a->Text() == "200 body:hello world trailers: x-t=1 end");
      CHECK(a->wire.sent ==
            std::string("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
                        "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
                .size());
      CHECK(a->wire.received == std::string("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
                                            "b\r\nhello world\r\n0\r\nx-t: 1\r\n\r\n")
                                    .size());
    }
    CHECK(client.codec->reusable());
    CHECK_FALSE(server.codec->finished());
  }
}

}  // namespace
}  // namespace heddle::http
