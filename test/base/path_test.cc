#include "source/base/path.h"

#include <catch2/catch.hpp>

#include "source/base/status.h"

namespace heddle::base {
namespace {

SCENARIO("a path prints the way to a field") {
  const Path root;
  const Path listeners = root.Field("listeners");
  const Path first = listeners.Index(0);
  const Path name = first.Field("name");
  CHECK(name.ToString() == "listeners[0].name");
  const Path map = first.Field("typed");
  CHECK(map.Key("a.b").ToString() == "listeners[0].typed[\"a.b\"]");
  CHECK(name.Error("too long").message() == "listeners[0].name: too long");
  CHECK(root.Error("empty").message() == "empty");

  const Path resource("cluster \"x\"");
  CHECK(resource.Field("type").Error("unknown").message() == "cluster \"x\".type: unknown");
}

absl::StatusOr<int> Half(int n) {
  if (n % 2 != 0) return absl::InvalidArgumentError("odd");
  return n / 2;
}
absl::Status Quarter(int n, int* out) {
  HEDDLE_ASSIGN_OR_RETURN(const int half, Half(n));
  HEDDLE_ASSIGN_OR_RETURN(*out, Half(half));
  HEDDLE_RETURN_IF_ERROR(absl::OkStatus());
  return absl::OkStatus();
}

SCENARIO("the status macros pass errors up") {
  int out = 0;
  CHECK(Quarter(8, &out).ok());
  CHECK(out == 2);
  CHECK(Quarter(6, &out).message() == "odd");
}

}  // namespace
}  // namespace heddle::base
