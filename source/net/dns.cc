#include "source/net/dns.h"

#include <ares.h>
#include <netdb.h>

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "source/base/status.h"

namespace heddle::net {
namespace {

// c-ares keeps process-wide state behind this; once is enough and it is never undone.
bool InitLibrary() {
  static const bool ok = ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS;
  return ok;
}

absl::Status ToStatus(int code, absl::string_view host) {
  const std::string text = absl::StrCat("resolve \"", host, "\": ", ares_strerror(code));
  switch (code) {
    case ARES_ENOTFOUND:
    case ARES_ENODATA:
    case ARES_EBADNAME:
      return absl::NotFoundError(text);
    case ARES_ETIMEOUT:
      return absl::DeadlineExceededError(text);
    default:
      return absl::UnavailableError(text);
  }
}

// What the family keeps of the answer.
void Choose(IpFamily family, std::vector<Address>* addresses) {
  const auto has = [&](int wanted) {
    return std::any_of(addresses->begin(), addresses->end(),
                       [&](const Address& a) { return a.family() == wanted; });
  };
  int drop = AF_UNSPEC;
  switch (family) {
    case IpFamily::kAuto:
      drop = has(AF_INET6) ? AF_INET : AF_UNSPEC;
      break;
    case IpFamily::kV4Preferred:
      drop = has(AF_INET) ? AF_INET6 : AF_UNSPEC;
      break;
    case IpFamily::kV4Only:
      drop = AF_INET6;
      break;
    case IpFamily::kV6Only:
      drop = AF_INET;
      break;
    case IpFamily::kAll:
      break;
  }
  addresses->erase(std::remove_if(addresses->begin(), addresses->end(),
                                  [&](const Address& a) { return a.family() == drop; }),
                   addresses->end());
}

class AresResolver final : public Resolver {
 public:
  explicit AresResolver(event::Loop& loop, const ResolverOptions& options)
      : loop_(loop), options_(options), timer_(loop, [this] { Process(ARES_SOCKET_BAD, 0); }) {}

  ~AresResolver() override {
    if (channel_ != nullptr) ares_destroy(channel_);  // ends every query, which calls OnAnswer
  }

  absl::Status Init() {
    if (!InitLibrary()) return absl::InternalError("c-ares does not start");
    ares_options options = {};
    options.timeout = static_cast<int>(absl::ToInt64Milliseconds(options_.try_timeout));
    options.tries = options_.tries;
    options.sock_state_cb = OnSocket;
    options.sock_state_cb_data = this;
    const int code = ares_init_options(
        &channel_, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
    if (code != ARES_SUCCESS)
      return absl::InternalError(absl::StrCat("c-ares: ", ares_strerror(code)));
    if (options_.servers.empty()) return absl::OkStatus();
    const std::string servers = absl::StrJoin(
        options_.servers, ",",
        [](std::string* out, const Address& address) { absl::StrAppend(out, address.ToString()); });
    if (ares_set_servers_ports_csv(channel_, servers.c_str()) != ARES_SUCCESS) {
      return absl::InvalidArgumentError(absl::StrCat("name servers \"", servers, "\""));
    }
    return absl::OkStatus();
  }

  std::unique_ptr<Lookup> Resolve(absl::string_view host, IpFamily family, Done done) override;

 private:
  // One question. c-ares cannot forget a query, so what it points to outlives a cancelled lookup.
  struct Query {
    std::string host;
    IpFamily family;
    class AresLookup* lookup;  // null once cancelled or answered
    AresResolver* resolver;
  };
  friend class AresLookup;

  static void OnSocket(void* self, ares_socket_t fd, int readable, int writable) {
    auto* resolver = static_cast<AresResolver*>(self);
    resolver->sockets_.erase(fd);
    const uint32_t interest =
        (readable ? event::FileEvents::kRead : 0U) | (writable ? event::FileEvents::kWrite : 0U);
    if (interest == 0) return;
    resolver->sockets_[fd] = std::make_unique<event::LevelEvents>(
        resolver->loop_, fd, interest,
        [resolver, fd](uint32_t ready) { resolver->Process(fd, ready); });
  }

  void Process(ares_socket_t fd, uint32_t ready) {
    ares_process_fd(channel_, (ready & event::FileEvents::kRead) ? fd : ARES_SOCKET_BAD,
                    (ready & event::FileEvents::kWrite) ? fd : ARES_SOCKET_BAD);
    ArmTimer();
  }

  void ArmTimer() {
    timeval buffer;
    const timeval* next = ares_timeout(channel_, nullptr, &buffer);
    if (next == nullptr) {
      timer_.Stop();
    } else {
      timer_.Start(absl::DurationFromTimeval(*next) + absl::Milliseconds(1));
    }
  }

  static void OnAnswer(void* arg, int code, int timeouts, ares_addrinfo* answer);

  event::Loop& loop_;
  const ResolverOptions options_;
  ares_channel channel_ = nullptr;
  absl::flat_hash_map<ares_socket_t, std::unique_ptr<event::LevelEvents>> sockets_;
  event::Timer timer_;
};

class AresLookup final : public Lookup {
 public:
  AresLookup(event::Loop& loop, Resolver::Done done)
      : done_(std::move(done)), timer_(loop, [this] { Deliver(); }) {}
  ~AresLookup() override {
    if (query_ != nullptr) query_->lookup = nullptr;
  }

