#include "source/http/authority.h"

#include <array>

namespace heddle::http {
namespace {

constexpr std::array<bool, 256> BuildCharacters() {
  std::array<bool, 256> table{};
  for (const char c : absl::string_view("-._~!$&'()*+,;=%:[]"))
    table[static_cast<unsigned char>(c)] = true;
  for (char c = '0'; c <= '9'; ++c) table[static_cast<unsigned char>(c)] = true;
  for (char c = 'a'; c <= 'z'; ++c) table[static_cast<unsigned char>(c)] = true;
  for (char c = 'A'; c <= 'Z'; ++c) table[static_cast<unsigned char>(c)] = true;
  return table;
}
constexpr std::array<bool, 256> kCharacters = BuildCharacters();

}  // namespace

bool ValidAuthority(absl::string_view text) {
  for (const char c : text) {
    if (!kCharacters[static_cast<unsigned char>(c)]) return false;
  }
  return !text.empty();
}

}  // namespace heddle::http
