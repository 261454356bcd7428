// A downstream connection that speaks HTTP: owns the Connection, the codec (chosen by ALPN, else by
// the first bytes) and the streams. What an iteration of the loop made happen is settled once at
// its end, in AtEnd: frames are made, the connection flushed, reading turned on or off, a finished
// connection closed.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "source/http/codec.h"
#include "source/net/connection.h"
#include "source/proxy/conn_manager.h"
#include "source/proxy/deadlines.h"
#include "source/proxy/session.h"
#include "source/proxy/stream.h"

namespace heddle::proxy {

class HttpSession final : public Session,
                          private net::ConnectionEvents,
                          private http::ServerEvents,
                          private event::EndOfIteration {
 public:
  HttpSession(Context& context, const Accepted& accepted);
  ~HttpSession() override;

  void Drain() override;
  void CloseIdle() override;
  void Abort() override;

  const HttpSpec& spec() const { return *chain().http; }
  const config::HttpConnectionManager& config() const { return *chain().http->config; }
  net::Connection& connection() { return *connection_; }
  const net::Connection& connection() const { return *connection_; }
  // What every request of this connection has in common. Only once connected.
  const ClientFacts& client() const { return *client_; }
  // Routes for a new stream: looked up once per configuration. Null: none yet.
  const RouteTable* Routes(Epoch* epoch);
  bool draining() const { return state_ != State::kOpen; }
  // The router adds no x-envoy-* headers of its own.
  bool suppress_envoy_headers() const { return config().filters.back().suppress_envoy_headers; }
  // What every record of this connection begins with, times included.
  void Describe(observe::AccessRecord& record) const;
  size_t buffer_limit() const { return listener().config->buffer_limit; }

  // From a stream: it has nothing more to do; dies at the end of the iteration.
  void OnStreamDone(Stream* stream);
  // Something changed: settle at the end of the iteration.
  void Touch();

 private:
  enum class State : uint8_t { kOpen, kDraining, kClosing, kClosed };

  void OnConnected() override;
  void OnData(base::Buffer& in, bool eof) override;
  void OnWritable() override;
  void OnClosed(net::CloseReason reason) override;
  http::RequestEvents* OnRequest(http::ServerStream* stream, http::RequestHead head,
                                 bool end) override;
  void OnMalformed(http::ServerStream* stream, const http::Malformed& what) override;
  void OnPeerDraining() override {}
  void OnOutput() override { Touch(); }
  void AtEnd() override;

  // False: more bytes are needed to tell.
  bool ChooseCodec(const base::Buffer& in, bool eof);
  void MakeCodec(bool http2);
  bool http2() const { return codec_ != nullptr && codec_->protocol() == http::Protocol::kHttp2; }
  void StartIdle();
  void StartFlush();
  void OnIdle();
  void OnDrainGap();
  void WatchHead();
  void OnHeaderTimeout();
  void OnFlushTimeout();
  void Close(net::Connection::How how);
  void CountBytes();

  std::unique_ptr<net::Connection> connection_;
  std::optional<ClientFacts> client_;
  std::unique_ptr<http::ServerCodec> codec_;
  std::vector<std::unique_ptr<Stream>> streams_;
  const RouteTable* routes_ = nullptr;
  uint64_t routes_version_ = 0;  // snapshot that routes_ was looked up in; 0 = none
  State state_ = State::kOpen;
  bool paused_ = false;  // the codec left input that it did not want yet
  uint64_t requests_ = 0, counted_in_ = 0, counted_out_ = 0;
  Deadline idle_, duration_, drain_gap_, header_, flush_;
};

}  // namespace heddle::proxy
