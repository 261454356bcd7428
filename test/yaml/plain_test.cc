// Manifests of kinds that we do not know, read as Kubernetes' tools read them.
#include "source/yaml/plain.h"

#include <catch2/catch.hpp>

#include "absl/strings/str_join.h"

namespace {

std::string Read(const std::string& text, heddle::yaml::Options options = {.file = "f"}) {
  const auto documents = heddle::yaml::ToPlainJson(text, options);
  return documents.ok() ? absl::StrJoin(*documents, " ")
                        : std::string(documents.status().message());
}

SCENARIO("plain scalars get the type that Kubernetes' tools give them") {
  const std::pair<const char*, const char*> cases[] = {
      {"a: text", R"({"a":"text"})"},
      {"a: 8080", R"({"a":8080})"},
      {"a: '8080'", R"({"a":"8080"})"},
      {"a: -3", R"({"a":-3})"},
      {"a: +3", R"({"a":3})"},
      {"a: 0.5", R"({"a":0.5})"},
      {"a: .5", R"({"a":0.5})"},
      {"a: 1e3", R"({"a":1e3})"},
      {"a: 0644", R"({"a":420})"},
      {"a: 0o644", R"({"a":420})"},
      {"a: 0x1F", R"({"a":31})"},
      {"a: 0b101", R"({"a":5})"},
      {"a: 089", R"({"a":"089"})"},
      {"a: 0", R"({"a":0})"},
      {"a: 1.2.3", R"({"a":"1.2.3"})"},
      {"a: 100m", R"({"a":"100m"})"},
      {"a: 18446744073709551616", R"({"a":18446744073709551616})"},
      {"a: true", R"({"a":true})"},
      {"a: True", R"({"a":true})"},
      {"a: tRUE", R"({"a":"tRUE"})"},
      {"a: yes", R"({"a":true})"},
      {"a: \"yes\"", R"({"a":"yes"})"},
      {"a: OFF", R"({"a":false})"},
      {"a: y", R"({"a":"y"})"},
      {"a: ~", R"({"a":null})"},
      {"a:", R"({"a":null})"},
      {"a: ''", R"({"a":""})"},
      {"a: .inf", R"({"a":".inf"})"},
      {"a: 2024-01-02", R"({"a":"2024-01-02"})"},
      {"a: \"q\\\"\\n\\\\\"", "{\"a\":\"q\\\"\\u000a\\\\\"}"},
  };
  for (const auto& [text, json] : cases) {
    INFO(text);
    CHECK(Read(text) == json);
  }
}

SCENARIO("documents keep their order, members theirs, and empty documents vanish") {
  CHECK(Read("---\nb: 1\na: [x, {c: d}]\n---\n---\n- 1\n") == R"({"b":1,"a":["x",{"c":"d"}]} [1])");
  CHECK(Read(R"({"b": 1, "a": null, "t": "8080"})") == R"({"b":1,"a":null,"t":"8080"})");
  CHECK(Read("").empty());
}

SCENARIO("aliases repeat and merge keys fill in what is not written") {
  CHECK(Read("a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}\nc: [*x, *x]") ==
        R"({"a":{"p":1,"q":2},"b":{"q":3,"p":1},"c":[{"p":1,"q":2},{"p":1,"q":2}]})");
  CHECK(Read("a: &x {p: 1}\nb: &y {q: 2}\nc: {<<: [*x, *y], r: 3}") ==
        R"({"a":{"p":1},"b":{"q":2},"c":{"r":3,"p":1,"q":2}})");
  CHECK(Read("a: {<<: 1}") == "f:1: << wants a map");
}

SCENARIO("what is too much is refused") {
  CHECK(Read("a: 1", {.file = "f", .max_bytes = 3}) == "f:1: found 4 bytes, allowed 3");
  std::string bomb = "a: &x " + std::string(100, 'x') + "\nb: [*x";
  for (int i = 0; i < 50; ++i) bomb += ", *x";
  CHECK(Read(bomb + "]", {.file = "f", .max_bytes = 400}) ==
        "f:1: too long when aliases are expanded");
  CHECK(Read("a: [b") == "f:1: not YAML: end of sequence flow not found");
}

}  // namespace
