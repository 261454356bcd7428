// Unknown fields of messages that came as bytes (see source/yaml/unknown.h), and unpacking of Any.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/any.pb.h"
#include "source/base/path.h"
#include "source/base/status.h"

namespace heddle::decode {

class Context;

// InvalidArgument when anything in the message is unknown: for filters that guard access or change
// answers.
absl::Status RejectUnknown(const google::protobuf::Message& message, const base::Path& at);

// Unknown fields are an error inside what guards access, else a warning.
absl::Status NoteUnknown(const google::protobuf::Message& message, const base::Path& at,
                         Context& context);

// Adds "<path>: <text>" to the warnings.
void Warn(const base::Path& at, absl::string_view text, Context& context);

// A field that is known, and has no effect here: a warning when it was given.
void NotHonoured(bool given, const base::Path& at, Context& context);

// "type.googleapis.com/a.b.C" -> "a.b.C".
absl::string_view TypeOf(const google::protobuf::Any& any);

// Whether the Any holds this type; decoders ask it of each type they know.
template <typename Message>
bool Is(const google::protobuf::Any& any) {
  return TypeOf(any) == Message::descriptor()->full_name();
}

// What is in the Any, its unknown fields noted.
template <typename Message>
absl::Status Unpack(const google::protobuf::Any& any, const base::Path& at, Context& context,
                    Message* out) {
  const std::string& name = Message::descriptor()->full_name();
  if (TypeOf(any) != name)
    return at.Error(absl::StrCat("found type \"", TypeOf(any), "\", allowed ", name));
  if (!out->ParseFromString(any.value())) return at.Error(absl::StrCat("cannot be read as ", name));
  return NoteUnknown(*out, at, context);
}

}  // namespace heddle::decode
