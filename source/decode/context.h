// What decoding needs beside the message: the filters that exist, and a place for warnings. One per
// push or file; main thread.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "source/decode/catalogue.h"

namespace heddle::decode {

class Context {
 public:
  explicit Context(const Catalogue& catalogue) : catalogue_(catalogue) {}

  const Catalogue& catalogue() const { return catalogue_; }

  // Things to count and log that do not refuse the resource, one line each, bounded.
  const std::vector<std::string>& warnings() const { return warnings_; }
  std::vector<std::string>* mutable_warnings() { return &warnings_; }
  std::vector<std::string> TakeWarnings() { return std::exchange(warnings_, {}); }

 private:
  const Catalogue& catalogue_;
  std::vector<std::string> warnings_;
};

}  // namespace heddle::decode
