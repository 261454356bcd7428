#include "source/proxy/path.h"

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace heddle::proxy {
namespace {

using EscapedSlashes = config::HttpConnectionManager::EscapedSlashes;

int Hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool Unreserved(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("-._~", c);
}

bool HasEscapedSlash(absl::string_view path) {
  for (size_t at = path.find('%'); at != absl::string_view::npos; at = path.find('%', at + 1)) {
    const absl::string_view code = path.substr(at + 1, 2);
    if (absl::EqualsIgnoreCase(code, "2f") || absl::EqualsIgnoreCase(code, "5c")) return true;
  }
  return false;
}

std::string UnescapeSlashes(absl::string_view path) {
  std::string out;
  for (size_t i = 0; i < path.size(); ++i) {
    const absl::string_view code = path[i] == '%' ? path.substr(i + 1, 2) : absl::string_view();
    if (absl::EqualsIgnoreCase(code, "2f")) {
      out += '/';
      i += 2;
    } else if (absl::EqualsIgnoreCase(code, "5c")) {
      out += '\\';
      i += 2;
    } else {
      out += path[i];
    }
  }
  return out;
}

// Decodes escapes of unreserved characters, upper-cases the others, turns '\' into '/'. False: an
// escape is malformed.
bool Unescape(absl::string_view path, std::string* out) {
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i] != '%') {
      *out += path[i] == '\\' ? '/' : path[i];
      continue;
    }
    const int high = i + 2 < path.size() ? Hex(path[i + 1]) : -1;
    const int low = i + 2 < path.size() ? Hex(path[i + 2]) : -1;
    if (high < 0 || low < 0) return false;
    const char c = static_cast<char>(high * 16 + low);
    if (c == '\0') return false;
    if (Unreserved(c)) {
      *out += c;
    } else {
      *out += absl::AsciiStrToUpper(path.substr(i, 3));
    }
    i += 2;
  }
  return true;
}

// Unescapes and removes dot segments. False: an escape is malformed or the path climbs above the
// root.
bool Canonical(absl::string_view path, std::string* out) {
  std::string text;
  if (!Unescape(path, &text)) return false;
  std::vector<absl::string_view> segments;
  absl::string_view rest = text;
  rest.remove_prefix(1);  // the caller made sure of the leading '/'
  bool directory = false;
  while (true) {
    const size_t slash = rest.find('/');
    const absl::string_view segment = rest.substr(0, slash);
    directory = segment == "." || segment == "..";
    if (segment == "..") {
      if (segments.empty()) return false;
      segments.pop_back();
    } else if (segment != ".") {
      segments.push_back(segment);
    }
    if (slash == absl::string_view::npos) break;
    rest.remove_prefix(slash + 1);
  }
  out->clear();
  for (absl::string_view segment : segments) absl::StrAppend(out, "/", segment);
  if (directory || out->empty()) *out += '/';
  return true;
}

std::string MergeSlashes(absl::string_view path) {
  std::string out;
  for (char c : path) {
    if (c == '/' && !out.empty() && out.back() == '/') continue;
    out += c;
  }
  return out;
}

// Nothing in the path could change: no escape, backslash, dot segment or double slash.
bool Plain(absl::string_view path) {
  for (size_t i = 0; i < path.size(); ++i) {
    const char c = path[i];
    if (c == '%' || c == '\\') return false;
    if (c == '/' && i + 1 < path.size() && (path[i + 1] == '.' || path[i + 1] == '/')) return false;
  }
  return true;
}

}  // namespace

PathOutcome NormalizePath(const config::HttpConnectionManager& config, absl::string_view path) {
  using Kind = PathOutcome::Kind;
  if (path.empty() || path[0] != '/') return {};
  const size_t question = std::min(path.find('?'), path.size());
  const absl::string_view query = path.substr(question);
  path = path.substr(0, question);
  if (Plain(path)) return {};

  std::string current(path);
  Kind kind = Kind::kUnchanged;
  if (config.escaped_slashes != EscapedSlashes::kKeep && HasEscapedSlash(current)) {
    current = UnescapeSlashes(current);
    if (config.escaped_slashes == EscapedSlashes::kReject)
      return {Kind::kRejected, absl::StrCat(current, query)};
    kind = config.escaped_slashes == EscapedSlashes::kRedirect ? Kind::kRedirect : Kind::kChanged;
  }
  if (config.normalize_path) {
    std::string canonical;
    if (!Canonical(current, &canonical)) return {Kind::kRejected, ""};
    current = std::move(canonical);
  }
  if (config.merge_slashes) current = MergeSlashes(current);
  if (kind == Kind::kUnchanged && current == path) return {};
  return {kind == Kind::kRedirect ? kind : Kind::kChanged, absl::StrCat(current, query)};
}

}  // namespace heddle::proxy
