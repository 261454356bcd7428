#include "control_plane/model/problem.h"

#include "absl/strings/str_cat.h"

namespace heddle::model {

std::string Problem::ToString() const {
  std::string text = file;
  if (line > 0) absl::StrAppend(&text, ":", line);
  if (!text.empty()) text += ": ";
  if (severity == Severity::kWarning) text += "warning: ";
  if (!object.empty()) absl::StrAppend(&text, object, ": ");
  if (!path.empty()) absl::StrAppend(&text, path, ": ");
  return text + message;
}

}  // namespace heddle::model
