#include "source/base/buffer.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include "source/base/status.h"

#if defined(__SANITIZE_ADDRESS__)
#define HEDDLE_PLAIN_BLOCKS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HEDDLE_PLAIN_BLOCKS 1
#endif
#endif

namespace heddle::base {

// Blocks cut from 1 MiB mappings. `warm_` have memory behind them; `cold_` gave theirs back and
// keep only the address, so that a burst leaves neither memory nor a split mapping. Under ASan
// every block is a malloc, so that a use after free is seen.
class BlockPool {
 public:
  using Block = Buffer::Block;

  ~BlockPool() {
    for (char* block : warm_) Discard(block);
    const std::lock_guard<std::mutex> lock(orphans_mutex_);
    orphans_.insert(orphans_.end(), cold_.begin(), cold_.end());
  }

  Block* Take() {
    ++used_;
#ifdef HEDDLE_PLAIN_BLOCKS
    return static_cast<Block*>(std::malloc(Buffer::kBlockBytes));
#else
    if (warm_.empty()) Refill();
    char* block = warm_.back();
    warm_.pop_back();
    low_water_ = std::min(low_water_, warm_.size());
    return reinterpret_cast<Block*>(block);
#endif
  }

  void Give(Block* block) {
    --used_;
#ifdef HEDDLE_PLAIN_BLOCKS
    std::free(block);
#else
    warm_.push_back(reinterpret_cast<char*>(block));
#endif
  }

  // What lay unused since the last call was not needed.
  void Trim() {
    size_t surplus = std::min(low_water_, warm_.size());
    surplus = surplus > Buffer::kKeepBlocks ? surplus - Buffer::kKeepBlocks : 0;
    // The front of the stack was used longest ago.
    for (size_t i = 0; i < surplus; ++i) Discard(warm_[i]);
    warm_.erase(warm_.begin(), warm_.begin() + static_cast<ptrdiff_t>(surplus));
    low_water_ = warm_.size();
  }

  size_t warm() const { return warm_.size(); }
  size_t used() const { return used_; }

 private:
  static constexpr size_t kSlabBytes = 1024 * 1024;

  void Discard(char* block) {
    madvise(block, Buffer::kBlockBytes, MADV_DONTNEED);
    cold_.push_back(block);
  }

  void Refill() {
    if (cold_.empty()) {
      const std::lock_guard<std::mutex> lock(orphans_mutex_);
      cold_.swap(orphans_);
    }
    if (cold_.empty()) MapSlab();
    warm_.push_back(cold_.back());
    cold_.pop_back();
  }

