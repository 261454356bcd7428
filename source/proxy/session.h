// One downstream connection being served: an HttpSession or a TcpSession. A worker's sessions live
// in its Sessions, which is their owner; a session that is over takes itself out and dies at the
// end of the iteration.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "source/event/loop.h"
#include "source/net/address.h"
#include "source/proxy/snapshot.h"

namespace heddle::proxy {

struct Context;

// An accepted socket with everything known about it before the first byte is read by a session.
struct Accepted {
  int fd = -1;                         // taken over
  net::Address remote, direct_remote;  // client; the same unless PROXY protocol said otherwise
  net::Address local;                  // destination, the original one when redirected
  std::shared_ptr<const ListenerSpec> listener;
  const ChainSpec* chain = nullptr;  // in *listener
};

class Session : public event::Destroyable {
 public:
  Session(Context& context, const Accepted& accepted);
  ~Session() override;
  // Finish what runs, take nothing new: GOAWAY, `connection: close`; TCP: nothing changes until the
  // end.
  virtual void Drain() = 0;
  // Ends the connection when nothing runs on it. For the last part of a drain.
  virtual void CloseIdle() = 0;
  // Ends the connection now.
  virtual void Abort() = 0;

  const ListenerSpec& listener() const { return *listener_; }
  const ChainSpec& chain() const { return chain_; }
  const net::Address& remote() const { return remote_; }
  const net::Address& direct_remote() const { return direct_remote_; }
  const net::Address& local() const { return local_; }
  Context& context() const { return context_; }

 protected:
  // Asks the chain's network policies, once the handshake told who the peer is. False: close the
  // connection; counted.
  bool PoliciesAllow(const net::PeerInfo& peer, std::string* details = nullptr);
  Context& context_;

 private:
  friend class Sessions;
  std::shared_ptr<const ListenerSpec> listener_;
  const ChainSpec& chain_;
  net::Address remote_, direct_remote_, local_;
  base::Micros began_ = 0;
  size_t slot_ = 0;
};

// A transport for an accepted connection of the chain.
std::unique_ptr<net::Transport> MakeTransport(const ChainSpec& chain);

class Sessions {
 public:
  explicit Sessions(event::Loop& loop) : loop_(loop) {}
  void Add(std::unique_ptr<Session> session);
  // Destroys it late; safe from inside the session's own calls.
  void Remove(Session* session);
  size_t size() const { return sessions_.size(); }
  // `visit` may end sessions.
  template <typename Visit>
  void ForEach(Visit visit) {
    const std::vector<Session*> all = List();
    for (Session* session : all) {
      if (Contains(session)) visit(*session);
    }
  }

 private:
  std::vector<Session*> List() const;
  bool Contains(const Session* session) const;
  event::Loop& loop_;
  std::vector<std::unique_ptr<Session>> sessions_;
};

// Makes the connection and the session its chain asks for, and adds it to context.sessions. Takes
// accepted.fd over in every case.
void StartSession(Context& context, const Accepted& accepted);

}  // namespace heddle::proxy
