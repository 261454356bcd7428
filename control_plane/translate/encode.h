// From protobuf to bytes that are the same for the same content, whatever the process. Used by
// every builder here.
#pragma once

#include <google/protobuf/any.pb.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message.h>

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "control_plane/translate/translate.h"

namespace heddle::translate {

// Maps in key order.
std::string Serialize(const google::protobuf::Message& message);
void Pack(const google::protobuf::Message& message, google::protobuf::Any* out);
void Set(google::protobuf::Duration* out, absl::Duration value);
// The version is a hash of the encoded message.
ResourceRef MakeResource(ResourceType type, std::string name,
                         const google::protobuf::Message& message);

}  // namespace heddle::translate
