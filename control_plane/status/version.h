// The release that heddle-control and heddlectl say they are.
#pragma once

namespace heddle {

inline constexpr char kControlVersion[] = "0.1.0";

}  // namespace heddle
