// A downstream connection that speaks HTTP: owns the Connection, the codec (chosen by ALPN, else by the first bytes)
// and the streams. Written once per loop iteration.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "source/http/codec.h"
#include "source/net/connection.h"
#include "source/proxy/deadlines.h"
#include "source/proxy/session.h"

namespace heddle::proxy {

class Stream;

class HttpSession final : public Session, private net::ConnectionEvents, private http::ServerEvents {
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
  http::ServerCodec& codec() { return *codec_; }
  // Routes for a new stream: of the newest configuration, looked up once per configuration. Null: none yet.
  const RouteTable* Routes(Epoch* epoch);
  bool draining() const { return state_ != State::kOpen; }
  size_t buffer_limit() const { return listener().config->buffer_limit; }

  // From a stream: it has nothing more to do; dies at the end of the iteration.
  void OnStreamDone(Stream* stream);
  // Something was written for the client: flush at the end of the iteration.
  void Flush() { connection_->Flush(); }

 private:
  enum class State : uint8_t { kOpen, kDraining, kClosing, kClosed };

  void OnConnected() override;
  void OnData(base::Buffer& in, bool eof) override;
  void OnWritable() override;
  void OnClosed(net::CloseReason reason) override;
  http::RequestEvents* OnRequest(http::ServerStream* stream, http::RequestHead head, bool end) override;
  void OnPeerDraining() override {}

  bool ChooseCodec(base::Buffer& in, bool eof);
  bool PoliciesAllow();
  void MakeCodec(bool http2);
  void AfterEvent();
  void UpdateReading();
  void CloseAfterFlush();
  void OnIdle();
  void OnMaxDuration();
  void OnDrainGap();
  void OnHeaderTimeout();
  void Finish();

  std::unique_ptr<net::Connection> connection_;
  std::unique_ptr<http::ServerCodec> codec_;
  std::vector<std::unique_ptr<Stream>> streams_;
  Epoch* routes_epoch_ = nullptr;                // what routes_ was looked up for; compared, never dereferenced
  uint64_t routes_version_ = 0;
  const RouteTable* routes_ = nullptr;
  State state_ = State::kOpen;
  bool feeding_ = false;
  bool ready_ = false;                           // network policies were asked
  bool peer_closed_ = false;
  uint64_t requests_ = 0;
  Deadline idle_, duration_, drain_gap_, header_;
};

}  // namespace heddle::proxy
