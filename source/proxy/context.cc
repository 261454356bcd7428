#include "source/proxy/context.h"

#include "source/upstream/cluster.h"

namespace heddle::proxy {

absl::string_view DateText::At(absl::Time now) {
  const int64_t second = absl::ToUnixSeconds(now);
  if (second != second_) {
    second_ = second;
    text_ = absl::FormatTime("%a, %d %b %E4Y %H:%M:%S GMT", now, absl::UTCTimeZone());
  }
  return text_;
}

Context::Context(event::Loop& l, stats::Sheet& s, base::Random& r, const base::Clock& c,
                 Epochs::MakeCluster make_cluster)
    : loop(l),
      sheet(s),
      random(r),
      clock(c),
      wake_(l,
            [this] {
              deadlines.Advance(loop.Now());
              Wake();
            }),
      deadlines([this] { Wake(); }),
      epochs(l, std::move(make_cluster)),
      sessions(l) {}

Context::~Context() = default;

void Context::Wake() {
  const base::Micros at = deadlines.NextWake();
  if (at != Deadlines::kNever) wake_.StartAt(at);
}

Epochs::MakeCluster Context::KeepClusters(event::Loop& loop, stats::Sheet& sheet,
                                          base::Random& random) {
  return [&loop, &sheet, &random](const std::shared_ptr<const upstream::ClusterSpec>& spec,
                                  std::shared_ptr<upstream::Cluster> before) {
    if (before == nullptr) {
      const upstream::Cluster::Context context{loop, random, sheet};
      return std::make_shared<upstream::Cluster>(context, spec);
    }
    before->Adopt(spec);
    return before;
  };
}

}  // namespace heddle::proxy