  void SetQuery(AresResolver::Query* query) { query_ = query; }
  // The answer is told from the loop, so that a lookup is always held by its owner then.
  void Answer(absl::StatusOr<Resolved> answer) {
    query_ = nullptr;
    answer_ = std::move(answer);
    timer_.Start(absl::ZeroDuration());
  }
  void GiveUpAfter(absl::Duration timeout, absl::string_view host) {
    answer_ = absl::DeadlineExceededError(
        absl::StrCat("resolve \"", host, "\": no answer within ", absl::FormatDuration(timeout)));
    timer_.Start(timeout);
  }

 private:
  void Deliver() {
    if (query_ != nullptr) std::exchange(query_, nullptr)->lookup = nullptr;
    const Resolver::Done done = std::move(done_);
    absl::StatusOr<Resolved> answer = std::move(answer_);
    done(std::move(answer));  // may destroy this
  }

  Resolver::Done done_;
  absl::StatusOr<Resolved> answer_;
  AresResolver::Query* query_ = nullptr;
  event::Timer timer_;
};

std::unique_ptr<Lookup> AresResolver::Resolve(absl::string_view host, IpFamily family, Done done) {
  auto lookup = std::make_unique<AresLookup>(loop_, std::move(done));
  if (const auto number = Address::FromIp(host, 0); number.ok()) {
    Resolved answer = {{*number}, absl::ZeroDuration()};
    Choose(family, &answer.addresses);
    if (answer.addresses.empty()) {
      lookup->Answer(
          absl::NotFoundError(absl::StrCat("\"", host, "\" is an address of the other family")));
    } else {
      lookup->Answer(std::move(answer));
    }
    return lookup;
  }
  lookup->GiveUpAfter(options_.timeout, host);
  auto* query = new Query{std::string(host), family, lookup.get(), this};  // OnAnswer frees it
  lookup->SetQuery(query);
  ares_addrinfo_hints hints = {};
  hints.ai_flags = ARES_AI_NOSORT;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_family = family == IpFamily::kV4Only   ? AF_INET
                    : family == IpFamily::kV6Only ? AF_INET6
                                                  : AF_UNSPEC;
  ares_getaddrinfo(channel_, query->host.c_str(), nullptr, &hints, OnAnswer, query);
  ArmTimer();
  return lookup;
}

void AresResolver::OnAnswer(void* arg, int code, int, ares_addrinfo* answer) {
  const std::unique_ptr<Query> query(static_cast<Query*>(arg));
  if (query->lookup == nullptr) {
    if (answer != nullptr) ares_freeaddrinfo(answer);
    return;
  }
  if (code != ARES_SUCCESS) {
    query->lookup->Answer(ToStatus(code, query->host));
    return;
  }
  Resolved resolved;
  resolved.ttl = absl::InfiniteDuration();
  for (const ares_addrinfo_node* node = answer->nodes; node != nullptr; node = node->ai_next) {
    Address address =
        Address::FromSockaddr(node->ai_addr, static_cast<socklen_t>(node->ai_addrlen));
    if (!address.is_ip()) continue;
    address = address.WithPort(0);
    resolved.ttl = std::min(resolved.ttl, absl::Seconds(std::max(node->ai_ttl, 0)));
    if (std::find(resolved.addresses.begin(), resolved.addresses.end(), address) ==
        resolved.addresses.end()) {
      resolved.addresses.push_back(std::move(address));
    }
  }
  ares_freeaddrinfo(answer);
  Choose(query->family, &resolved.addresses);
  if (resolved.addresses.empty()) {
    query->lookup->Answer(ToStatus(ARES_ENODATA, query->host));
  } else {
    query->lookup->Answer(std::move(resolved));
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Resolver>> MakeAresResolver(event::Loop& loop,
                                                           const ResolverOptions& options) {
  auto resolver = std::make_unique<AresResolver>(loop, options);
  HEDDLE_RETURN_IF_ERROR(resolver->Init());
  return resolver;
}

}  // namespace heddle::net
