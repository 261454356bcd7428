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
  before_.erase(std::string(name));
}

void Merge::Remember(ParsedFile before) {
  std::string name = before.name;
  before_[std::move(name)] = std::make_shared<const ParsedFile>(std::move(before));
}

std::vector<Kept> Merge::kept() const {
  std::vector<Kept> out;
  for (const auto& [name, file] : pending_) {
    const auto served = adopted_.find(name);
    if (file == nullptr || served == adopted_.end() || closed_.contains(name)) continue;
    out.push_back({.name = name, .uid = served->second->uid, .text = served->second->text});
  }
  return out;
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

void Merge::Place(const Files& changes, model::BuildResult result) {
  for (const auto& [name, file] : changes) {
    if (file == nullptr) {
      adopted_.erase(name);
    } else {
      adopted_[name] = file;
    }
    closed_.erase(name);
  }
  world_ = std::move(result.world);
  warnings_ = std::move(result.problems);
}

void Merge::Adopt(const Files& changes, model::BuildResult result) {
  Place(changes, std::move(result));
  for (const auto& [name, file] : changes) {
    pending_.erase(name);
    before_.erase(name);
  }
}

// Leaves out of `changes` what does not fit until the rest does. False: only files that were fine
// before complain.
bool Merge::Fit(Files* changes, model::BuildResult* result, std::vector<Problem>* found) {
  while (true) {
    *result = Build(*changes);
    if (result->world != nullptr) return true;
    const std::vector<Problem> errors = Errors(result->problems);
    std::set<std::string> broken;
    for (const Problem& one : errors)
      if (changes->contains(one.file)) broken.insert(one.file);
    if (broken.empty()) return false;
    for (const Problem& one : errors)
      if (broken.contains(one.file)) found->push_back(one);
    for (const std::string& name : broken) changes->erase(name);
  }
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
  model::BuildResult result;
  if (!Fit(&changes, &result, found)) return false;
  Adopt(changes, std::move(result));
  return true;
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

// For files that are not valid and never were, as far as this process knows.
void Merge::StandIn() {
  Files remembered, closing;
  for (const auto& [name, file] : pending_) {
    if (file == nullptr || (adopted_.contains(name) && !closed_.contains(name))) continue;
    const auto before = before_.find(name);
    if (before != before_.end() && before->second->uid == file->uid)
      remembered.insert(*before);
    else if (file->closed != nullptr || adopted_.contains(name))
      closing[name] = file->closed;
  }
  model::BuildResult result;
  std::vector<Problem> ignored;
  if (!remembered.empty()) {
    const Files wanted = remembered;
    if (Fit(&remembered, &result, &ignored) && !remembered.empty())
      Place(remembered, std::move(result));
    for (const auto& [name, file] : wanted) {
      before_.erase(name);
      if (!adopted_.contains(name) && pending_[name]->closed != nullptr)
        closing[name] = pending_[name]->closed;
    }
  }
  std::erase_if(closing, [this](const auto& one) {
    const auto there = adopted_.find(one.first);
    return there != adopted_.end() && there->second == one.second;
  });
  if (closing.empty() || !Fit(&closing, &result, &ignored)) return;
  Place(closing, std::move(result));
  for (const auto& [name, file] : closing)
    if (file != nullptr) closed_.insert(name);
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
  StandIn();
  for (const std::string& name : closed_) {
    Problem problem;
    problem.file = name;
    problem.message = "until this is valid, everything that it may guard is refused";
    problems_.push_back(std::move(problem));
  }
  problems_.insert(problems_.end(), warnings_.begin(), warnings_.end());
  std::stable_sort(problems_.begin(), problems_.end(), [](const Problem& a, const Problem& b) {
    return std::tie(a.severity, a.file, a.line) < std::tie(b.severity, b.file, b.line);
  });
  problems_.erase(std::unique(problems_.begin(), problems_.end()), problems_.end());
  return before == nullptr || before->digest != world_->digest || problems_ != problems_before;
}

}  // namespace heddle::ingest
