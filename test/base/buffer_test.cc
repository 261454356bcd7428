#include "source/base/buffer.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <vector>

#include "source/base/clock.h"

namespace heddle::base {
namespace {

std::string Pattern(size_t size) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i % 23);
  return text;
}

std::string SlicesAsText(const Buffer& buffer) {
  iovec runs[64];
  std::string text;
  const int count = buffer.Slices(runs, 64);
  for (int i = 0; i < count; ++i)
    text.append(static_cast<const char*>(runs[i].iov_base), runs[i].iov_len);
  return text;
}

SCENARIO("bytes come out of a buffer as they went in, whatever the pieces") {
  const std::string text = Pattern(100'000);
  for (const size_t cut : {1U, 2U, 3U, 7U, 4096U, 16384U, 65536U}) {
    Buffer buffer;
    for (size_t at = 0; at < text.size(); at += cut) buffer.Append(text.substr(at, cut));
    CHECK(buffer.size() == text.size());
    CHECK(buffer.ToString() == text);
    CHECK(SlicesAsText(buffer) == text);

    Buffer moved;
    std::string drained;
    while (!buffer.empty()) {
      moved.Move(buffer, std::min(cut, buffer.size()));
      drained += std::string(moved.Front());
      moved.Consume(moved.Front().size());
      drained.append(moved.ToString());
      moved.Clear();
    }
    CHECK(drained == text);
  }
}

SCENARIO("an empty buffer owns no block") {
  const size_t before = Buffer::UsedBlocks();
  Buffer buffer;
  buffer.Append(Pattern(50'000));
  CHECK(Buffer::UsedBlocks() == before + 4);
  buffer.Consume(49'999);
  CHECK(Buffer::UsedBlocks() == before + 1);
  buffer.Consume(1);
  CHECK(Buffer::UsedBlocks() == before);

  buffer.Reserve(16 * 1024);
  CHECK(Buffer::UsedBlocks() == before + 1);
  buffer.Commit(0);
  CHECK(Buffer::UsedBlocks() == before);
}

SCENARIO("reserved room is written directly and only what is committed counts") {
  Buffer buffer("head ");
  auto room = buffer.Reserve(100);
  REQUIRE(room.size() == 100);
  std::memcpy(room.data(), "tail", 4);
  buffer.Commit(4);
  CHECK(buffer.ToString() == "head tail");

  iovec runs[4];
  const size_t before = Buffer::UsedBlocks();
  const int count = buffer.ReserveSlices(runs, 4, 40'000);
  REQUIRE(count >= 3);
  const std::string text = Pattern(30'000);
  size_t at = 0;
  for (int i = 0; i < count && at < text.size(); ++i) {
    const size_t n = std::min(runs[i].iov_len, text.size() - at);
    std::memcpy(runs[i].iov_base, text.data() + at, n);
    at += n;
  }
  REQUIRE(at == text.size());
  buffer.Commit(at);
  CHECK(buffer.ToString() == "head tail" + text);
  CHECK(Buffer::UsedBlocks() == before + 1);
}

SCENARIO("whole blocks are moved without copying, small ones are joined") {
  Buffer big(Pattern(Buffer::kBlockBytes - 100));
  const char* where = big.Front().data();
  Buffer out("x");
  out.Move(big);
  iovec runs[2];
  REQUIRE(out.Slices(runs, 2) == 2);
  CHECK(runs[1].iov_base == where);

  Buffer joined("head: ");
  Buffer small("body");
  joined.Move(small);
  CHECK(joined.Slices(runs, 2) == 1);
  CHECK(joined.ToString() == "head: body");
  CHECK(small.empty());
}

SCENARIO("a run longer than a block can be made contiguous") {
  const std::string text = Pattern(70'000);
  Buffer buffer(text);
  CHECK(std::string(buffer.Linearize(20)) == text.substr(0, 20));
  CHECK(std::string(buffer.Linearize(16'384)) == text.substr(0, 16'384));
  CHECK(std::string(buffer.Linearize(60'000)) == text.substr(0, 60'000));
  CHECK(buffer.size() == text.size());
  CHECK(buffer.ToString() == text);
  buffer.Append("end");
  buffer.Consume(60'000);
  CHECK(buffer.ToString() == text.substr(60'000) + "end");
}

SCENARIO("random operations agree with a string") {
  Random random(7);
  Buffer buffer, other;
  std::string model, other_model;
  for (int step = 0; step < 20'000; ++step) {
    const size_t n = random.Below(random.Below(4) == 0 ? 40'000 : 300);
    switch (random.Below(7)) {
      case 0: {
        const std::string text = Pattern(n);
        buffer.Append(text);
        model += text;
        break;
      }
      case 1: {
        const size_t take = std::min(n, model.size());
        buffer.Consume(take);
        model.erase(0, take);
        break;
      }
      case 2: {
        const size_t take = std::min(n, model.size());
        other.Move(buffer, take);
        other_model += model.substr(0, take);
        model.erase(0, take);
        break;
      }
      case 3: {
        const size_t take = std::min(n, other_model.size());
        buffer.Move(other, take);
        model += other_model.substr(0, take);
        other_model.erase(0, take);
        break;
      }
      case 4: {
        auto room = buffer.Reserve(n + 1);
        const size_t used = random.Below(room.size() + 1);
        std::fill_n(room.data(), used, 'r');
        buffer.Commit(used);
        model.append(used, 'r');
        break;
      }
      case 5: {
        const size_t take = std::min(n, model.size());
        REQUIRE(buffer.Linearize(take) == absl::string_view(model).substr(0, take));
        break;
      }
      case 6:
        std::swap(buffer, other);
        std::swap(model, other_model);
        break;
    }
    REQUIRE(buffer.size() == model.size());
    if (model.size() > 200'000) {
      REQUIRE(buffer.ToString() == model);
      buffer.Clear();
      model.clear();
    }
  }
  CHECK(buffer.ToString() == model);
  CHECK(other.ToString() == other_model);
}

#if !defined(__SANITIZE_ADDRESS__)
SCENARIO("blocks that a burst left are given back, those in steady use are kept") {
  Buffer::TrimFreeBlocks();
  Buffer::TrimFreeBlocks();
  { Buffer burst(Pattern(400 * Buffer::kBlockBytes)); }
  CHECK(Buffer::FreeBlocks() > 400);
  Buffer::TrimFreeBlocks();  // the burst was in this period
  CHECK(Buffer::FreeBlocks() > 400);
  { Buffer steady(Pattern(100 * Buffer::kBlockBytes)); }
  Buffer::TrimFreeBlocks();
  CHECK(Buffer::FreeBlocks() < 130);
  CHECK(Buffer::FreeBlocks() >= 100);
  Buffer::TrimFreeBlocks();
  CHECK(Buffer::FreeBlocks() == Buffer::kKeepBlocks);
}
#endif

}  // namespace
}  // namespace heddle::base
