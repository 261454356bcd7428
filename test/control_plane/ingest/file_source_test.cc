// The real file system and inotify, in a temporary directory.
#include "control_plane/ingest/file_source.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <functional>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"

namespace heddle::ingest {
namespace {

namespace fs = std::filesystem;

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (fs::temp_directory_path() / "heddle_ingest_XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~TemporaryDirectory() { fs::remove_all(path_); }
  const fs::path& path() const { return path_; }

  // As an editor saves that writes in place.
  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name) << text;
  }
  // As one that writes beside and renames.
  void Replace(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / ".tmp") << text;
    fs::rename(path_ / ".tmp", path_ / name);
  }

 private:
  fs::path path_;
};

std::string MeshText(const std::string& domain) {
  return "apiVersion: heddle.dev/v1\nkind: MeshConfig\nmetadata: {name: m}\nspec: "
         "{clusterDomain: " +
         domain + "}\n";
}

// Receives updates on whichever thread.
class Watcher {
 public:
  explicit Watcher(const FileSourceOptions& options) : source_(MakeFileSource(options)) {}

  absl::Status Start() {
    return source_->Start([this](Update update) {
      absl::MutexLock lock(&mutex_);
      updates_.push_back(std::move(update));
    });
  }
  // The first update that satisfies, waiting for it if need be.
  Update Await(const std::function<bool(const Update&)>& wanted) {
    absl::MutexLock lock(&mutex_);
    size_t at = 0;
    const auto found = [&] {
      for (; at < updates_.size(); ++at)
        if (wanted(updates_[at])) return true;
      return false;
    };
    if (!mutex_.AwaitWithTimeout(absl::Condition(&found), absl::Seconds(20))) {
      FAIL("no such update among " << updates_.size());
    }
    return updates_[at];
  }
  Update AwaitDomain(const std::string& domain) {
    return Await([&](const Update& u) { return u.world->mesh.cluster_domain == domain; });
  }
  size_t count() {
    absl::MutexLock lock(&mutex_);
    return updates_.size();
  }
  void Stop() { source_->Stop(); }

 private:
  absl::Mutex mutex_;
  std::vector<Update> updates_;
  std::unique_ptr<Source> source_;
};

FileSourceOptions OptionsFor(const fs::path& path) {
  FileSourceOptions options;
  options.directory = path.string();
  return options;
}

SCENARIO("what is there when it starts is delivered before Start returns") {
  TemporaryDirectory dir;
  dir.Write("mesh.yaml", MeshText("one"));
  dir.Write(".hidden.yaml", "kind: Nope\n");
  dir.Write("notes.txt", "not ours");
  fs::create_directory(dir.path() / "folder.d");
  Watcher watcher(OptionsFor(dir.path()));
  REQUIRE(watcher.Start().ok());
  REQUIRE(watcher.count() == 1);
  const Update update = watcher.AwaitDomain("one");
  REQUIRE(update.generation == 1);
  REQUIRE(update.problems.empty());
}

SCENARIO("an edit in place, a rename over the file and a removal are all seen") {
  TemporaryDirectory dir;
  dir.Write("mesh.yaml", MeshText("one"));
  Watcher watcher(OptionsFor(dir.path()));
  REQUIRE(watcher.Start().ok());
  dir.Write("mesh.yaml", MeshText("two"));
  watcher.AwaitDomain("two");
  dir.Replace("mesh.yaml", MeshText("three"));
  watcher.AwaitDomain("three");
  fs::rename(dir.path() / "mesh.yaml", dir.path() / "other.yml");
  dir.Replace("other.yml", MeshText("four"));
  watcher.AwaitDomain("four");
  fs::remove(dir.path() / "other.yml");
  const Update last = watcher.Await([](const Update& u) {
    return u.generation > 3 && u.world->mesh.cluster_domain == "cluster.local";
  });
  REQUIRE(last.problems.empty());
}

SCENARIO("a symbolic link that is swapped, as ConfigMaps are, is seen") {
  TemporaryDirectory dir;
  for (const char* version : {"v1", "v2"}) {
    fs::create_directory(dir.path() / (std::string("..") + version));
    std::ofstream(dir.path() / (std::string("..") + version) / "mesh.yaml") << MeshText(version);
  }
  fs::create_symlink("..v1", dir.path() / "..data");
  fs::create_symlink("..data/mesh.yaml", dir.path() / "mesh.yaml");
  Watcher watcher(OptionsFor(dir.path()));
  REQUIRE(watcher.Start().ok());
  watcher.AwaitDomain("v1");
  fs::create_symlink("..v2", dir.path() / "..data_tmp");
  fs::rename(dir.path() / "..data_tmp", dir.path() / "..data");
  watcher.AwaitDomain("v2");
  // And an edit of the file behind the links.
  std::ofstream(dir.path() / "..v2" / "mesh.yaml") << MeshText("v3");
  watcher.AwaitDomain("v3");
}

