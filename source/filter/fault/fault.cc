// Faults on purpose: delay, abort. Source: envoy.extensions.filters.http.fault.v3.HTTPFault.
#include "source/filter/fault/fault.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "envoy/extensions/filters/http/fault/v3/fault.pb.h"
#include "source/base/status.h"
#include "source/config/match.h"
#include "source/decode/match.h"
#include "source/decode/unknown.h"
#include "source/filter/filter.h"

namespace heddle::filter::fault {
namespace {

namespace pb = envoy::extensions::filters::http::fault::v3;

struct Config {
  std::optional<absl::Duration> delay;  // fixed
  bool delay_by_header = false;
  config::Fraction delay_share{0, 100};
  int status = 0;  // fixed abort
  int grpc_status = -1;
  bool abort_by_header = false;
  config::Fraction abort_share{0, 100};
  std::string upstream_cluster;
  std::vector<config::HeaderMatcher> headers;
  uint32_t max_active = UINT32_MAX;
  mutable std::atomic<uint32_t> active{0};  // all workers
};

// A client may wait no longer than this by its own header.
constexpr absl::Duration kMaxHeaderDelay = absl::Minutes(10);

// The x-envoy-fault-*-percentage header may lower the configured share, never raise it (Envoy).
bool Roll(const config::Fraction& share, const http::RequestHead& head,
          absl::string_view percentage_header, base::Random& random) {
  uint32_t numerator = share.numerator;
  uint32_t asked = 0;
  if (const auto text = head.headers.Get(percentage_header);
      text.has_value() && absl::SimpleAtoi(*text, &asked)) {
    numerator = std::min(numerator, asked);
  }
  return random.Below(share.denominator) < numerator;
}

class Filter final : public HttpFilter {
 public:
  explicit Filter(std::shared_ptr<const Config> config, std::string name)
      : config_(std::move(config)), name_(std::move(name)) {}
  ~Filter() override { EndFault(); }

  Verdict OnRequestHead(http::RequestHead& head, StreamContext& stream) override {
    if (const auto* route = static_cast<const Config*>(stream.RouteConfig(name_))) here_ = route;
    if (!Applies(head, stream)) return Verdict::Next();
    abort_ = ChooseAbort(head, stream.random());
    const absl::Duration delay = ChooseDelay(head, stream.random());
    if (delay > absl::ZeroDuration() && BeginFault()) {
      stream.record().Set(observe::Flag::kDelayInjected);
      timer_ =
          std::make_unique<event::Timer>(stream.loop(), [this, &stream] { AfterDelay(stream); });
      timer_->Start(delay);
      return Verdict::Hold();
    }
    if (abort_ == nullptr || !BeginFault()) return Verdict::Next();
    return Verdict::Answer(std::move(*abort_));
  }

  void OnDone(const observe::AccessRecord&) override { EndFault(); }

 private:
  bool Applies(const http::RequestHead& head, StreamContext& stream) const {
    const Config& c = *here_;
    if (!c.upstream_cluster.empty()) {
      const config::Route* route = stream.route();
      if (route == nullptr || route->forward.cluster != c.upstream_cluster) return false;
    }
    return std::all_of(c.headers.begin(), c.headers.end(),
                       [&](const config::HeaderMatcher& m) { return config::Matches(m, head); });
  }

  absl::Duration ChooseDelay(const http::RequestHead& head, base::Random& random) const {
    absl::Duration delay = here_->delay.value_or(absl::ZeroDuration());
    if (here_->delay_by_header) {
      uint64_t millis = 0;
      const auto text = head.headers.Get("x-envoy-fault-delay-request");
      if (!text.has_value() || !absl::SimpleAtoi(*text, &millis)) return absl::ZeroDuration();
      delay =
          std::min(absl::Milliseconds(static_cast<int64_t>(std::min<uint64_t>(millis, 1u << 30))),
                   kMaxHeaderDelay);
    }
    const bool hit =
        Roll(here_->delay_share, head, "x-envoy-fault-delay-request-percentage", random);
    return hit ? delay : absl::ZeroDuration();
  }

  std::unique_ptr<Reply> ChooseAbort(const http::RequestHead& head, base::Random& random) const {
    int status = here_->status, grpc = here_->grpc_status;
    if (here_->abort_by_header) {
      const auto http_text = head.headers.Get("x-envoy-fault-abort-request");
      const auto grpc_text = head.headers.Get("x-envoy-fault-abort-grpc-request");
      if (http_text.has_value() && absl::SimpleAtoi(*http_text, &status) &&
          (status < 200 || status > 599))
        status = 0;
      if (grpc_text.has_value() && absl::SimpleAtoi(*grpc_text, &grpc) && (grpc < 0 || grpc > 16))
        grpc = -1;
    }
    if (status == 0 && grpc < 0) return nullptr;
    if (!Roll(here_->abort_share, head, "x-envoy-fault-abort-request-percentage", random))
      return nullptr;
    return std::make_unique<Reply>(
        Reply{.status = status == 0 ? 200 : status,
              .body = "fault filter abort",
              .details = "fault_filter_abort",
              .flags = static_cast<uint32_t>(observe::Flag::kFaultInjected),
              .headers = {},
              .grpc_status = grpc});
  }

