// Per-thread free list of streams of one kind.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

namespace heddle::http::h2 {

template <typename T>
class StreamPool {
 public:
  T* Take() {
    if (free_.empty()) return new T();
    T* stream = free_.back().release();
    free_.pop_back();
    return stream;
  }
  void Give(T* stream) {
    std::unique_ptr<T> owned(stream);
    if (free_.size() < kKept) free_.push_back(std::move(owned));
  }

 private:
  static constexpr size_t kKept = 64;
  std::vector<std::unique_ptr<T>> free_;
};

}  // namespace heddle::http::h2
