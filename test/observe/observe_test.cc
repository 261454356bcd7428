// Access-log formats and filters, trace context, spans.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"
#include "source/observe/access_log.h"
#include "source/observe/flags.h"
#include "source/observe/format.h"
#include "source/observe/trace_context.h"
#include "source/observe/tracer.h"

namespace heddle::observe {
namespace {

struct Sample {
  Sample() {
    request.SetMethod("GET");
    request.SetPath("/books/1?x=1");
    request.SetAuthority("catalog");
    request.SetScheme("http");
    request.headers.Add("user-agent", "curl \"quoted\"\nline");
    response.status = 503;
    response.headers.Add("x-envoy-upstream-service-time", "7");
    record.request = &request;
    record.response = &response;
    record.status = 503;
    record.bytes_received = 12;
    record.bytes_sent = 34;
    record.started = 1'000'000;
    record.finished = 1'025'000;
    record.start = absl::FromUnixMillis(1'700'000'000'123);
    record.details = "upstream_reset_before_response_started{connection_failure}";
    record.Set(Flag::kUpstreamConnectFailure);
    record.Set(Flag::kRetryLimit);
    record.upstream_remote = *net::Address::Parse("10.0.0.1:80");
  }
  http::RequestHead request;
  http::ResponseHead response;
  AccessRecord record;
};

std::string Line(absl::string_view format, const AccessRecord& record) {
  auto formatter = Formatter::Text(format);
  REQUIRE(formatter.ok());
  std::string out;
  formatter->Append(record, &out);
  return out;
}

TEST_CASE("the default format is Envoy's") {
  Sample sample;
  CHECK(Line(kDefaultFormat, sample.record) ==
        "[2023-11-14T22:13:20.123Z] \"GET /books/1?x=1 HTTP/1.1\" 503 URX,UF 12 34 25 7 \"-\" "
        "\"curl \"quoted\" line\" \"-\" \"catalog\" \"10.0.0.1:80\"\n");
}

TEST_CASE("operators take alternatives, lengths and formats") {
  struct Row {
    const char* format;
    const char* want;
  };
  const Row rows[] = {
      {"%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "/books/1?x=1"},
      {"%REQ(:PATH):6%", "/books"},
      {"%START_TIME(%s)%", "1700000000"},
      {"%START_TIME(%H:%M:%S.%3f)%", "22:13:20.123"},
      {"100%% %RESPONSE_CODE%", "100% 503"},
      {"%RESPONSE_FLAGS_LONG%", "UpstreamRetryLimitExceeded,UpstreamConnectionFailure"},
      {"%GRPC_STATUS%", "-"},
      {"%REQ(absent)%", "-"},
      {"plain", "plain"},
  };
  Sample sample;
  for (const Row& row : rows) {
    INFO(row.format);
    CHECK(Line(row.format, sample.record) == row.want);
  }
}

TEST_CASE("a wrong format says what is wrong") {
  for (const char* format :
       {"%FOO%", "%REQ%", "%REQ(%", "%RESPONSE_CODE", "%REQ(a):x%", "%DURATION(x)%", "%REQ()%"}) {
    INFO(format);
    CHECK(Formatter::Text(format).status().code() == absl::StatusCode::kInvalidArgument);
  }
  CHECK(Formatter::Text("%FOO%").status().message() ==
        "unknown operator \"%FOO%\"; the operators are listed in docs/operating.md");
}

TEST_CASE("JSON keeps numbers, escapes text and writes null for what is absent") {
  Sample sample;
  auto formatter = Formatter::Json(
      R"({"code": "%RESPONSE_CODE%", "agent": "%REQ(user-agent)%", "none": "%REQ(no)%", "mixed": "a %PROTOCOL%", "list": ["%DURATION%"]})");
  REQUIRE(formatter.ok());
  std::string out;
  formatter->Append(sample.record, &out);
  CHECK(out ==
        "{\"code\":503,\"agent\":\"curl \\\"quoted\\\"\\nline\",\"none\":null,\"mixed\":\"a "
        "HTTP/1.1\",\"list\":[25]}\n");
  CHECK_FALSE(Formatter::Json("{\"a\": \"%NO%\"}").ok());
  CHECK_FALSE(Formatter::Json("{\"a\": \"unterminated").ok());
}

TEST_CASE("access-log filters") {
  Sample sample;
  using Filter = config::AccessLogFilter;
  Filter status{.kind = Filter::Kind::kStatus, .op = Filter::Op::kGe, .value = 500};
  CHECK(Passes(status, sample.record));
  status.value = 504;
  CHECK_FALSE(Passes(status, sample.record));
  Filter flag{.kind = Filter::Kind::kResponseFlag};
  CHECK(Passes(flag, sample.record));
  flag.flags = {"NR"};
  CHECK_FALSE(Passes(flag, sample.record));
  flag.flags = {"NR", "URX"};
  CHECK(Passes(flag, sample.record));
  Filter both{.kind = Filter::Kind::kAnd};
  both.children = {flag, status};
  CHECK_FALSE(Passes(both, sample.record));
  both.kind = Filter::Kind::kOr;
  CHECK(Passes(both, sample.record));
  Filter grpc{.kind = Filter::Kind::kGrpcStatus};
  grpc.grpc_statuses = {14};
  CHECK_FALSE(Passes(grpc, sample.record));
  sample.record.grpc_status = 14;
  CHECK(Passes(grpc, sample.record));
  grpc.exclude = true;
  CHECK_FALSE(Passes(grpc, sample.record));
}

TEST_CASE("lines reach their file, also after it was rotated") {
  const std::string path = std::string("/tmp/heddle-log-") + std::to_string(getpid());
  const auto content = [](const std::string& file) {
    std::ifstream in(file);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  };
  {
    LogFiles files;
    config::AccessLog config{.sink = config::AccessLog::Sink::kFile,
                             .path = path,
                             .format = {.text = "%RESPONSE_CODE%\n"}};
    auto logger = AccessLogger::Create(config, files);
    REQUIRE(logger.ok());
    Sample sample;
    (*logger)->Write(sample.record);
    files.Flush();
    CHECK(content(path) == "503\n");
    std::rename(path.c_str(), (path + ".1").c_str());
    files.Reopen();
    files.Flush();
    (*logger)->Write(sample.record);
    files.Flush();
    CHECK(content(path) == "503\n");
    CHECK(content(path + ".1") == "503\n");
  }
  std::remove(path.c_str());
  std::remove((path + ".1").c_str());
  LogFiles files;
  CHECK_FALSE(files.Open("/nonexistent/dir/log").ok());
}

TEST_CASE("traceparent is read strictly") {
  const char* good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const auto context = ParseTraceparent(good);
  REQUIRE(context.has_value());
  CHECK(context->sampled);
  CHECK(FormatTraceparent(*context) == good);
  for (const char* bad : {
           "",
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
           "00-00000000000000000000000000000000-b7ad6b7169203331-01",
           "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
           "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
           "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
           "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
           "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
       }) {
    INFO(bad);
    CHECK_FALSE(ParseTraceparent(bad).has_value());
  }
  CHECK(ParseTraceparent("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-later")
            .has_value());
}

TEST_CASE("a span continues its parent's decision, and becomes OTLP") {
  config::Tracing config;
  config.target.service_name = "catalog";
  auto queue = std::make_shared<SpanQueue>(config.target);
  const Tracer tracer(config, false, queue);
  base::Random random(1);
  Sample sample;
  sample.request.headers.Add("traceparent",
                             "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
  const Span unsampled = tracer.Start(sample.request, random);
  CHECK_FALSE(unsampled.context.sampled);
  tracer.Finish(unsampled, sample.record);
  CHECK(queue->Take(10).empty());

  sample.request.headers.Set(http::HeaderId::kTraceparent,
                             "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
  const Span span = tracer.Start(sample.request, random);
  tracer.Inject(span, &sample.request);
  CHECK(sample.request.headers.Get(http::HeaderId::kTraceparent) ==
        FormatTraceparent(span.context));
  tracer.Finish(span, sample.record);
  const std::vector<SpanData> spans = queue->Take(10);
  REQUIRE(spans.size() == 1);

  opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest request;
  REQUIRE(request.ParseFromString(EncodeExport("catalog", spans)));
  const auto& out = request.resource_spans(0).scope_spans(0).spans(0);
  CHECK(out.name() == "ingress catalog");
  CHECK(out.trace_id().size() == 16);
  CHECK(out.parent_span_id() == std::string("\xb7\xad\x6b\x71\x69\x20\x33\x31"));
  CHECK(out.end_time_unix_nano() - out.start_time_unix_nano() == 25'000'000);
  CHECK(out.status().code() == opentelemetry::proto::trace::v1::Status::STATUS_CODE_ERROR);
  CHECK(request.resource_spans(0).resource().attributes(0).value().string_value() == "catalog");
}

TEST_CASE("spans of one destination, called alike, share a queue") {
  SpanQueues queues;
  config::SpanTarget target;
  target.service_name = "catalog";
  target.cluster = "collector";
  const auto first = queues.Get(target);
  CHECK(queues.Get(target) == first);
  target.headers = {{"authorization", "Bearer a"}};
  CHECK(queues.Get(target) != first);
  target.headers.clear();
  target.timeout = absl::Seconds(9);
  CHECK(queues.Get(target) != first);
  CHECK(queues.all().size() == 3);
}

TEST_CASE("sampling follows its fraction, and a full queue drops") {
  config::Tracing config;
  config.random_sampling = {25, 100};
  auto queue = std::make_shared<SpanQueue>(config.target);
  const Tracer tracer(config, true, queue);
  base::Random random(7);
  Sample sample;
  int sampled = 0;
  for (int i = 0; i < 4000; ++i)
    sampled += tracer.Start(sample.request, random).context.sampled ? 1 : 0;
  CHECK(sampled > 850);
  CHECK(sampled < 1150);
  for (size_t i = 0; i < SpanQueue::kMaxWaiting + 5; ++i) queue->Add({});
  CHECK(queue->dropped() == 5);
  CHECK(queue->Take(100).size() == 100);
}

}  // namespace
}  // namespace heddle::observe
