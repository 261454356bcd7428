#include "test/control_plane/inject/golden.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "control_plane/inject/inject.h"
#include "source/base/status.h"

namespace heddle::test {

using nlohmann::ordered_json;

absl::StatusOr<Golden> ReadGolden(const std::string& text, const std::string& name) {
  Golden out;
  HEDDLE_ASSIGN_OR_RETURN(out.documents, inject::ReadManifest(text, name));
  if (out.documents.size() < 2) return absl::InvalidArgumentError(name + ": want two documents");
  const ordered_json& head = out.documents[0];
  out.sentence = head.value("case", "");
  out.ns.name = head.value("namespace", "shop");
  out.ns.labels[inject::kInjectLabel] = "enabled";
  if (head.contains("namespaceLabels"))
    out.ns.labels = head["namespaceLabels"].get<std::map<std::string, std::string>>();
  if (head.contains("settings")) {
    HEDDLE_ASSIGN_OR_RETURN(out.settings, inject::ReadSettings(head["settings"].dump(), name));
  }
  out.input = out.documents[1];
  return out;
}

absl::StatusOr<std::string> PrintGolden(const Golden& golden) {
  ordered_json result;
  ordered_json object = golden.input;
  std::vector<std::string> warnings;
  for (const inject::PodPlace& place : inject::FindPods(golden.input)) {
    nlohmann::json pod = inject::PodAt(golden.input, place);
    const inject::Decision decision = inject::Decide(pod, golden.ns, golden.settings);
    result["result"] = decision.verdict == inject::Verdict::kInject ? "injected"
                       : decision.verdict == inject::Verdict::kSkip ? "skipped"
                                                                    : "refused";
    result["reason"] = std::string(decision.reason);
    result["message"] = decision.message;
    if (decision.verdict != inject::Verdict::kInject) continue;
    if (const absl::Status status = inject::Inject(golden.settings, &pod, &warnings);
        !status.ok()) {
      result["result"] = "refused";
      result["message"] = std::string(status.message());
      continue;
    }
    HEDDLE_RETURN_IF_ERROR(inject::ChangePod(place, pod, &object));
  }
  if (!warnings.empty()) result["warnings"] = warnings;
  std::vector<ordered_json> documents = {golden.documents[0], golden.input, result};
  if (object != golden.input) documents.push_back(object);
  return inject::WriteManifest(documents);
}

std::string ReadText(const std::string& path) {
  std::ostringstream out;
  out << std::ifstream(path).rdbuf();
  return out.str();
}

std::vector<std::string> GoldenFiles(const std::string& folder) {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".yaml") out.push_back(entry.path().string());
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace heddle::test
