#include "source/proxy/listener_chains.h"

#include <algorithm>

#include "absl/container/inlined_vector.h"
#include "absl/strings/match.h"

namespace heddle::proxy {
namespace {

using Match = config::FilterChainMatch;
// How well one chain fits at one step: -1 not at all, 0 by not naming anything, more = more
// specific.
using Fit = int;
constexpr Fit kNo = -1, kCatchAll = 0;

Fit FitPort(const std::optional<uint16_t>& wanted, uint16_t port) {
  if (!wanted) return kCatchAll;
  return *wanted == port ? 1 : kNo;
}

Fit FitCidr(const std::vector<net::Cidr>& wanted, const net::Address& address) {
  if (wanted.empty()) return kCatchAll;
  Fit best = kNo;
  for (const net::Cidr& cidr : wanted) {
    if (cidr.Contains(address)) best = std::max(best, cidr.prefix_bits() + 1);
  }
  return best;
}

Fit FitName(const std::vector<std::string>& wanted, absl::string_view name) {
  if (wanted.empty()) return kCatchAll;
  Fit best = kNo;
  for (const std::string& pattern : wanted) {
    if (pattern == name && !name.empty()) return 100000;
    if (absl::StartsWith(pattern, "*.")) {
      const absl::string_view suffix = absl::string_view(pattern).substr(1);
      if (name.size() > suffix.size() && absl::EndsWith(name, suffix))
        best = std::max(best, static_cast<Fit>(suffix.size()));
    }
  }
  return best;
}

Fit FitText(absl::string_view wanted, absl::string_view text) {
  if (wanted.empty()) return kCatchAll;
  return wanted == text ? 1 : kNo;
}

// What the client offers first wins.
Fit FitAlpn(const std::vector<std::string>& wanted, const std::vector<std::string>& offered) {
  if (wanted.empty()) return kCatchAll;
  for (size_t i = 0; i < offered.size(); ++i) {
    if (std::find(wanted.begin(), wanted.end(), offered[i]) != wanted.end())
      return static_cast<Fit>(offered.size() - i);
  }
  return kNo;
}

bool LocalSource(const ChainFacts& facts) {
  if (!facts.source.is_ip()) return true;
  return facts.source.loopback() || facts.source.WithPort(0) == facts.destination.WithPort(0);
}

Fit FitSourceType(Match::SourceType wanted, bool local) {
  switch (wanted) {
    case Match::SourceType::kAny:
      return kCatchAll;
    case Match::SourceType::kSameIpOrLoopback:
      return local ? 1 : kNo;
    case Match::SourceType::kExternal:
      return local ? kNo : 1;
  }
  return kNo;
}

Fit FitSourcePort(const std::vector<uint16_t>& wanted, uint16_t port) {
  if (wanted.empty()) return kCatchAll;
  return std::find(wanted.begin(), wanted.end(), port) != wanted.end() ? 1 : kNo;
}

class Narrowing {
 public:
  explicit Narrowing(const std::vector<const Match*>& chains) : chains_(chains) {
    for (size_t i = 0; i < chains.size(); ++i) left_.push_back(i);
  }
  // Keeps the chains that fit best; none when none fits.
  template <typename FitOf>
  Narrowing& By(FitOf fit_of) {
    if (left_.empty()) return *this;
    Fit best = kNo;
    absl::InlinedVector<Fit, 16> fits;
    for (size_t i : left_) {
      fits.push_back(fit_of(*chains_[i]));
      best = std::max(best, fits.back());
    }
    size_t kept = 0;
    for (size_t k = 0; k < left_.size(); ++k) {
      if (best != kNo && fits[k] == best) left_[kept++] = left_[k];
    }
    left_.resize(kept);
    return *this;
  }
  int first() const { return left_.empty() ? -1 : static_cast<int>(left_[0]); }

 private:
  const std::vector<const Match*>& chains_;
  absl::InlinedVector<size_t, 16> left_;
};

}  // namespace

int ChooseChain(const std::vector<const Match*>& chains, const ChainFacts& facts) {
  const bool local = LocalSource(facts);
  return Narrowing(chains)
      .By([&](const Match& m) { return FitPort(m.destination_port, facts.destination.port()); })
      .By([&](const Match& m) { return FitCidr(m.destinations, facts.destination); })
      .By([&](const Match& m) { return FitName(m.server_names, facts.server_name); })
      .By([&](const Match& m) { return FitText(m.transport_protocol, facts.transport); })
      .By([&](const Match& m) { return FitAlpn(m.application_protocols, facts.alpn); })
      .By([&](const Match& m) { return FitCidr(m.direct_sources, facts.direct_source); })
      .By([&](const Match& m) { return FitSourceType(m.source_type, local); })
      .By([&](const Match& m) { return FitCidr(m.sources, facts.source); })
      .By([&](const Match& m) { return FitSourcePort(m.source_ports, facts.source.port()); })
      .first();
}

const ChainSpec* ChooseChain(const ListenerSpec& listener, const ChainFacts& facts) {
  std::vector<const Match*> matches;
  matches.reserve(listener.chains.size());
  for (const ChainSpec& chain : listener.chains) matches.push_back(&chain.config->match);
  const int chosen = ChooseChain(matches, facts);
  if (chosen >= 0) return &listener.chains[static_cast<size_t>(chosen)];
  return listener.default_chain ? &*listener.default_chain : nullptr;
}

}  // namespace heddle::proxy