  void MapSlab() {
    void* slab =
        mmap(nullptr, kSlabBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    HEDDLE_CHECK(slab != MAP_FAILED) << "out of memory for buffers";
    madvise(slab, kSlabBytes, MADV_NOHUGEPAGE);
    for (size_t at = kSlabBytes; at > 0; at -= Buffer::kBlockBytes) {
      cold_.push_back(static_cast<char*>(slab) + at - Buffer::kBlockBytes);
    }
  }

  std::vector<char*> warm_;
  std::vector<char*> cold_;
  size_t low_water_ = 0;
  size_t used_ = 0;  // wraps when buffers change threads; only tests read it

  // Addresses left by threads that ended.
  static std::mutex orphans_mutex_;
  static std::vector<char*> orphans_;  // guarded by orphans_mutex_
};

constinit std::mutex BlockPool::orphans_mutex_;
std::vector<char*> BlockPool::orphans_;

namespace {
thread_local BlockPool t_pool;
}  // namespace

Buffer::Block* Buffer::NewBlock() {
  Block* block = t_pool.Take();
  block->next = nullptr;
  block->begin = block->end = 0;
  block->capacity = kBlockBytes - sizeof(Block);
  block->pooled = true;
  return block;
}

Buffer::Block* Buffer::NewBigBlock(size_t capacity) {
  auto* block = static_cast<Block*>(std::malloc(sizeof(Block) + capacity));
  HEDDLE_CHECK(block != nullptr && capacity <= UINT32_MAX) << "block of " << capacity << " bytes";
  block->next = nullptr;
  block->begin = block->end = 0;
  block->capacity = static_cast<uint32_t>(capacity);
  block->pooled = false;
  return block;
}

void Buffer::FreeBlock(Block* block) {
  if (block->pooled) {
    t_pool.Give(block);
  } else {
    std::free(block);
  }
}

size_t Buffer::FreeBlocks() { return t_pool.warm(); }
size_t Buffer::UsedBlocks() { return t_pool.used(); }
void Buffer::TrimFreeBlocks() { t_pool.Trim(); }

Buffer::Buffer(Buffer&& other) noexcept
    : head_(std::exchange(other.head_, nullptr)),
      tail_(std::exchange(other.tail_, nullptr)),
      reserved_(std::exchange(other.reserved_, nullptr)),
      reserved_tail_(std::exchange(other.reserved_tail_, false)),
      size_(std::exchange(other.size_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this != &other) {
    Clear();
    head_ = std::exchange(other.head_, nullptr);
    tail_ = std::exchange(other.tail_, nullptr);
    reserved_ = std::exchange(other.reserved_, nullptr);
    reserved_tail_ = std::exchange(other.reserved_tail_, false);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

void Buffer::Link(Block* block) {
  if (tail_ == nullptr) {
    head_ = block;
  } else {
    tail_->next = block;
  }
  tail_ = block;
}

void Buffer::DropHead() {
  Block* block = head_;
  head_ = block->next;
  if (head_ == nullptr) tail_ = nullptr;
  FreeBlock(block);
}

void Buffer::DropReserved() {
  while (reserved_ != nullptr) FreeBlock(std::exchange(reserved_, reserved_->next));
  reserved_tail_ = false;
}

void Buffer::Clear() {
  while (head_ != nullptr) DropHead();
  DropReserved();
  size_ = 0;
}

void Buffer::Append(absl::string_view bytes) {
  size_ += bytes.size();
  while (!bytes.empty()) {
    if (tail_ == nullptr || tail_->room() == 0) Link(NewBlock());
    const size_t n = std::min(bytes.size(), tail_->room());
    std::memcpy(tail_->bytes() + tail_->end, bytes.data(), n);
    tail_->end += static_cast<uint32_t>(n);
    bytes.remove_prefix(n);
  }
}

void Buffer::Move(Buffer& from, size_t bytes) {
  HEDDLE_CHECK(bytes <= from.size_ && this != &from);
  if (head_ == nullptr && bytes == from.size_ && reserved_ == nullptr &&
      from.reserved_ == nullptr) {
    std::swap(head_, from.head_);
    std::swap(tail_, from.tail_);
    std::swap(size_, from.size_);
    return;
  }
  while (bytes > 0) {
    Block* block = from.head_;
    const size_t n = block->size();
    const bool copy = n > bytes || (n <= kCopyBytes && tail_ != nullptr && tail_->room() >= n);
    if (copy) {
      const size_t part = std::min(n, bytes);
      Append({block->bytes() + block->begin, part});
      from.Consume(part);
      bytes -= part;
      continue;
    }
    from.head_ = block->next;
    if (from.head_ == nullptr) from.tail_ = nullptr;
    from.size_ -= n;
    block->next = nullptr;
    Link(block);
    size_ += n;
    bytes -= n;
  }
}

void Buffer::Consume(size_t bytes) {
  HEDDLE_CHECK(bytes <= size_);
  size_ -= bytes;
  while (bytes > 0) {
    const size_t n = head_->size();
    if (bytes < n) {
      head_->begin += static_cast<uint32_t>(bytes);
      return;
    }
    bytes -= n;
    DropHead();
  }
}

absl::string_view Buffer::Front() const {
  if (head_ == nullptr) return {};
  return {head_->bytes() + head_->begin, head_->size()};
}

absl::string_view Buffer::Linearize(size_t bytes) {
  HEDDLE_CHECK(bytes <= size_);
  if (bytes == 0) return {};
  if (head_->size() < bytes) {
    constexpr size_t kPooled = kBlockBytes - sizeof(Block);
    Block* joined = bytes <= kPooled ? NewBlock() : NewBigBlock(bytes);
    while (joined->size() < bytes) {
      const size_t n = std::min(bytes - joined->size(), head_->size());
      std::memcpy(joined->bytes() + joined->end, head_->bytes() + head_->begin, n);
      joined->end += static_cast<uint32_t>(n);
      head_->begin += static_cast<uint32_t>(n);
      if (head_->size() == 0) DropHead();
    }
    joined->next = head_;
    head_ = joined;
    if (tail_ == nullptr) tail_ = joined;
  }
  return {head_->bytes() + head_->begin, bytes};
}

int Buffer::Slices(iovec* out, int max) const {
  int count = 0;
  for (Block* block = head_; block != nullptr && count < max; block = block->next) {
    out[count++] = {block->bytes() + block->begin, block->size()};
  }
  return count;
}

absl::Span<char> Buffer::Reserve(size_t want) {
  iovec run;
  ReserveSlices(&run, 1, want);
  return {static_cast<char*>(run.iov_base), run.iov_len};
}

int Buffer::ReserveSlices(iovec* out, int max, size_t want) {
  HEDDLE_CHECK(want > 0 && max > 0);  // NOLINT(bugprone-infinite-loop): it ends the process
  DropReserved();
  int count = 0;
  if (tail_ != nullptr && tail_->room() >= std::min(want, kLittleRoom)) {
    reserved_tail_ = true;
    const size_t n = std::min(want, tail_->room());
    out[count++] = {tail_->bytes() + tail_->end, n};
    want -= n;
  }
  for (Block** last = &reserved_; want > 0 && count < max; last = &(*last)->next) {
    *last = NewBlock();
    const size_t n = std::min(want, (*last)->room());
    out[count++] = {(*last)->bytes(), n};
    want -= n;
  }
  return count;
}

void Buffer::Commit(size_t bytes) {
  size_ += bytes;
  if (reserved_tail_) {
    const size_t n = std::min(bytes, tail_->room());
    tail_->end += static_cast<uint32_t>(n);
    bytes -= n;
  }
  while (bytes > 0) {
    HEDDLE_CHECK(reserved_ != nullptr) << "Commit of more than was reserved";
    Block* block = std::exchange(reserved_, reserved_->next);
    block->next = nullptr;
    const size_t n = std::min(bytes, block->room());
    block->end = static_cast<uint32_t>(n);
    bytes -= n;
    Link(block);
  }
  DropReserved();
}

std::string Buffer::ToString() const {
  std::string text;
  text.reserve(size_);
  for (const Block* block = head_; block != nullptr; block = block->next) {
    text.append(block->bytes() + block->begin, block->size());
  }
  return text;
}

}  // namespace heddle::base
