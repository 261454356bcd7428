#include "control_plane/trace/waterfall.h"

#include <algorithm>
#include <cmath>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace heddle::trace {
namespace {

constexpr size_t kMaxDepth = 32;
constexpr size_t kMaxColumn = 44;

struct Line {
  const Span* span;
  size_t depth;
  bool orphan;
};

// Depth first, siblings by start time. A cycle of parents is entered at its earliest span and cut.
class Tree {
 public:
  explicit Tree(const std::vector<Span>& spans) {
    for (const Span& span : spans) ids_.insert(span.span_id);
    std::vector<const Span*> sorted;
    sorted.reserve(spans.size());
    for (const Span& span : spans) sorted.push_back(&span);
    std::stable_sort(sorted.begin(), sorted.end(), [](const Span* a, const Span* b) {
      return a->start_ns != b->start_ns ? a->start_ns < b->start_ns
                                        : a->duration_ns > b->duration_ns;
    });
    for (const Span* span : sorted) children_[Parent(*span)].push_back(span);
    Walk("", 0);
    for (const Span* span : sorted)
      if (!done_.contains(span)) Visit(span, 0, true);
  }
  const std::vector<Line>& lines() const { return lines_; }

 private:
  std::string Parent(const Span& span) const {
    return ids_.contains(span.parent_id) && span.parent_id != span.span_id ? span.parent_id : "";
  }
  void Walk(const std::string& parent, size_t depth) {
    const auto found = children_.find(parent);
    if (found == children_.end()) return;
    for (const Span* span : found->second)
      Visit(span, depth, parent.empty() && !span->parent_id.empty());
  }
  void Visit(const Span* span, size_t depth, bool orphan) {
    if (!done_.insert(span).second) return;
    lines_.push_back({span, depth, orphan});
    if (depth < kMaxDepth) Walk(span->span_id, depth + 1);
  }

  absl::flat_hash_set<std::string> ids_;
  absl::flat_hash_map<std::string, std::vector<const Span*>> children_;
  absl::flat_hash_set<const Span*> done_;
  std::vector<Line> lines_;
};

// Control characters of what comes from the network must not reach a terminal.
std::string Printable(absl::string_view text, size_t limit) {
  std::string out;
  for (const char c : text.substr(0, limit)) out.push_back(absl::ascii_isprint(c) ? c : '?');
  if (text.size() > limit) out.replace(out.size() - 1, 1, "~");
  return out;
}

std::string StatusText(const Span& span) {
  const absl::string_view grpc = span.Attribute("grpc.status_code");
  const absl::string_view http = span.Attribute("http.status_code");
  std::string out = !grpc.empty() ? absl::StrCat("grpc ", grpc) : std::string(http);
  if (http.empty() && grpc.empty()) {
    const absl::string_view newer = span.Attribute("http.response.status_code");
    out = newer.empty() ? (span.error ? "error" : "") : std::string(newer);
  }
  if (const absl::string_view flags = span.Attribute("response_flags");
      !flags.empty() && flags != "-")
    absl::StrAppend(&out, " ", flags);
  if (const absl::string_view retries = span.Attribute("retry.count"); !retries.empty())
    absl::StrAppend(&out, " retry ", retries);
  return Printable(out, 24);
}

// Who called (an authenticated identity, shortened) or who was called.
std::string PeerText(const Span& span) {
  absl::string_view identity = span.Attribute("peer.identity");
  if (!identity.empty()) {
    const size_t ns = identity.find("/ns/");
    if (ns != absl::string_view::npos) identity.remove_prefix(ns + 4);
    std::string text(identity);
    if (const size_t sa = text.find("/sa/"); sa != std::string::npos) text.replace(sa, 4, "/");
    return Printable(absl::StrCat("from ", text), 36);
  }
  if (const absl::string_view to = span.Attribute("upstream_address"); !to.empty())
    return Printable(absl::StrCat("to ", to), 36);
  return Printable(span.Attribute("peer.address"), 36);
}

std::string Repeat(absl::string_view what, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) out.append(what.data(), what.size());
  return out;
}

