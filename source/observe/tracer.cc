#include "source/observe/tracer.h"

#include <algorithm>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "source/observe/format.h"

namespace heddle::observe {
namespace {

using http::HeaderId;

bool Roll(const config::Fraction& fraction, base::Random& random) {
  if (fraction.numerator >= fraction.denominator) return true;
  return random.Below(fraction.denominator) < fraction.numerator;
}

using Attributes = std::vector<std::pair<std::string, std::string>>;

void AddIf(absl::string_view key, absl::string_view value, Attributes* out) {
  if (!value.empty()) out->emplace_back(std::string(key), std::string(value));
}

absl::string_view Field(const http::Headers& headers, HeaderId id) {
  return headers.Get(id).value_or("");
}

void RequestAttributes(const AccessRecord& r, uint32_t max_path, Attributes* out) {
  const http::RequestHead& head = *r.request;
  AddIf("guid:x-request-id", Field(head.headers, HeaderId::kXRequestId), out);
  AddIf("http.url", absl::StrCat(head.scheme, "://", head.authority, head.path.substr(0, max_path)),
        out);
  AddIf("http.method", head.method, out);
  AddIf("http.protocol", http::ProtocolName(r.protocol), out);
  AddIf("user_agent", Field(head.headers, HeaderId::kUserAgent), out);
  if (!head.grpc()) return;
  AddIf("grpc.path", head.path, out);
  AddIf("grpc.authority", head.authority, out);
  AddIf("grpc.content_type", Field(head.headers, HeaderId::kContentType), out);
  AddIf("grpc.timeout", Field(head.headers, HeaderId::kGrpcTimeout), out);
  if (r.grpc_status >= 0) out->emplace_back("grpc.status_code", absl::StrCat(r.grpc_status));
}

void CustomTags(const std::vector<config::CustomTag>& tags, const AccessRecord& r,
                Attributes* out) {
  for (const config::CustomTag& tag : tags) {
    std::string value = tag.value;
    if (tag.kind == config::CustomTag::Kind::kEnvironment) {
      if (const char* set = std::getenv(tag.name.c_str())) value = set;
    } else if (tag.kind == config::CustomTag::Kind::kRequestHeader) {
      if (const auto header = r.request->headers.Get(tag.name)) value = std::string(*header);
    }
    AddIf(tag.tag, value, out);
  }
}

}  // namespace

void SpanQueue::Add(SpanData span) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (waiting_.size() >= kMaxWaiting) {
    dropped_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  waiting_.push_back(std::move(span));
}

std::vector<SpanData> SpanQueue::Take(size_t max) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<SpanData> out;
  if (waiting_.size() <= max) {
    out.swap(waiting_);
    return out;
  }
  const auto end = waiting_.begin() + static_cast<ptrdiff_t>(max);
  out.assign(std::make_move_iterator(waiting_.begin()), std::make_move_iterator(end));
  waiting_.erase(waiting_.begin(), end);
  return out;
}

bool SpanQueue::empty() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return waiting_.empty();
}

bool SpanQueues::DropIfUnused(const SpanQueue* queue) {
  const auto it = std::find_if(queues_.begin(), queues_.end(),
                               [queue](const auto& one) { return one.get() == queue; });
  // Only Get() hands out further references, and on this thread: nobody can add to it again.
  if (it == queues_.end() || it->use_count() > 1 || !(*it)->empty()) return false;
  queues_.erase(it);
  return true;
}

std::shared_ptr<SpanQueue> SpanQueues::Get(const config::SpanTarget& target) {
  for (const auto& queue : queues_) {
    if (queue->target() == target) return queue;
  }
  return queues_.emplace_back(std::make_shared<SpanQueue>(target));
}

Span Tracer::Start(const http::RequestHead& head, base::Random& random) const {
  Span span;
  const auto parent = ParseTraceparent(Field(head.headers, HeaderId::kTraceparent));
  if (parent.has_value()) {
    span.context = *parent;
    span.parent = parent->span_id;
  } else {
    NewTraceId(random, &span.context);
    const bool forced = head.headers.Get("x-envoy-force-trace").has_value();
    span.context.sampled =
        (forced || Roll(config_.random_sampling, random)) && Roll(config_.overall_sampling, random);
  }
  NewSpanId(random, &span.context);
  return span;
}

void Tracer::Inject(const Span& span, http::RequestHead* head) const {
  head->headers.Set(HeaderId::kTraceparent, FormatTraceparent(span.context));
}

void Tracer::Finish(const Span& span, const AccessRecord& r) const {
  if (!span.context.sampled || queue_ == nullptr || r.request == nullptr) return;
  SpanData data;
  data.context = span.context;
  data.parent = span.parent;
  data.server = !outbound_;
  data.name = span.name.empty()
                  ? absl::StrCat(outbound_ ? "egress " : "ingress ", r.request->authority)
                  : span.name;
  data.start_nanos = absl::ToUnixNanos(r.start);
  data.end_nanos = data.start_nanos + std::max<base::Micros>(r.finished - r.started, 0) * 1000;
  Attributes& out = data.attributes;
  out.reserve(20);
  out.emplace_back("component", "proxy");
  RequestAttributes(r, config_.max_path_tag_length, &out);
  AddIf("peer.address", r.downstream_direct_remote.is_ip() ? r.downstream_direct_remote.ip() : "",
        &out);
  if (r.downstream_tls != nullptr && !r.downstream_tls->uri_sans.empty()) {
    AddIf("peer.identity", r.downstream_tls->uri_sans[0], &out);
  }
  AddIf("upstream_cluster", r.cluster, &out);
  AddIf("upstream_cluster.name", r.cluster, &out);
  if (r.upstream_remote.family() != AF_UNSPEC)
    AddIf("upstream_address", r.upstream_remote.ToString(), &out);
  if (r.attempts > 1) out.emplace_back("retry.count", absl::StrCat(r.attempts - 1));
  out.emplace_back("request_size", absl::StrCat(r.bytes_received));
  out.emplace_back("response_size", absl::StrCat(r.bytes_sent));
  out.emplace_back("http.status_code", absl::StrCat(r.status));
  out.emplace_back("response_flags", FlagsText(r.flags));
  AddIf("response_code_details", r.details, &out);
  data.error = r.status == 0 || r.status >= 500 || (r.grpc_status > 0);
  if (data.error) out.emplace_back("error", "true");
  CustomTags(config_.tags, r, &out);
  queue_->Add(std::move(data));
}

}  // namespace heddle::observe