  void AfterDelay(StreamContext& stream) {
    if (abort_ == nullptr) EndFault();
    stream.Resume(std::move(abort_));
  }

  bool BeginFault() {
    if (here_->active.fetch_add(1, std::memory_order_relaxed) >= here_->max_active) {
      here_->active.fetch_sub(1, std::memory_order_relaxed);
      return false;
    }
    counted_ = true;
    return true;
  }

  void EndFault() {
    if (counted_) here_->active.fetch_sub(1, std::memory_order_relaxed);
    counted_ = false;
  }

  std::shared_ptr<const Config> config_;
  const Config* here_ = config_.get();  // the route's configuration, or config_
  std::string name_;
  std::unique_ptr<Reply> abort_;
  std::unique_ptr<event::Timer> timer_;
  bool counted_ = false;
};

absl::Status DecodeDelay(const envoy::extensions::filters::common::fault::v3::FaultDelay& in,
                         const base::Path& at, Config* out) {
  if (in.has_header_delay()) {
    out->delay_by_header = true;
  } else {
    HEDDLE_ASSIGN_OR_RETURN(const absl::Duration delay,
                            decode::DecodeDuration(in.fixed_delay(), at.Field("fixed_delay")));
    if (delay <= absl::ZeroDuration()) return at.Field("fixed_delay").Error("must be more than 0s");
    out->delay = delay;
  }
  HEDDLE_ASSIGN_OR_RETURN(out->delay_share,
                          decode::DecodeFraction(in.percentage(), at.Field("percentage")));
  return absl::OkStatus();
}

absl::Status DecodeAbort(const pb::FaultAbort& in, const base::Path& at, Config* out) {
  switch (in.error_type_case()) {
    case pb::FaultAbort::kHttpStatus:
      if (in.http_status() < 200 || in.http_status() > 599) {
        return at.Field("http_status")
            .Error(absl::StrCat("found ", in.http_status(), ", allowed 200 to 599"));
      }
      out->status = static_cast<int>(in.http_status());
      break;
    case pb::FaultAbort::kGrpcStatus:
      if (in.grpc_status() > 16) {
        return at.Field("grpc_status")
            .Error(absl::StrCat("found ", in.grpc_status(), ", allowed 0 to 16"));
      }
      out->grpc_status = static_cast<int>(in.grpc_status());
      break;
    case pb::FaultAbort::kHeaderAbort:
      out->abort_by_header = true;
      break;
    case pb::FaultAbort::ERROR_TYPE_NOT_SET:
      return at.Error("one of http_status, grpc_status, header_abort is required");
  }
  HEDDLE_ASSIGN_OR_RETURN(out->abort_share,
                          decode::DecodeFraction(in.percentage(), at.Field("percentage")));
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const Config>> DecodeConfig(const google::protobuf::Any& any,
                                                           const base::Path& at) {
  pb::HTTPFault in;
  if (!any.UnpackTo(&in))
    return at.Error("cannot be read as envoy.extensions.filters.http.fault.v3.HTTPFault");
  HEDDLE_RETURN_IF_ERROR(decode::RejectUnknown(in, at));
  auto out = std::make_shared<Config>();
  if (in.has_delay()) HEDDLE_RETURN_IF_ERROR(DecodeDelay(in.delay(), at.Field("delay"), out.get()));
  if (in.has_abort()) HEDDLE_RETURN_IF_ERROR(DecodeAbort(in.abort(), at.Field("abort"), out.get()));
  out->upstream_cluster = in.upstream_cluster();
  for (int i = 0; i < in.headers_size(); ++i) {
    const base::Path list = at.Field("headers");
    HEDDLE_ASSIGN_OR_RETURN(
        config::HeaderMatcher header,
        decode::DecodeHeader(in.headers(i), list.Index(static_cast<size_t>(i))));
    out->headers.push_back(std::move(header));
  }
  if (in.has_max_active_faults()) out->max_active = in.max_active_faults().value();
  return std::shared_ptr<const Config>(std::move(out));
}

absl::Status Decode(const google::protobuf::Any& any, const base::Path& at, decode::Context&,
                    config::HttpFilterSpec* spec) {
  HEDDLE_ASSIGN_OR_RETURN(std::shared_ptr<const Config> config, DecodeConfig(any, at));
  spec->make = [config, name = spec->name] { return std::make_unique<Filter>(config, name); };
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const void>> DecodeRoute(const google::protobuf::Any& any,
                                                        const base::Path& at, decode::Context&) {
  HEDDLE_ASSIGN_OR_RETURN(std::shared_ptr<const Config> config, DecodeConfig(any, at));
  return std::shared_ptr<const void>(std::move(config));
}

}  // namespace

decode::HttpFilterEntry HttpEntry() {
  return {.message = "envoy.extensions.filters.http.fault.v3.HTTPFault",
          .type = "envoy.filters.http.fault",
          .decode = Decode,
          .route_message = "envoy.extensions.filters.http.fault.v3.HTTPFault",
          .decode_route = DecodeRoute};
}

}  // namespace heddle::filter::fault
