#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/message.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/stubs/common.h>
#include <google/protobuf/timestamp.pb.h>

#include <limits>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "source/base/path.h"
#include "source/base/status.h"
#include "source/yaml/node.h"
#include "source/yaml/scalar.h"
#include "source/yaml/unknown.h"
#include "source/yaml/yaml.h"

namespace heddle::yaml {
namespace {

namespace pb = google::protobuf;
using base::Path;
using Field = pb::FieldDescriptor;

// What an error says was found: short, and on one line.
std::string Describe(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kNull:
      return "null";
    case Node::Kind::kSequence:
      return absl::StrCat("a list of ", node.items.size());
    case Node::Kind::kMap:
      return "a map";
    case Node::Kind::kScalar:
      break;
  }
  std::string text = node.text.substr(0, 60);
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  if (node.text.size() > 60) text += "...";
  return node.quoted ? absl::StrCat("\"", text, "\"") : text;
}

bool IsPlainBool(const Node& node) {
  return !node.quoted && (node.text == "true" || node.text == "false");
}

class Decoder {
 public:
  explicit Decoder(const Options& options) : options_(options) {}

  // Everything known about where we are, handed down by value.
  struct Scope {
    bool guarded = false;
    int depth = 0;
  };

  absl::Status Message(const Node& node, const Path& at, Scope scope, pb::Message* out) {
    if (++scope.depth > options_.max_depth) {
      return Fail(node, at, absl::StrCat("nested more than ", options_.max_depth, " deep"));
    }
    const std::string& type = out->GetDescriptor()->full_name();
    if (absl::StartsWith(type, "google.protobuf.")) {
      bool known = true;
      absl::Status status = WellKnown(node, at, scope, out, &known);
      if (known) return status;
    }
    if (node.kind != Node::Kind::kMap) return Found(node, at, "a map");
    scope.guarded = scope.guarded || GuardsAccess(type);
    return Fields(node, at, scope, "", out);
  }

 private:
  absl::Status FailLine(int line, const Path& at, absl::string_view message) const {
    return ErrorAt(options_, line, at.Error(message).message());
  }
  absl::Status Fail(const Node& node, const Path& at, absl::string_view message) const {
    return FailLine(node.line, at, message);
  }
  absl::Status Found(const Node& node, const Path& at, absl::string_view allowed) const {
    return Fail(node, at, absl::StrCat("found ", Describe(node), ", allowed ", allowed));
  }

  // Members of a map as fields; the member named `skip` is somebody else's.
  absl::Status Fields(const Node& node, const Path& at, Scope scope, absl::string_view skip,
                      pb::Message* out) {
    const pb::Descriptor& type = *out->GetDescriptor();
    absl::flat_hash_set<const Field*> seen;
    for (const Node::Member& member : node.members) {
      if (!skip.empty() && member.key == skip) continue;
      const Field* field = FindField(type, member.key);
      if (field == nullptr) {
        HEDDLE_RETURN_IF_ERROR(Unknown(type, member, at, scope));
        continue;
      }
      const Path here = at.Field(member.key);
      if (!seen.insert(field).second)
        return FailLine(member.line, here, "given twice, under both of its names");
      HEDDLE_RETURN_IF_ERROR(OneField(*member.value, member.line, here, scope, *field, out));
    }
    return absl::OkStatus();
  }

  static const Field* FindField(const pb::Descriptor& type, const std::string& name) {
    if (const Field* field = type.FindFieldByName(name); field != nullptr) return field;
    for (int i = 0; i < type.field_count(); ++i) {
      if (type.field(i)->json_name() == name) return type.field(i);
    }
    return nullptr;
  }

