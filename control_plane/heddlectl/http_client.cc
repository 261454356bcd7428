#include "control_plane/heddlectl/http_client.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>

#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"

namespace heddle::heddlectl {
namespace {

constexpr ev_ssize_t kMaxBody = 64 << 20;

struct Url {
  std::string host, prefix;
  int port = 0;
};

absl::StatusOr<Url> ParseBase(const std::string& base) {
  absl::string_view text = base;
  if (absl::ConsumePrefix(&text, "https://"))
    return absl::InvalidArgumentError(absl::StrCat(base, ": only http:// is spoken here"));
  const bool scheme = absl::ConsumePrefix(&text, "http://");
  Url out;
  const size_t slash = text.find('/');
  if (slash != absl::string_view::npos) {
    out.prefix = std::string(absl::StripSuffix(text.substr(slash), "/"));
    text = text.substr(0, slash);
  }
  const size_t colon = text.rfind(':');
  const bool bare = colon == absl::string_view::npos || text.back() == ']';
  if (bare && scheme) {
    out.port = 80;
  } else if (bare || !absl::SimpleAtoi(text.substr(colon + 1), &out.port) || out.port < 1 ||
             out.port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", base, "\": want HOST:PORT or http://HOST:PORT"));
  }
  out.host = std::string(bare ? text : text.substr(0, colon));
  if (out.host.size() > 2 && out.host.front() == '[')
    out.host = out.host.substr(1, out.host.size() - 2);
  if (out.host.empty()) return absl::InvalidArgumentError(absl::StrCat("\"", base, "\": no host"));
  return out;
}

void OnDone(evhttp_request* request, void* out) {
  if (request == nullptr) return;
  auto* const fetched = static_cast<Fetched*>(out);
  fetched->code = evhttp_request_get_response_code(request);
  evbuffer* const body = evhttp_request_get_input_buffer(request);
  const size_t size = evbuffer_get_length(body);
  if (size == 0) return;
  fetched->body.assign(reinterpret_cast<const char*>(evbuffer_pullup(body, -1)), size);
}

}  // namespace

absl::StatusOr<Fetched> Fetch(const std::string& base, const std::string& path,
                              const FetchOptions& options) {
  const absl::StatusOr<Url> url = ParseBase(base);
  if (!url.ok()) return url.status();
  const std::unique_ptr<event_base, decltype(&event_base_free)> loop(event_base_new(),
                                                                     &event_base_free);
  const std::unique_ptr<evhttp_connection, decltype(&evhttp_connection_free)> connection(
      evhttp_connection_base_new(loop.get(), nullptr, url->host.c_str(),
                                 static_cast<ev_uint16_t>(url->port)),
      &evhttp_connection_free);
  evhttp_connection_set_max_body_size(connection.get(), kMaxBody);
  evhttp_connection_set_timeout(connection.get(),
                                static_cast<int>(absl::ToInt64Seconds(options.timeout)));
  Fetched out;
  evhttp_request* const request = evhttp_request_new(&OnDone, &out);
  evkeyvalq* const headers = evhttp_request_get_output_headers(request);
  evhttp_add_header(headers, "host", absl::StrCat(url->host, ":", url->port).c_str());
  evhttp_add_header(headers, "connection", "close");
  for (const auto& [name, value] : options.headers)
    evhttp_add_header(headers, name.c_str(), value.c_str());
  const std::string target = absl::StrCat(url->prefix, path);
  if (evhttp_make_request(connection.get(), request,
                          options.post ? EVHTTP_REQ_POST : EVHTTP_REQ_GET, target.c_str()) == 0)
    event_base_dispatch(loop.get());
  if (out.code == 0)
    return absl::UnavailableError(
        absl::StrCat("nobody answers HTTP at ", url->host, ":", url->port));
  return out;
}

std::string EncodeQuery(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (absl::ascii_isalnum(c) || absl::StrContains("-._~", absl::string_view(&c, 1)))
      out.push_back(c);
    else
      absl::StrAppendFormat(&out, "%%%02X", static_cast<unsigned char>(c));
  }
  return out;
}

}  // namespace heddle::heddlectl
