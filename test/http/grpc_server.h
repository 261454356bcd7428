// A gRPC server for wire tests: HTTP/2 on a loopback socket of the test's own loop.
//
//   WireServer server(loop);
//   server.peer.on_event = [](Served& s) { if (s.ended) Answer(s, {"reply"}, "0"); };
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "source/http/grpc/frame.h"
#include "source/http/h2/codec.h"
#include "source/net/connection.h"
#include "source/net/listener.h"
#include "source/net/socket.h"
#include "test/http/peers.h"

namespace heddle::http::grpc {

// An HTTP/2 server on a loopback socket; its requests are `peer`'s.
class WireServer : private net::ConnectionEvents, private event::EndOfIteration {
 public:
  explicit WireServer(event::Loop& loop, const h2::Options& options = {})
      : peer([this, options](base::Buffer*, ServerEvents* events) {
          return h2::MakeServerCodec(options, &out_, events);
        }),
        loop_(loop),
        listener_(loop, *net::Listen(*net::Address::FromIp("127.0.0.1", 0)), {},
                  [this](int fd, const net::Address& from) {
                    connection_ = net::Connection::Accepted(loop_, fd, net::MakePlainTransport(),
                                                            from, {}, this);
                  }) {}
  const net::Address& address() const { return listener_.address(); }
  void Touch() { loop_.MarkDirty(this); }
  void Kill() { connection_->Close(net::Connection::How::kReset); }

 private:
  base::Buffer out_;

 public:
  ServerPeer peer;
  bool deaf = false;  // reads nothing

 private:
  void OnData(base::Buffer& in, bool eof) override {
    if (deaf) return in.Clear();
    peer.in.Move(in);
    peer.FeedAgain(eof);
    Touch();
  }
  void OnClosed(net::CloseReason) override {}
  void AtEnd() override {
    if (connection_ == nullptr) return;
    peer.codec->PrepareFlush();
    connection_->out().Move(out_);
    connection_->Flush();
  }

  event::Loop& loop_;
  std::unique_ptr<net::Connection> connection_;
  net::Listener listener_;
};

// A gRPC message as it stands in a body.
inline std::string Framed(absl::string_view message) {
  base::Buffer out;
  AppendFrame(message, &out);
  return out.ToString();
}

// The whole answer to a call.
inline void Answer(Served& s, std::vector<std::string> messages, const std::string& code,
                   const std::string& text = "") {
  s.stream->SendHead(Served::Head(200, {{"content-type", "application/grpc"}}), false);
  for (const std::string& m : messages) s.SendBody(Framed(m), false);
  Trailers trailers;
  trailers.Add("grpc-status", code);
  if (!text.empty()) trailers.Add("grpc-message", text);
  s.stream->SendTrailers(trailers);
}

}  // namespace heddle::http::grpc