  absl::Status Unknown(const pb::Descriptor& type, const Node::Member& member, const Path& at,
                       Scope scope) {
    Nearest nearest(member.key);
    std::vector<std::string> names;
    for (int i = 0; i < type.field_count(); ++i) {
      const bool camel =
          member.key.find('_') == std::string::npos && !absl::StrContains(at.ToString(), '_');
      names.push_back(camel ? type.field(i)->json_name() : type.field(i)->name());
      nearest.Offer(names.back());
    }
    std::string message = "unknown field";
    if (!nearest.best().empty()) {
      absl::StrAppend(&message, "; did you mean \"", nearest.best(), "\"?");
    } else if (names.empty()) {
      absl::StrAppend(&message, "; allowed: nothing");
    } else if (names.size() <= 16) {
      absl::StrAppend(&message, "; allowed: ", absl::StrJoin(names, ", "));
    }
    const std::string key = member.key.substr(0, 100);
    absl::Status status = FailLine(member.line, at.Field(key), message);
    if (options_.unknown_fields == UnknownFields::kError || scope.guarded) return status;
    AddWarning(options_.warnings, std::string(status.message()));
    return absl::OkStatus();
  }

  absl::Status OneField(const Node& node, int line, const Path& at, Scope scope, const Field& field,
                        pb::Message* out) {
    const bool null_value = field.cpp_type() == Field::CPPTYPE_MESSAGE && !field.is_repeated() &&
                            field.message_type()->full_name() == "google.protobuf.Value";
    if (node.kind == Node::Kind::kNull && !null_value)
      return absl::OkStatus();  // as if it were not there
    if (const pb::OneofDescriptor* oneof = field.real_containing_oneof(); oneof != nullptr) {
      const Field* other = out->GetReflection()->GetOneofFieldDescriptor(*out, oneof);
      if (other != nullptr) {
        return FailLine(
            line, at,
            absl::StrCat("only one of ", other->name(), " and ", field.name(), " is allowed"));
      }
    }
    if (field.is_map()) return Map(node, at, scope, field, out);
    if (!field.is_repeated()) return Value(node, at, scope, field, out);
    if (node.kind != Node::Kind::kSequence) return Found(node, at, "a list");
    for (size_t i = 0; i < node.items.size(); ++i) {
      const Path item = at.Index(i);
      const bool any_null = field.cpp_type() == Field::CPPTYPE_MESSAGE &&
                            field.message_type()->full_name() == "google.protobuf.Value";
      if (node.items[i]->kind == Node::Kind::kNull && !any_null)
        return Fail(*node.items[i], item, "must not be null");
      HEDDLE_RETURN_IF_ERROR(Value(*node.items[i], item, scope, field, out));
    }
    return absl::OkStatus();
  }

  absl::Status Map(const Node& node, const Path& at, Scope scope, const Field& field,
                   pb::Message* out) {
    if (node.kind != Node::Kind::kMap) return Found(node, at, "a map");
    const Field& key_field = *field.message_type()->map_key();
    const Field& value_field = *field.message_type()->map_value();
    for (const Node::Member& member : node.members) {
      const Path here = at.Key(member.key);
      pb::Message* entry = out->GetReflection()->AddMessage(out, &field);
      Node key;
      key.kind = Node::Kind::kScalar;
      key.line = member.line;
      key.text = member.key;
      key.quoted = key_field.cpp_type() != Field::CPPTYPE_BOOL;
      HEDDLE_RETURN_IF_ERROR(Value(key, here, scope, key_field, entry));
      if (member.value->kind == Node::Kind::kNull &&
          value_field.cpp_type() != Field::CPPTYPE_MESSAGE) {
        return FailLine(member.line, here, "must not be null");
      }
      HEDDLE_RETURN_IF_ERROR(Value(*member.value, here, scope, value_field, entry));
    }
    return absl::OkStatus();
  }

