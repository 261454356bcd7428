// The request target and the authority of an HTTP/1 request (RFC 9112 3.2, 3.3).
#pragma once

#include "absl/strings/string_view.h"
#include "source/http/h1/codec.h"
#include "source/http/h1/head.h"
#include "source/http/headers.h"

namespace heddle::http::h1 {

// Sets scheme, authority and path of `head` from the target (method is set already) and the host
// field, which is removed. An absolute target wins over host.
Failure ReadTarget(absl::string_view target, const Options& options, RequestHead* head);

}  // namespace heddle::http::h1
