// request_headers_to_add / _to_remove and their response twins, compiled. Removing comes first, as
// in Envoy (source/common/router/header_parser.cc). Values without %OPERATORS% are plain text and
// cost no formatting.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "source/config/types.h"
#include "source/http/headers.h"
#include "source/observe/access_record.h"
#include "source/observe/format.h"

namespace heddle::proxy {

class HeaderMutation {
 public:
  HeaderMutation() = default;
  // A value whose operators do not compile is used as literal text; decode refuses such values
  // before.
  explicit HeaderMutation(const config::HeaderMutations& config);
  bool empty() const { return steps_.empty() && remove_.empty(); }
  void Apply(http::Headers& headers, const observe::AccessRecord& record) const {
    Apply(headers, record, nullptr);
  }
  // A request's: "host", ":authority", ":path", ":method" and ":scheme" can be overwritten too.
  void Apply(http::RequestHead& head, const observe::AccessRecord& record) const {
    Apply(head.headers, record, &head);
  }

 private:
  struct Step {
    config::HeaderOption option;
    std::optional<observe::Formatter> format;  // none: option.value as it is
  };
  void Apply(http::Headers& headers, const observe::AccessRecord& record,
             http::RequestHead* head) const;
  std::vector<Step> steps_;
  std::vector<std::string> remove_;
};

}  // namespace heddle::proxy
