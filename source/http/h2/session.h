// What both sides of an HTTP/2 connection share: the nghttp2 session, its streams, the limits
// against floods.
//
// nghttp2 forbids sending from inside its receive callbacks, so these only note what happened to
// each stream; Dispatch tells the streams' receivers afterwards, and they may call anything. A
// stream that came and went within one Feed is never told of.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "source/base/buffer.h"
#include "source/base/clock.h"
#include "source/http/codec.h"
#include "source/http/h2/codec.h"

namespace heddle::http::h2 {

class Session;

// One block of fields while it is read.
struct FieldBlock {
  Headers headers;
  absl::string_view method, scheme, authority, path, protocol;  // views into headers.arena()
  int status = 0;
  size_t bytes = 0;
  uint32_t count = 0;
  int cookies = 0;
};

// A stream as the session sees it; pooled. Server and client derive the half that their callers
// see.
class StreamState {
 public:
  virtual ~StreamState() = default;

  // Tells the receiver all that was noted. Called from Dispatch only.
  virtual void Deliver() = 0;
  // A field block is whole. Empty: it is taken; else what is wrong (Malformed::details), and the
  // stream is to be reset with PROTOCOL_ERROR.
  virtual absl::string_view TakeBlock(FieldBlock block) = 0;
  // Drops the receiver: nothing is told any more.
  virtual void Forget() = 0;
  virtual StreamEvents* receiver() = 0;

  void SendData(base::Buffer& data, bool end);
  void SendLast(const Trailers& trailers);
  void ResetNow(ResetReason reason);
  // What the windows allow of what waits is on its way before anything that follows.
  void SendPending();
  void Credit(size_t bytes);
  size_t pending() const { return pending_.size(); }
  int32_t h2_id() const { return id_; }

 protected:
  friend class Session;
  // Tells body, trailers, end and reset to `to`, which Forget may make null meanwhile.
  void DeliverRest();
  void Recycle();  // back to the state of a new one

  Session* session_ = nullptr;
  StreamState* previous_ = nullptr;  // list of the session's streams
  StreamState* next_ = nullptr;
  int32_t id_ = -1;  // -1: not sent yet
  base::Micros started_ = 0;

  // Received and not told yet.
  base::Buffer received_;
  std::optional<Trailers> trailers_in_;
  std::optional<ResetReason> reset_in_;
  Malformed malformed_;    // details are empty while nothing is wrong
  size_t unconsumed_ = 0;  // body bytes without credit, told or not
  bool queued_ = false;    // in Session::ready_
  bool remote_ended_ = false;
  bool end_told_ = false;
  bool closed_ = false;  // nghttp2 forgot it
  bool reset_by_peer_ = false;

  // To be sent.
  base::Buffer pending_;
  std::unique_ptr<Trailers> trailers_out_;
  bool head_sent_ = false;  // the final head, or the request's
  bool local_end_ = false;  // nothing more comes from the owner
  bool data_submitted_ = false;
  bool deferred_ = false;       // nghttp2 waits for nghttp2_session_resume_data
  bool blocked_ = false;        // pending_ went above kLowPending: OnWritable is owed
  bool tell_writable_ = false;  // by the next Dispatch
  uint64_t wire_sent_ = 0, wire_received_ = 0;  // frames of this stream that carry the message
  bool moved_ = false;                          // some of pending_ went, since ResetStalled looked
};

class Session {
 public:
  // What differs between the sides.
  class Side {
   public:
    virtual StreamState* Accept(int32_t id) = 0;    // server: a request begins
    virtual void Release(StreamState* stream) = 0;  // gives it back to the pool
    virtual void NotifyOutput() = 0;
    virtual void OnGoAway() = 0;
    virtual void OnSettings() = 0;
    virtual void OnPong(uint64_t opaque) = 0;

   protected:
    ~Side() = default;
  };

  Session(const Options& options, bool client, base::Buffer* out, Side* side);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  absl::Status Feed(base::Buffer& in, bool eof);
  void PrepareFlush();
  void ResetAll(ResetReason reason);
  void SendPing(uint64_t opaque);
  void OnOutWritable();
  bool ResetStalled();  // see ServerCodec
  // First a notice (servers), then the final GOAWAY.
  void Drain();
  bool finished() const;
  bool usable() const;  // client: new streams may be opened

  // Sends a field block now: `nva` need not outlive the call. Returns the stream's id, negative on
  // failure.
  int32_t SendFields(StreamState* stream, const nghttp2_nv* nva, size_t count, bool end);
  void Add(StreamState* stream, int32_t id);
  void QueueReset(StreamState* stream, ResetReason reason);  // told at the next Dispatch
  void Remove(StreamState* stream);                          // of one that was never sent

