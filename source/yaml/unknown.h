// What happens to a field we do not know: it is never dropped silently. Inside a message that
// guards access (RBAC, TLS, JWT, external authorization, the choice of a filter chain) it is an
// error, because leaving out a condition could let somebody in; elsewhere it is a warning, which
// its user counts and logs.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "source/base/path.h"

namespace google::protobuf {
class Message;
}

namespace heddle::yaml {

// Whether messages of this full name, and everything inside them, guard access.
bool GuardsAccess(absl::string_view message_name);

// Walks a message that came as bytes. Does not look inside Any: whoever unpacks one calls this on
// what was in it. InvalidArgument for the first unknown field in a guarding message; other ones are
// appended to `warnings`.
absl::Status CheckUnknownFields(const google::protobuf::Message& message, const base::Path& at,
                                std::vector<std::string>* warnings);

// At most this many warnings are kept in one list; the last then says that there were more.
inline constexpr size_t kMaxWarnings = 1000;
void AddWarning(std::vector<std::string>* warnings, std::string text);

}  // namespace heddle::yaml