  // Sets, or adds to, one field.
  absl::Status Value(const Node& node, const Path& at, Scope scope, const Field& field,
                     pb::Message* out) {
    const pb::Reflection& r = *out->GetReflection();
    if (field.cpp_type() == Field::CPPTYPE_MESSAGE) {
      return Message(
          node, at, scope,
          field.is_repeated() ? r.AddMessage(out, &field) : r.MutableMessage(out, &field));
    }
    if (node.kind != Node::Kind::kScalar) return Found(node, at, Allowed(field));
    switch (field.cpp_type()) {
      case Field::CPPTYPE_INT32:
      case Field::CPPTYPE_INT64:
        return Signed(node, at, field, out);
      case Field::CPPTYPE_UINT32:
      case Field::CPPTYPE_UINT64:
        return Unsigned(node, at, field, out);
      case Field::CPPTYPE_DOUBLE:
      case Field::CPPTYPE_FLOAT: {
        const std::optional<double> value = ParseDouble(node.text);
        if (!value) return Found(node, at, "a number");
        if (field.cpp_type() == Field::CPPTYPE_FLOAT) {
          field.is_repeated() ? r.AddFloat(out, &field, static_cast<float>(*value))
                              : r.SetFloat(out, &field, static_cast<float>(*value));
        } else {
          field.is_repeated() ? r.AddDouble(out, &field, *value) : r.SetDouble(out, &field, *value);
        }
        return absl::OkStatus();
      }
      case Field::CPPTYPE_BOOL:
        if (!IsPlainBool(node)) return Found(node, at, "true or false");
        field.is_repeated() ? r.AddBool(out, &field, node.text == "true")
                            : r.SetBool(out, &field, node.text == "true");
        return absl::OkStatus();
      case Field::CPPTYPE_ENUM:
        return Enum(node, at, field, out);
      case Field::CPPTYPE_STRING:
        return String(node, at, field, out);
      case Field::CPPTYPE_MESSAGE:
        break;
    }
    return Fail(node, at, "of a type that cannot be read");
  }

  static std::string Allowed(const Field& field) {
    switch (field.cpp_type()) {
      case Field::CPPTYPE_INT32:
        return absl::StrCat(std::numeric_limits<int32_t>::min(), " to ",
                            std::numeric_limits<int32_t>::max());
      case Field::CPPTYPE_UINT32:
        return absl::StrCat("0 to ", std::numeric_limits<uint32_t>::max());
      case Field::CPPTYPE_INT64:
        return "a whole number";
      case Field::CPPTYPE_UINT64:
        return "a whole number, at least 0";
      case Field::CPPTYPE_DOUBLE:
      case Field::CPPTYPE_FLOAT:
        return "a number";
      case Field::CPPTYPE_BOOL:
        return "true or false";
      case Field::CPPTYPE_STRING:
        return field.type() == Field::TYPE_BYTES ? "base64" : "a string";
      case Field::CPPTYPE_ENUM: {
        std::vector<std::string> names;
        for (int i = 0; i < field.enum_type()->value_count() && i < 20; ++i) {
          names.push_back(field.enum_type()->value(i)->name());
        }
        return absl::StrJoin(names, ", ");
      }
      case Field::CPPTYPE_MESSAGE:
        break;
    }
    return "a map";
  }

  absl::Status Signed(const Node& node, const Path& at, const Field& field, pb::Message* out) {
    const pb::Reflection& r = *out->GetReflection();
    const std::optional<int64_t> value = ParseSigned(node.text);
    if (!value) return Found(node, at, Allowed(field));
    if (field.cpp_type() == Field::CPPTYPE_INT64) {
      field.is_repeated() ? r.AddInt64(out, &field, *value) : r.SetInt64(out, &field, *value);
      return absl::OkStatus();
    }
    const int32_t narrow = static_cast<int32_t>(*value);
    if (narrow != *value) return Found(node, at, Allowed(field));
    field.is_repeated() ? r.AddInt32(out, &field, narrow) : r.SetInt32(out, &field, narrow);
    return absl::OkStatus();
  }

  absl::Status Unsigned(const Node& node, const Path& at, const Field& field, pb::Message* out) {
    const pb::Reflection& r = *out->GetReflection();
    const std::optional<uint64_t> value = ParseUnsigned(node.text);
    if (!value) return Found(node, at, Allowed(field));
    if (field.cpp_type() == Field::CPPTYPE_UINT64) {
      field.is_repeated() ? r.AddUInt64(out, &field, *value) : r.SetUInt64(out, &field, *value);
      return absl::OkStatus();
    }
    const uint32_t narrow = static_cast<uint32_t>(*value);
    if (narrow != *value) return Found(node, at, Allowed(field));
    field.is_repeated() ? r.AddUInt32(out, &field, narrow) : r.SetUInt32(out, &field, narrow);
    return absl::OkStatus();
  }

