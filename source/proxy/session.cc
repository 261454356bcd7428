#include "source/proxy/session.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "source/base/status.h"
#include "source/proxy/context.h"
#include "source/proxy/http_session.h"
#include "source/proxy/tcp_session.h"

namespace heddle::proxy {

Session::Session(Context& context, const Accepted& accepted)
    : context_(context),
      listener_(accepted.listener),
      chain_(*accepted.chain),
      remote_(accepted.remote),
      direct_remote_(accepted.direct_remote),
      local_(accepted.local),
      began_(context.loop.Now()) {
  context_.sheet.Add(listener_->stats.cx_total);
  context_.sheet.Add(listener_->stats.cx_active);
}

Session::~Session() {
  context_.sheet.Sub(listener_->stats.cx_active);
  context_.sheet.Add(listener_->stats.cx_destroy);
  context_.sheet.Record(listener_->stats.cx_length,
                        static_cast<uint64_t>(context_.loop.Now() - began_));
}

bool Session::PoliciesAllow(const net::PeerInfo& peer, std::string* details) {
  for (const auto& policy : chain_.policies) {
    filter::NetworkPolicy::Decision decision = policy->Decide(
        {.remote = remote_, .direct_remote = direct_remote_, .local = local_, .peer = peer});
    if (decision.allow) continue;
    context_.sheet.Add(listener_->stats.policy_denied);
    if (details != nullptr) *details = std::move(decision.details);
    return false;
  }
  return true;
}

std::unique_ptr<net::Transport> MakeTransport(const ChainSpec& chain) {
  if (chain.transport == nullptr) return net::MakePlainTransport();
  return chain.transport->Create({});
}

void Sessions::Add(std::unique_ptr<Session> session) {
  session->slot_ = sessions_.size();
  sessions_.push_back(std::move(session));
}

void Sessions::Remove(Session* session) {
  const size_t slot = session->slot_;
  HEDDLE_CHECK(slot < sessions_.size() && sessions_[slot].get() == session)
      << "a session is removed once";
  loop_.Destroy(std::move(sessions_[slot]));
  sessions_[slot] = std::move(sessions_.back());
  sessions_.pop_back();
  if (slot < sessions_.size()) sessions_[slot]->slot_ = slot;
}

std::vector<Session*> Sessions::List() const {
  std::vector<Session*> all;
  all.reserve(sessions_.size());
  for (const auto& session : sessions_) all.push_back(session.get());
  return all;
}

bool Sessions::Contains(const Session* session) const {
  return session->slot_ < sessions_.size() && sessions_[session->slot_].get() == session;
}

void StartSession(Context& context, const Accepted& accepted) {
  if (accepted.chain->http != nullptr) {
    context.sessions.Add(std::make_unique<HttpSession>(context, accepted));
  } else if (accepted.chain->tcp != nullptr) {
    context.sessions.Add(std::make_unique<TcpSession>(context, accepted));
  } else {
    ::close(accepted.fd);
  }
}

}  // namespace heddle::proxy
