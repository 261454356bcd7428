#include "control_plane/trace/store.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"

namespace heddle::trace {

Summary Summarise(const std::vector<Span>& spans) {
  Summary out;
  if (spans.empty()) return out;
  const Span* root = &spans.front();
  int64_t end = 0;
  for (const Span& span : spans) {
    const bool better = span.parent_id.empty() != root->parent_id.empty()
                            ? span.parent_id.empty()
                            : span.start_ns < root->start_ns;
    if (better) root = &span;
    out.start_ns = out.start_ns == 0 ? span.start_ns : std::min(out.start_ns, span.start_ns);
    end = std::max(end, span.start_ns + span.duration_ns);
    out.error = out.error || span.error;
  }
  out.trace_id = root->trace_id;
  out.service = root->service;
  out.name = root->name;
  out.duration_ns = end - out.start_ns;
  out.spans = spans.size();
  return out;
}

void Store::Add(std::vector<Span> spans) {
  absl::MutexLock lock(&mutex_);
  for (Span& span : spans) {
    ++stats_.received;
    stats_.bytes += span.Bytes();
    by_trace_[span.trace_id].push_back(first_ + ring_.size());
    ring_.push_back(std::move(span));
    while (!ring_.empty() &&
           (ring_.size() > options_.max_spans || stats_.bytes > options_.max_bytes))
      DropOldest();
  }
}

void Store::DropOldest() {
  const Span& span = ring_.front();
  stats_.bytes -= span.Bytes();
  ++stats_.dropped;
  const auto found = by_trace_.find(span.trace_id);
  found->second
      .pop_front();  // sequence numbers within a trace ascend: the ring's oldest is its oldest
  if (found->second.empty()) by_trace_.erase(found);
  ring_.pop_front();
  ++first_;
}

std::vector<Span> Store::FindLocked(const std::string& trace_id) const {
  std::vector<Span> out;
  const auto found = by_trace_.find(trace_id);
  if (found == by_trace_.end()) return out;
  for (const uint64_t sequence : found->second) out.push_back(ring_[sequence - first_]);
  std::stable_sort(out.begin(), out.end(),
                   [](const Span& a, const Span& b) { return a.start_ns < b.start_ns; });
  return out;
}

std::vector<Span> Store::Find(const std::string& trace_id) const {
  absl::ReaderMutexLock lock(&mutex_);
  return FindLocked(trace_id);
}

std::vector<Summary> Store::Latest(size_t limit, const std::string& service) const {
  absl::ReaderMutexLock lock(&mutex_);
  std::vector<Summary> out;
  absl::flat_hash_set<std::string> seen;
  for (auto span = ring_.rbegin(); span != ring_.rend() && out.size() < limit; ++span) {
    if (!service.empty() && span->service != service) continue;
    if (!seen.insert(span->trace_id).second) continue;
    out.push_back(Summarise(FindLocked(span->trace_id)));
  }
  return out;
}

Store::Stats Store::stats() const {
  absl::ReaderMutexLock lock(&mutex_);
  Stats out = stats_;
  out.spans = ring_.size();
  return out;
}

}  // namespace heddle::trace
