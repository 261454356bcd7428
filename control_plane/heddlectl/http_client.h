// One HTTP/1.1 request without TLS, waited for: the admin pages of heddle-control and heddle-proxy,
// Jaeger's API.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace heddle::heddlectl {

struct FetchOptions {
  bool post = false;
  std::vector<std::pair<std::string, std::string>> headers;
  absl::Duration timeout = absl::Seconds(10);
};

struct Fetched {
  int code = 0;
  std::string body;  // at most 64 MiB
};

// `base`: "host:port" or "http://host:port[/prefix]". Unavailable, with what to check, when nobody
// answers.
absl::StatusOr<Fetched> Fetch(const std::string& base, const std::string& path,
                              const FetchOptions& options = {});

// Percent-encodes what has a meaning in a query.
std::string EncodeQuery(const std::string& text);

}  // namespace heddle::heddlectl