  absl::Status Enum(const Node& node, const Path& at, const Field& field, pb::Message* out) {
    const pb::EnumDescriptor& type = *field.enum_type();
    const pb::EnumValueDescriptor* value = type.FindValueByName(node.text);
    if (value == nullptr && !node.quoted) {
      const std::optional<int64_t> number = ParseSigned(node.text);
      if (number && *number == static_cast<int>(*number))
        value = type.FindValueByNumber(static_cast<int>(*number));
    }
    if (value == nullptr) {
      Nearest nearest(node.text);
      for (int i = 0; i < type.value_count(); ++i) nearest.Offer(type.value(i)->name());
      return Found(node, at,
                   nearest.best().empty()
                       ? Allowed(field)
                       : absl::StrCat(Allowed(field), "; did you mean ", nearest.best(), "?"));
    }
    const pb::Reflection& r = *out->GetReflection();
    field.is_repeated() ? r.AddEnum(out, &field, value) : r.SetEnum(out, &field, value);
    return absl::OkStatus();
  }

  absl::Status String(const Node& node, const Path& at, const Field& field, pb::Message* out) {
    const pb::Reflection& r = *out->GetReflection();
    std::string text = node.text;
    if (field.type() == Field::TYPE_BYTES) {
      std::optional<std::string> bytes = ParseBase64(node.text);
      if (!bytes) return Found(node, at, "base64");
      text = *std::move(bytes);
    } else {
      if (!node.quoted && (IsPlainBool(node) || LooksLikeNumber(node.text))) {
        return Found(node, at,
                     absl::StrCat("a string; write \"", node.text.substr(0, 60), "\" with quotes"));
      }
      if (!pb::internal::IsStructurallyValidUTF8(text.data(), static_cast<int>(text.size()))) {
        return Fail(node, at, "is not UTF-8");
      }
    }
    field.is_repeated() ? r.AddString(out, &field, std::move(text))
                        : r.SetString(out, &field, std::move(text));
    return absl::OkStatus();
  }

  // The types of google.protobuf that have a form of their own in JSON.
  absl::Status WellKnown(const Node& node, const Path& at, Scope scope, pb::Message* out,
                         bool* known) {
    const std::string& type = out->GetDescriptor()->full_name();
    if (type == "google.protobuf.Any") return Any(node, at, scope, out);
    if (type == "google.protobuf.Duration" || type == "google.protobuf.Timestamp") {
      return Time(node, at, type == "google.protobuf.Duration", out);
    }
    const pb::Descriptor& d = *out->GetDescriptor();
    if (type == "google.protobuf.Struct")
      return Map(node, at, scope, *d.FindFieldByName("fields"), out);
    if (type == "google.protobuf.Value") return AnyValue(node, at, scope, out);
    if (type == "google.protobuf.ListValue") {
      return OneField(node, node.line, at, scope, *d.FindFieldByName("values"), out);
    }
    if (absl::EndsWith(type, "Value") && d.field_count() == 1 && d.field(0)->name() == "value") {
      return Value(node, at, scope, *d.field(0), out);
    }
    *known = false;
    return absl::OkStatus();
  }

  absl::Status Time(const Node& node, const Path& at, bool duration, pb::Message* out) {
    std::optional<SecondsNanos> value;
    if (node.kind == Node::Kind::kScalar)
      value = duration ? ParseDuration(node.text) : ParseTimestamp(node.text);
    if (!value) {
      return Found(
          node, at,
          duration ? "seconds such as \"1.5s\"" : "a time such as \"2026-01-31T12:00:00Z\"");
    }
    const pb::Descriptor& d = *out->GetDescriptor();
    out->GetReflection()->SetInt64(out, d.FindFieldByNumber(1), value->seconds);
    out->GetReflection()->SetInt32(out, d.FindFieldByNumber(2), value->nanos);
    return absl::OkStatus();
  }

