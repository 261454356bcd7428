#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "source/yaml/scalar.h"
#include "source/yaml/yaml.h"

namespace heddle::yaml {
namespace {

namespace pb = google::protobuf;
using Field = pb::FieldDescriptor;

constexpr char kRedacted[] = "\"[redacted]\"";

// Fields nobody may read from an admin page or a log, by full name.
constexpr absl::string_view kSecrets[] = {
    "envoy.extensions.transport_sockets.tls.v3.TlsCertificate.private_key",
    "envoy.extensions.transport_sockets.tls.v3.TlsCertificate.password",
    "envoy.extensions.transport_sockets.tls.v3.GenericSecret.secret",
    "envoy.extensions.transport_sockets.tls.v3.TlsSessionTicketKeys.keys",
};

std::string Quote(absl::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          absl::StrAppendFormat(&out, "\\u%04x", static_cast<unsigned>(c));
        } else {
          out.push_back(c);
        }
    }
  }
  out.push_back('"');
  return out;
}

std::string Double(double value) {
  if (std::isnan(value)) return "\"NaN\"";
  if (std::isinf(value)) return value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
  std::string out = absl::StrFormat("%.15g", value);
  if (ParseDouble(out) != value) out = absl::StrFormat("%.17g", value);
  return out;
}

class Writer {
 public:
  explicit Writer(const JsonOptions& options) : options_(options) {}
  std::string Take() { return std::move(out_); }

  void Message(const pb::Message& message) {
    const std::string& type = message.GetDescriptor()->full_name();
    if (absl::StartsWith(type, "google.protobuf.") && WellKnown(message, type)) return;
    Open('{');
    Fields(message);
    Close('}');
  }

 private:
  void Open(char bracket) {
    out_.push_back(bracket);
    ++depth_;
    first_ = true;
  }
  void Close(char bracket) {
    --depth_;
    if (!first_) NewLine();
    out_.push_back(bracket);
    first_ = false;
  }
  void NewLine() {
    if (!options_.pretty) return;
    out_.push_back('\n');
    out_.append(static_cast<size_t>(depth_), ' ');
  }
  void Item() {
    if (!first_) out_.push_back(',');
    first_ = false;
    NewLine();
  }
  void Key(absl::string_view key) {
    Item();
    absl::StrAppend(&out_, Quote(key), options_.pretty ? ": " : ":");
  }

  void Fields(const pb::Message& message) {
    const pb::Reflection& r = *message.GetReflection();
    std::vector<const Field*> fields;
    r.ListFields(message, &fields);
    for (const Field* field : fields) {
      Key(options_.camel_case ? field->json_name() : field->name());
      if (IsSecret(message, *field)) {
        out_ += kRedacted;
      } else if (field->is_map()) {
        Map(message, *field);
      } else if (field->is_repeated()) {
        Open('[');
        for (int i = 0; i < r.FieldSize(message, field); ++i) {
          Item();
          Value(message, *field, i);
        }
        Close(']');
      } else {
        Value(message, *field, -1);
      }
    }
  }

  bool IsSecret(const pb::Message& message, const Field& field) const {
    if (!options_.redact) return false;
    if (field.full_name() == "envoy.config.core.v3.HeaderValue.value") {
      const pb::Reflection& r = *message.GetReflection();
      return absl::EqualsIgnoreCase(
          r.GetString(message, message.GetDescriptor()->FindFieldByNumber(1)), "authorization");
    }
    return std::find(std::begin(kSecrets), std::end(kSecrets), field.full_name()) !=
           std::end(kSecrets);
  }

  void Map(const pb::Message& message, const Field& field) {
    const pb::Reflection& r = *message.GetReflection();
    const Field& key_field = *field.message_type()->map_key();
    std::vector<std::pair<std::string, const pb::Message*>> entries;
    for (int i = 0; i < r.FieldSize(message, &field); ++i) {
      const pb::Message& entry = r.GetRepeatedMessage(message, &field, i);
      entries.emplace_back(MapKey(entry, key_field), &entry);
    }
    std::sort(entries.begin(), entries.end());
    Open('{');
    for (const auto& [key, entry] : entries) {
      Key(key);
      Value(*entry, *field.message_type()->map_value(), -1);
    }
    Close('}');
  }

  static std::string MapKey(const pb::Message& entry, const Field& key) {
    const pb::Reflection& r = *entry.GetReflection();
    switch (key.cpp_type()) {
      case Field::CPPTYPE_INT32:
        return absl::StrCat(r.GetInt32(entry, &key));
      case Field::CPPTYPE_INT64:
        return absl::StrCat(r.GetInt64(entry, &key));
      case Field::CPPTYPE_UINT32:
        return absl::StrCat(r.GetUInt32(entry, &key));
      case Field::CPPTYPE_UINT64:
        return absl::StrCat(r.GetUInt64(entry, &key));
      case Field::CPPTYPE_BOOL:
        return r.GetBool(entry, &key) ? "true" : "false";
      default:
        return r.GetString(entry, &key);
    }
  }

