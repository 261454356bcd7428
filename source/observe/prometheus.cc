#include "source/observe/prometheus.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace heddle::observe {
namespace {

// Milliseconds; Envoy's default buckets.
constexpr double kBuckets[] = {0.5,   1,      5,      10,      25,     50,    100,
                               250,   500,    1000,   2500,    5000,   10000, 30000,
                               60000, 300000, 600000, 1800000, 3600000};

bool Unused(const stats::Sample& s) {
  switch (s.kind) {
    case stats::Kind::kCounter:
      return s.counter == 0;
    case stats::Kind::kGauge:
      return s.gauge == 0;
    case stats::Kind::kHistogram:
      return s.histogram->count() == 0;
  }
  return false;
}

std::string PrometheusName(absl::string_view name) {
  std::string out = absl::StrCat("envoy_", name);
  for (char& c : out) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '_') c = '_';
  }
  return out;
}

std::string Labels(const stats::Tags& tags, absl::string_view extra = "") {
  std::string out;
  for (const auto& [key, value] : tags) {
    absl::StrAppend(&out, out.empty() ? "" : ",", key, "=\"",
                    absl::StrReplaceAll(value, {{"\\", "\\\\"}, {"\"", "\\\""}, {"\n", "\\n"}}),
                    "\"");
  }
  if (!extra.empty()) absl::StrAppend(&out, out.empty() ? "" : ",", extra);
  return out.empty() ? "" : absl::StrCat("{", out, "}");
}

// Recorded values in exported units (microseconds become milliseconds).
double Scale(stats::Unit unit) { return unit == stats::Unit::kMicroseconds ? 1000.0 : 1.0; }

void AppendHistogram(const std::string& name, const stats::Sample& s, std::string* out) {
  const double scale = Scale(s.unit);
  for (const double bound : kBuckets) {
    absl::StrAppend(out, name, "_bucket", Labels(*s.tags, absl::StrCat("le=\"", bound, "\"")), " ",
                    s.histogram->CountAtMost(bound * scale), "\n");
  }
  absl::StrAppend(out, name, "_bucket", Labels(*s.tags, "le=\"+Inf\""), " ", s.histogram->count(),
                  "\n");
  absl::StrAppend(out, name, "_sum", Labels(*s.tags), " ",
                  static_cast<double>(s.histogram->sum()) / scale, "\n");
  absl::StrAppend(out, name, "_count", Labels(*s.tags), " ", s.histogram->count(), "\n");
}

absl::string_view TypeName(stats::Kind kind) {
  switch (kind) {
    case stats::Kind::kCounter:
      return "counter";
    case stats::Kind::kGauge:
      return "gauge";
    case stats::Kind::kHistogram:
      return "histogram";
  }
  return "untyped";
}

// "cluster.upstream_rq_total" with the tag value put where Envoy's plain name has it.
std::string PlainName(const stats::Sample& s) {
  const size_t dot = s.name.find('.');
  if (s.tags->empty() || dot == absl::string_view::npos) return std::string(s.name);
  std::string out = std::string(s.name.substr(0, dot));
  for (const auto& [key, value] : *s.tags) absl::StrAppend(&out, ".", value);
  return absl::StrCat(out, s.name.substr(dot));
}

}  // namespace

std::string PrometheusText(stats::Registry& registry, const StatsOptions& options) {
  std::string out, last;
  registry.Visit([&](const stats::Sample& s) {
    if (options.used_only && Unused(s)) return;
    const std::string name = PrometheusName(s.name);
    if (!absl::StrContains(name, options.contains)) return;
    if (name != last) absl::StrAppend(&out, "# TYPE ", name, " ", TypeName(s.kind), "\n");
    last = name;
    switch (s.kind) {
      case stats::Kind::kCounter:
        absl::StrAppend(&out, name, Labels(*s.tags), " ", s.counter, "\n");
        break;
      case stats::Kind::kGauge:
        absl::StrAppend(&out, name, Labels(*s.tags), " ", s.gauge, "\n");
        break;
      case stats::Kind::kHistogram:
        AppendHistogram(name, s, &out);
        break;
    }
  });
  return out;
}

std::string PlainText(stats::Registry& registry, const StatsOptions& options) {
  std::string out;
  registry.Visit([&](const stats::Sample& s) {
    if (options.used_only && Unused(s)) return;
    const std::string name = PlainName(s);
    if (!absl::StrContains(name, options.contains)) return;
    switch (s.kind) {
      case stats::Kind::kCounter:
        absl::StrAppend(&out, name, ": ", s.counter, "\n");
        break;
      case stats::Kind::kGauge:
        absl::StrAppend(&out, name, ": ", s.gauge, "\n");
        break;
      case stats::Kind::kHistogram: {
        const double scale = Scale(s.unit);
        absl::StrAppend(&out, name, ": count=", s.histogram->count(),
                        " P50=", s.histogram->Quantile(0.5) / scale,
                        " P90=", s.histogram->Quantile(0.9) / scale,
                        " P99=", s.histogram->Quantile(0.99) / scale, "\n");
        break;
      }
    }
  });
  return out;
}

}  // namespace heddle::observe
