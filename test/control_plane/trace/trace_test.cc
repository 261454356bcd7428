// Spans: decoded from OTLP, kept within bounds, found by trace, drawn.
#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "control_plane/trace/span.h"
#include "control_plane/trace/store.h"
#include "control_plane/trace/waterfall.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"

namespace heddle::trace {
namespace {

constexpr int64_t kStart = 1'800'000'000'000'000'000;

Span Make(int trace, int id, int parent, int64_t start_us, int64_t duration_us,
          const std::string& service = "web") {
  Span out;
  out.trace_id = absl::StrFormat("%032x", trace);
  out.span_id = absl::StrFormat("%016x", id);
  if (parent != 0) out.parent_id = absl::StrFormat("%016x", parent);
  out.service = service;
  out.name = absl::StrCat("op", id);
  out.start_ns = kStart + start_us * 1000;
  out.duration_ns = duration_us * 1000;
  return out;
}

std::vector<std::string> Lines(const std::vector<Span>& spans) {
  std::vector<std::string> out =
      absl::StrSplit(Waterfall(spans, {.bar_width = 10, .ascii = true}), '\n');
  out.pop_back();
  return out;
}

}  // namespace

SCENARIO("OTLP is read with bounds, and spans without usable ids are left out") {
  opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest request;
  auto* resource = request.add_resource_spans();
  auto* name = resource->mutable_resource()->add_attributes();
  name->set_key("service.name");
  name->mutable_value()->set_string_value("web.shop");
  auto* spans = resource->add_scope_spans();
  const auto add = [&](size_t trace_bytes, size_t span_bytes) {
    auto* span = spans->add_spans();
    span->set_trace_id(std::string(trace_bytes, '\xab'));
    span->set_span_id(std::string(span_bytes, '\x01'));
    return span;
  };
  auto* good = add(16, 8);
  good->set_kind(opentelemetry::proto::trace::v1::Span::SPAN_KIND_SERVER);
  good->set_start_time_unix_nano(kStart);
  good->set_end_time_unix_nano(kStart - 5);  // a clock that went backwards
  good->mutable_status()->set_code(opentelemetry::proto::trace::v1::Status::STATUS_CODE_ERROR);
  for (int i = 0; i < 100; ++i) {
    auto* attribute = good->add_attributes();
    attribute->set_key(absl::StrCat("k", i));
    attribute->mutable_value()->set_string_value(std::string(5000, 'x'));
  }
  add(15, 8);
  add(16, 0);
  add(0, 8);
  const auto decoded = DecodeOtlp(request.SerializeAsString());
  REQUIRE(decoded.ok());
  REQUIRE(decoded->size() == 1);
  const Span& span = decoded->front();
  CHECK(span.trace_id == "abababababababababababababababab");
  CHECK(span.service == "web.shop");
  CHECK(span.kind == "server");
  CHECK(span.duration_ns == 0);
  CHECK(span.error);
  CHECK(span.attributes.size() == 64);
  CHECK(span.Attribute("k0").size() == 1024);
  CHECK(span.Attribute("none").empty());
  CHECK_FALSE(DecodeOtlp("\xff\xff").ok());
  CHECK(NormalTraceId("ABABABABABABABABABABABABABABABAB") == span.trace_id);
  CHECK(NormalTraceId("ab").empty());
}

SCENARIO("the store keeps the newest spans within its bounds") {
  Store store({.max_spans = 4, .max_bytes = 1 << 20});
  store.Add({Make(1, 1, 0, 0, 10), Make(1, 2, 1, 1, 5), Make(2, 3, 0, 2, 5)});
  CHECK(store.Find(absl::StrFormat("%032x", 1)).size() == 2);
  store.Add({Make(3, 4, 0, 3, 5), Make(3, 5, 4, 4, 5, "reviews")});
  CHECK(store.stats().spans == 4);
  CHECK(store.stats().dropped == 1);
  CHECK(store.Find(absl::StrFormat("%032x", 1)).size() == 1);
  const auto latest = store.Latest(10, "");
  REQUIRE(latest.size() == 3);
  CHECK(latest[0].trace_id == absl::StrFormat("%032x", 3));
  CHECK(latest[0].spans == 2);
  CHECK(latest[0].service == "web");
  CHECK(store.Latest(10, "reviews").size() == 1);
  CHECK(store.Latest(1, "").size() == 1);
  CHECK(store.Find("nothing").empty());

  Store small({.max_spans = 1000, .max_bytes = 3000});
  for (int i = 0; i < 100; ++i) small.Add({Make(i, i + 1, 0, i, 1)});
  CHECK(small.stats().bytes <= 3000);
  CHECK(small.stats().spans > 3);
}

SCENARIO("a waterfall shows who called whom, when, and what came back") {
  Span root = Make(1, 1, 0, 0, 1000);
  root.attributes = {{"http.status_code", "200"}, {"upstream_address", "127.0.1.3:9080"}};
  Span child = Make(1, 2, 1, 100, 500, "reviews");
  child.attributes = {{"http.status_code", "503"},
                      {"peer.identity", "spiffe://cluster.local/ns/shop/sa/web"},
                      {"response_flags", "UF"}};
  child.error = true;
  const auto lines = Lines({child, root});
  REQUIRE(lines.size() == 4);
  CHECK_THAT(lines[0], Catch::Contains("1.0 ms") && Catch::Contains("2 spans"));
  CHECK_THAT(lines[2], Catch::StartsWith("web") && Catch::Contains("to 127.0.1.3:9080") &&
                           Catch::Contains("##########"));
  CHECK_THAT(lines[3], Catch::StartsWith("`-reviews") && Catch::Contains("503 UF") &&
                           Catch::Contains("from shop/web") && Catch::Contains(" #####    ") &&
                           Catch::Contains("+100 us  500 us"));
}

SCENARIO("a waterfall hides nothing: orphans, cycles, twins and hostile names") {
  CHECK_THAT(Lines({Make(1, 1, 9, 0, 10)})[2], Catch::Contains("(parent missing)"));
  CHECK(Lines({Make(1, 1, 2, 0, 10), Make(1, 2, 1, 5, 10)}).size() == 4);
  CHECK(Lines({Make(1, 1, 1, 0, 10)}).size() == 3);
  CHECK(Lines({Make(1, 1, 0, 0, 10), Make(1, 1, 0, 0, 10)}).size() == 4);
  CHECK(Lines({Make(1, 1, 0, 0, 0)}).size() == 3);
  Span evil = Make(1, 1, 0, 0, 10, "\x1b[2Jweb");
  CHECK(Waterfall({evil}, {}).find('\x1b') == std::string::npos);
  std::vector<Span> chain;
  for (int i = 1; i <= 200; ++i) chain.push_back(Make(1, i, i - 1, i, 1000));
  CHECK(Lines(chain).size() == 202);
  CHECK(Waterfall({}, {}) == "no spans\n");
}

}  // namespace heddle::trace
