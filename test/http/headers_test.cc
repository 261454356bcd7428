#include "source/http/headers.h"

#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

namespace heddle::http {
namespace {

TEST_CASE("every name of the table has its own id and every other name has none") {
  for (int i = 1; i < static_cast<int>(HeaderId::kCount); ++i) {
    const auto id = static_cast<HeaderId>(i);
    INFO(std::string(NameOf(id)));
    CHECK(IdOf(NameOf(id)) == id);
    std::string changed(NameOf(id));
    changed.back() ^= 1;
    CHECK(IdOf(changed) == HeaderId::kOther);
    CHECK(IdOf(changed + "x") == HeaderId::kOther);
  }
  CHECK(IdOf("") == HeaderId::kOther);
  CHECK(IdOf(std::string(300, 'a')) == HeaderId::kOther);
  CHECK(NameOf(HeaderId::kXRequestId) == "x-request-id");
  CHECK(NameOf(HeaderId::kTe) == "te");
}

TEST_CASE("fields keep their order and names are found with and without an id") {
  Headers h;
  h.Add("a", "1");
  h.Add(HeaderId::kTe, "trailers");
  h.AddLowering("X-Own", "MiXed");
  h.Add("a", "2");
  CHECK(h.Get("a") == "1");
  CHECK(h.GetAll("a") == "1,2");
  CHECK(h.Get("te") == "trailers");
  CHECK(h.Get("x-own") == "MiXed");
  CHECK_FALSE(h.Get("b"));
  CHECK(h.bytes() == 1 + 1 + 2 + 8 + 5 + 5 + 1 + 1);

  h.Set("a", "3");
  CHECK(h.GetAll("a") == "3");
  CHECK(h.size() == 3);
  h.Set(HeaderId::kTe, "x");
  CHECK(h.Get(HeaderId::kTe) == "x");
  CHECK(h.Remove("a") == 1);
  CHECK(h.Remove("a") == 0);
  CHECK(h.Remove(HeaderId::kTe) == 1);
  CHECK(h.size() == 1);
}

TEST_CASE("a field can be set to a view of itself") {
  Headers h;
  h.Add("via", "a long enough value");
  h.Set(HeaderId::kVia, h.Get(HeaderId::kVia)->substr(2));
  CHECK(h.Get("via") == "long enough value");
}

TEST_CASE("views outlive a move and growth over many blocks") {
  Headers first;
  first.Add("x-first", "one");
  const absl::string_view view = *first.Get("x-first");
  Headers second = std::move(first);
  for (int i = 0; i < 1000; ++i) second.Add("x-" + std::to_string(i), std::string(100, 'v'));
  CHECK(view == "one");
  CHECK(second.Get("x-999") == std::string(100, 'v'));
  CHECK(second.Get("x-first")->data() == view.data());

  const Headers copy = second.Copy();
  second = Headers();
  CHECK(second.empty());
  CHECK(copy.Get("x-first") == "one");
  CHECK(copy.size() == 1001);
}

TEST_CASE("an arena gives room of any size") {
  Arena arena;
  std::vector<std::pair<char*, size_t>> pieces;
  for (const size_t n : {1, 100, 2000, 5000, 200000, 1}) {
    char* p = arena.Allocate(n);
    std::fill(p, p + n, 'a' + static_cast<char>(pieces.size()));
    pieces.emplace_back(p, n);
  }
  for (size_t i = 0; i < pieces.size(); ++i) {
    CHECK(absl::string_view(pieces[i].first, pieces[i].second) ==
          std::string(pieces[i].second, 'a' + static_cast<char>(i)));
  }
}

TEST_CASE("a request head splits its path and knows gRPC") {
  RequestHead head;
  head.SetPath("/a/b?c=d?e");
  CHECK(head.path_without_query() == "/a/b");
  CHECK(head.query() == "c=d?e");
  head.SetPath("/a");
  CHECK(head.path_without_query() == "/a");
  CHECK(head.query().empty());

  CHECK_FALSE(head.grpc());
  for (const auto& [type, grpc] :
       std::vector<std::pair<std::string, bool>>{{"application/grpc", true},
                                                 {"application/grpc+proto", true},
                                                 {"application/grpc-web", false},
                                                 {"application/json", false}}) {
    head.headers.Set(HeaderId::kContentType, type);
    CHECK(head.grpc() == grpc);
  }
  const RequestHead copy = head.Copy();
  head = RequestHead();
  CHECK(copy.path == "/a");
  CHECK(copy.headers.size() == 1);
}

}  // namespace
}  // namespace heddle::http