  absl::Status AnyValue(const Node& node, const Path& at, Scope scope, pb::Message* out) {
    const pb::Descriptor& d = *out->GetDescriptor();
    auto field = [&d](const char* name) { return d.FindFieldByName(name); };
    switch (node.kind) {
      case Node::Kind::kNull:
        out->GetReflection()->SetEnumValue(out, field("null_value"), 0);
        return absl::OkStatus();
      case Node::Kind::kMap:
        return Value(node, at, scope, *field("struct_value"), out);
      case Node::Kind::kSequence:
        return Value(node, at, scope, *field("list_value"), out);
      case Node::Kind::kScalar:
        break;
    }
    if (IsPlainBool(node)) return Value(node, at, scope, *field("bool_value"), out);
    if (!node.quoted && LooksLikeNumber(node.text))
      return Value(node, at, scope, *field("number_value"), out);
    return Value(node, at, scope, *field("string_value"), out);
  }

  absl::Status Any(const Node& node, const Path& at, Scope scope, pb::Message* out) {
    if (node.kind != Node::Kind::kMap) return Found(node, at, "a map with \"@type\"");
    const Node::Member* type = nullptr;
    for (const Node::Member& member : node.members) {
      if (member.key == "@type") type = &member;
    }
    if (type == nullptr || type->value->kind != Node::Kind::kScalar || type->value->text.empty()) {
      return Fail(node, at, "\"@type\" is required");
    }
    const std::string& url = type->value->text;
    const pb::Descriptor* payload =
        pb::DescriptorPool::generated_pool()->FindMessageTypeByName(url.substr(url.rfind('/') + 1));
    const pb::Descriptor& d = *out->GetDescriptor();
    out->GetReflection()->SetString(out, d.FindFieldByNumber(1), url);
    const pb::Message* prototype =
        payload == nullptr ? nullptr
                           : pb::MessageFactory::generated_factory()->GetPrototype(payload);
    if (prototype == nullptr) {
      absl::Status status =
          FailLine(type->line, at.Field("@type"), absl::StrCat("unknown type \"", url, "\""));
      if (options_.unknown_fields == UnknownFields::kError || scope.guarded) return status;
      // The type stays, so that whoever needs what is inside can still refuse.
      AddWarning(options_.warnings, std::string(status.message()));
      return absl::OkStatus();
    }
    std::unique_ptr<pb::Message> message(prototype->New());
    HEDDLE_RETURN_IF_ERROR(AnyPayload(node, at, scope, message.get()));
    std::string bytes;
    {
      pb::io::StringOutputStream stream(&bytes);
      pb::io::CodedOutputStream coded(&stream);
      coded.SetSerializationDeterministic(true);
      message->SerializeToCodedStream(&coded);
    }
    out->GetReflection()->SetString(out, d.FindFieldByNumber(2), std::move(bytes));
    return absl::OkStatus();
  }

  absl::Status AnyPayload(const Node& node, const Path& at, Scope scope, pb::Message* out) {
    if (++scope.depth > options_.max_depth) {
      return Fail(node, at, absl::StrCat("nested more than ", options_.max_depth, " deep"));
    }
    const std::string& type = out->GetDescriptor()->full_name();
    if (!absl::StartsWith(type, "google.protobuf.") || type == "google.protobuf.Empty") {
      scope.guarded = scope.guarded || GuardsAccess(type);
      return Fields(node, at, scope, "@type", out);
    }
    for (const Node::Member& member : node.members) {
      if (member.key == "@type") continue;
      if (member.key != "value")
        return FailLine(member.line, at.Field(member.key), "unknown field; allowed: value");
      HEDDLE_RETURN_IF_ERROR(Message(*member.value, at.Field("value"), scope, out));
    }
    return absl::OkStatus();
  }

  const Options& options_;
};

}  // namespace

absl::Status Document::Decode(pb::Message* out, const Options& options) const {
  out->Clear();
  return Decoder(options).Message(*root_, base::Path(), {}, out);
}

}  // namespace heddle::yaml
