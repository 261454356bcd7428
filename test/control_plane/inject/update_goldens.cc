// Writes the results into the golden files and the option table into docs/injection.md:
// bazel run //test/control_plane/inject:update_goldens
#include <stdlib.h>

#include <fstream>
#include <iostream>

#include "control_plane/inject/options.h"
#include "control_plane/inject/settings.h"
#include "test/control_plane/inject/golden.h"
#include "test/control_plane/inject/tables.h"

int main() {
  const char* root = getenv("BUILD_WORKSPACE_DIRECTORY");
  if (root == nullptr) {
    std::cerr << "run it with: bazel run //test/control_plane/inject:update_goldens\n";
    return 1;
  }
  int bad = 0;
  const std::string folder = std::string(root) + "/test/control_plane/inject/golden";
  for (const std::string& file : heddle::test::GoldenFiles(folder)) {
    const auto golden = heddle::test::ReadGolden(heddle::test::ReadText(file), file);
    const auto text = golden.ok() ? heddle::test::PrintGolden(*golden) : golden.status();
    if (!text.ok()) {
      std::cerr << file << ": " << text.status().message() << "\n";
      ++bad;
      continue;
    }
    std::ofstream(file) << *text;
  }
  const std::string page = std::string(root) + "/docs/injection.md";
  const std::string text = heddle::test::WithTables(heddle::test::ReadText(page));
  std::ofstream(page) << text;
  return bad == 0 ? 0 : 1;
}
