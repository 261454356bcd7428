// The small grammars of checker.h, and how values are written.
#include <arpa/inet.h>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "control_plane/model/checker.h"

namespace heddle::model {
namespace {

// Takes "<digits><unit>" off the front.
bool TakeDurationPart(absl::string_view* text, absl::Duration* sum) {
  size_t digits = 0;
  int64_t number = 0;
  while (digits < text->size() && absl::ascii_isdigit((*text)[digits])) {
    number = number * 10 + ((*text)[digits] - '0');
    if (++digits > 5) return false;
  }
  if (digits == 0) return false;
  text->remove_prefix(digits);
  const bool milli = text->size() >= 2 && text->substr(0, 2) == "ms";
  if (milli) {
    *sum += absl::Milliseconds(number);
  } else if (!text->empty() && text->front() == 'h') {
    *sum += absl::Hours(number);
  } else if (!text->empty() && text->front() == 'm') {
    *sum += absl::Minutes(number);
  } else if (!text->empty() && text->front() == 's') {
    *sum += absl::Seconds(number);
  } else {
    return false;
  }
  text->remove_prefix(milli ? 2 : 1);
  return true;
}

}  // namespace

std::optional<absl::Duration> ParseDuration(absl::string_view text) {
  absl::Duration sum = absl::ZeroDuration();
  for (int parts = 0; parts < 4; ++parts) {
    if (!TakeDurationPart(&text, &sum)) return std::nullopt;
    if (text.empty()) return sum;
  }
  return std::nullopt;
}

bool IsDnsLabel(absl::string_view text) {
  if (text.empty() || text.size() > 63 || text.front() == '-' || text.back() == '-') return false;
  for (const char c : text)
    if (!absl::ascii_islower(c) && !absl::ascii_isdigit(c) && c != '-') return false;
  return true;
}

bool IsDnsSubdomain(absl::string_view text) {
  if (text.empty() || text.size() > 253) return false;
  while (true) {
    const size_t dot = text.find('.');
    if (!IsDnsLabel(text.substr(0, dot))) return false;
    if (dot == absl::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

std::optional<std::string> CanonicalIp(absl::string_view text) {
  const std::string copy(text);
  unsigned char bytes[16];
  char out[INET6_ADDRSTRLEN];
  const int family = copy.find(':') == std::string::npos ? AF_INET : AF_INET6;
  if (inet_pton(family, copy.c_str(), bytes) != 1) return std::nullopt;
  return std::string(inet_ntop(family, bytes, out, sizeof(out)));
}

std::optional<std::string> CanonicalCidr(absl::string_view text) {
  const size_t slash = text.find('/');
  const std::optional<std::string> ip = CanonicalIp(text.substr(0, slash));
  if (!ip.has_value()) return std::nullopt;
  const int bits = ip->find(':') == std::string::npos ? 32 : 128;
  int length = bits;
  if (slash != absl::string_view::npos) {
    if (!absl::SimpleAtoi(text.substr(slash + 1), &length)) return std::nullopt;
    if (length < 0 || length > bits) return std::nullopt;
  }
  return absl::StrCat(*ip, "/", length);
}

std::optional<HostPort> ParseHostPort(absl::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos || colon == 0) return std::nullopt;
  int port = 0;
  if (!absl::SimpleAtoi(text.substr(colon + 1), &port)) return std::nullopt;
  if (port < 1 || port > 65535) return std::nullopt;
  absl::string_view host = text.substr(0, colon);
  if (host.front() == '[') {
    if (host.back() != ']') return std::nullopt;
    host = host.substr(1, host.size() - 2);
    if (!CanonicalIp(host).has_value()) return std::nullopt;
  } else if (!CanonicalIp(host).has_value() && !IsDnsSubdomain(host)) {
    return std::nullopt;
  }
  return HostPort{std::string(host), static_cast<uint16_t>(port)};
}

std::optional<Protocol> ProtocolFromPortName(absl::string_view name) {
  const absl::string_view first = name.substr(0, name.find('-'));
  if (first == "http") return Protocol::kHttp;
  if (first == "http2" || first == "h2c") return Protocol::kHttp2;
  if (first == "grpc") return Protocol::kGrpc;
  return std::nullopt;
}

}  // namespace heddle::model
