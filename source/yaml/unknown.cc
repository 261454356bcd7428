#include "source/yaml/unknown.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/unknown_field_set.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "source/base/status.h"

namespace heddle::yaml {
namespace {

namespace pb = google::protobuf;

// A full name, or a package when it ends in '.'.
constexpr absl::string_view kGuards[] = {
    "envoy.config.listener.v3.FilterChainMatch",
    "envoy.config.rbac.v3.",
    "envoy.extensions.filters.http.ext_authz.",
    "envoy.extensions.filters.http.jwt_authn.",
    "envoy.extensions.filters.http.rbac.",
    "envoy.extensions.filters.network.ext_authz.",
    "envoy.extensions.filters.network.rbac.",
    "envoy.extensions.transport_sockets.tls.",
    "heddle.v1.AuthorizationPolicy",
};

absl::Status Walk(const pb::Message& message, const base::Path& at, bool guarded, int depth,
                  std::vector<std::string>* warnings) {
  // Parsing already bounds the depth at 100; this is for messages made some other way.
  if (depth > 200) return at.Error("nested too deep");
  const pb::Descriptor& type = *message.GetDescriptor();
  const pb::Reflection& r = *message.GetReflection();
  guarded = guarded || GuardsAccess(type.full_name());
  const pb::UnknownFieldSet& unknown = r.GetUnknownFields(message);
  for (int i = 0; i < unknown.field_count(); ++i) {
    absl::Status status = at.Error(
        absl::StrCat("unknown field number ", unknown.field(i).number(), " in ", type.full_name()));
    if (guarded) return status;
    AddWarning(warnings, std::string(status.message()));
  }
  std::vector<const pb::FieldDescriptor*> fields;
  r.ListFields(message, &fields);
  for (const pb::FieldDescriptor* field : fields) {
    if (field->cpp_type() != pb::FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (field->is_map() &&
        field->message_type()->map_value()->cpp_type() != pb::FieldDescriptor::CPPTYPE_MESSAGE) {
      continue;
    }
    const base::Path here = at.Field(field->name());
    if (!field->is_repeated()) {
      HEDDLE_RETURN_IF_ERROR(
          Walk(r.GetMessage(message, field), here, guarded, depth + 1, warnings));
      continue;
    }
    for (int i = 0; i < r.FieldSize(message, field); ++i) {
      HEDDLE_RETURN_IF_ERROR(Walk(r.GetRepeatedMessage(message, field, i),
                                  here.Index(static_cast<size_t>(i)), guarded, depth + 1,
                                  warnings));
    }
  }
  return absl::OkStatus();
}

}  // namespace

bool GuardsAccess(absl::string_view message_name) {
  for (const absl::string_view guard : kGuards) {
    if (guard.back() == '.' ? absl::StartsWith(message_name, guard) : message_name == guard)
      return true;
  }
  return false;
}

absl::Status CheckUnknownFields(const pb::Message& message, const base::Path& at,
                                std::vector<std::string>* warnings) {
  return Walk(message, at, false, 0, warnings);
}

void AddWarning(std::vector<std::string>* warnings, std::string text) {
  if (warnings == nullptr || warnings->size() > kMaxWarnings) return;
  if (warnings->size() == kMaxWarnings) text = "more warnings were left out";
  warnings->push_back(std::move(text));
}

}  // namespace heddle::yaml
