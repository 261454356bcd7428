#include "control_plane/model/digest.h"

#include "absl/strings/str_format.h"

namespace heddle::model {
namespace {

// Two different odd multipliers with a 128-bit product each: the folding of wyhash, once per half.
uint64_t Fold(uint64_t a, uint64_t b) {
  const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

uint64_t Load(const char* bytes, size_t size) {
  uint64_t word = 0;
  for (size_t i = 0; i < size; ++i)  // little-endian on every machine
    word |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  return word;
}

}  // namespace

void Digest::Builder::AddWord(uint64_t word) {
  const uint64_t high = Fold(state_.high ^ word, 0xa0761d6478bd642f ^ state_.low);
  const uint64_t low = Fold(state_.low + word, 0xe7037ed1a0b428db ^ high);
  // A fold can give zero; the additions keep a zero half from swallowing what follows.
  state_.high = high + 0x9e3779b97f4a7c15;
  state_.low = low + (word ^ 0x8ebc6af09c88c6e3);
}

Digest::Builder& Digest::Builder::Add(absl::string_view bytes) {
  AddWord(bytes.size());
  size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) AddWord(Load(bytes.data() + at, 8));
  if (at < bytes.size()) AddWord(Load(bytes.data() + at, bytes.size() - at));
  return *this;
}

Digest::Builder& Digest::Builder::Add(const Digest& digest) {
  AddWord(digest.high);
  AddWord(digest.low);
  return *this;
}

Digest Digest::Of(absl::string_view bytes) { return Builder().Add(bytes).Done(); }

std::string Digest::ToString() const { return absl::StrFormat("%016x%016x", high, low); }

}  // namespace heddle::model
