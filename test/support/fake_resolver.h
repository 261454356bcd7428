// A resolver whose answers a test writes down. Answers come from the loop, as real ones do.
//
//   FakeResolver resolver(loop);
//   resolver.answers["db"] =
//       net::Resolved{{*net::Address::FromIp("10.0.0.1", 0)}, absl::Seconds(5)};
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "source/event/loop.h"
#include "source/net/dns.h"

namespace heddle::test {

class FakeResolver final : public net::Resolver {
 public:
  explicit FakeResolver(event::Loop& loop) : loop_(loop) {}

  std::unique_ptr<net::Lookup> Resolve(absl::string_view host, net::IpFamily, Done done) override {
    ++asked[std::string(host)];
    const auto it = answers.find(std::string(host));
    absl::StatusOr<net::Resolved> answer = absl::NotFoundError("no such name");
    if (it != answers.end()) answer = it->second;
    return std::make_unique<Pending>(loop_, std::move(answer), std::move(done));
  }

  std::map<std::string, absl::StatusOr<net::Resolved>> answers;
  std::map<std::string, int> asked;

 private:
  struct Pending final : net::Lookup {
    Pending(event::Loop& loop, absl::StatusOr<net::Resolved> answer, Done done)
        : timer(loop, [answer = std::move(answer), done = std::move(done)] { done(answer); }) {
      timer.Start(absl::ZeroDuration());
    }
    event::Timer timer;
  };
  event::Loop& loop_;
};

}  // namespace heddle::test