SCENARIO("a bad edit is reported by name and what was served is served on") {
  TemporaryDirectory dir;
  dir.Write("mesh.yaml", MeshText("one"));
  Watcher watcher(OptionsFor(dir.path()));
  REQUIRE(watcher.Start().ok());
  dir.Replace("mesh.yaml", "kind: MeshConfig\nspec: {nonsense: 1}\n");
  const Update bad = watcher.Await([](const Update& u) { return !u.problems.empty(); });
  REQUIRE(bad.world->mesh.cluster_domain == "one");
  REQUIRE(bad.problems.at(0).file == "mesh.yaml");
  REQUIRE(bad.problems.at(0).line == 2);
  dir.Replace("mesh.yaml", MeshText("two"));
  REQUIRE(watcher.AwaitDomain("two").problems.empty());
}

SCENARIO("a file that cannot be read is a problem, not a removal") {
  TemporaryDirectory dir;
  dir.Write("mesh.yaml", MeshText("one"));
  Watcher watcher(OptionsFor(dir.path()));
  REQUIRE(watcher.Start().ok());
  fs::remove(dir.path() / "mesh.yaml");
  fs::create_symlink("nowhere", dir.path() / "mesh.yaml");
  const Update update = watcher.Await([](const Update& u) { return !u.problems.empty(); });
  REQUIRE(update.problems.at(0).message == "cannot be read: No such file or directory");
}

SCENARIO("what is neither file nor link to one is refused without waiting for it") {
  TemporaryDirectory dir;
  REQUIRE(mkfifo((dir.path() / "pipe.yaml").c_str(), 0600) == 0);
  Watcher watcher(OptionsFor(dir.path()));
  REQUIRE(watcher.Start().ok());
  const Update update = watcher.Await([](const Update&) { return true; });
  REQUIRE(update.problems.at(0).ToString() == "pipe.yaml: cannot be read: not a file");
}

SCENARIO("a file that is open for writing is read when it is closed") {
  TemporaryDirectory dir;
  dir.Write("mesh.yaml", MeshText("one"));
  FileSourceOptions options = OptionsFor(dir.path());
  options.quiet = absl::Milliseconds(1);
  Watcher watcher(options);
  REQUIRE(watcher.Start().ok());
  {
    std::ofstream half(dir.path() / "mesh.yaml");
    half << "apiVersion: heddle.dev/v1\n" << std::flush;
    dir.Replace("other.yaml", "kind: Nope\n");  // makes it look at the directory
    const Update update = watcher.Await([](const Update& u) { return !u.problems.empty(); });
    REQUIRE(update.problems.size() == 1);
    REQUIRE(update.problems.at(0).file == "other.yaml");
    REQUIRE(update.world->mesh.cluster_domain == "one");
    half << "kind: MeshConfig\nmetadata: {name: m}\nspec: {clusterDomain: two}\n";
  }
  watcher.AwaitDomain("two");
}

SCENARIO("the directory's absence is an error at the start, and later changes nothing") {
  TemporaryDirectory dir;
  Watcher missing(OptionsFor(dir.path() / "nope"));
  REQUIRE_FALSE(missing.Start().ok());

  fs::create_directory(dir.path() / "config");
  std::ofstream(dir.path() / "config" / "mesh.yaml") << MeshText("one");
  FileSourceOptions options = OptionsFor(dir.path() / "config");
  options.look_anyway = absl::Milliseconds(20);
  Watcher watcher(options);
  REQUIRE(watcher.Start().ok());
  fs::rename(dir.path() / "config", dir.path() / "away");
  const Update gone = watcher.Await([](const Update& u) { return !u.problems.empty(); });
  REQUIRE(gone.world->mesh.cluster_domain == "one");
  fs::create_directory(dir.path() / "config");
  std::ofstream(dir.path() / "config" / "mesh.yaml") << MeshText("two");
  watcher.AwaitDomain("two");
  watcher.Stop();
  const size_t count = watcher.count();
  std::ofstream(dir.path() / "config" / "mesh.yaml") << MeshText("three");
  REQUIRE(watcher.count() == count);
}

SCENARIO("a save is delivered in well under the 200 ms that a rollout may take") {
  TemporaryDirectory dir;
  dir.Write("mesh.yaml", MeshText("one"));
  Watcher watcher(OptionsFor(dir.path()));
  REQUIRE(watcher.Start().ok());
  absl::Duration best = absl::InfiniteDuration();
  for (int i = 0; i < 5; ++i) {
    const std::string domain = "d" + std::to_string(i);
    const absl::Time begin = absl::Now();
    dir.Replace("mesh.yaml", MeshText(domain));
    watcher.AwaitDomain(domain);
    best = std::min(best, absl::Now() - begin);
  }
  REQUIRE(best < absl::Milliseconds(100));
}

SCENARIO("validating a directory says what serving it would") {
  TemporaryDirectory dir;
  dir.Write("mesh.yaml", "kind: MeshConfig\nx: 1\n");
  const Update update = LoadDirectory(OptionsFor(dir.path()));
  REQUIRE(update.world != nullptr);
  REQUIRE(update.problems.size() == 1);
  REQUIRE(LoadDirectory(OptionsFor(dir.path() / "nope")).world == nullptr);
}

}  // namespace
}  // namespace heddle::ingest
