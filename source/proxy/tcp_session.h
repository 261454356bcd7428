// A downstream connection relayed byte by byte to one upstream connection: weighted cluster,
// connect attempts, idle timeout, half-close both ways, back-pressure both ways, one access record
// at the end. Bytes move from one connection's buffer to the other's without a copy.
//
// Reading on one side is on exactly while the other side's out() is under its limit.
#pragma once

#include <memory>

#include "source/net/connection.h"
#include "source/observe/access_record.h"
#include "source/proxy/deadlines.h"
#include "source/proxy/epoch.h"
#include "source/proxy/session.h"
#include "source/upstream/cluster.h"

namespace heddle::proxy {

class TcpSession final : public Session, private net::ConnectionEvents {
 public:
  TcpSession(Context& context, const Accepted& accepted);
  ~TcpSession() override;

  void Drain() override {}  // bytes have no message to end after
  void CloseIdle() override {}
  void Abort() override;

 private:
  enum class State : uint8_t { kHandshaking, kConnecting, kRelaying, kClosing, kClosed };

  // What the upstream connection tells.
  class Upstream final : public net::ConnectionEvents {
   public:
    explicit Upstream(TcpSession& session) : session_(session) {}
    void OnConnected() override { session_.OnUpstreamConnected(); }
    void OnData(base::Buffer& in, bool eof) override { session_.OnUpstreamData(in, eof); }
    void OnWritable() override { session_.UpdateReading(); }
    void OnClosed(net::CloseReason reason) override { session_.OnUpstreamClosed(reason); }

   private:
    TcpSession& session_;
  };

  void OnConnected() override;
  void OnData(base::Buffer& in, bool eof) override;
  void OnWritable() override { UpdateReading(); }
  void OnClosed(net::CloseReason reason) override;
  void OnUpstreamConnected();
  void OnUpstreamData(base::Buffer& in, bool eof);
  void OnUpstreamClosed(net::CloseReason reason);

  const TcpSpec& spec() const { return *chain().tcp; }
  absl::string_view ChooseCluster();
  void Connect();
  void Refuse(observe::Flag flag, absl::string_view details);
  void UpdateReading();
  void Touch();
  void OnIdle();
  void OnMaxDuration();
  void CloseBoth(net::Connection::How how);
  void Finish();
  net::Connection* upstream() { return lease_ == nullptr ? nullptr : lease_->connection(); }

  Upstream upstream_events_{*this};
  EpochPin epoch_;
  upstream::Cluster* cluster_ = nullptr;
  std::unique_ptr<net::Connection> downstream_;
  std::unique_ptr<upstream::TcpLease> lease_;
  State state_ = State::kHandshaking;
  bool downstream_eof_ = false, upstream_eof_ = false;
  bool upstream_open_ = false;  // connecting or connected
  observe::AccessRecord record_;
  Deadline idle_, duration_, again_;
};

}  // namespace heddle::proxy