  size_t active() const { return active_; }
  // Whose block of fields has begun and is not whole; null when none has.
  StreamState* reading() const { return current_; }
  nghttp2_session* raw() const { return session_; }
  const Options& options() const { return options_; }
  bool dead() const { return !failure_.ok() || !abort_detail_.empty(); }
  bool settings_received() const { return settings_received_; }
  void NoteOutput();

 private:
  friend class StreamState;
  struct Callbacks;

  void Dispatch();
  void DispatchConnection();
  void Flush();
  void Bury();  // gives closed streams back
  absl::Status Fail(absl::string_view detail, uint32_t goaway_code);
  void Queue(StreamState* stream);
  void Resume(StreamState* stream);
  void ResumeHeld();
  StreamState* Find(int32_t id) const;

  // nghttp2's callbacks; each returns 0 or an NGHTTP2_ERR_*.
  int OnBeginFrame(const nghttp2_frame_hd& frame);
  bool OrderedId(int32_t id);
  int OnBeginHeaders(const nghttp2_frame& frame);
  int OnField(const nghttp2_frame& frame, absl::string_view name, absl::string_view value,
              uint8_t flags);
  int OnPseudoField(absl::string_view name, absl::string_view value);
  int OnInvalidField();
  int OnFrame(const nghttp2_frame& frame);
  int OnInvalidFrame(const nghttp2_frame& frame, int error);
  int OnData(int32_t id, absl::string_view data);
  int OnStreamClosed(int32_t id, uint32_t error);
  int OnFrameSent(const nghttp2_frame& frame);
  int OnFrameNotSent(const nghttp2_frame& frame);
  ssize_t ReadData(StreamState* stream, size_t length, uint32_t* flags);
  int SendDataFrame(StreamState* stream, const uint8_t* header, size_t length);

  // From a callback: ends the connection. `stream`, whose fault it was, may be null.
  int Abort(absl::string_view detail, uint32_t code, StreamState* stream = nullptr);
  int OnHeadersEnd(const nghttp2_frame& frame);
  void CountClosed(const StreamState& stream);
  int EmptyFrame(bool empty);

  const Options options_;
  const bool client_;
  base::Buffer* const out_;
  Side* const side_;
  const base::Clock& clock_;
  nghttp2_session* session_ = nullptr;
  StreamState* streams_ = nullptr;
  size_t active_ = 0;
  std::vector<StreamState*> ready_;  // something to tell
  std::vector<uint64_t> pongs_;      // to be told, as are:
  bool tell_goaway_ = false;
  bool tell_settings_ = false;
  std::vector<StreamState*> closed_;  // to be buried
  StreamState* current_ = nullptr;    // whose fields are being read
  StreamState* sending_ = nullptr;    // whose fields are being packed
  FieldBlock block_;

  absl::Status failure_;  // not OK: the connection is dead
  absl::string_view abort_detail_;
  StreamState* abort_stream_ = nullptr;  // whose fault it was
  uint32_t abort_code_ = 0;
  bool dispatching_ = false;
  bool output_noted_ = false;
  bool held_ = false;  // a full out() holds DATA back
  bool settings_received_ = false;
  bool goaway_received_ = false;
  bool eof_ = false;
  int drains_ = 0;

  // Floods.
  uint32_t outbound_frames_ = 0;
  uint32_t outbound_control_frames_ = 0;
  uint32_t empty_frames_ = 0;
  uint64_t opened_streams_ = 0;
  int32_t highest_id_ = 0;  // of a request so far; server side
  uint64_t priority_frames_ = 0;
  uint64_t window_updates_ = 0;
  uint64_t data_frames_sent_ = 0;
  uint64_t closed_streams_ = 0;
  uint64_t premature_resets_ = 0;
};

// Fields of a head or trailers for nghttp2, as views.
class FieldList {
 public:
  void Add(absl::string_view name, absl::string_view value, bool index = true);
  // All that may travel in HTTP/2 (RFC 9113 8.2.2): no field of a connection.
  void AddAll(const Headers& headers);
  const nghttp2_nv* data() const { return fields_.data(); }
  size_t size() const { return fields_.size(); }

 private:
  absl::InlinedVector<nghttp2_nv, 32> fields_;
};

uint32_t ErrorOf(ResetReason reason);
ResetReason ReasonOf(uint32_t error);

}  // namespace heddle::http::h2
