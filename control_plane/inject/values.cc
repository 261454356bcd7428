#include "control_plane/inject/values.h"

#include <arpa/inet.h>

#include <cmath>
#include <functional>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace heddle::inject {
namespace {

constexpr size_t kMaxEntries = 128;

using One = std::function<std::optional<std::string>(absl::string_view)>;

std::optional<std::string> List(absl::string_view text, const One& one) {
  std::vector<std::string> out;
  if (absl::StripAsciiWhitespace(text).empty()) return "";
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    std::optional<std::string> entry = one(absl::StripAsciiWhitespace(part));
    if (!entry.has_value() || out.size() == kMaxEntries) return std::nullopt;
    out.push_back(*std::move(entry));
  }
  return absl::StrJoin(out, ",");
}

bool IsDigits(absl::string_view text) {
  return !text.empty() && absl::c_all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

// "80" as {80, 80}, "8000-8100" as {8000, 8100}.
std::optional<std::pair<uint32_t, uint32_t>> Range(absl::string_view text, uint32_t min,
                                                   uint32_t max) {
  const std::vector<absl::string_view> ends = absl::StrSplit(text, absl::MaxSplits('-', 1));
  std::pair<uint32_t, uint32_t> out;
  if (!IsDigits(ends.front()) || !absl::SimpleAtoi(ends.front(), &out.first)) return std::nullopt;
  if (!IsDigits(ends.back()) || !absl::SimpleAtoi(ends.back(), &out.second)) return std::nullopt;
  if (out.first < min || out.second > max || out.first > out.second) return std::nullopt;
  return out;
}

std::optional<std::string> Print(std::optional<std::pair<uint32_t, uint32_t>> range) {
  if (!range.has_value()) return std::nullopt;
  return range->first == range->second ? absl::StrCat(range->first)
                                       : absl::StrCat(range->first, "-", range->second);
}

std::optional<std::string> Cidr(absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, absl::MaxSplits('/', 1));
  const std::string ip(parts[0]);
  unsigned char bytes[16];
  uint32_t bits = 0;
  if (::inet_pton(AF_INET, ip.c_str(), bytes) == 1) {
    bits = 32;
  } else if (::inet_pton(AF_INET6, ip.c_str(), bytes) == 1) {
    bits = 128;
  } else {
    return std::nullopt;
  }
  uint32_t length = bits;
  if (parts.size() == 2 &&
      (!IsDigits(parts[1]) || !absl::SimpleAtoi(parts[1], &length) || length > bits))
    return std::nullopt;
  // Bits outside the range would be a range that the reader does not expect.
  for (uint32_t bit = length; bit < bits; ++bit)
    if ((bytes[bit / 8] >> (7 - bit % 8)) & 1) return std::nullopt;
  return absl::StrCat(ip, "/", length);
}

}  // namespace

std::optional<std::string> CanonicalPorts(absl::string_view text) {
  return List(text, [](absl::string_view one) { return Print(Range(one, 1, 65535)); });
}

std::optional<std::string> CanonicalCidrs(absl::string_view text) { return List(text, Cidr); }

std::optional<std::string> CanonicalInterfaces(absl::string_view text) {
  return List(text, [](absl::string_view one) -> std::optional<std::string> {
    if (one.empty() || one.size() > 15 || one == "." || one == ".." || one[0] == '-')
      return std::nullopt;
    for (const char c : one)
      if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_' && c != '-')
        return std::nullopt;
    return std::string(one);
  });
}

std::optional<std::string> CanonicalUids(absl::string_view text) {
  return List(text, [](absl::string_view one) { return Print(Range(one, 0, 4294967294)); });
}

bool IsImage(absl::string_view text) {
  if (text.empty() || text.size() > 512) return false;
  return absl::c_all_of(text, [](char c) { return c > ' ' && c < 0x7f && c != '"' && c != '\\'; });
}

std::optional<double> ParseQuantity(absl::string_view text) {
  if (text.empty() || text.size() > 40) return std::nullopt;
  const size_t end = std::min(text.find_first_not_of("0123456789."), text.size());
  const absl::string_view digits = text.substr(0, end);
  const absl::string_view suffix = text.substr(end);
  double value = 0;
  if (digits.empty() || digits == "." || !absl::SimpleAtod(digits, &value)) return std::nullopt;
  static constexpr std::pair<absl::string_view, double> kSuffixes[] = {
      {"", 1},
      {"n", 1e-9},
      {"u", 1e-6},
      {"m", 1e-3},
      {"k", 1e3},
      {"M", 1e6},
      {"G", 1e9},
      {"T", 1e12},
      {"P", 1e15},
      {"E", 1e18},
      {"Ki", 1024},
      {"Mi", 1048576},
      {"Gi", 1 << 30},
      {"Ti", 1099511627776},
      {"Pi", 1125899906842624},
      {"Ei", 1.152921504606846976e18},
  };
  for (const auto& [name, factor] : kSuffixes)
    if (suffix == name) return value * factor;
  int exponent = 0;
  if ((suffix[0] == 'e' || suffix[0] == 'E') && absl::SimpleAtoi(suffix.substr(1), &exponent) &&
      exponent >= -30 && exponent <= 30)
    return value * std::pow(10.0, exponent);
  return std::nullopt;
}

bool PortsHave(absl::string_view ports, uint32_t port) {
  if (ports == "*") return true;
  if (ports.empty()) return false;
  for (const absl::string_view one : absl::StrSplit(ports, ',')) {
    const auto range = Range(one, 1, 65535);
    if (range.has_value() && range->first <= port && port <= range->second) return true;
  }
  return false;
}

}  // namespace heddle::inject
