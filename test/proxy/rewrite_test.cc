#include "source/proxy/rewrite.h"

#include <catch2/catch.hpp>

namespace heddle::proxy {
namespace {

using http::HeaderId;
using Kind = config::RouteMatch::Kind;

http::RequestHead Request(absl::string_view path, absl::string_view authority = "shop:80") {
  http::RequestHead head;
  head.method = "GET";
  head.SetScheme("http");
  head.SetAuthority(authority);
  head.SetPath(path);
  return head;
}

SCENARIO("prefix rewrites keep the rest and the query") {
  config::Route route;
  route.match.kind = Kind::kPrefix;
  route.match.text = "/api/";
  route.forward.prefix_rewrite = "/";
  auto head = Request("/api/books?id=1");
  RewriteRequest(route, true, head);
  CHECK(head.path == "/books?id=1");
  CHECK(*head.headers.Get(HeaderId::kXEnvoyOriginalPath) == "/api/books?id=1");
  route.match.kind = Kind::kPath;
  route.match.text = "/one";
  route.forward.prefix_rewrite = "/two";
  auto exact = Request("/one?x");
  RewriteRequest(route, true, exact);
  CHECK(exact.path == "/two?x");
}

SCENARIO("regex rewrites keep the query") {
  config::Route route;
  route.forward.regex_rewrite =
      config::RegexRewrite{std::make_shared<RE2>("/v([0-9]+)/(.*)"), "/\\2/version/\\1"};
  auto head = Request("/v7/books?q=/v1/");
  RewriteRequest(route, true, head);
  CHECK(head.path == "/books/version/7?q=/v1/");
}

SCENARIO("a route without rewrites leaves the request alone") {
  auto head = Request("/x");
  RewriteRequest(config::Route(), true, head);
  CHECK(head.path == "/x");
  CHECK(head.headers.empty());
}

SCENARIO("host rewrites, with the old host forwarded when asked for") {
  config::Route route;
  route.forward.host_rewrite = "inner";
  route.forward.append_x_forwarded_host = true;
  auto head = Request("/");
  RewriteRequest(route, true, head);
  CHECK(head.authority == "inner");
  CHECK(*head.headers.Get(HeaderId::kXForwardedHost) == "shop:80");
  config::Route by_header;
  by_header.forward.host_rewrite_header = "x-host";
  auto other = Request("/");
  other.headers.Add("x-host", "named");
  RewriteRequest(by_header, true, other);
  CHECK(other.authority == "named");
}

SCENARIO("redirects") {
  const auto location = [](config::RedirectAction to, const char* path = "/a/b?q=1",
                           const char* authority = "shop:80") {
    config::Route route;
    route.match.text = "/a";
    route.redirect = std::move(to);
    return RedirectUrl(route, Request(path, authority));
  };
  CHECK(location({.https_redirect = true}) == "https://shop/a/b?q=1");
  CHECK(location({.https_redirect = true}, "/", "shop:8080") == "https://shop:8080/");
  CHECK(location({.host = "new"}) == "http://new/a/b?q=1");
  CHECK(location({.path = "/c"}) == "http://shop:80/c?q=1");
  CHECK(location({.path = "/c?d=2"}) == "http://shop:80/c?d=2");
  CHECK(location({.prefix_rewrite = "/z"}) == "http://shop:80/z/b?q=1");
  CHECK(location({.port = 444, .https_redirect = true}) == "https://shop:444/a/b?q=1");
  CHECK(location({.strip_query = true}) == "http://shop:80/a/b");
  CHECK(location({.scheme = "wss", .host = "h", .path = "/p"}, "/a") == "wss://h/p");
}

}  // namespace
}  // namespace heddle::proxy
