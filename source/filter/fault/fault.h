// The fault filter: delays and aborts a share of the requests, for rehearsing failures.
// Source: envoy.extensions.filters.http.fault.v3; response rate limits are not supported.
#pragma once

#include "source/decode/catalogue.h"

namespace heddle::filter::fault {

decode::HttpFilterEntry HttpEntry();

}  // namespace heddle::filter::fault
