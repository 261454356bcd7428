#include "control_plane/translate/encode.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "control_plane/model/digest.h"

namespace heddle::translate {

std::string Serialize(const google::protobuf::Message& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&coded);
  }
  return bytes;
}

void Pack(const google::protobuf::Message& message, google::protobuf::Any* out) {
  out->set_type_url(absl::StrCat("type.googleapis.com/", message.GetTypeName()));
  out->set_value(Serialize(message));
}

void Set(google::protobuf::Duration* out, absl::Duration value) {
  out->set_seconds(absl::IDivDuration(value, absl::Seconds(1), &value));
  out->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(value)));
}

ResourceRef MakeResource(ResourceType type, std::string name,
                         const google::protobuf::Message& message) {
  auto out = std::make_shared<Resource>();
  out->type = type;
  out->name = std::move(name);
  out->body = Serialize(message);
  out->version = model::Digest::Of(out->body).ToString();
  return out;
}

}  // namespace heddle::translate
