#include "source/base/path.h"

#include "absl/strings/str_cat.h"

namespace heddle::base {

void Path::AppendTo(std::string* out) const {
  if (parent_ != nullptr) parent_->AppendTo(out);
  if (index_ == kMapKey) {
    absl::StrAppend(out, "[\"", name_, "\"]");
  } else if (index_ != kNoIndex) {
    absl::StrAppend(out, "[", index_, "]");
  } else {
    if (!out->empty() && !name_.empty()) out->push_back('.');
    absl::StrAppend(out, name_);
  }
}

std::string Path::ToString() const {
  std::string out;
  AppendTo(&out);
  return out;
}

absl::Status Path::Error(absl::string_view message) const {
  const std::string where = ToString();
  if (where.empty()) return absl::InvalidArgumentError(message);
  return absl::InvalidArgumentError(absl::StrCat(where, ": ", message));
}

}  // namespace heddle::base
