// Where the configuration comes from. A Source watches it on a thread of its own and hands over one
// whole World after each change; what is wrong is reported beside it and changes nothing that is
// served.
//
//   std::unique_ptr<Source> source = MakeFileSource({.directory = dir, .world = {...}});
//   source->Start([&](Update update) { loop.Post([u = std::move(update)] { ... }); });
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "control_plane/ingest/parse.h"
#include "control_plane/model/problem.h"
#include "control_plane/model/world.h"

namespace heddle::ingest {

struct Update {
  uint64_t generation = 0;  // 1, 2, ...
  // Never null; the former one when nothing valid changed.
  std::shared_ptr<const model::World> world;
  // Everything that is wrong now, errors first.
  std::vector<model::Problem> problems;
  // Of the files among them: those whose former text is served, with it.
  std::vector<Kept> kept = {};
};

class Source {
 public:
  // On the source's thread (of a directory, the first time on Start's); must not block for long,
  // and must not destroy the source.
  using Callback = std::function<void(Update)>;

  virtual ~Source() = default;
  // Calls back once everything is read, and afterwards after each change of the world or of the
  // problems. A directory is read before this returns, and it fails when there is none; a cluster
  // is read as soon as it answers.
  virtual absl::Status Start(Callback callback) = 0;
  // Returns after the last callback has. Destruction stops too.
  virtual void Stop() = 0;
};

}  // namespace heddle::ingest