struct Row {
  std::string service;  // indented; its display width is service_width
  size_t service_width;
  std::string operation, status, peer, bar, duration;
  bool error;
};

}  // namespace

std::string Milliseconds(int64_t ns) {
  if (ns < 1'000'000) return absl::StrFormat("%d us", ns / 1000);
  if (ns < 1'000'000'000) return absl::StrFormat("%.1f ms", static_cast<double>(ns) / 1e6);
  return absl::StrFormat("%.2f s", static_cast<double>(ns) / 1e9);
}

std::string Waterfall(const std::vector<Span>& spans, const WaterfallOptions& options) {
  if (spans.empty()) return "no spans\n";
  int64_t begin = spans.front().start_ns, end = begin;
  for (const Span& span : spans) {
    begin = std::min(begin, span.start_ns);
    end = std::max(end, span.start_ns + span.duration_ns);
  }
  const double scale = static_cast<double>(options.bar_width) /
                       static_cast<double>(std::max<int64_t>(1, end - begin));
  const absl::string_view block = options.ascii ? "#" : "█";
  const absl::string_view branch = options.ascii ? "`-" : "└ ";

  std::vector<Row> rows;
  size_t widths[4] = {7, 9, 6, 4};
  const Tree tree(spans);
  for (const Line& line : tree.lines()) {
    const Span& span = *line.span;
    Row row;
    const std::string indent =
        line.depth == 0 ? "" : absl::StrCat(Repeat("  ", line.depth - 1), branch);
    row.service = absl::StrCat(indent, Printable(span.service, kMaxColumn));
    row.service_width = 2 * line.depth + std::min(span.service.size(), kMaxColumn);
    row.operation =
        absl::StrCat(Printable(span.name, kMaxColumn), line.orphan ? " (parent missing)" : "");
    row.status = StatusText(span);
    row.peer = PeerText(span);
    const auto offset =
        std::min(options.bar_width - 1,
                 static_cast<size_t>(static_cast<double>(span.start_ns - begin) * scale));
    const auto length = std::clamp<size_t>(
        std::lround(static_cast<double>(span.duration_ns) * scale), 1, options.bar_width - offset);
    row.bar = absl::StrCat(Repeat(" ", offset), Repeat(block, length),
                           Repeat(" ", options.bar_width - offset - length));
    row.duration = absl::StrCat("+", Milliseconds(span.start_ns - begin), "  ",
                                Milliseconds(span.duration_ns));
    row.error = span.error;
    widths[0] = std::max(widths[0], row.service_width);
    widths[1] = std::max(widths[1], row.operation.size());
    widths[2] = std::max(widths[2], row.status.size());
    widths[3] = std::max(widths[3], row.peer.size());
    rows.push_back(std::move(row));
  }

  std::string out = absl::StrFormat("trace %s  %s  %d spans\n", spans.front().trace_id,
                                    Milliseconds(end - begin), spans.size());
  absl::StrAppendFormat(&out, "%-*s  %-*s  %-*s  %-*s  %-*s  START, DURATION\n", widths[0],
                        "SERVICE", widths[1], "OPERATION", widths[2], "STATUS", widths[3], "PEER",
                        options.bar_width, "TIME");
  for (const Row& row : rows) {
    if (options.colour && row.error) out += "\x1b[31m";
    absl::StrAppend(&out, row.service, Repeat(" ", widths[0] - row.service_width));
    absl::StrAppendFormat(&out, "  %-*s  %-*s  %-*s  ", widths[1], row.operation, widths[2],
                          row.status, widths[3], row.peer);
    absl::StrAppend(&out, row.bar, "  ", row.duration, options.colour && row.error ? "\x1b[0m" : "",
                    "\n");
  }
  return out;
}

}  // namespace heddle::trace
