// Our trimmed protos against upstream's, as the npm package @grpc/grpc-js-xds ships them: every
// message, field, enum and service method of ours must exist there under the same name, in the same
// file, with the same number, type and label. OTLP and the certificate service are in no such
// package; the protobuf text below is their oracle.
#include <google/protobuf/descriptor.pb.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace {

namespace pb = google::protobuf;
namespace fs = std::filesystem;

// Runs a command line and answers what it prints.
std::string Output(const std::string& command) {
  INFO(command);
  FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string out;
  char block[4096];
  for (size_t n = fread(block, 1, sizeof(block), pipe); n > 0;
       n = fread(block, 1, sizeof(block), pipe))
    out.append(block, n);
  REQUIRE(pclose(pipe) == 0);
  return out;
}

using Files = std::map<std::string, pb::FileDescriptorProto>;

// The descriptors that protoc makes of some files and all they import.
Files Compile(const std::string& includes, const std::vector<std::string>& names,
              const fs::path& temporary) {
  const std::string out = temporary / "set.pb";
  Output(absl::StrCat("protoc ", includes, " -I/usr/include --include_imports -o", out, " ",
                      absl::StrJoin(names, " "), " 2>&1"));
  std::ifstream file(out, std::ios::binary);
  pb::FileDescriptorSet set;
  REQUIRE(set.ParseFromIstream(&file));
  Files files;
  for (const auto& one : set.file()) files[one.name()] = one;
  return files;
}

fs::path MakeTemporary() {
  const char* base = std::getenv("TEST_TMPDIR");
  std::string name = absl::StrCat(base == nullptr ? "/tmp" : base, "/upstream_test.XXXXXX");
  REQUIRE(mkdtemp(name.data()) != nullptr);
  return name;
}

// Upstream's validation rules use a member that the validate.proto beside them does not declare; it
// gets one.
std::string UpstreamIncludes(const fs::path& upstream, const fs::path& temporary) {
  fs::create_directories(temporary / "validate");
  std::ifstream in(upstream / "protoc-gen-validate/validate/validate.proto");
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const std::string opening = "message StringRules {";
  REQUIRE(absl::StrContains(text, opening));
  text.insert(text.find(opening) + opening.size(), "optional bool ignore_empty = 926;");
  std::ofstream(temporary / "validate/validate.proto") << text;
  return absl::StrCat("-I", temporary.string(), " -I", (upstream / "envoy-api").string(), " -I",
                      (upstream / "googleapis").string(), " -I", (upstream / "xds").string());
}

// What is to be equal of "envoy.config.core.v3.Node.id".
struct Entry {
  std::string kind, type, detail;
};
using Entries = std::map<std::string, Entry>;

void AddEnum(const pb::EnumDescriptorProto& in, const std::string& scope, Entries* out) {
  const std::string name = absl::StrCat(scope, ".", in.name());
  (*out)[name] = {"enum", "", ""};
  for (const auto& value : in.value()) {
    (*out)[absl::StrCat(name, ".", value.name())] = {"value", "", absl::StrCat(value.number())};
  }
}

void AddMessage(const pb::DescriptorProto& in, const std::string& scope, Entries* out) {
  const std::string name = absl::StrCat(scope, ".", in.name());
  (*out)[name] = {"message", "", in.options().map_entry() ? "map" : ""};
  for (const auto& field : in.field()) {
    std::string type = field.type_name();
    if (field.has_type() && field.type() != pb::FieldDescriptorProto::TYPE_MESSAGE &&
        field.type() != pb::FieldDescriptorProto::TYPE_ENUM) {
      type = pb::FieldDescriptorProto::Type_Name(field.type());
    }
    std::string detail =
        absl::StrCat(field.number(), " ", pb::FieldDescriptorProto::Label_Name(field.label()));
    if (field.has_oneof_index())
      absl::StrAppend(&detail, " in ", in.oneof_decl(field.oneof_index()).name());
    (*out)[absl::StrCat(name, ".", field.name())] = {"field", type, detail};
  }
  for (const auto& nested : in.nested_type()) AddMessage(nested, name, out);
  for (const auto& nested : in.enum_type()) AddEnum(nested, name, out);
}

Entries EntriesOf(const pb::FileDescriptorProto& file) {
  Entries out;
  for (const auto& message : file.message_type()) AddMessage(message, file.package(), &out);
  for (const auto& value : file.enum_type()) AddEnum(value, file.package(), &out);
  for (const auto& service : file.service()) {
    for (const auto& method : service.method()) {
      out[absl::StrCat(file.package(), ".", service.name(), ".", method.name())] = {
          "method", method.output_type(),
          absl::StrCat(method.input_type(), " ", method.client_streaming(), " ",
                       method.server_streaming())};
    }
  }
  return out;
}

// Differences, one line each; a name of ours that theirs lacks is one.
std::vector<std::string> Compare(const Entries& ours, const Entries& theirs) {
  std::vector<std::string> out;
  for (const auto& [name, entry] : ours) {
    const auto found = theirs.find(name);
    if (found == theirs.end()) {
      out.push_back(absl::StrCat(name, ": not upstream"));
      continue;
    }
    const Entry& other = found->second;
    if (entry.kind != other.kind)
      out.push_back(absl::StrCat(name, ": ", entry.kind, ", upstream ", other.kind));
    if (entry.detail != other.detail)
      out.push_back(absl::StrCat(name, ": ", entry.detail, ", upstream ", other.detail));
    if (entry.type != other.type)
      out.push_back(absl::StrCat(name, ": ", entry.type, ", upstream ", other.type));
  }
  return out;
}

