// One request and its response, from the moment its head is complete to its access record. Owns the
// filters and the Forwarder; pins the epoch it began with.
//
// Two lanes. The request lane runs head, body, trailers through the filters in order and hands them
// to the Forwarder; the response lane runs them back in reverse and hands them to the codec. A
// filter that answers Hold stops its lane there; what arrives meanwhile waits in the lane (and
// counts for back-pressure) until Resume. A reply, ours or a filter's, goes down the response lane
// from the place where it was made.
//
// Back-pressure: each direction reads exactly while its facts allow it; see UpdateRequestReading
// and UpdateResponseReading, which are called after every change of those facts.
#pragma once

#include <memory>
#include <optional>

#include "absl/container/inlined_vector.h"
#include "source/filter/filter.h"
#include "source/http/codec.h"
#include "source/observe/access_record.h"
#include "source/observe/tracer.h"
#include "source/proxy/deadlines.h"
#include "source/proxy/epoch.h"
#include "source/proxy/forwarder.h"
#include "source/proxy/free_list.h"
#include "source/proxy/route_table.h"

namespace heddle::proxy {

class HttpSession;

class Stream final : public event::Destroyable,
                     public http::RequestEvents,
                     public filter::StreamContext {
 public:
  Stream(HttpSession& session, http::ServerStream* downstream, http::RequestHead head);
  ~Stream() override;
  static void* operator new(size_t bytes) { return FreeList<Stream>::Allocate(bytes); }
  static void operator delete(void* block) { FreeList<Stream>::Free(block); }

  // Begins; may finish the stream before it returns. `end`: the request has no body.
  void Start(bool end);

  // http::RequestEvents: what the client does.
  void OnBody(base::Buffer& data, bool end) override;
  void OnTrailers(http::Trailers trailers) override;
  void OnReset(http::ResetReason reason) override;
  void OnWritable() override;
  void OnMalformed(const http::Malformed& what) override;

  // filter::StreamContext.
  event::Loop& loop() override;
  base::Random& random() override;
  observe::AccessRecord& record() override { return record_; }
  const config::Route* route() override;
  void ClearRoute() override;
  const void* RouteConfig(absl::string_view name) override;
  void Resume(std::unique_ptr<filter::Reply> reply) override;

  // For the Forwarder.
  HttpSession& session() { return session_; }
  Epoch* epoch() { return epoch_.get(); }
  http::RequestHead& head() { return head_; }
  const RouteTable& routes() const { return *routes_; }
  const RouteTable::Match& match() const { return match_; }
  int weighted() const { return weighted_; }
  // Where the route forwards to; null: to nowhere, or to a cluster that there is not.
  upstream::Cluster* cluster() const { return cluster_; }
  bool finished() const { return finished_; }
  bool response_started() const { return response_.head_done; }
  bool request_ended() const { return request_.ended; }
  void SendInformational(http::ResponseHead head);
  void OnResponseHead(http::ResponseHead head, bool end);
  void OnResponseBody(base::Buffer& data, bool end);
  void OnResponseTrailers(http::Trailers trailers);
  // A reply instead of a response. After the response began: resets the client's stream.
  void Answer(filter::Reply reply);
  void UpdateRequestReading();
  void UpdateResponseReading();
  // Something happened on this stream: the idle timeout starts again.
  void Touch();

  // For the session.
  size_t slot = 0;  // in HttpSession::streams_

 private:
  enum class Hold : uint8_t { kNone, kGather, kHead, kBody };
  struct Lane {
    base::Buffer arrived;  // seen by no filter yet
    base::Buffer held;     // a filter's OnBody answered Hold on it
    std::optional<http::Trailers> trailers;
    Hold hold = Hold::kNone;
    int at = 0;              // the filter that holds, or gathers
    size_t gather = 0;       // kGather: at most this much
    bool ended = false;      // everything has arrived
    bool head_done = false;  // the head has left the lane
    bool body_done = false;  // the end has left the lane
    size_t waiting() const { return arrived.size() + held.size(); }
  };

  void MatchRoute();
  void FindCluster(const config::RouteAction& action);
  stats::Sheet& context_stats();
  int filter_count() const { return static_cast<int>(filters_.size()); }
  bool UpgradeAllowed() const;
  void AnswerExpect();
  void StartTimers();
  void MakeFilters();
  bool AnswerRoute();

  void RequestHeadFrom(size_t at);
  void RequestBodyFrom(size_t at, base::Buffer& data);
  void RequestBody();
  void ResponseHeadFrom(int at);
  void ResponseBodyFrom(int at, base::Buffer& data);
  void ResponseBody();
  void PassResponseHead();
  void PassResponseBody(base::Buffer& data, bool last);
  // `at`: the filter that answers; those before it see the reply.
  void AnswerFrom(filter::Reply reply, int at);
  void ResumeRequest();
  void ResumeResponse();
  void CheckComplete();
  void ResetDownstream();
  void Finish();
  void CountFinished();

  void OnIdle();
  void OnRequestTimeout();
  void OnMaxDuration();

  HttpSession& session_;
  http::ServerStream* downstream_;  // null once the codec forgot it
  http::RequestHead head_;
  EpochPin epoch_;
  const RouteTable* routes_ = nullptr;
  RouteTable::Match match_;
  int weighted_ = -1;  // chosen weighted cluster
  upstream::Cluster* cluster_ = nullptr;
  absl::InlinedVector<std::unique_ptr<filter::HttpFilter>, 2> filters_;
  Lane request_, response_;
  http::ResponseHead response_head_;
  http::Trailers response_trailers_;
  size_t owed_ = 0;      // request body bytes passed on, credit not given back yet
  bool reading_ = true;  // the client's body is wanted now
  bool response_reading_ = true;
  bool finished_ = false;
  bool local_reply_ = false;
  bool routed_reply_ = false;  // the route itself answers: its header mutations apply
  bool route_stale_ = false;   // a filter changed what the route depends on
  bool refused_ = false;       // the request itself is at fault: HTTP/1 ends with the reply
  int reply_at_ = 0;           // where the local reply was made
  int filters_begun_ = 0;      // whose OnRequestHead has been called
  observe::AccessRecord record_;
  std::optional<observe::Span> span_;
  Deadline idle_, request_timeout_, max_duration_;
  base::Micros idle_after_ = 0;
  Forwarder forwarder_;  // last: uses the rest
};

}  // namespace heddle::proxy
