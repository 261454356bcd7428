// The addresses of a cluster's host names, asked again and again (STRICT_DNS, LOGICAL_DNS). Main
// thread.
//
//   DnsWatch watch(loop, resolver, options, [this] { Rebuild(); });
//   watch.SetNames({"db.example"});
//   if (watch.ready()) watch.AddressesOf("db.example");
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "source/event/loop.h"
#include "source/net/dns.h"

namespace heddle::upstream {

class DnsWatch {
 public:
  struct Options {
    net::IpFamily family = net::IpFamily::kAuto;
    absl::Duration refresh = absl::Seconds(5);
    bool respect_ttl = false;  // the records' TTL, at least a second, instead of `refresh`
    bool keep_when_gone =
        false;  // LOGICAL_DNS: a name that does not exist any more keeps its addresses
  };
  enum class Outcome : uint8_t { kChanged, kSame, kFailed };

  // `on_answer` after each answer, from the loop; kChanged: AddressesOf says something new. It may
  // destroy the watch only by way of the loop.
  DnsWatch(event::Loop& loop, net::Resolver& resolver, const Options& options,
           std::function<void(Outcome)> on_answer);
  ~DnsWatch();
  // Names that stay keep what is known of them.
  void SetNames(const std::vector<std::string>& names);
  void SetOptions(const Options& options) { options_ = options; }
  // Every name was answered once, well or not.
  bool ready() const;
  // Port 0; empty when nothing is known. A failed lookup keeps what was known before.
  const std::vector<net::Address>& AddressesOf(absl::string_view name) const;

 private:
  struct Name {
    std::unique_ptr<net::Lookup> lookup;
    std::unique_ptr<event::Timer> again;
    std::vector<net::Address> addresses;
    bool answered = false;
  };
  void Ask(const std::string& text, Name& name);
  void OnAnswer(Name& name, absl::StatusOr<net::Resolved> answer);

  event::Loop& loop_;
  net::Resolver& resolver_;
  Options options_;
  std::function<void(Outcome)> on_answer_;
  absl::flat_hash_map<std::string, std::unique_ptr<Name>> names_;
};

}  // namespace heddle::upstream
