#include "source/server/span_exporter.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "source/base/log.h"
#include "source/probe/http_call.h"
#include "source/xds/target.h"

namespace heddle::server {
namespace {

constexpr absl::Duration kInterval = absl::Milliseconds(500);
constexpr size_t kSpansPerCall = 512;
constexpr char kGrpcPath[] = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

}  // namespace

struct SpanExporter::Line {
  std::shared_ptr<const upstream::ClusterSpec> cluster;  // keeps the transport factory
  std::unique_ptr<http::grpc::Client> client;
  std::unique_ptr<probe::HttpCall> post;
  bool busy = false;
  bool complained = false;
};

SpanExporter::SpanExporter(event::Loop& loop, base::Random& random, observe::SpanQueues& queues,
                           FindCluster find)
    : loop_(loop), random_(random), queues_(queues), find_(std::move(find)), timer_(loop, [this] {
        Tick();
      }) {}

SpanExporter::~SpanExporter() = default;

void SpanExporter::Start() { timer_.Start(kInterval); }

void SpanExporter::Tick() {
  for (const auto& queue : queues_.all()) {
    auto& line = lines_[queue.get()];
    if (line == nullptr) line = std::make_unique<Line>();
    if (!line->busy) Send(*queue, *line);
  }
  DropUnused();
  timer_.Start(kInterval);
}

void SpanExporter::DropUnused() {
  for (auto it = lines_.begin(); it != lines_.end();) {
    const bool drop = !it->second->busy && queues_.DropIfUnused(it->first);
    it = drop ? lines_.erase(it) : std::next(it);
  }
}

void SpanExporter::Send(observe::SpanQueue& queue, Line& line) {
  const std::vector<observe::SpanData> spans = queue.Take(kSpansPerCall);
  if (spans.empty()) return;
  std::shared_ptr<const upstream::ClusterSpec> cluster = find_(queue.target().cluster);
  if (cluster == nullptr) {
    return OnSent(line, spans.size(),
                  absl::NotFoundError(absl::StrCat("no cluster \"", queue.target().cluster, "\"")));
  }
  if (cluster != line.cluster && line.client != nullptr) loop_.Destroy(std::move(line.client));
  line.cluster = std::move(cluster);
  line.busy = true;
  std::string body = observe::EncodeExport(queue.target().service_name, spans);
  if (queue.target().http) {
    SendHttp(queue, line, std::move(body), spans.size());
  } else {
    SendGrpc(queue, line, body, spans.size());
  }
}

void SpanExporter::SendGrpc(observe::SpanQueue& queue, Line& line, const std::string& body,
                            size_t spans) {
  if (line.client != nullptr && line.client->closed()) loop_.Destroy(std::move(line.client));
  if (line.client == nullptr) {
    auto target = xds::PickTarget(*line.cluster, random_);
    if (!target.ok()) return OnSent(line, spans, target.status());
    if (!queue.target().authority.empty()) target->authority = queue.target().authority;
    line.client = http::grpc::Client::Connect(loop_, *target, nullptr);
  }
  http::grpc::CallOptions call{
      .path = kGrpcPath, .metadata = queue.target().headers, .timeout = queue.target().timeout};
  line.client->Unary(call, body,
                     [this, &line, spans](const http::grpc::Status& status, const std::string&) {
                       OnSent(line, spans, status.ToAbsl());
                     });
}

void SpanExporter::SendHttp(observe::SpanQueue& queue, Line& line, std::string body, size_t spans) {
  const auto target = xds::PickTarget(*line.cluster, random_);
  if (!target.ok()) return OnSent(line, spans, target.status());
  const config::SpanTarget& to = queue.target();
  probe::HttpCall::Request request{
      .address = target->address,
      .transport = target->transport,
      .method = "POST",
      .authority = to.authority.empty() ? target->address.ToString() : to.authority,
      .path = to.path,
      .headers = to.headers,
      .body = std::move(body),
      .timeout = to.timeout};
  line.post = probe::HttpCall::Start(
      loop_, std::move(request),
      [this, &line, spans](const absl::StatusOr<probe::HttpCall::Reply>& reply) {
        if (!reply.ok() || reply->status / 100 == 2) return OnSent(line, spans, reply.status());
        OnSent(line, spans, absl::UnavailableError(absl::StrCat("status ", reply->status)));
      });
}

void SpanExporter::OnSent(Line& line, size_t spans, const absl::Status& status) {
  line.busy = false;
  if (line.post != nullptr) loop_.Destroy(std::move(line.post));
  if (status.ok()) {
    exported_ += spans;
    line.complained = false;
  } else {
    failed_ += spans;
    if (!line.complained) {
      HEDDLE_LOG(kWarning, "trace") << spans << " spans were not exported: " << status.message();
    }
    line.complained = true;
  }
  const bool idle = std::all_of(lines_.begin(), lines_.end(),
                                [](const auto& entry) { return !entry.second->busy; });
  if (idle && on_idle_ != nullptr) std::exchange(on_idle_, nullptr)();
}

void SpanExporter::Flush(std::function<void()> done) {
  Tick();
  const bool busy = std::any_of(lines_.begin(), lines_.end(),
                                [](const auto& entry) { return entry.second->busy; });
  if (!busy) return done();
  on_idle_ = std::move(done);
}

}  // namespace heddle::server
