#include "source/decode/unknown.h"

#include "absl/strings/match.h"
#include "source/decode/context.h"
#include "source/yaml/unknown.h"

namespace heddle::decode {

absl::Status RejectUnknown(const google::protobuf::Message& message, const base::Path& at) {
  std::vector<std::string> found;
  HEDDLE_RETURN_IF_ERROR(yaml::CheckUnknownFields(message, at, &found));
  return found.empty() ? absl::OkStatus() : absl::InvalidArgumentError(found[0]);
}

absl::Status NoteUnknown(const google::protobuf::Message& message, const base::Path& at,
                         Context& context) {
  return yaml::CheckUnknownFields(message, at, context.mutable_warnings());
}

void Warn(const base::Path& at, absl::string_view text, Context& context) {
  yaml::AddWarning(context.mutable_warnings(), std::string(at.Error(text).message()));
}

void NotHonoured(bool given, const base::Path& at, Context& context) {
  if (given) Warn(at, "has no effect here", context);
}

absl::string_view TypeOf(const google::protobuf::Any& any) {
  const absl::string_view url = any.type_url();
  const size_t slash = url.rfind('/');
  return slash == absl::string_view::npos ? url : url.substr(slash + 1);
}

}  // namespace heddle::decode
