// Every pod shape of golden/: what comes out is what is written there, once and twice, forward and
// back, and touches nothing else.
#include "test/control_plane/inject/golden.h"

#include <re2/re2.h>

#include <catch2/catch.hpp>

#include "control_plane/inject/inject.h"
#include "control_plane/inject/patch.h"
#include "test/control_plane/inject/tables.h"

namespace {

using heddle::test::Golden;
using nlohmann::json;
namespace inject = heddle::inject;

constexpr char kFolder[] = "test/control_plane/inject/golden";

// What injection may touch of a pod.
bool MayChange(const json& operation, bool own_container) {
  static const RE2& added = *new RE2(
      R"(/metadata|/metadata/annotations)"
      R"(|/metadata/annotations/(heddle\.dev~1status|kubectl\.kubernetes\.io~1default-container))"
      R"(|/spec/(volumes|imagePullSecrets|initContainers)(/\d+)?|/spec/containers/0)"
      R"(|/spec/(initContainers|containers)/\d+/(livenessProbe|readinessProbe|startupProbe)/httpGet(/.*)?)"
      R"(|/spec/(initContainers|containers)/\d+/lifecycle/(postStart|preStop)/httpGet/.*)");
  static const RE2& removed = *new RE2(
      R"(/spec/(initContainers|containers)/\d+/(livenessProbe|readinessProbe|startupProbe)/(httpGet/.*|tcpSocket|grpc))"
      R"(|/spec/(initContainers|containers)/\d+/lifecycle/(postStart|preStop)/httpGet/.*)");
  static const RE2& own = *new RE2(R"(/spec/(initContainers|containers)/\d+(/.*)?)");
  const std::string path = operation["path"];
  if (own_container && RE2::FullMatch(path, own)) return true;
  return RE2::FullMatch(path, operation["op"] == "remove" ? removed : added);
}

void CheckPod(const Golden& golden, const json& before, const json& after) {
  std::vector<std::string> warnings;
  json again = after;
  REQUIRE(inject::Inject(golden.settings, &again, &warnings).ok());
  CHECK(again == after);

  const json patch = inject::Diff(before, after);
  json patched = before;
  REQUIRE(inject::Apply(patch, &patched).ok());
  CHECK(patched == after);

  json removed = after;
  REQUIRE(inject::Remove(&removed).ok());
  CHECK(removed == before);

  const bool own = before.dump().find("\"name\":\"heddle-proxy\"") != std::string::npos;
  for (const json& operation : patch) {
    INFO(operation.dump());
    CHECK(MayChange(operation, own));
  }
}

SCENARIO("every pod shape comes out as its golden file says") {
  const std::vector<std::string> files = heddle::test::GoldenFiles(kFolder);
  CHECK(files.size() >= 25);
  for (const std::string& file : files) {
    INFO(file << "; to write what the code gives now: "
              << "bazel run //test/control_plane/inject:update_goldens");
    const std::string text = heddle::test::ReadText(file);
    const auto golden = heddle::test::ReadGolden(text, file);
    REQUIRE(golden.ok());
    const auto printed = heddle::test::PrintGolden(*golden);
    REQUIRE(printed.ok());
    CHECK(*printed == text);
  }
}

SCENARIO("injection is done once, can be undone, and changes nothing else") {
  for (const std::string& file : heddle::test::GoldenFiles(kFolder)) {
    INFO(file);
    const auto golden = heddle::test::ReadGolden(heddle::test::ReadText(file), file);
    REQUIRE(golden.ok());
    for (const inject::PodPlace& place : inject::FindPods(golden->input)) {
      const json before = inject::PodAt(golden->input, place);
      json after = before;
      std::vector<std::string> warnings;
      if (inject::Inject(golden->settings, &after, &warnings).ok()) {
        CheckPod(*golden, before, after);
      } else {
        CHECK(after == before);
      }
    }
  }
}

SCENARIO("the tables of the documentation are those of the code") {
  const std::string page = heddle::test::ReadText("docs/injection.md");
  CHECK(page.find("<!-- annotations begin -->") != std::string::npos);
  CHECK(page.find("<!-- settings begin -->") != std::string::npos);
  CHECK(heddle::test::WithTables(page) == page);
}

}  // namespace
