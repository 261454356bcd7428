// Memory of objects that come and go with every request: freed blocks of one size wait, per thread,
// for the next.
//
//   class Stream { ... static void* operator new(size_t n) { return FreeList<Stream>::Allocate(n);
//   }
//                      static void operator delete(void* p) { FreeList<Stream>::Free(p); } };
#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace heddle::proxy {

template <typename T>
class FreeList {
 public:
  static constexpr size_t kKept = 128;  // blocks; more than that go back to the system
  static void* Allocate(size_t bytes) {
    auto& blocks = Blocks().blocks;
    if (blocks.empty()) return ::operator new(bytes);
    void* block = blocks.back();
    blocks.pop_back();
    return block;
  }
  static void Free(void* block) {
    auto& blocks = Blocks().blocks;
    if (blocks.size() >= kKept) return ::operator delete(block);
    blocks.push_back(block);
  }

 private:
  struct Held {
    ~Held() {
      for (void* block : blocks) ::operator delete(block);
    }
    std::vector<void*> blocks;
  };
  static Held& Blocks() {
    static thread_local Held held;
    return held;
  }
};

}  // namespace heddle::proxy
