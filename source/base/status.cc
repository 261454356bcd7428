#include "source/base/status.h"

#include <unistd.h>

#include <cstdlib>
#include <string>

namespace heddle::base {

CheckFailure::CheckFailure(const char* file, int line, const char* condition) {
  message_ << file << ":" << line << ": " << condition << ": ";
}

CheckFailure::~CheckFailure() {
  message_ << "\n";
  const std::string text = message_.str();
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
  std::abort();
}

}  // namespace heddle::base