std::vector<std::string> OurFiles(const std::vector<std::string>& folders) {
  std::vector<std::string> out;
  for (const std::string& folder : folders) {
    for (const auto& entry : fs::recursive_directory_iterator(
             "api/" + folder, fs::directory_options::follow_directory_symlink)) {
      if (entry.path().extension() == ".proto") out.push_back(entry.path().string().substr(4));
    }
  }
  return out;
}

TEST_CASE("our xDS protos agree with upstream's, field by field") {
  const fs::path upstream =
      std::string(absl::StripTrailingAsciiWhitespace(Output("tools/peers/xds-protos")));
  const fs::path temporary = MakeTemporary();
  const std::vector<std::string> names = OurFiles({"envoy", "google"});
  CHECK(names.size() > 50);
  const Files ours = Compile("-Iapi", names, temporary);
  const Files theirs = Compile(UpstreamIncludes(upstream, temporary), names, temporary);
  size_t entries = 0;
  for (const std::string& name : names) {
    INFO(name);
    REQUIRE(theirs.count(name) == 1);
    CHECK(ours.at(name).package() == theirs.at(name).package());
    const Entries mine = EntriesOf(ours.at(name));
    entries += mine.size();
    CHECK(Compare(mine, EntriesOf(theirs.at(name))) == std::vector<std::string>{});
  }
  CHECK(entries > 900);
  fs::remove_all(temporary);
}

TEST_CASE("the comparison sees a wrong number, type, label, oneof and name") {
  const Entries right = {{"p.M", {"message", "", ""}},
                         {"p.M.a", {"field", "TYPE_STRING", "1 LABEL_OPTIONAL"}},
                         {"p.M.b", {"field", ".x.Node", "2 LABEL_OPTIONAL in kind"}}};
  CHECK(Compare(right, right).empty());
  const Entry wrong[] = {{"field", "TYPE_BYTES", "1 LABEL_OPTIONAL"},
                         {"field", "TYPE_STRING", "2 LABEL_OPTIONAL"},
                         {"field", "TYPE_STRING", "1 LABEL_REPEATED"},
                         {"field", "TYPE_STRING", "1 LABEL_OPTIONAL in kind"},
                         {"message", "TYPE_STRING", "1 LABEL_OPTIONAL"}};
  for (const Entry& entry : wrong) CHECK(Compare({{"p.M.a", entry}}, right).size() == 1);
  CHECK(Compare({{"p.M.c", right.at("p.M.a")}}, right).size() == 1);
}

// Numbers and types from the published interface descriptions, written down by hand.
TEST_CASE("the protos that no package ships keep their numbers") {
  const fs::path temporary = MakeTemporary();
  const Files files = Compile("-Iapi", OurFiles({"istio", "opentelemetry"}), temporary);
  fs::remove_all(temporary);
  const Entries ca = EntriesOf(files.at("istio/v1/auth/ca.proto"));
  const std::string request = "istio.v1.auth.IstioCertificateRequest",
                    response = "istio.v1.auth.IstioCertificateResponse";
  CHECK(ca.at(request + ".csr").detail == "1 LABEL_OPTIONAL");
  CHECK(ca.at(request + ".validity_duration").detail == "3 LABEL_OPTIONAL");
  CHECK(ca.at(request + ".validity_duration").type == "TYPE_INT64");
  CHECK(ca.at(request + ".metadata").detail == "4 LABEL_OPTIONAL");
  CHECK(ca.at(response + ".cert_chain").detail == "1 LABEL_REPEATED");
  CHECK(ca.at("istio.v1.auth.IstioCertificateService.CreateCertificate").kind == "method");

  const Entries trace = EntriesOf(files.at("opentelemetry/proto/trace/v1/trace.proto"));
  const std::map<std::string, std::string> spans = {
      {"trace_id", "1 TYPE_BYTES"},
      {"span_id", "2 TYPE_BYTES"},
      {"trace_state", "3 TYPE_STRING"},
      {"parent_span_id", "4 TYPE_BYTES"},
      {"name", "5 TYPE_STRING"},
      {"kind", "6 .opentelemetry.proto.trace.v1.Span.SpanKind"},
      {"start_time_unix_nano", "7 TYPE_FIXED64"},
      {"end_time_unix_nano", "8 TYPE_FIXED64"},
      {"events", "11 .opentelemetry.proto.trace.v1.Span.Event"},
      {"status", "15 .opentelemetry.proto.trace.v1.Status"},
      {"flags", "16 TYPE_FIXED32"},
  };
  for (const auto& [name, expected] : spans) {
    const Entry& entry = trace.at("opentelemetry.proto.trace.v1.Span." + name);
    const std::vector<std::string> want = absl::StrSplit(expected, ' ');
    INFO(name);
    CHECK(absl::StartsWith(entry.detail, want[0] + " "));
    CHECK(entry.type == want[1]);
  }
  CHECK(trace.at("opentelemetry.proto.trace.v1.Span.SpanKind.SPAN_KIND_CLIENT").detail == "3");
  CHECK(trace.at("opentelemetry.proto.trace.v1.Status.code").detail == "3 LABEL_OPTIONAL");
  CHECK(trace.at("opentelemetry.proto.trace.v1.Status.StatusCode.STATUS_CODE_ERROR").detail == "2");
}

}  // namespace
