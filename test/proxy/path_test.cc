#include "source/proxy/path.h"

#include <catch2/catch.hpp>

namespace heddle::proxy {
namespace {

using config::HttpConnectionManager;
using Kind = PathOutcome::Kind;

std::string Normal(const HttpConnectionManager& config, absl::string_view path) {
  const PathOutcome outcome = NormalizePath(config, path);
  switch (outcome.kind) {
    case Kind::kUnchanged:
      return std::string(path);
    case Kind::kChanged:
      return outcome.path;
    case Kind::kRejected:
      return "rejected";
    case Kind::kRedirect:
      return "-> " + outcome.path;
  }
  return "";
}

SCENARIO("normal paths") {
  HttpConnectionManager config;
  config.normalize_path = true;
  const std::pair<const char*, const char*> cases[] = {{"/", "/"},
                                                       {"/a/b", "/a/b"},
                                                       {"/a/./b", "/a/b"},
                                                       {"/a/../b", "/b"},
                                                       {"/a/..", "/"},
                                                       {"/../a", "rejected"},
                                                       {"/a\\b", "/a/b"},
                                                       {"/%61", "/a"},
                                                       {"/%2f", "/%2F"},
                                                       {"/a?x=/../y", "/a?x=/../y"},
                                                       {"/a/../b?q=1", "/b?q=1"},
                                                       {"/%", "rejected"},
                                                       {"/%zz", "rejected"},
                                                       {"/%00", "rejected"},
                                                       {"/a//b", "/a//b"},
                                                       {"/.hidden", "/.hidden"},
                                                       {"/%2e%2e/a", "rejected"},
                                                       {"/a/%2e%2e/b", "/b"},
                                                       {"/a/.", "/a/"}};
  for (const auto& [path, normal] : cases) {
    CAPTURE(path);
    CHECK(Normal(config, path) == normal);
  }
}

SCENARIO("slashes are merged only when asked for") {
  HttpConnectionManager config;
  CHECK(Normal(config, "/a//b/../c") == "/a//b/../c");
  config.merge_slashes = true;
  CHECK(Normal(config, "//a///b?x=//") == "/a/b?x=//");
}

SCENARIO("escaped slashes: kept, refused, redirected or decoded") {
  HttpConnectionManager config;
  using Action = HttpConnectionManager::EscapedSlashes;
  config.escaped_slashes = Action::kReject;
  CHECK(Normal(config, "/a%2Fb") == "rejected");
  CHECK(Normal(config, "/a%5cb") == "rejected");
  CHECK(Normal(config, "/a%20b") == "/a%20b");
  config.escaped_slashes = Action::kRedirect;
  CHECK(Normal(config, "/a%2fb?q") == "-> /a/b?q");
  config.escaped_slashes = Action::kForward;
  CHECK(Normal(config, "/a%2fb") == "/a/b");
}

}  // namespace
}  // namespace heddle::proxy
