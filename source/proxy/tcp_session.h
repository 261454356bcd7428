// A downstream connection relayed byte by byte to one upstream connection: weighted cluster, connect attempts, idle
// timeout, half-close both ways, back-pressure both ways, one access record at the end.
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

  void Drain() override {}
  void CloseIdle() override {}
  void Abort() override;

 private:
  class Impl;
  void OnConnected() override;
  void OnData(base::Buffer& in, bool eof) override;
  void OnWritable() override;
  void OnClosed(net::CloseReason reason) override;
  std::unique_ptr<Impl> impl_;
};

}  // namespace heddle::proxy
