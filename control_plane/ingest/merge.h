// Many files, one World: keeps of each file what it said last when everything fitted together. Pure
// bookkeeping, no I/O; used by every Source.
//
//   Merge merge({.trust_domain = "cluster.local"});
//   merge.Put(ParseFile("routes.yaml", text));
//   merge.Remove("old.yaml");
//   if (merge.Apply()) Deliver(merge.world(), merge.problems());
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "control_plane/ingest/parse.h"
#include "control_plane/model/build.h"

namespace heddle::ingest {

class Merge {
 public:
  explicit Merge(model::WorldOptions options);

  // What a file says now, and that it is gone. Nothing happens before Apply.
  void Put(ParsedFile file);
  void Remove(absl::string_view name);

  // Adopts what can be adopted: all pending files when they fit together; else without those that
  // have problems themselves; else one by one those that break nothing. What is not adopted stays
  // pending and is tried again by every later Apply. True when the world or the problems changed,
  // and the first time.
  bool Apply();

  // Null before the first Apply.
  const std::shared_ptr<const model::World>& world() const { return world_; }
  const std::vector<model::Problem>& problems() const { return problems_; }
  // The objects that the world is made of.
  std::vector<const model::Object*> adopted() const;
  // What the last Apply made anew.
  model::BuildMemory::Stats made() const { return memory_.stats(); }

 private:
  using File = std::shared_ptr<const ParsedFile>;  // null: gone
  using Files = std::map<std::string, File>;

  model::BuildResult Build(const Files& changes);
  void Adopt(const Files& changes, model::BuildResult result);
  bool TryWithoutBroken(std::vector<model::Problem>* found);
  void TryOneByOne(std::vector<model::Problem>* found);

  const model::WorldOptions options_;
  model::BuildMemory memory_;
  Files adopted_;
  Files pending_;
  std::shared_ptr<const model::World> world_;
  std::vector<model::Problem> warnings_;  // of the adopted files
  std::vector<model::Problem> problems_;
};

}  // namespace heddle::ingest
