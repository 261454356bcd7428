#include "examples/bookshop/app/behaviour.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <random>
#include <thread>

namespace bookshop {

bool Behaviour::ShouldFail() {
  if (const int delay = delay_ms_.load(); delay > 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(delay));
  const int percent = fail_percent_.load();
  thread_local std::minstd_rand dice(std::random_device{}());
  return percent > 0 && dice() % 100 < static_cast<unsigned>(percent);
}

Response Behaviour::Set(const Request& request) {
  fail_percent_ = QueryNumber(request.query, "fail_percent", fail_percent_);
  delay_ms_ = QueryNumber(request.query, "delay_ms", delay_ms_);
  return {.status = 200,
          .body = "{\"fail_percent\": " + std::to_string(fail_percent_) +
                  ", \"delay_ms\": " + std::to_string(delay_ms_) + "}\n",
          .error = ""};
}

int QueryNumber(const std::string& query, const std::string& key, int otherwise) {
  const std::string wanted = key + "=";
  for (size_t at = 0; at < query.size();) {
    const size_t end = std::min(query.find('&', at), query.size());
    if (query.compare(at, wanted.size(), wanted) == 0)
      return std::atoi(query.c_str() + at + wanted.size());
    at = end + 1;
  }
  return otherwise;
}

std::string CallerOf(const Headers& headers) {
  const auto it = headers.find("x-forwarded-client-cert");
  return it == headers.end() ? "" : it->second;
}

std::string Quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    if (static_cast<unsigned char>(c) >= 0x20) out.push_back(c);
  }
  return out + "\"";
}

}  // namespace bookshop
