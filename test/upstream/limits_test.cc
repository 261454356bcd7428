#include "source/upstream/limits.h"

#include <catch2/catch.hpp>

namespace heddle::upstream {
namespace {

TEST_CASE("a retry budget follows what is active and pending, and never falls below its minimum") {
  config::Limits limits;
  Usage usage;
  CHECK(MaxRetries(limits, usage) == 3);
  limits.budget.emplace();  // 20 %, at least 3
  CHECK(MaxRetries(limits, usage) == 3);
  usage.requests = 50;
  usage.pending = 50;
  CHECK(MaxRetries(limits, usage) == 20);
  limits.budget->percent = 0;
  limits.budget->min_concurrency = 0;
  CHECK(MaxRetries(limits, usage) == 0);
}

TEST_CASE("a retry permit gives back its place once, also after moves") {
  auto limits = std::make_shared<SharedLimits>();
  const std::atomic<uint32_t>& retries = limits->usage[1].retries;
  {
    RetryPermit a(limits, Priority::kHigh);
    CHECK(retries == 1);
    RetryPermit b = std::move(a);
    CHECK(retries == 1);
    RetryPermit c;
    CHECK(!c);
    c = std::move(b);
    CHECK(c);
    CHECK(retries == 1);
    c = RetryPermit(limits, Priority::kHigh);
    CHECK(retries == 1);
  }
  CHECK(retries == 0);
}

}  // namespace
}  // namespace heddle::upstream
