// What the codec fuzz targets share. The first byte of an input says how the rest is cut and how
// the owner behaves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "test/http/peers.h"

namespace heddle::http {

struct FuzzInput {
  FuzzInput(const uint8_t* data, size_t size)
      : knob(size == 0 ? 0 : data[0]),
        bytes(reinterpret_cast<const char*>(data) + (size == 0 ? 0 : 1), size == 0 ? 0 : size - 1) {
  }
  size_t cut() const {
    constexpr size_t kCuts[] = {SIZE_MAX, 1, 7, 100};
    return kCuts[knob & 3];
  }
  // What the owner does with a message.
  bool answers() const { return (knob & 4) != 0; }
  bool resets() const { return (knob & 8) != 0; }
  bool at_head() const { return (knob & 16) != 0; }

  const uint8_t knob;
  const std::string bytes;
};

inline void Require(bool condition) {
  if (!condition) std::abort();
}

// Drives a server codec with the input and an owner that answers as the knob says.
inline void DriveServer(const FuzzInput& input, const ServerPeer::Make& make) {
  ServerPeer server(make);
  const auto act = [&input](Served& s) {
    if (s.reset) return;
    if (input.resets()) return s.stream->Reset(ResetReason::kCancel);
    if (!input.answers()) return;
    s.stream->SendHead(Served::Head(200, {{"x", "y"}}), false);
    s.SendBody("body", false);
    s.stream->SendTrailers(Trailers());
  };
  if (input.at_head()) {
    server.on_request = act;
  } else {
    server.on_event = [act](Served& s) {
      if (s.ended) act(s);
    };
  }
  server.Feed(input.bytes, input.cut());
  for (int i = 0; i < 3; ++i) {
    server.TakeOutput();
    server.codec->OnOutWritable();
    server.FeedAgain();
  }
  server.FeedAgain(/*eof=*/true);
  server.codec->ResetAll(ResetReason::kConnectionClosed);
  Require(server.codec->active_streams() <= server.requests.size() + 100000);
  for (const auto& r : server.requests) {
    Require(!r->head.method.empty());
    for (const Headers::Entry& e : r->head.headers.entries())
      Require(e.value.find('\n') == absl::string_view::npos);
  }
}

// Drives a client codec: three requests are out (one, for HTTP/1), the input is what the server
// says.
inline void DriveClient(const FuzzInput& input, const ClientPeer::Make& make) {
  ClientPeer client(make);
  client.Ask(ClientPeer::Head(input.answers() ? "HEAD" : "GET", "/"));
  if (Asked* post = client.Ask(ClientPeer::Head("POST", "/"), false); post != nullptr)
    post->SendBody("body", false);
  RequestHead chat = ClientPeer::Head("GET", "/chat");
  chat.protocol = "websocket";
  client.Ask(chat, false);
  client.TakeOutput();
  client.Feed(input.bytes, input.cut());
  client.TakeOutput();
  client.codec->OnOutWritable();
  client.FeedAgain(/*eof=*/true);
  client.codec->ResetAll(ResetReason::kConnectionClosed);
  for (const auto& r : client.requests) Require(r->ended || r->reset || !r->heads.empty());
}

}  // namespace heddle::http
