// Error plumbing shared by every folder: two macros that pass an absl::Status up, and the check of
// a broken invariant. Abseil of Debian 12 has neither.
//
//   HEDDLE_RETURN_IF_ERROR(Validate(x));
//   HEDDLE_ASSIGN_OR_RETURN(const Address address, Address::Parse(text));
//   HEDDLE_CHECK(fd >= 0) << "only called after Open";
#pragma once

#include <sstream>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace heddle::base {

// Prints `file:line: condition: message` to stderr and aborts. Made by HEDDLE_CHECK only.
class CheckFailure {
 public:
  CheckFailure(const char* file, int line, const char* condition);
  [[noreturn]] ~CheckFailure();
  std::ostream& stream() { return message_; }

 private:
  std::ostringstream message_;
};

}  // namespace heddle::base

#define HEDDLE_RETURN_IF_ERROR(expression)                                                         \
  do {                                                                                             \
    if (::absl::Status heddle_status_ = (expression); !heddle_status_.ok()) return heddle_status_; \
  } while (false)

#define HEDDLE_STATUS_CONCAT_INNER_(a, b) a##b
#define HEDDLE_STATUS_CONCAT_(a, b) HEDDLE_STATUS_CONCAT_INNER_(a, b)
#define HEDDLE_ASSIGN_OR_RETURN(declaration, expression)                                   \
  HEDDLE_ASSIGN_OR_RETURN_INNER_(HEDDLE_STATUS_CONCAT_(heddle_or_, __LINE__), declaration, \
                                 expression)
#define HEDDLE_ASSIGN_OR_RETURN_INNER_(temporary, declaration, expression) \
  auto temporary = (expression);                                           \
  if (!temporary.ok()) return std::move(temporary).status();               \
  declaration = *std::move(temporary)

// Ends the process when an invariant is broken; on in every build.
#define HEDDLE_CHECK(condition) \
  while (!(condition)) ::heddle::base::CheckFailure(__FILE__, __LINE__, #condition).stream()
