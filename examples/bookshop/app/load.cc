#include "examples/bookshop/app/load.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "examples/bookshop/app/behaviour.h"
#include "examples/bookshop/app/http.h"

namespace bookshop {
namespace {

using Clock = std::chrono::steady_clock;

std::atomic<bool> stopped{false};

struct Tally {
  std::map<int, int> statuses;
  std::map<std::string, int> versions;
  std::vector<int64_t> micros;
  std::string first_failure;

  void Add(const Response& response, int64_t took) {
    ++statuses[response.status];
    micros.push_back(took);
    if (response.status != 200) {
      if (first_failure.empty())
        first_failure = response.status == 0 ? response.error : response.body;
      return;
    }
    for (const char* version : {"v1", "v2"}) {
      if (response.body.find(std::string("\"version\": \"") + version) != std::string::npos)
        ++versions[version];
    }
  }

  void Merge(const Tally& other) {
    for (const auto& [status, count] : other.statuses) statuses[status] += count;
    for (const auto& [version, count] : other.versions) versions[version] += count;
    micros.insert(micros.end(), other.micros.begin(), other.micros.end());
    if (first_failure.empty()) first_failure = other.first_failure;
  }
};

// One connection: a request each `gap`, never two at a time; late ones are sent at once.
void RunConnection(const Load& load, Clock::time_point start, Clock::duration gap, int index,
                   Tally* tally) {
  const auto end = start + std::chrono::microseconds(static_cast<int64_t>(load.seconds * 1e6));
  auto next = start + gap * index / load.connections;
  while (!stopped) {
    std::this_thread::sleep_until(next);
    const auto begin = Clock::now();
    if (begin >= end || stopped) return;
    const Response response = Get(load.url, load.host, {}, 10000);
    tally->Add(response,
               std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin).count());
    next = std::max(next + gap, begin);
  }
}

template <typename Map, typename Key>
std::string Object(const Map& map, Key key) {
  std::string out = "{";
  for (const auto& [name, count] : map) {
    if (out.size() > 1) out += ", ";
    out += Quoted(key(name)) + ": " + std::to_string(count);
  }
  return out + "}";
}

int64_t Quantile(const std::vector<int64_t>& sorted, double q) {
  if (sorted.empty()) return 0;
  return sorted[std::min(sorted.size() - 1,
                         static_cast<size_t>(q * static_cast<double>(sorted.size())))];
}

}  // namespace

int RunLoad(const Load& load) {
  std::signal(SIGTERM, [](int) { stopped = true; });
  const auto gap = std::chrono::nanoseconds(
      static_cast<int64_t>(1e9 * load.connections / std::max(load.rate, 1)));
  std::vector<Tally> tallies(static_cast<size_t>(load.connections));
  std::vector<std::thread> threads;
  threads.reserve(tallies.size());
  const auto start = Clock::now();
  for (int i = 0; i < load.connections; ++i) {
    threads.emplace_back(
        [&, i] { RunConnection(load, start, gap, i, &tallies[static_cast<size_t>(i)]); });
  }
  for (std::thread& thread : threads) thread.join();
  Tally all;
  for (const Tally& tally : tallies) all.Merge(tally);
  std::sort(all.micros.begin(), all.micros.end());
  const int requests = static_cast<int>(all.micros.size());
  const int good = all.statuses.count(200) != 0 ? all.statuses[200] : 0;
  std::printf(
      "{\"requests\": %d, \"failed\": %d, \"p50_us\": %lld, \"p99_us\": %lld, \"statuses\": %s, "
      "\"versions\": %s, "
      "\"first_failure\": %s}\n",
      requests, requests - good, static_cast<long long>(Quantile(all.micros, 0.5)),
      static_cast<long long>(Quantile(all.micros, 0.99)),
      Object(all.statuses, [](int status) { return std::to_string(status); }).c_str(),
      Object(all.versions, [](const std::string& version) { return version; }).c_str(),
      Quoted(all.first_failure).c_str());
  return 0;
}

}  // namespace bookshop
