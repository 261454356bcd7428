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
#include <set>
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
  // What a file said before this process began, when it was valid. Serves when the file (of the
  // same uid) is not valid and nothing else of it is known. Before the first Apply.
  void Remember(ParsedFile before);

  // Adopts what can be adopted: all pending files when they fit together; else without those that
  // have problems themselves; else one by one those that break nothing. What is not adopted stays
  // pending and is tried again by every later Apply. For a file that never was adopted stands what
  // is remembered of it, else ParsedFile::closed. True when the world or the problems changed, and
  // the first time.
  bool Apply();

  // Null before the first Apply.
  const std::shared_ptr<const model::World>& world() const { return world_; }
  const std::vector<model::Problem>& problems() const { return problems_; }
  // The objects that the world is made of.
  std::vector<const model::Object*> adopted() const;
  // What the last Apply made anew.
  model::BuildMemory::Stats made() const { return memory_.stats(); }
  // Files that are not valid now and serve as they were; by name.
  std::vector<Kept> kept() const;

 private:
  using File = std::shared_ptr<const ParsedFile>;  // null: gone
  using Files = std::map<std::string, File>;

  model::BuildResult Build(const Files& changes);
  void Adopt(const Files& changes, model::BuildResult result);
  void Place(const Files& changes, model::BuildResult result);
  bool Fit(Files* changes, model::BuildResult* result, std::vector<model::Problem>* found);
  bool TryWithoutBroken(std::vector<model::Problem>* found);
  void TryOneByOne(std::vector<model::Problem>* found);
  void StandIn();

  const model::WorldOptions options_;
  model::BuildMemory memory_;
  Files adopted_;
  Files pending_;
  Files before_;                  // remembered, not needed yet
  std::set<std::string> closed_;  // of adopted_: those that are ParsedFile::closed
  std::shared_ptr<const model::World> world_;
  std::vector<model::Problem> warnings_;  // of the adopted files
  std::vector<model::Problem> problems_;
};

}  // namespace heddle::ingest
