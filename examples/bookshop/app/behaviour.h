// Failing and being slow on demand.
#pragma once

#include <atomic>
#include <string>

#include "examples/bookshop/app/http.h"

namespace bookshop {

class Behaviour {
 public:
  // True when this request is one that should fail; sleeps first when told to be slow.
  bool ShouldFail();
  // Answers POST /behave.
  Response Set(const Request& request);

 private:
  std::atomic<int> fail_percent_{0}, delay_ms_{0};
};

// "fail_percent" in "fail_percent=50&delay_ms=20"; `otherwise` when absent.
int QueryNumber(const std::string& query, const std::string& key, int otherwise);

// {"service": ..., "caller": ...}: who called, as the mesh vouches for it.
std::string CallerOf(const Headers& headers);
std::string Quoted(const std::string& text);

}  // namespace bookshop
