// Bytes in flight: a queue of blocks that can be appended to, read from the front and moved to
// another buffer without copying. An empty Buffer owns no block (an idle connection must cost
// nothing). One thread only. Blocks of 16 KiB come from a per-thread free list; what a burst left
// there goes back to the system by TrimFreeBlocks, which the event loop calls.
//
//   Buffer in;
//   auto space = in.Reserve(16 * 1024);        // read(2) into space, then
//   in.Commit(n);
//   out.Move(in, 100);                         // whole blocks are passed on, small tails copied
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace heddle::base {

class Buffer {
 public:
  static constexpr size_t kBlockBytes = 16 * 1024;

  Buffer() = default;
  explicit Buffer(absl::string_view bytes) { Append(bytes); }
  ~Buffer() { Clear(); }
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  void Append(absl::string_view bytes);  // copies
  void Move(Buffer& from) { Move(from, from.size_); }
  void Move(Buffer& from, size_t bytes);  // appends the first `bytes` of `from`, taking its blocks
  void Consume(size_t bytes);             // drops from the front; blocks go back at once
  void Clear();

  // The first contiguous run, empty when the buffer is. Stays valid until the next change.
  absl::string_view Front() const;
  // Makes the first `bytes` (at most size()) contiguous and returns them.
  absl::string_view Linearize(size_t bytes);
  // Fills at most `max` entries from the front, without consuming; returns how many.
  int Slices(iovec* out, int max) const;

  // Writable room of 1..`want` bytes behind the end (a whole fresh block when little room is left).
  absl::Span<char> Reserve(size_t want);
  // The same as a list for readv(2): at most `max` runs of at most `want` bytes together. Returns
  // how many.
  int ReserveSlices(iovec* out, int max, size_t want);
  // Takes the first `bytes` of what Reserve or ReserveSlices returned; the rest goes back, so
  // Commit(0) undoes it.
  void Commit(size_t bytes);

  std::string ToString() const;  // for tests, logs and small bodies

  // This thread's free list. Trim gives back to the system what was not needed since the last Trim,
  // keeping at least kKeepBlocks; the loop calls it about once a second while there is more than
  // that.
  static constexpr size_t kKeepBlocks = 16;
  static size_t FreeBlocks();
  static void TrimFreeBlocks();
  // Blocks of this thread that are in buffers now; for tests of idle cost.
  static size_t UsedBlocks();

 private:
  struct Block {
    Block* next;
    uint32_t begin, end, capacity;
    bool pooled;
    char* bytes() { return reinterpret_cast<char*>(this + 1); }
    const char* bytes() const { return reinterpret_cast<const char*>(this + 1); }
    size_t size() const { return end - begin; }
    size_t room() const { return capacity - end; }
  };
  friend class BlockPool;
  // A moved block of at most this many bytes is copied into the room behind the tail instead of
  // linked.
  static constexpr size_t kCopyBytes = 2048;
  // Reserve takes a fresh block rather than offer less room than this.
  static constexpr size_t kLittleRoom = 2048;

  static Block* NewBlock();  // of kBlockBytes, header included
  static Block* NewBigBlock(size_t capacity);
  static void FreeBlock(Block* block);
  void Link(Block* block);
  void DropHead();
  void DropReserved();

  // Every linked block holds at least one byte.
  Block* head_ = nullptr;
  Block* tail_ = nullptr;
  Block* reserved_ = nullptr;   // fresh blocks handed out by Reserve, not linked yet
  bool reserved_tail_ = false;  // the reservation starts in tail_'s room
  size_t size_ = 0;
};

}  // namespace heddle::base
