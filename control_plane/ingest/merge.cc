#include "control_plane/ingest/merge.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"

namespace heddle::ingest {
namespace {

using model::Problem;
using model::Severity;

// Adopting files one by one builds a World for each; more than this many wait for a better day.
constexpr size_t kMaxOneByOne = 64;

std::vector<Problem> Errors(const std::vector<Problem>& problems) {
  std::vector<Problem> out;
  for (const Problem& one : problems)
    if (one.severity == Severity::kError) out.push_back(one);
  return out;
}

}  // namespace

Merge::Merge(model::WorldOptions options) : options_(std::move(options)) {}

void Merge::Put(ParsedFile file) {
  std::string name = file.name;
  pending_[std::move(name)] = std::make_shared<const ParsedFile>(std::move(file));
}

void Merge::Remove(absl::string_view name) {
  if (adopted_.contains(std::string(name))) {
    pending_[std::string(name)] = nullptr;
  } else {
    pending_.erase(std::string(name));
  }
}

std::vector<const model::Object*> Merge::adopted() const {
  std::vector<const model::Object*> out;
  for (const auto& [name, file] : adopted_)
    for (const model::Object& one : file->objects) out.push_back(&one);
  return out;
}

model::BuildResult Merge::Build(const Files& changes) {
  std::vector<const model::Object*> objects;
  objects.reserve(adopted_.size() + changes.size());
  const auto add = [&](const File& file) {
    if (file != nullptr)
      for (const model::Object& one : file->objects) objects.push_back(&one);
  };
  // Both are in the order of the names.
  auto change = changes.begin();
  for (const auto& [name, file] : adopted_) {
    for (; change != changes.end() && change->first < name; ++change) add(change->second);
    const bool changed = change != changes.end() && change->first == name;
    add(changed ? (change++)->second : file);
  }
  for (; change != changes.end(); ++change) add(change->second);
  return model::BuildWorld(objects, options_, &memory_);
}

void Merge::Adopt(const Files& changes, model::BuildResult result) {
  for (const auto& [name, file] : changes) {
    if (file == nullptr) {
      adopted_.erase(name);
    } else {
      adopted_[name] = file;
    }
    pending_.erase(name);
  }
  world_ = std::move(result.world);
  warnings_ = std::move(result.problems);
}

// Leaves out files with problems of their own until the rest fits.
bool Merge::TryWithoutBroken(std::vector<Problem>* found) {
  Files changes;
  for (const auto& [name, file] : pending_) {
    if (file == nullptr || file->problems.empty()) {
      changes[name] = file;
    } else {
      found->insert(found->end(), file->problems.begin(), file->problems.end());
    }
  }
  while (true) {
    model::BuildResult result = Build(changes);
    if (result.world != nullptr) {
      Adopt(changes, std::move(result));
      return true;
    }
    const std::vector<Problem> errors = Errors(result.problems);
    std::set<std::string> broken;
    for (const Problem& one : errors)
      if (changes.contains(one.file)) broken.insert(one.file);
    if (broken.empty()) return false;  // only files that were fine before complain
    for (const Problem& one : errors)
      if (broken.contains(one.file)) found->push_back(one);
    for (const std::string& name : broken) changes.erase(name);
  }
}

// For changes that break files which did not change, such as the removal of a Service that a route
// still needs.
void Merge::TryOneByOne(std::vector<Problem>* found) {
  size_t tried = 0;
  const Files pending = pending_;
  for (const auto& [name, file] : pending) {
    if (file != nullptr && !file->problems.empty()) continue;
    if (++tried > kMaxOneByOne) return;
    const Files change = {{name, file}};
    model::BuildResult result = Build(change);
    if (result.world != nullptr) {
      Adopt(change, std::move(result));
      continue;
    }
    for (Problem& one : Errors(result.problems)) {
      if (one.file != name)
        absl::StrAppend(&one.message, " (since ", name, file == nullptr ? " is gone" : " changed",
                        "; what it said before is still served)");
      found->push_back(std::move(one));
    }
  }
}

bool Merge::Apply() {
  const std::shared_ptr<const model::World> before = world_;
  const std::vector<Problem> problems_before = problems_;
  problems_.clear();
  if (!TryWithoutBroken(&problems_)) {
    problems_.clear();
    for (const auto& [name, file] : pending_)
      if (file != nullptr)
        problems_.insert(problems_.end(), file->problems.begin(), file->problems.end());
    TryOneByOne(&problems_);
    if (world_ == nullptr) Adopt({}, Build({}));
  }
  problems_.insert(problems_.end(), warnings_.begin(), warnings_.end());
  std::stable_sort(problems_.begin(), problems_.end(), [](const Problem& a, const Problem& b) {
    return std::tie(a.severity, a.file, a.line) < std::tie(b.severity, b.file, b.line);
  });
  problems_.erase(std::unique(problems_.begin(), problems_.end()), problems_.end());
  return before == nullptr || before->digest != world_->digest || problems_ != problems_before;
}

}  // namespace heddle::ingest
