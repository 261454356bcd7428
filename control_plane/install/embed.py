"""Writes chart_files.cc, which holds the files of a chart. Called by the build.

usage: embed.py FOLDER OUT FILE...    FOLDER is cut off the front of each FILE
"""

import sys

HEAD = """#include "control_plane/install/chart_files.h"

namespace heddle::install {

const std::vector<ChartFile>& ChartFiles() {
  static const auto& files = *new std::vector<ChartFile>{
"""
TAIL = """  };
  return files;
}

absl::string_view ChartFileText(absl::string_view path) {
  for (const ChartFile& file : ChartFiles())
    if (file.path == path) return file.text;
  return {};
}

}  // namespace heddle::install
"""


def main(folder, out, *paths):
    parts = [HEAD]
    for path in sorted(paths):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        if ')heddle"' in text:
            raise ValueError(f"{path}: holds the end mark of a raw string")
        name = path[path.index(folder) + len(folder):].lstrip("/")
        parts.append(f'      {{"{name}", R"heddle({text})heddle"}},\n')
    with open(out, "w", encoding="utf-8") as file:
        file.write("".join(parts) + TAIL)


if __name__ == "__main__":
    main(*sys.argv[1:])
