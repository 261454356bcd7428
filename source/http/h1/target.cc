#include "source/http/h1/target.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "source/http/authority.h"

namespace heddle::http::h1 {
namespace {

// host:port, as CONNECT wants it.
bool GoodConnectTarget(absl::string_view text) {
  const size_t colon = text.rfind(':');
  if (!ValidAuthority(text) || colon == absl::string_view::npos || colon == 0 ||
      colon + 1 == text.size())
    return false;
  for (const char c : text.substr(colon + 1)) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return false;
  }
  return text.size() - colon - 1 <= 5;
}

constexpr Failure kInvalidUrl{400, "http1.invalid_url"};

// "http://authority/path".
Failure ReadAbsolute(absl::string_view target, const Options& options, RequestHead* head) {
  const size_t mark = target.find("://");
  if (mark == absl::string_view::npos || !options.allow_absolute_url) return kInvalidUrl;
  const absl::string_view scheme = target.substr(0, mark);
  const bool https = absl::EqualsIgnoreCase(scheme, "https");
  if (!https && !absl::EqualsIgnoreCase(scheme, "http")) return {400, "http1.invalid_scheme"};
  if (https && !options.secure) return {400, "http1.invalid_scheme"};
  head->scheme = https ? "https" : "http";
  const absl::string_view rest = target.substr(mark + 3);
  const size_t path = rest.find_first_of("/?#");
  head->authority = rest.substr(0, path);
  if (!ValidAuthority(head->authority)) return kInvalidUrl;
  if (path == absl::string_view::npos) {
    head->path = "/";
  } else if (rest[path] == '/') {
    head->path = rest.substr(path);
  } else {
    // "http://host?query"
    const absl::string_view tail = rest.substr(path);
    char* text = head->headers.arena().Allocate(tail.size() + 1);
    text[0] = '/';
    tail.copy(text + 1, tail.size());
    head->path = {text, tail.size() + 1};
  }
  return {};
}

}  // namespace

Failure ReadTarget(absl::string_view target, const Options& options, RequestHead* head) {
  absl::string_view host;
  int hosts = 0;
  for (const Headers::Entry& e : head->headers.entries()) {
    if (e.id != HeaderId::kHost) continue;
    ++hosts;
    host = e.value;
  }
  if (hosts > 1) return kBadRequest;
  if (host.empty() && head->version == Protocol::kHttp10)
    host = head->headers.arena().Copy(options.default_host_for_http_10);
  head->headers.Remove(HeaderId::kHost);
  head->scheme = options.secure ? "https" : "http";

  if (target.empty()) return kInvalidUrl;
  if (head->method == "CONNECT") {
    if (!GoodConnectTarget(target)) return kInvalidUrl;
    head->authority = target;
    return {};
  }
  // A request with an absolute target must have a host field all the same. Without one it is a
  // request, but not one to be served: that is for the receiver to say.
  if (!host.empty() && !ValidAuthority(host)) return {400, "http.invalid_authority"};
  head->authority = host;
  head->path = target;
  if (target[0] == '/' || host.empty()) return {};
  if (target == "*") return head->method == "OPTIONS" ? Failure{} : kInvalidUrl;
  return ReadAbsolute(target, options, head);
}

}  // namespace heddle::http::h1
