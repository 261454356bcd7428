// request_headers_to_add / _to_remove and their response twins, compiled: values without %OPERATORS% are plain text.
#pragma once

#include <string>
#include <vector>

#include "source/config/types.h"
#include "source/http/headers.h"
#include "source/observe/access_record.h"

namespace heddle::proxy {

class HeaderMutation {
 public:
  HeaderMutation() = default;
  explicit HeaderMutation(const config::HeaderMutations& config);
  bool empty() const { return steps_.empty() && remove_.empty(); }
  // `head` is given when the mutated headers are a request's, so that ":authority" and ":path" can be written.
  void Apply(http::Headers& headers, const observe::AccessRecord& record, http::RequestHead* head = nullptr) const;

 private:
  struct Step;
  std::vector<Step> steps_;
  std::vector<std::string> remove_;
};

}  // namespace heddle::proxy
