#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "source/http/grpc/frame.h"
#include "source/http/grpc/status.h"

namespace heddle::http::grpc {
namespace {

std::string Framed(absl::string_view message) {
  base::Buffer out;
  AppendFrame(message, &out);
  return out.ToString();
}

// All messages of `bytes`, and "error ..." at the end of a broken stream.
std::vector<std::string> Deframe(absl::string_view bytes, size_t cut, size_t limit = 1000) {
  Deframer deframer({.max_message_bytes = limit});
  std::vector<std::string> messages;
  while (!bytes.empty()) {
    base::Buffer piece(bytes.substr(0, cut));
    bytes.remove_prefix(piece.size());
    absl::Status status = deframer.Feed(piece);
    while (status.ok()) {
      auto message = deframer.Next();
      status = message.status();
      if (!status.ok() || !*message) break;
      messages.push_back(**message);
    }
    if (!status.ok()) {
      messages.push_back("error " + absl::StatusCodeToString(status.code()));
      return messages;
    }
  }
  if (!deframer.idle()) messages.push_back("more");
  return messages;
}

TEST_CASE("messages are found however they are cut") {
  const std::string bytes =
      Framed("one") + Framed("") + Framed(std::string(900, 'x')) + Framed("four");
  for (const size_t cut : {1, 2, 3, 7, 4096}) {
    CHECK(Deframe(bytes, cut) ==
          std::vector<std::string>{"one", "", std::string(900, 'x'), "four"});
    CHECK(Deframe(bytes.substr(0, 10), cut) == std::vector<std::string>{"one", "more"});
  }
}

TEST_CASE("messages that cannot be are refused before they are buffered") {
  for (const size_t cut : {1, 2, 3, 7, 4096}) {
    CHECK(Deframe(Framed("ok") + Framed(std::string(1001, 'x')).substr(0, 5), cut) ==
          std::vector<std::string>{"ok", "error RESOURCE_EXHAUSTED"});
    CHECK(Deframe(std::string("\0\xff\xff\xff\xff", 5), cut) ==
          std::vector<std::string>{"error RESOURCE_EXHAUSTED"});
    CHECK(Deframe(std::string("\1\0\0\0\1x", 6), cut) ==
          std::vector<std::string>{"error UNIMPLEMENTED"});
    CHECK(Deframe(std::string("\x80\0\0\0\1x", 6), cut) ==
          std::vector<std::string>{"error INTERNAL"});
  }
}

TEST_CASE("codes map to and from HTTP") {
  const std::vector<std::pair<int, int>> from_http = {{400, 13}, {401, 16}, {403, 7},  {404, 12},
                                                      {429, 14}, {502, 14}, {503, 14}, {504, 14},
                                                      {500, 2},  {418, 2}};
  for (const auto& [http, code] : from_http) CHECK(static_cast<int>(CodeOfHttp(http)) == code);
  const int to_http[] = {200, 499, 500, 400, 504, 404, 409, 403, 429,
                         400, 409, 400, 501, 500, 503, 500, 401};
  for (int code = 0; code <= 16; ++code)
    CHECK(HttpOfCode(static_cast<Code>(code)) == to_http[code]);
  CHECK(CodeName(Code::kUnavailable) == "UNAVAILABLE");
}

TEST_CASE("messages survive percent-encoding") {
  CHECK(EncodeMessage("plain text") == "plain text");
  CHECK(EncodeMessage("50%\n\xc3\xa9") == "50%25%0A%C3%A9");
  for (const std::string text : {"", "a%b", "\n", "\xff\x00 x", "%41"})
    CHECK(DecodeMessage(EncodeMessage(text)) == text);
  CHECK(DecodeMessage("a%4") == "a%4");
  CHECK(DecodeMessage("a%zz%41") == "a%zzA");
}

TEST_CASE("the status is looked for in trailers, then the head, then HTTP") {
  ResponseHead head;
  head.status = 200;
  Trailers trailers;
  CHECK(StatusOf(&head, &trailers).code == Code::kUnknown);
  CHECK(StatusOf(nullptr, nullptr).code == Code::kUnknown);
  head.status = 503;
  CHECK(StatusOf(&head, nullptr).code == Code::kUnavailable);
  head.headers.Add("grpc-status", "5");
  head.headers.Add("grpc-message", "not%20there");
  CHECK(StatusOf(&head, nullptr).code == Code::kNotFound);
  CHECK(StatusOf(&head, nullptr).message == "not there");
  trailers.Add("grpc-status", "0");
  CHECK(StatusOf(&head, &trailers).ok());
  trailers.Set("grpc-status", "99");
  CHECK(StatusOf(&head, &trailers).code == Code::kUnknown);
  CHECK(StatusOf(&head, &trailers).ToAbsl().code() == absl::StatusCode::kUnknown);
}

}  // namespace
}  // namespace heddle::http::grpc
