// Columns of text for a terminal.
#pragma once

#include <string>
#include <vector>

namespace heddle::heddlectl {

// Left-aligned, two spaces apart; the first row is the heading. Control characters become '?': what
// is shown came from the network.
std::string Columns(const std::vector<std::vector<std::string>>& rows);
std::string Printable(const std::string& text);

}  // namespace heddle::heddlectl