  // Member `index` of a repeated field, or the field when that is -1.
  void Value(const pb::Message& m, const Field& f, int index) {
    const pb::Reflection& r = *m.GetReflection();
    const bool many = index >= 0;
    switch (f.cpp_type()) {
      case Field::CPPTYPE_INT32:
        absl::StrAppend(&out_, many ? r.GetRepeatedInt32(m, &f, index) : r.GetInt32(m, &f));
        break;
      case Field::CPPTYPE_UINT32:
        absl::StrAppend(&out_, many ? r.GetRepeatedUInt32(m, &f, index) : r.GetUInt32(m, &f));
        break;
      case Field::CPPTYPE_INT64:
        absl::StrAppend(&out_, "\"", many ? r.GetRepeatedInt64(m, &f, index) : r.GetInt64(m, &f),
                        "\"");
        break;
      case Field::CPPTYPE_UINT64:
        absl::StrAppend(&out_, "\"", many ? r.GetRepeatedUInt64(m, &f, index) : r.GetUInt64(m, &f),
                        "\"");
        break;
      case Field::CPPTYPE_DOUBLE:
        out_ += Double(many ? r.GetRepeatedDouble(m, &f, index) : r.GetDouble(m, &f));
        break;
      case Field::CPPTYPE_FLOAT:
        out_ += Double(
            static_cast<double>(many ? r.GetRepeatedFloat(m, &f, index) : r.GetFloat(m, &f)));
        break;
      case Field::CPPTYPE_BOOL:
        out_ += (many ? r.GetRepeatedBool(m, &f, index) : r.GetBool(m, &f)) ? "true" : "false";
        break;
      case Field::CPPTYPE_ENUM:
        Enum(f, many ? r.GetRepeatedEnumValue(m, &f, index) : r.GetEnumValue(m, &f));
        break;
      case Field::CPPTYPE_STRING: {
        const std::string text = many ? r.GetRepeatedString(m, &f, index) : r.GetString(m, &f);
        out_ += Quote(f.type() == Field::TYPE_BYTES ? absl::Base64Escape(text) : text);
        break;
      }
      case Field::CPPTYPE_MESSAGE:
        Message(many ? r.GetRepeatedMessage(m, &f, index) : r.GetMessage(m, &f));
        break;
    }
  }

  void Enum(const Field& field, int number) {
    if (field.enum_type()->full_name() == "google.protobuf.NullValue") {
      out_ += "null";
      return;
    }
    const pb::EnumValueDescriptor* value = field.enum_type()->FindValueByNumber(number);
    out_ += value == nullptr ? absl::StrCat(number) : Quote(value->name());
  }

  bool WellKnown(const pb::Message& m, const std::string& type) {
    const pb::Descriptor& d = *m.GetDescriptor();
    const pb::Reflection& r = *m.GetReflection();
    if (type == "google.protobuf.Any") {
      Any(m);
    } else if (type == "google.protobuf.Duration" || type == "google.protobuf.Timestamp") {
      const SecondsNanos time{r.GetInt64(m, d.FindFieldByNumber(1)),
                              r.GetInt32(m, d.FindFieldByNumber(2))};
      out_ +=
          Quote(type == "google.protobuf.Duration" ? PrintDuration(time) : PrintTimestamp(time));
    } else if (type == "google.protobuf.Struct") {
      Map(m, *d.FindFieldByNumber(1));
    } else if (type == "google.protobuf.ListValue") {
      Open('[');
      for (int i = 0; i < r.FieldSize(m, d.field(0)); ++i) {
        Item();
        Value(m, *d.field(0), i);
      }
      Close(']');
    } else if (type == "google.protobuf.Value") {
      const Field* set = r.GetOneofFieldDescriptor(m, d.oneof_decl(0));
      set == nullptr ? void(out_ += "null") : Value(m, *set, -1);
    } else if (absl::EndsWith(type, "Value") && d.field_count() == 1) {
      Value(m, *d.field(0), -1);
    } else {
      return false;
    }
    return true;
  }

  void Any(const pb::Message& m) {
    const pb::Descriptor& d = *m.GetDescriptor();
    const pb::Reflection& r = *m.GetReflection();
    const std::string url = r.GetString(m, d.FindFieldByNumber(1));
    const std::string bytes = r.GetString(m, d.FindFieldByNumber(2));
    Open('{');
    Key("@type");
    out_ += Quote(url);
    const pb::Descriptor* type =
        pb::DescriptorPool::generated_pool()->FindMessageTypeByName(url.substr(url.rfind('/') + 1));
    const pb::Message* prototype =
        type == nullptr ? nullptr : pb::MessageFactory::generated_factory()->GetPrototype(type);
    std::unique_ptr<pb::Message> payload(prototype == nullptr ? nullptr : prototype->New());
    if (payload == nullptr || depth_ > 100 || !payload->ParseFromString(bytes)) {
      Key("value");
      out_ += Quote(absl::Base64Escape(bytes));
    } else if (absl::StartsWith(type->full_name(), "google.protobuf.")) {
      Key("value");
      Message(*payload);
    } else {
      Fields(*payload);
    }
    Close('}');
  }

  const JsonOptions& options_;
  std::string out_;
  int depth_ = 0;
  bool first_ = true;
};

}  // namespace

std::string ToJson(const pb::Message& message, const JsonOptions& options) {
  Writer writer(options);
  writer.Message(message);
  return writer.Take();
}

}  // namespace heddle::yaml
