#include "source/base/version.h"

namespace heddle::base {

const char kVersion[] = "0.1.0";

}  // namespace heddle::base
