// One trace as text for a terminal: a line per span, indented as called, with a bar that shows when
// it ran.
//
//   trace 4bf92f35...  12.4 ms  3 spans
//   SERVICE     OPERATION        STATUS  PEER               TIME                  START, DURATION
//   web         egress catalog   200     to 127.0.1.3:9080  ████████████████████  +0 us  12.4 ms
//   └ catalog   ingress catalog  200     from bookshop/web   ██████████████████   +210 us  11.9 ms
#pragma once

#include <string>
#include <vector>

#include "control_plane/trace/span.h"

namespace heddle::trace {

struct WaterfallOptions {
  size_t bar_width = 40;
  bool colour = false;  // errors red
  bool ascii = false;   // '#' and '`-' instead of box characters
};

// A span whose parent is missing stands at the top level and is marked "(parent missing)": nothing
// is hidden.
std::string Waterfall(const std::vector<Span>& spans, const WaterfallOptions& options);

// "850 us", "12.4 ms", "1.20 s".
std::string Milliseconds(int64_t ns);

}  // namespace heddle::trace
