#include "source/base/ids.h"

namespace heddle::base {
namespace {

constexpr char kDigits[] = "0123456789abcdef";

int Digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

void WriteHex64(uint64_t value, char* out) {
  for (int i = 15; i >= 0; --i, value >>= 4) out[i] = kDigits[value & 15];
}

void WriteUuid(Random& random, char* out) {
  char hex[32];
  WriteHex64((random.Next() & 0xffffffffffff0fffU) | 0x4000U, hex);                   // version 4
  WriteHex64((random.Next() & 0x3fffffffffffffffU) | 0x8000000000000000U, hex + 16);  // variant 10
  const char* from = hex;
  for (size_t i = 0; i < kUuidChars; ++i) {
    out[i] = (i == 8 || i == 13 || i == 18 || i == 23) ? '-' : *from++;
  }
}

std::string Uuid(Random& random) {
  std::string out(kUuidChars, '\0');
  WriteUuid(random, out.data());
  return out;
}

uint64_t NonZero(Random& random) {
  uint64_t value = random.Next();
  while (value == 0) value = random.Next();
  return value;
}

std::string ToHex(absl::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    out.push_back(kDigits[static_cast<uint8_t>(c) >> 4]);
    out.push_back(kDigits[static_cast<uint8_t>(c) & 15]);
  }
  return out;
}

bool FromHex(absl::string_view hex, std::string* bytes) {
  bytes->clear();
  if (hex.size() % 2 != 0) return false;
  for (size_t i = 0; i < hex.size(); i += 2) {
    const int high = Digit(hex[i]), low = Digit(hex[i + 1]);
    if (high < 0 || low < 0) return false;
    bytes->push_back(static_cast<char>(high << 4 | low));
  }
  return true;
}

}  // namespace heddle::base
