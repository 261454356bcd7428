#include "source/proxy/forwarder_head.h"

#include <charconv>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "source/base/hash.h"
#include "source/proxy/rewrite.h"

namespace heddle::proxy {
namespace {

// Calls `apply` with each level's mutation that says something, in the table's order.
template <typename Apply>
void ForEachLevel(const RouteTable& table, const RouteTable::Match& match, int weighted,
                  bool request, Apply apply) {
  const HeaderMutation* levels[4];
  size_t count = 0;
  const auto add = [&](const HeaderMutation& mutation) {
    if (!mutation.empty()) levels[count++] = &mutation;
  };
  if (match.route != nullptr) {
    if (weighted >= 0) {
      const WeightedSpec& spec = match.route->weighted[static_cast<size_t>(weighted)];
      add(request ? spec.request : spec.response);
    }
    add(request ? match.route->request : match.route->response);
  }
  if (match.host != nullptr) add(request ? match.host->request : match.host->response);
  add(request ? table.request() : table.response());
  const bool specific_last = table.config().most_specific_header_mutations_wins;
  for (size_t i = 0; i < count; ++i) apply(*levels[specific_last ? count - 1 - i : i]);
}

absl::string_view CookieOf(const http::Headers& headers, absl::string_view name) {
  for (const auto& entry : headers.entries()) {
    if (entry.id != http::HeaderId::kCookie) continue;
    for (absl::string_view pair : absl::StrSplit(entry.value, ';')) {
      pair = absl::StripAsciiWhitespace(pair);
      const size_t equals = pair.find('=');
      if (equals != absl::string_view::npos && pair.substr(0, equals) == name)
        return pair.substr(equals + 1);
    }
  }
  return {};
}

absl::string_view QueryOf(absl::string_view query, absl::string_view name) {
  for (absl::string_view pair : absl::StrSplit(query, '&')) {
    const size_t equals = pair.find('=');
    if (equals != absl::string_view::npos && pair.substr(0, equals) == name)
      return pair.substr(equals + 1);
  }
  return {};
}

}  // namespace

void MutateRequest(const RouteTable& table, const RouteTable::Match& match, int weighted,
                   bool keep_original, const observe::AccessRecord& record,
                   http::RequestHead& head) {
  ForEachLevel(table, match, weighted, true,
               [&](const HeaderMutation& mutation) { mutation.Apply(head, record); });
  RewriteRequest(*match.route->config, keep_original, head);
}

void MutateResponse(const RouteTable& table, const RouteTable::Match& match, int weighted,
                    const observe::AccessRecord& record, http::Headers& headers) {
  ForEachLevel(table, match, weighted, false,
               [&](const HeaderMutation& mutation) { mutation.Apply(headers, record); });
}

std::optional<uint64_t> HashRequest(const config::RouteAction& action,
                                    const http::RequestHead& head,
                                    const observe::AccessRecord& record) {
  using Kind = config::HashPolicy::Kind;
  std::optional<uint64_t> hash;
  for (const config::HashPolicy& policy : action.hash) {
    std::string value;
    switch (policy.kind) {
      case Kind::kHeader:
        value = head.headers.GetAll(policy.name);
        break;
      case Kind::kCookie:
        value = std::string(CookieOf(head.headers, policy.name));
        break;
      case Kind::kSourceIp:
        value = record.downstream_remote.ip();
        break;
      case Kind::kQuery:
        value = std::string(QueryOf(head.query(), policy.name));
        break;
    }
    if (value.empty()) continue;
    const uint64_t old = hash.value_or(0);
    hash = ((old << 1) | (old >> 63)) ^ base::XxHash64(value);
    if (policy.terminal) break;
  }
  return hash;
}

void SetNumber(http::Headers& headers, http::HeaderId id, uint64_t number) {
  char text[20];
  const char* end = std::to_chars(text, text + sizeof(text), number).ptr;
  headers.Set(id, absl::string_view(text, static_cast<size_t>(end - text)));
}

absl::string_view HostWithoutPort(absl::string_view authority) {
  const size_t colon = authority.rfind(':');
  if (colon == absl::string_view::npos || (!authority.empty() && authority.back() == ']'))
    return authority;
  return authority.substr(0, colon);
}

void AppendCopy(const base::Buffer& from, base::Buffer& to) {
  iovec few[16];
  const int count = from.Slices(few, 16);
  if (count < 16) {
    for (int i = 0; i < count; ++i)
      to.Append({static_cast<const char*>(few[i].iov_base), few[i].iov_len});
    return;
  }
  std::vector<iovec> all(256);
  int found = 0;
  while ((found = from.Slices(all.data(), static_cast<int>(all.size()))) ==
         static_cast<int>(all.size()))
    all.resize(all.size() * 4);
  for (int i = 0; i < found; ++i)
    to.Append({static_cast<const char*>(all[i].iov_base), all[i].iov_len});
}

base::Buffer CopyOf(const base::Buffer& from) {
  base::Buffer copy;
  AppendCopy(from, copy);
  return copy;
}

}  // namespace heddle::proxy
