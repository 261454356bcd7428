// The state directory.
#include "source/xds/last_good.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace heddle::xds {
namespace {

struct Directory {
  Directory() { REQUIRE(mkdtemp(path) != nullptr); }
  ~Directory() {
    for (const char* name : {"last_good.pb", "identity.pem"})
      unlink(absl::StrCat(path, "/", name).c_str());
    rmdir(path);
  }
  char path[32] = "/tmp/heddle-state-XXXXXX";
};

SCENARIO("what was saved is loaded again, without secrets, and only we can read it") {
  Directory dir;
  const LastGood store(dir.path);
  const auto before = store.Load();
  REQUIRE(before.ok());
  CHECK(before->empty());
  std::map<Type, std::vector<Resource>> all;
  all[Type::kCluster] = {{"a", "v1", std::string("\0\xff", 2)}, {"b", "v2", ""}};
  all[Type::kSecret] = {{"default", "v", "private"}};
  REQUIRE(store.Save(all).ok());
  const auto loaded = store.Load();
  REQUIRE(loaded.ok());
  CHECK(loaded->count(Type::kSecret) == 0);
  REQUIRE(loaded->at(Type::kCluster).size() == 2);
  CHECK(loaded->at(Type::kCluster)[0].bytes == std::string("\0\xff", 2));
  CHECK(loaded->at(Type::kCluster)[1].version == "v2");
  struct stat info {};
  REQUIRE(stat(absl::StrCat(dir.path, "/last_good.pb").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
}

SCENARIO("a file that was cut off is an error, not half a configuration") {
  Directory dir;
  const LastGood store(dir.path);
  std::map<Type, std::vector<Resource>> all;
  all[Type::kCluster] = {{"a", "v1", std::string(1000, 'x')}};
  REQUIRE(store.Save(all).ok());
  REQUIRE(truncate(absl::StrCat(dir.path, "/last_good.pb").c_str(), 500) == 0);
  CHECK(absl::IsDataLoss(store.Load().status()));
}

SCENARIO("without a directory nothing is kept and nothing fails") {
  const LastGood store("");
  CHECK(store.Save({}).ok());
  CHECK(store.Load()->empty());
  CHECK(absl::IsNotFound(store.ReadFile("identity.pem").status()));
}

SCENARIO("small files are replaced as a whole") {
  Directory dir;
  const LastGood store(dir.path);
  CHECK(absl::IsNotFound(store.ReadFile("identity.pem").status()));
  REQUIRE(store.WriteFile("identity.pem", "one").ok());
  REQUIRE(store.WriteFile("identity.pem", "two").ok());
  CHECK(*store.ReadFile("identity.pem") == "two");
}

}  // namespace
}  // namespace heddle::xds
