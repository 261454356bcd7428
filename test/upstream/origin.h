// A small HTTP origin on loopback over our server codecs, on the test's loop.
//
//   GET /echo     200, the request's body comes back
//   GET /close    200 without length, ended by closing (HTTP/1)
//   GET /hang     no answer
//   GET /die      the connection is reset
//   GET /goaway   200, then GOAWAY or connection: close
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "source/event/loop.h"
#include "source/http/codec.h"
#include "source/http/h1/codec.h"
#include "source/http/h2/codec.h"
#include "source/net/connection.h"
#include "source/net/listener.h"
#include "source/net/socket.h"

namespace heddle::upstream {

class Origin {
 public:
  Origin(event::Loop& loop, http::Protocol protocol)
      : loop_(loop),
        protocol_(protocol),
        listener_(loop, *net::Listen(*net::Address::FromIp("127.0.0.1", 0)), {},
                  [this](int fd, const net::Address& peer) {
                    connections.push_back(std::make_unique<Peer>(*this, fd, peer));
                  }) {}
  std::string address() const { return listener_.address().ToString(); }

  class Peer final : public net::ConnectionEvents,
                     private http::ServerEvents,
                     private event::EndOfIteration {
   public:
    Peer(Origin& origin, int fd, const net::Address& peer) : origin_(origin) {
      connection_ = net::Connection::Accepted(origin.loop_, fd, net::MakePlainTransport(), peer,
                                              {.half_close = true}, this);
      if (origin.protocol_ == http::Protocol::kHttp2)
        codec_ = http::h2::MakeServerCodec({}, &connection_->out(), this);
      else
        codec_ = http::h1::MakeServerCodec({}, &connection_->out(), this);
      OnOutput();
    }
    bool closed() const { return closed_; }
    net::Connection& connection() { return *connection_; }

   private:
    struct Request final : http::RequestEvents {
      explicit Request(Peer& p) : peer(p) {}
      void OnBody(base::Buffer& data, bool end) override {
        stream->Consumed(data.size());
        body.Move(data);
        if (end) Answer();
      }
      void OnTrailers(http::Trailers) override { Answer(); }
      void OnReset(http::ResetReason) override { ++peer.origin_.resets; }
      void Answer() {
        if (path == "/hang") return;
        if (path == "/die") return peer.connection_->Close(net::Connection::How::kReset);
        http::ResponseHead head;
        head.status = 200;
        if (path == "/goaway") peer.codec_->Drain();
        if (body.empty()) return stream->SendHead(head, true);
        stream->SendHead(head, false);
        stream->SendBody(body, true);
      }
      Peer& peer;
      http::ServerStream* stream = nullptr;
      std::string path;
      base::Buffer body;
    };

    void OnMalformed(http::ServerStream*, const http::Malformed&) override {}
    http::RequestEvents* OnRequest(http::ServerStream* stream, http::RequestHead head,
                                   bool end) override {
      ++origin_.requests;
      requests_.push_back(std::make_unique<Request>(*this));
      Request& request = *requests_.back();
      request.stream = stream;
      request.path = std::string(head.path);
      if (end) request.Answer();
      return &request;
    }
    void OnOutput() override { origin_.loop_.MarkDirty(this); }
    void AtEnd() override {
      if (closed_) return;
      codec_->PrepareFlush();
      connection_->Flush();
      if (codec_->finished()) connection_->Close(net::Connection::How::kFlush);
    }
    void OnData(base::Buffer& in, bool eof) override {
      const absl::Status status = codec_->Feed(in, eof);
      origin_.loop_.MarkDirty(this);
      if (!status.ok()) origin_.errors.push_back(std::string(status.message()));
      if (!status.ok() || eof) connection_->Close(net::Connection::How::kFlush);
    }
    void OnWritable() override { codec_->OnOutWritable(); }
    void OnClosed(net::CloseReason) override {
      closed_ = true;
      codec_->ResetAll(http::ResetReason::kConnectionClosed);
    }

    Origin& origin_;
    std::unique_ptr<net::Connection> connection_;
    std::vector<std::unique_ptr<Request>> requests_;
    std::unique_ptr<http::ServerCodec> codec_;
    bool closed_ = false;
  };

  int requests = 0, resets = 0;
  std::vector<std::string> errors;
  std::vector<std::unique_ptr<Peer>> connections;

 private:
  event::Loop& loop_;
  const http::Protocol protocol_;
  net::Listener listener_;
};

}  // namespace heddle::upstream
