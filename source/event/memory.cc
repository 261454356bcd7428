#include "source/event/memory.h"

#include <event2/event.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace heddle::event {
namespace {

constexpr size_t kSmall = 32;
constexpr size_t kRegion =
    32 * 1024 * 1024;  // of addresses: a million descriptors. Pages come as they are touched

char* g_region = nullptr;
std::atomic<size_t> g_used{0};

bool InRegion(const void* at) {
  return g_region != nullptr && at >= g_region && at < g_region + kRegion;
}

void* Allocate(size_t size) {
  if (size <= kSmall && g_region != nullptr) {
    const size_t at = g_used.fetch_add(kSmall, std::memory_order_relaxed);
    if (at + kSmall <= kRegion) return g_region + at;
    g_used.store(kRegion, std::memory_order_relaxed);
  }
  return std::malloc(size);
}

// What is in the region lives as long as the process; only the end of a loop frees some.
void Free(void* at) {
  if (!InRegion(at)) std::free(at);
}

void* Reallocate(void* at, size_t size) {
  if (!InRegion(at)) return std::realloc(at, size);
  void* const fresh = std::malloc(size);
  if (fresh != nullptr) std::memcpy(fresh, at, std::min(size, kSmall));
  return fresh;
}

bool Install() {
  void* const region = mmap(nullptr, kRegion, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (region == MAP_FAILED) return false;
  madvise(region, kRegion, MADV_NOHUGEPAGE);
  g_region = static_cast<char*>(region);
  event_set_mem_functions(Allocate, Reallocate, Free);
  return true;
}

}  // namespace

void SetLibeventMemory() { [[maybe_unused]] static const bool installed = Install(); }

}  // namespace heddle::event
