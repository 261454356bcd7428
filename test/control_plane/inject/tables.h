// The tables of docs/injection.md that are made from the code: they stand between
// "<!-- NAME begin -->" and "<!-- NAME end -->".
#pragma once

#include <string>

#include "control_plane/inject/options.h"
#include "control_plane/inject/settings.h"

namespace heddle::test {

inline void PutTable(const std::string& name, const std::string& table, std::string* page) {
  const std::string begin = "<!-- " + name + " begin -->\n";
  const size_t from = page->find(begin);
  const size_t to = page->find("<!-- " + name + " end -->");
  if (from == std::string::npos || to == std::string::npos || to < from) return;
  page->replace(from + begin.size(), to - from - begin.size(), table);
}

// The page with its tables as they are in the code.
inline std::string WithTables(std::string page) {
  PutTable("annotations", inject::OptionTableMarkdown(), &page);
  PutTable("settings", inject::SettingTableMarkdown(), &page);
  return page;
}

}  // namespace heddle::test
