// Names to addresses without waiting, over c-ares: /etc/hosts first, then the name servers of
// /etc/resolv.conf.
//
//   auto resolver = MakeAresResolver(loop, {});
//   lookup_ = resolver->Resolve("db.example", IpFamily::kAuto,
//                               [this](absl::StatusOr<Resolved> answer) { ... });
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "source/event/loop.h"
#include "source/net/address.h"

namespace heddle::net {

// config.cluster.v3.Cluster.DnsLookupFamily.
enum class IpFamily {
  kAuto,  // IPv6 addresses if there are any, else IPv4
  kV4Only,
  kV6Only,
  kV4Preferred,  // IPv4 addresses if there are any, else IPv6
  kAll,
};

struct Resolved {
  std::vector<Address> addresses;  // port 0, each once, never empty
  absl::Duration ttl;              // the shortest of the records; zero for numbers and /etc/hosts
};

// Destroying it cancels: the call is not made any more.
class Lookup {
 public:
  virtual ~Lookup() = default;
};

class Resolver {
 public:
  virtual ~Resolver() = default;
  using Done = std::function<void(absl::StatusOr<Resolved>)>;
  // Calls `done` once, from the loop, never from here. NotFound: the name or its addresses do not
  // exist; DeadlineExceeded, Unavailable: nobody could say. `done` may destroy the lookup, not the
  // resolver.
  [[nodiscard]] virtual std::unique_ptr<Lookup> Resolve(absl::string_view host, IpFamily family,
                                                        Done done) = 0;
};

struct ResolverOptions {
  std::vector<Address> servers;               // empty: those of /etc/resolv.conf
  absl::Duration timeout = absl::Seconds(5);  // for one lookup with all its tries
  absl::Duration try_timeout = absl::Seconds(2);
  int tries = 3;
};

absl::StatusOr<std::unique_ptr<Resolver>> MakeAresResolver(event::Loop& loop,
                                                           const ResolverOptions& options);

}  // namespace heddle::net
