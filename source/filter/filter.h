// The interface of an HTTP filter. A filter answers with values: go on, hold the request, or this
// reply. One instance lives for one stream; what it needs from its configuration it holds by
// shared_ptr<const Config>.
//
//   Verdict OnRequestHead(RequestHead& head, StreamContext&) override {
//     if (Denied(head)) return Verdict::Answer({.status = 403, .details =
//     "rbac_access_denied_matched_policy[none]"}); return Verdict::Next();
//   }
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "source/base/buffer.h"
#include "source/base/clock.h"
#include "source/config/route.h"
#include "source/event/loop.h"
#include "source/http/headers.h"
#include "source/observe/access_record.h"

namespace heddle::filter {

// A response made by us. gRPC requests get it as trailers-only with the mapped grpc-status.
struct Reply {
  int status = 500;
  std::string body;
  std::string details;                                       // %RESPONSE_CODE_DETAILS%
  uint32_t flags = 0;                                        // observe::Flag bits
  std::vector<std::pair<std::string, std::string>> headers;  // lower-case names
  int grpc_status = -1;                                      // -1: mapped from status
};

class Verdict {
 public:
  enum class Kind : uint8_t { kNext, kHold, kAnswer };
  static Verdict Next() { return Verdict(Kind::kNext); }
  // The lane waits at this filter until StreamContext::Resume is called.
  static Verdict Hold() { return Verdict(Kind::kHold); }
  static Verdict Answer(Reply reply) {
    Verdict v(Kind::kAnswer);
    v.reply_ = std::make_unique<Reply>(std::move(reply));
    return v;
  }
  Kind kind() const { return kind_; }
  Reply& reply() { return *reply_; }

 private:
  explicit Verdict(Kind kind) : kind_(kind) {}
  Kind kind_;
  std::unique_ptr<Reply> reply_;
};

// What a filter may ask of the stream it works for. Implemented by proxy::Stream; a test writes ten
// lines.
class StreamContext {
 public:
  virtual event::Loop& loop() = 0;
  virtual base::Random& random() = 0;
  virtual observe::AccessRecord& record() = 0;
  // Matched route, null when none matched (yet). Filters that change what the route depends on call
  // ClearRoute.
  virtual const config::Route* route() = 0;
  virtual void ClearRoute() = 0;
  // Per-route configuration of the filter instance `name`: route, then virtual host, then route
  // configuration. Null: none.
  virtual const void* RouteConfig(absl::string_view name) = 0;
  // Ends a Hold: goes on behind the filter that held. Safe to call once, later, from the loop.
  // `reply` not null: answer.
  virtual void Resume(std::unique_ptr<Reply> reply = nullptr) = 0;

 protected:
  ~StreamContext() = default;
};

class HttpFilter {
 public:
  virtual ~HttpFilter() = default;
  // Bytes of request body wanted before OnRequestHead is called with Stream's body gathered; 0 =
  // none. More than that arriving is answered 413 by the lane.
  virtual size_t GatherRequestBody() const { return 0; }
  virtual Verdict OnRequestHead(http::RequestHead& head, StreamContext& stream) {
    (void)head, (void)stream;
    return Verdict::Next();
  }
  virtual Verdict OnRequestBody(base::Buffer& data, bool end, StreamContext& stream) {
    (void)data, (void)end, (void)stream;
    return Verdict::Next();
  }
  virtual Verdict OnResponseHead(http::ResponseHead& head, StreamContext& stream) {
    (void)head, (void)stream;
    return Verdict::Next();
  }
  virtual Verdict OnResponseBody(base::Buffer& data, bool end, StreamContext& stream) {
    (void)data, (void)end, (void)stream;
    return Verdict::Next();
  }
  virtual void OnDone(const observe::AccessRecord& record) { (void)record; }
};

}  // namespace heddle::filter
