#include "source/upstream/dns_watch.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "source/base/log.h"

namespace heddle::upstream {

DnsWatch::DnsWatch(event::Loop& loop, net::Resolver& resolver, const Options& options,
                   std::function<void(Outcome)> on_answer)
    : loop_(loop), resolver_(resolver), options_(options), on_answer_(std::move(on_answer)) {}

DnsWatch::~DnsWatch() = default;

void DnsWatch::SetNames(const std::vector<std::string>& names) {
  const absl::flat_hash_set<std::string> wanted(names.begin(), names.end());
  for (auto it = names_.begin(); it != names_.end();) {
    if (wanted.contains(it->first))
      ++it;
    else
      names_.erase(it++);
  }
  for (const std::string& text : wanted) {
    std::unique_ptr<Name>& name = names_[text];
    if (name != nullptr) continue;
    name = std::make_unique<Name>();
    name->again =
        std::make_unique<event::Timer>(loop_, [this, text, n = name.get()] { Ask(text, *n); });
    Ask(text, *name);
  }
}

void DnsWatch::Ask(const std::string& text, Name& name) {
  name.lookup = resolver_.Resolve(
      text, options_.family, [this, text, &name](absl::StatusOr<net::Resolved> answer) {
        if (!answer.ok())
          HEDDLE_LOG(kDebug, "upstream") << text << ": " << answer.status().message();
        OnAnswer(name, std::move(answer));
      });
}

void DnsWatch::OnAnswer(Name& name, absl::StatusOr<net::Resolved> answer) {
  const bool first = !std::exchange(name.answered, true);
  absl::Duration wait = options_.refresh;
  Outcome outcome = Outcome::kFailed;
  if (answer.ok()) {
    if (options_.respect_ttl && answer->ttl > absl::ZeroDuration())
      wait = std::max(answer->ttl, absl::Seconds(1));
    std::sort(answer->addresses.begin(), answer->addresses.end(),
              [](const net::Address& a, const net::Address& b) { return a.ip() < b.ip(); });
    outcome = answer->addresses == name.addresses ? Outcome::kSame : Outcome::kChanged;
    name.addresses = std::move(answer->addresses);
  } else if (absl::IsNotFound(answer.status()) && !options_.keep_when_gone) {
    outcome = name.addresses.empty() ? Outcome::kSame : Outcome::kChanged;
    name.addresses.clear();
  }
  name.again->Start(wait);
  if (first && outcome == Outcome::kSame) outcome = Outcome::kChanged;
  on_answer_(outcome);
}

bool DnsWatch::ready() const {
  return std::all_of(names_.begin(), names_.end(),
                     [](const auto& name) { return name.second->answered; });
}

const std::vector<net::Address>& DnsWatch::AddressesOf(absl::string_view name) const {
  static const auto* const none = new std::vector<net::Address>;
  auto at = names_.find(name);
  return at == names_.end() ? *none : at->second->addresses;
}

}  // namespace heddle::upstream
