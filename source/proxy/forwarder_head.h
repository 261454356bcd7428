// What the forwarder does to heads and bodies, as functions without state.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "source/base/buffer.h"
#include "source/config/route.h"
#include "source/http/headers.h"
#include "source/observe/access_record.h"
#include "source/proxy/route_table.h"

namespace heddle::proxy {

// Header mutations of weighted cluster, route, virtual host and table (most specific first, or last
// where the table says so), then the route's rewrites. `keep_original`: what they replace is kept
// in x-envoy-original-*.
void MutateRequest(const RouteTable& table, const RouteTable::Match& match, int weighted,
                   bool keep_original, const observe::AccessRecord& record,
                   http::RequestHead& head);
void MutateResponse(const RouteTable& table, const RouteTable::Match& match, int weighted,
                    const observe::AccessRecord& record, http::Headers& headers);

// Hash of a request by the route's policies; none when no policy found a value (Envoy:
// hash_policy.cc).
std::optional<uint64_t> HashRequest(const config::RouteAction& action,
                                    const http::RequestHead& head,
                                    const observe::AccessRecord& record);

void SetNumber(http::Headers& headers, http::HeaderId id, uint64_t number);
absl::string_view HostWithoutPort(absl::string_view authority);

void AppendCopy(const base::Buffer& from, base::Buffer& to);
base::Buffer CopyOf(const base::Buffer& from);

}  // namespace heddle::proxy
