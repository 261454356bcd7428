#include "source/http/h2/session.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "source/base/status.h"

namespace heddle::http::h2 {

uint32_t ErrorOf(ResetReason reason) {
  switch (reason) {
    case ResetReason::kCancel:
      return NGHTTP2_CANCEL;
    case ResetReason::kRefused:
      return NGHTTP2_REFUSED_STREAM;
    case ResetReason::kProtocolError:
      return NGHTTP2_PROTOCOL_ERROR;
    case ResetReason::kInternal:
    case ResetReason::kConnectionClosed:
      return NGHTTP2_INTERNAL_ERROR;
    case ResetReason::kFlowControl:
      return NGHTTP2_FLOW_CONTROL_ERROR;
    case ResetReason::kTooLarge:
      return NGHTTP2_ENHANCE_YOUR_CALM;
    case ResetReason::kHttp11Required:
      return NGHTTP2_HTTP_1_1_REQUIRED;
  }
  return NGHTTP2_INTERNAL_ERROR;
}

ResetReason ReasonOf(uint32_t error) {
  switch (error) {
    case NGHTTP2_NO_ERROR:
    case NGHTTP2_CANCEL:
      return ResetReason::kCancel;
    case NGHTTP2_REFUSED_STREAM:
      return ResetReason::kRefused;
    case NGHTTP2_PROTOCOL_ERROR:
      return ResetReason::kProtocolError;
    case NGHTTP2_FLOW_CONTROL_ERROR:
      return ResetReason::kFlowControl;
    case NGHTTP2_HTTP_1_1_REQUIRED:
      return ResetReason::kHttp11Required;
    default:
      return ResetReason::kInternal;
  }
}

void FieldList::Add(absl::string_view name, absl::string_view value, bool index) {
  const uint8_t flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE |
                        (index ? NGHTTP2_NV_FLAG_NONE : NGHTTP2_NV_FLAG_NO_INDEX);
  fields_.push_back({reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
                     reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(),
                     value.size(), flags});
}

void FieldList::AddAll(const Headers& headers) {
  for (const Headers::Entry& e : headers.entries()) {
    bool index = true;
    switch (e.id) {
      case HeaderId::kConnection:
      case HeaderId::kHost:
      case HeaderId::kHttp2Settings:
      case HeaderId::kKeepAlive:
      case HeaderId::kProxyConnection:
      case HeaderId::kTransferEncoding:
      case HeaderId::kUpgrade:
        continue;
      case HeaderId::kTe:
        if (e.value != "trailers") continue;
        break;
      // New with every message: an entry in the compression table would only push out others.
      case HeaderId::kB3:
      case HeaderId::kTraceparent:
      case HeaderId::kTracestate:
      case HeaderId::kXEnvoyUpstreamServiceTime:
      case HeaderId::kXRequestId:
        index = false;
        break;
      default:
        break;
    }
    Add(e.name, e.value, index);
  }
}

// ---- A stream

void StreamState::SendData(base::Buffer& data, bool end) {
  if (!head_sent_ || local_end_ || closed_ || session_->dead()) return data.Clear();
  pending_.Move(data);
  local_end_ = end;
  if (pending_.size() > Stream::kLowPending) blocked_ = true;
  session_->Resume(this);
}

void StreamState::SendLast(const Trailers& trailers) {
  if (!head_sent_ || local_end_ || closed_ || session_->dead()) return;
  local_end_ = true;
  if (!data_submitted_) {
    FieldList fields;
    fields.AddAll(trailers);
    if (session_->SendFields(this, fields.data(), fields.size(), true) < 0) {
      session_->QueueReset(this, ResetReason::kInternal);
    }
    return;
  }
  trailers_out_ = std::make_unique<Trailers>(trailers.Copy());
  session_->Resume(this);
}

void StreamState::ResetNow(ResetReason reason) {
  Forget();
  end_told_ = true;
  pending_.Clear();
  if (closed_ || session_->dead()) return;
  if (id_ < 0) return session_->Remove(this);
  nghttp2_submit_rst_stream(session_->raw(), NGHTTP2_FLAG_NONE, id_, ErrorOf(reason));
  session_->NoteOutput();
}

void StreamState::SendPending() {
  if (!pending_.empty() && !closed_ && !session_->dead()) session_->Flush();
}

void StreamState::Credit(size_t bytes) {
  bytes = std::min(bytes, unconsumed_);
  if (bytes == 0 || session_->dead()) return;
  unconsumed_ -= bytes;
  if (closed_ || remote_ended_) {
    nghttp2_session_consume_connection(session_->raw(), bytes);
  } else {
    nghttp2_session_consume(session_->raw(), id_, bytes);
  }
  if (nghttp2_session_want_write(session_->raw()) != 0) session_->NoteOutput();
}

void StreamState::DeliverRest() {
  if (receiver() != nullptr && !received_.empty()) {
    base::Buffer data = std::move(received_);
    const bool end = remote_ended_ && !trailers_in_;
    end_told_ = end_told_ || end;
    receiver()->OnBody(data, end);
  }
  if (receiver() != nullptr && remote_ended_ && !end_told_) {
    end_told_ = true;
    if (trailers_in_) {
      Trailers trailers = *std::move(trailers_in_);
      trailers_in_.reset();
      receiver()->OnTrailers(std::move(trailers));
    } else {
      base::Buffer nothing;
      receiver()->OnBody(nothing, true);
    }
  }
  StreamEvents* const to = receiver();
  if (to == nullptr) return;
  const bool both_ended = end_told_ && local_end_;
  if (!reset_in_ && closed_ && !both_ended) reset_in_ = ResetReason::kCancel;
  if (!reset_in_ && !both_ended) return;
  Forget();
  if (reset_in_) to->OnReset(*reset_in_);
}

void StreamState::Recycle() {
  session_ = nullptr;
  previous_ = next_ = nullptr;
  id_ = -1;
  started_ = 0;
  received_.Clear();
  trailers_in_.reset();
  reset_in_.reset();
  malformed_ = {};
  unconsumed_ = 0;
  queued_ = remote_ended_ = end_told_ = closed_ = reset_by_peer_ = false;
  pending_.Clear();
  trailers_out_.reset();
  head_sent_ = local_end_ = data_submitted_ = deferred_ = blocked_ = tell_writable_ = false;
  moved_ = false;
  wire_sent_ = wire_received_ = 0;
}

// ---- nghttp2's callbacks

struct Session::Callbacks {
  static Session& Of(void* user) { return *static_cast<Session*>(user); }

  static int BeginFrame(nghttp2_session*, const nghttp2_frame_hd* frame, void* user) {
    return Of(user).OnBeginFrame(*frame);
  }
  static int BeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    return Of(user).OnBeginHeaders(*frame);
  }
  // NOLINTBEGIN(readability-function-size): nghttp2's parameters
  static int Field(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name,
                   size_t name_bytes, const uint8_t* value, size_t value_bytes, uint8_t flags,
                   void* user) {
    return Of(user).OnField(*frame, {reinterpret_cast<const char*>(name), name_bytes},
                            {reinterpret_cast<const char*>(value), value_bytes}, flags);
  }
  static int InvalidField(nghttp2_session*, const nghttp2_frame*, const uint8_t*, size_t,
                          const uint8_t*, size_t, uint8_t, void* user) {
    return Of(user).OnInvalidField();
  }
  // NOLINTEND(readability-function-size)
  static int Frame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    return Of(user).OnFrame(*frame);
  }
  static int InvalidFrame(nghttp2_session*, const nghttp2_frame* frame, int error, void* user) {
    return Of(user).OnInvalidFrame(*frame, error);
  }
  static int Data(nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t bytes,
                  void* user) {
    return Of(user).OnData(id, {reinterpret_cast<const char*>(data), bytes});
  }
  static int StreamClosed(nghttp2_session*, int32_t id, uint32_t error, void* user) {
    return Of(user).OnStreamClosed(id, error);
  }
  static int FrameSent(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    return Of(user).OnFrameSent(*frame);
  }
  static int FrameNotSent(nghttp2_session*, const nghttp2_frame* frame, int, void* user) {
    return Of(user).OnFrameNotSent(*frame);
  }
  // NOLINTNEXTLINE(readability-function-size): nghttp2's parameters
  static ssize_t ReadData(nghttp2_session*, int32_t, uint8_t*, size_t length, uint32_t* flags,
                          nghttp2_data_source* source, void* user) {
    return Of(user).ReadData(static_cast<StreamState*>(source->ptr), length, flags);
  }
  static int SendData(nghttp2_session*, nghttp2_frame*, const uint8_t* header, size_t length,
                      nghttp2_data_source* source, void* user) {
    return Of(user).SendDataFrame(static_cast<StreamState*>(source->ptr), header, length);
  }

  static nghttp2_session_callbacks* Make() {
    nghttp2_session_callbacks* c = nullptr;
    HEDDLE_CHECK(nghttp2_session_callbacks_new(&c) == 0);
    nghttp2_session_callbacks_set_on_begin_frame_callback(c, BeginFrame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, BeginHeaders);
    nghttp2_session_callbacks_set_on_header_callback(c, Field);
    nghttp2_session_callbacks_set_on_invalid_header_callback(c, InvalidField);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, Frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(c, InvalidFrame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, Data);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, StreamClosed);
    nghttp2_session_callbacks_set_on_frame_send_callback(c, FrameSent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(c, FrameNotSent);
    nghttp2_session_callbacks_set_send_data_callback(c, SendData);
    return c;
  }
};

namespace {

constexpr size_t kFrameHeader = 9;
constexpr uint32_t kServerContinuations = 512;
constexpr uint32_t kClientContinuations = 1024;
// Resets per second from the peer that nghttp2 itself takes; premature resets are judged here,
// before it.
constexpr uint64_t kResetBurst = 10'000;

nghttp2_option* MakeOption(const Options& options, bool client) {
  nghttp2_option* o = nullptr;
  HEDDLE_CHECK(nghttp2_option_new(&o) == 0);
  nghttp2_option_set_no_auto_window_update(o, 1);
  // A server keeps its closed streams (as many as may be open), to tell the peer that they are
  // closed: RFC 9113, section 5.1.
  nghttp2_option_set_no_closed_streams(o, client ? 1 : 0);
  nghttp2_option_set_max_reserved_remote_streams(o, 0);
  nghttp2_option_set_max_deflate_dynamic_table_size(o, options.hpack_table_size);
  nghttp2_option_set_max_send_header_block_length(o, 16 * 1024 * 1024);
  nghttp2_option_set_max_outbound_ack(o, options.max_outbound_control_frames);
  nghttp2_option_set_max_continuations(o, client ? kClientContinuations : kServerContinuations);
  nghttp2_option_set_stream_reset_rate_limit(o, kResetBurst, kResetBurst);
  return o;
}

}  // namespace

// ---- The session

Session::Session(const Options& options, bool client, base::Buffer* out, Side* side)
    : options_(options),
      client_(client),
      out_(out),
      side_(side),
      clock_(options.clock != nullptr ? *options.clock : base::SystemClock()) {
  static const nghttp2_session_callbacks* const kCallbacks = Callbacks::Make();
  nghttp2_option* option = MakeOption(options_, client_);
  const int made = client_ ? nghttp2_session_client_new2(&session_, kCallbacks, this, option)
                           : nghttp2_session_server_new2(&session_, kCallbacks, this, option);
  nghttp2_option_del(option);
  // NOLINTNEXTLINE(bugprone-infinite-loop): it ends the process
  HEDDLE_CHECK(made == 0) << "out of memory";

  absl::InlinedVector<nghttp2_settings_entry, 4> settings;
  if (client_) {
    settings.push_back({NGHTTP2_SETTINGS_ENABLE_PUSH, 0});
  } else {
    settings.push_back({NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options_.max_concurrent_streams});
    if (options_.allow_connect) settings.push_back({NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1});
  }
  settings.push_back({NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options_.initial_stream_window});
  if (options_.hpack_table_size != NGHTTP2_DEFAULT_HEADER_TABLE_SIZE) {
    settings.push_back({NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, options_.hpack_table_size});
  }
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0,
                                        static_cast<int32_t>(options_.initial_connection_window));
}

Session::~Session() {
  // nghttp2 calls back for open streams while it is deleted: nobody is to hear of that.
  for (StreamState* s = streams_; s != nullptr; s = s->next_) s->Forget();
  nghttp2_session_del(session_);
  ready_.clear();
  while (streams_ != nullptr) {
    StreamState* stream = streams_;
    streams_ = stream->next_;
    stream->Recycle();
    side_->Release(stream);
  }
}

absl::Status Session::Feed(base::Buffer& in, bool eof) {
  if (!failure_.ok()) return failure_;
  if (dead()) return Fail(abort_detail_, abort_code_);  // from the last flush
  while (!in.empty()) {
    const absl::string_view run = in.Front();
    const ssize_t n = nghttp2_session_mem_recv(
        session_, reinterpret_cast<const uint8_t*>(run.data()), run.size());
    if (n < 0) {
      if (!abort_detail_.empty()) return Fail(abort_detail_, abort_code_);
      if (n == NGHTTP2_ERR_FLOODED)
        return Fail("http2.outbound_control_flood", NGHTTP2_ENHANCE_YOUR_CALM);
      return Fail("http2.codec_error", NGHTTP2_PROTOCOL_ERROR);
    }
    in.Consume(static_cast<size_t>(n));
  }
  const bool quiet = ready_.empty();
  Dispatch();
  // Nobody has anything to add to acknowledgements and the like.
  if (quiet) {
    Flush();
    Dispatch();
  }
  Bury();
  if (!abort_detail_.empty()) return Fail(abort_detail_, abort_code_);
  if (nghttp2_session_want_write(session_) != 0 || !out_->empty()) NoteOutput();
  if (eof) {
    eof_ = true;
    ResetAll(ResetReason::kConnectionClosed);
  }
  return absl::OkStatus();
}

// A GOAWAY with the reason goes out; streams are told that their connection is gone.
absl::Status Session::Fail(absl::string_view detail, uint32_t goaway_code) {
  absl::Status why = absl::InvalidArgumentError(detail);
  nghttp2_session_terminate_session(session_, goaway_code);
  Flush();
  if (StreamState* const stream = std::exchange(abort_stream_, nullptr); stream != nullptr) {
    stream->malformed_.details = detail;
    Queue(stream);
  }
  ResetAll(ResetReason::kConnectionClosed);
  failure_ = why;
  NoteOutput();
  return why;
}

int Session::Abort(absl::string_view detail, uint32_t code, StreamState* stream) {
  if (abort_detail_.empty()) {
    abort_detail_ = detail;
    abort_code_ = code;
    abort_stream_ = stream;
  }
  return NGHTTP2_ERR_CALLBACK_FAILURE;
}

void Session::ResetAll(ResetReason reason) {
  if (failure_.ok()) failure_ = absl::UnavailableError("connection closed");
  for (StreamState* s = streams_; s != nullptr; s = s->next_) {
    if (s->receiver() == nullptr) continue;
    if (!s->reset_in_) s->reset_in_ = reason;
    Queue(s);
  }
  Dispatch();
}

void Session::PrepareFlush() {
  output_noted_ = false;
  if (held_ && out_->size() <= options_.output_limit / 2) ResumeHeld();
  Flush();
  Dispatch();
  Bury();
}

void Session::Flush() {
  if (out_->empty()) outbound_frames_ = outbound_control_frames_ = 0;
  for (;;) {
    const uint8_t* data = nullptr;
    const ssize_t n = nghttp2_session_mem_send(session_, &data);
    if (n <= 0) break;
    out_->Append({reinterpret_cast<const char*>(data), static_cast<size_t>(n)});
  }
}

void Session::DispatchConnection() {
  if (std::exchange(tell_settings_, false)) side_->OnSettings();
  if (std::exchange(tell_goaway_, false)) side_->OnGoAway();
  if (pongs_.empty()) return;
  const std::vector<uint64_t> pongs = std::exchange(pongs_, {});
  for (const uint64_t opaque : pongs) side_->OnPong(opaque);
}

void Session::Dispatch() {
  if (dispatching_) return;
  dispatching_ = true;
  DispatchConnection();
  for (size_t i = 0; i < ready_.size(); ++i) {
    StreamState* stream = ready_[i];
    stream->queued_ = false;
    if (stream->blocked_ && stream->pending_.size() <= Stream::kLowPending) {
      stream->blocked_ = false;
      stream->tell_writable_ = true;
    }
    if (std::exchange(stream->tell_writable_, false) && stream->head_sent_ && !stream->local_end_ &&
        stream->receiver() != nullptr) {
      stream->receiver()->OnWritable();
    }
    stream->Deliver();
  }
  ready_.clear();
  dispatching_ = false;
}

// Streams that nghttp2 closed and that were told so. Only when no caller of ours can hold one: not
// while dispatching.
void Session::Bury() {
  if (dispatching_) return;
  for (StreamState* stream : std::exchange(closed_, {})) {
    if (stream->queued_) {
      closed_.push_back(stream);
      continue;
    }
    if (stream->unconsumed_ > 0 && !dead())
      nghttp2_session_consume_connection(session_, stream->unconsumed_);
    stream->Forget();
    Remove(stream);
  }
}

void Session::Remove(StreamState* stream) {
  if (current_ == stream) current_ = nullptr;
  if (abort_stream_ == stream) abort_stream_ = nullptr;
  if (sending_ == stream) sending_ = nullptr;
  if (stream->queued_) ready_.erase(std::find(ready_.begin(), ready_.end(), stream));
  if (stream->previous_ != nullptr) stream->previous_->next_ = stream->next_;
  if (stream->next_ != nullptr) stream->next_->previous_ = stream->previous_;
  if (streams_ == stream) streams_ = stream->next_;
  if (!stream->closed_) --active_;
  stream->Recycle();
  side_->Release(stream);
}

void Session::Add(StreamState* stream, int32_t id) {
  stream->session_ = this;
  stream->id_ = id;
  stream->next_ = streams_;
  if (streams_ != nullptr) streams_->previous_ = stream;
  streams_ = stream;
  ++active_;
}

void Session::Queue(StreamState* stream) {
  if (std::exchange(stream->queued_, true)) return;
  ready_.push_back(stream);
}

void Session::QueueReset(StreamState* stream, ResetReason reason) {
  stream->reset_in_ = reason;
  Queue(stream);
  NoteOutput();
}

void Session::NoteOutput() {
  if (std::exchange(output_noted_, true)) return;
  side_->NotifyOutput();
}

void Session::SendPing(uint64_t opaque) {
  if (dead()) return;
  uint8_t bytes[8];
  std::memcpy(bytes, &opaque, sizeof bytes);
  nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, bytes);
  NoteOutput();
}

void Session::ResumeHeld() {
  held_ = false;
  if (dead()) return;
  for (StreamState* s = streams_; s != nullptr; s = s->next_) {
    if (s->deferred_ && !s->pending_.empty()) Resume(s);
  }
}

void Session::OnOutWritable() {
  if (dead()) return;
  ResumeHeld();
  for (StreamState* s = streams_; s != nullptr; s = s->next_) {
    // Who looked at out() alone waits, too.
    if (!s->head_sent_ || s->local_end_) continue;
    s->tell_writable_ = true;
    Queue(s);
  }
  Dispatch();
}

bool Session::ResetStalled() {
  if (dead()) return false;
  bool waiting = false;
  for (StreamState* s = streams_; s != nullptr; s = s->next_) {
    const bool orphan = s->local_end_ && s->receiver() == nullptr && !s->closed_;
    if (!orphan || s->pending_.empty()) continue;
    waiting = true;
    if (!std::exchange(s->moved_, false)) s->ResetNow(ResetReason::kCancel);
  }
  return waiting;
}

void Session::Drain() {
  if (dead()) return;
  ++drains_;
  if (!client_ && drains_ == 1) {
    nghttp2_submit_shutdown_notice(session_);
  } else if (drains_ <= 2) {
    drains_ = 2;
    const int32_t last = client_ ? 0 : nghttp2_session_get_last_proc_stream_id(session_);
    nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, nullptr, 0);
  }
  NoteOutput();
}

bool Session::finished() const {
  if (dead()) return true;
  // nghttp2 ended the connection by itself, with a GOAWAY that says why.
  if (nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0)
    return true;
  return active_ == 0 && (drains_ >= 2 || goaway_received_);
}

bool Session::usable() const {
  return !dead() && !goaway_received_ && drains_ == 0 &&
         nghttp2_session_check_request_allowed(session_) != 0;
}

int32_t Session::SendFields(StreamState* stream, const nghttp2_nv* nva, size_t count, bool end) {
  const int32_t id =
      nghttp2_submit_headers(session_, end ? NGHTTP2_FLAG_END_STREAM : NGHTTP2_FLAG_NONE,
                             stream->id_, nullptr, nva, count, stream);
  if (id < 0) return id;
  if (stream->id_ < 0) stream->id_ = id;
  // The fields are views of the caller's: they are packed before it goes on.
  sending_ = stream;
  Flush();
  sending_ = nullptr;
  NoteOutput();
  return id;
}

void Session::Resume(StreamState* stream) {
  if (dead()) return;
  if (!stream->data_submitted_) {
    stream->data_submitted_ = true;
    nghttp2_data_provider provider{};
    provider.source.ptr = stream;
    provider.read_callback = Callbacks::ReadData;
    nghttp2_submit_data(session_, NGHTTP2_FLAG_END_STREAM, stream->id_, &provider);
  } else if (std::exchange(stream->deferred_, false)) {
    nghttp2_session_resume_data(session_, stream->id_);
  }
  NoteOutput();
}

ssize_t Session::ReadData(StreamState* stream, size_t length, uint32_t* flags) {
  const size_t waiting = stream->pending_.size();
  const bool full =
      out_->size() > options_.output_limit || outbound_frames_ > options_.max_outbound_frames / 2;
  if ((waiting == 0 && !stream->local_end_) || (waiting > 0 && full)) {
    stream->deferred_ = true;
    held_ = held_ || waiting > 0;
    return NGHTTP2_ERR_DEFERRED;
  }
  const size_t n = std::min(length, waiting);
  if (n > 0) *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (n == waiting && stream->local_end_) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (stream->trailers_out_ != nullptr) {
      FieldList fields;
      fields.AddAll(*stream->trailers_out_);
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      // The stream owns these fields until it is buried.
      if (nghttp2_submit_trailer(session_, stream->id_, fields.data(), fields.size()) != 0) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
      }
    }
  }
  return static_cast<ssize_t>(n);
}

int Session::SendDataFrame(StreamState* stream, const uint8_t* header, size_t length) {
  out_->Append({reinterpret_cast<const char*>(header), kFrameHeader});
  out_->Move(stream->pending_, length);
  stream->wire_sent_ += kFrameHeader + length;
  stream->moved_ = true;
  if (stream->blocked_ && stream->pending_.size() <= Stream::kLowPending) Queue(stream);
  return 0;
}

// ---- What is received

StreamState* Session::Find(int32_t id) const {
  return static_cast<StreamState*>(nghttp2_session_get_stream_user_data(session_, id));
}

int Session::EmptyFrame(bool empty) {
  if (!empty) {
    empty_frames_ = 0;
    return 0;
  }
  if (++empty_frames_ <= options_.max_consecutive_empty_frames) return 0;
  return Abort("http2.inbound_empty_frames_flood", NGHTTP2_ENHANCE_YOUR_CALM);
}

// Whether a request's HEADERS may have this id: a new one is above all before it (RFC 9113, section
// 5.1.1), which nghttp2 does not check.
bool Session::OrderedId(int32_t id) {
  if (id > highest_id_) {
    highest_id_ = id;
    return true;
  }
  return nghttp2_session_find_stream(session_, id) != nullptr;
}

int Session::OnBeginFrame(const nghttp2_frame_hd& frame) {
  switch (frame.type) {
    case NGHTTP2_DATA:
      // How much of a padded frame is padding is known at its end.
      if ((frame.flags & NGHTTP2_FLAG_PADDED) != 0) return 0;
      return EmptyFrame(frame.length == 0 && (frame.flags & NGHTTP2_FLAG_END_STREAM) == 0);
    case NGHTTP2_HEADERS:
      if (!client_ && !OrderedId(frame.stream_id)) {
        return Abort("http2.violation.of.messaging.rule", NGHTTP2_PROTOCOL_ERROR);
      }
      return EmptyFrame(frame.length == 0 && (frame.flags & NGHTTP2_FLAG_END_STREAM) == 0);
    case NGHTTP2_CONTINUATION:
      return EmptyFrame(frame.length == 0);
    case NGHTTP2_PRIORITY:
      if (++priority_frames_ > options_.max_priority_frames_per_stream * (1 + opened_streams_)) {
        return Abort("http2.inbound_priority_frames_flood", NGHTTP2_ENHANCE_YOUR_CALM);
      }
      return 0;
    case NGHTTP2_WINDOW_UPDATE:
      if (++window_updates_ >
          5 + 2 * (opened_streams_ +
                   options_.max_window_updates_per_data_frame * data_frames_sent_)) {
        return Abort("http2.inbound_window_update_frames_flood", NGHTTP2_ENHANCE_YOUR_CALM);
      }
      return 0;
    default:
      return 0;
  }
}

int Session::OnBeginHeaders(const nghttp2_frame& frame) {
  if (frame.hd.type != NGHTTP2_HEADERS) return 0;
  block_ = FieldBlock();
  if (!client_ && frame.headers.cat == NGHTTP2_HCAT_REQUEST) {
    ++opened_streams_;
    current_ = side_->Accept(frame.hd.stream_id);
    current_->started_ = clock_.Now();
    Add(current_, frame.hd.stream_id);
    nghttp2_session_set_stream_user_data(session_, frame.hd.stream_id, current_);
  } else {
    current_ = Find(frame.hd.stream_id);
  }
  return 0;
}

int Session::OnField(const nghttp2_frame&, absl::string_view name, absl::string_view value,
                     uint8_t) {
  if (current_ == nullptr) return 0;
  block_.bytes += name.size() + value.size();
  const bool too_large = block_.bytes > options_.max_headers_bytes;
  if (++block_.count > options_.max_headers_count || too_large) {
    // nghttp2 resets the stream; a response's owner is told why.
    current_->reset_in_ = ResetReason::kTooLarge;
    current_->malformed_ = {
        .details = too_large ? "http2.header_list_size_too_large" : "http2.too_many_headers",
        .kind = Malformed::Kind::kReset};
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }
  if (name[0] == ':') return OnPseudoField(name, value);
  const HeaderId id = IdOf(name);
  if (id == HeaderId::kCookie) ++block_.cookies;
  if (id == HeaderId::kOther && !client_ && options_.underscores != Options::Underscores::kAllow &&
      absl::StrContains(name, '_')) {
    if (options_.underscores == Options::Underscores::kDrop) return 0;
    current_->malformed_ = {.details = "http2.unexpected_underscore",
                            .kind = Malformed::Kind::kReset};
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }
  Arena& arena = block_.headers.arena();
  block_.headers.AddView(id, id == HeaderId::kOther ? arena.Copy(name) : NameOf(id),
                         arena.Copy(value));
  return 0;
}

int Session::OnPseudoField(absl::string_view name, absl::string_view value) {
  --block_.count;  // no field of its own
  if (name == ":status")
    return absl::SimpleAtoi(value, &block_.status) ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  absl::string_view* place = name == ":method"      ? &block_.method
                             : name == ":scheme"    ? &block_.scheme
                             : name == ":authority" ? &block_.authority
                             : name == ":path"      ? &block_.path
                             : name == ":protocol"  ? &block_.protocol
                                                    : nullptr;
  if (place != nullptr) *place = block_.headers.arena().Copy(value);
  return 0;
}

int Session::OnInvalidField() {
  constexpr absl::string_view kDetail = "http2.invalid.header.field";
  if (!options_.stream_error_on_invalid) return Abort(kDetail, NGHTTP2_PROTOCOL_ERROR, current_);
  if (current_ != nullptr) current_->malformed_.details = kDetail;
  return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

namespace {

// Crumbs of one cookie field (RFC 9113 8.2.3), which the rest of the world wants as one.
void JoinCookies(Headers* headers) {
  std::string joined;
  for (const Headers::Entry& e : headers->entries()) {
    if (e.id != HeaderId::kCookie) continue;
    if (!joined.empty()) joined += "; ";
    absl::StrAppend(&joined, e.value);
  }
  headers->Set(HeaderId::kCookie, joined);
}

}  // namespace

int Session::OnHeadersEnd(const nghttp2_frame& frame) {
  StreamState* const stream = std::exchange(current_, nullptr);
  if (stream == nullptr) return 0;
  stream->wire_received_ += kFrameHeader + frame.hd.length;
  if (block_.cookies > 1) JoinCookies(&block_.headers);
  if ((frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) stream->remote_ended_ = true;
  const bool trailers = block_.status == 0 && block_.method.empty();
  if (trailers) {
    stream->trailers_in_ = std::move(block_.headers);
  } else if (const auto wrong = stream->TakeBlock(std::exchange(block_, FieldBlock()));
             !wrong.empty()) {
    if (!options_.stream_error_on_invalid) return Abort(wrong, NGHTTP2_PROTOCOL_ERROR, stream);
    stream->malformed_.details = wrong;
    stream->reset_in_ = ResetReason::kProtocolError;
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream->id_, NGHTTP2_PROTOCOL_ERROR);
  }
  Queue(stream);
  return 0;
}

int Session::OnFrame(const nghttp2_frame& frame) {
  switch (frame.hd.type) {
    case NGHTTP2_HEADERS:
      return OnHeadersEnd(frame);
    case NGHTTP2_DATA: {
      if ((frame.hd.flags & NGHTTP2_FLAG_PADDED) != 0) {
        const bool empty =
            frame.hd.length <= frame.data.padlen && (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) == 0;
        if (const int rv = EmptyFrame(empty); rv != 0) return rv;
      }
      if ((frame.hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
      if (StreamState* stream = Find(frame.hd.stream_id); stream != nullptr) {
        stream->remote_ended_ = true;
        Queue(stream);
      }
      return 0;
    }
    case NGHTTP2_SETTINGS:
      if ((frame.hd.flags & NGHTTP2_FLAG_ACK) != 0) return 0;
      settings_received_ = tell_settings_ = true;
      return 0;
    case NGHTTP2_PING:
      if ((frame.hd.flags & NGHTTP2_FLAG_ACK) != 0) {
        uint64_t opaque = 0;
        std::memcpy(&opaque, frame.ping.opaque_data, sizeof opaque);
        pongs_.push_back(opaque);
      }
      return 0;
    case NGHTTP2_GOAWAY:
      if (!std::exchange(goaway_received_, true)) tell_goaway_ = true;
      return 0;
    case NGHTTP2_RST_STREAM:
      if (StreamState* stream = Find(frame.hd.stream_id); stream != nullptr)
        stream->reset_by_peer_ = true;
      return 0;
    default:
      return 0;
  }
}

int Session::OnInvalidFrame(const nghttp2_frame& frame, int error) {
  const bool messaging = error == NGHTTP2_ERR_HTTP_MESSAGING;
  if (!messaging && error != NGHTTP2_ERR_HTTP_HEADER)
    return 0;  // nghttp2 answers with RST_STREAM or GOAWAY itself
  const absl::string_view detail =
      messaging ? "http2.violation.of.messaging.rule" : "http2.invalid.header.field";
  StreamState* const stream = Find(frame.hd.stream_id);
  if (!options_.stream_error_on_invalid) return Abort(detail, NGHTTP2_PROTOCOL_ERROR, stream);
  if (stream != nullptr) stream->malformed_.details = detail;
  return 0;
}

int Session::OnData(int32_t id, absl::string_view data) {
  StreamState* const stream = Find(id);
  if (stream == nullptr || stream->end_told_ ||
      (stream->head_sent_ && stream->receiver() == nullptr)) {
    nghttp2_session_consume(session_, id, data.size());
    return 0;
  }
  stream->received_.Append(data);
  stream->wire_received_ += data.size();
  stream->unconsumed_ += data.size();
  Queue(stream);
  return 0;
}

void Session::CountClosed(const StreamState& stream) {
  ++closed_streams_;
  const bool unanswered = stream.reset_by_peer_ && !stream.head_sent_;
  if (unanswered && clock_.Now() - stream.started_ <= options_.premature_reset_lifetime)
    ++premature_resets_;
  const uint64_t of = std::max<uint64_t>(closed_streams_, options_.premature_reset_streams);
  if (premature_resets_ > 0 && premature_resets_ * 2 >= of) {
    Abort("too_many_premature_resets", NGHTTP2_ENHANCE_YOUR_CALM);
  }
}

int Session::OnStreamClosed(int32_t id, uint32_t error) {
  StreamState* const stream = Find(id);
  if (stream == nullptr) return 0;
  nghttp2_session_set_stream_user_data(session_, id, nullptr);
  if (!client_) CountClosed(*stream);
  const bool clean = error == NGHTTP2_NO_ERROR && (stream->remote_ended_ || !client_);
  if (!clean && !stream->reset_in_) stream->reset_in_ = ReasonOf(error);
  stream->closed_ = true;
  --active_;
  Queue(stream);
  closed_.push_back(stream);
  return abort_detail_.empty() ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

// ---- What is sent

int Session::OnFrameSent(const nghttp2_frame& frame) {
  ++outbound_frames_;
  switch (frame.hd.type) {
    case NGHTTP2_HEADERS:
      // Only trailers, and heads that had to wait, are looked up.
      if (client_) {
        StreamState* const stream = sending_ != nullptr ? sending_ : Find(frame.hd.stream_id);
        if (stream != nullptr && stream->id_ == frame.hd.stream_id)
          stream->wire_sent_ += kFrameHeader + frame.hd.length;
      }
      break;
    case NGHTTP2_PING:
    case NGHTTP2_SETTINGS:
    case NGHTTP2_RST_STREAM:
      ++outbound_control_frames_;
      break;
    case NGHTTP2_DATA:
      ++data_frames_sent_;
      break;
    default:
      break;
  }
  if (outbound_control_frames_ > options_.max_outbound_control_frames) {
    Abort("http2.outbound_control_flood", NGHTTP2_ENHANCE_YOUR_CALM);
  } else if (outbound_frames_ > options_.max_outbound_frames) {
    Abort("http2.outbound_frames_flood", NGHTTP2_ENHANCE_YOUR_CALM);
  }
  const bool ends = (frame.hd.type == NGHTTP2_DATA || frame.hd.type == NGHTTP2_HEADERS) &&
                    (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  if (client_ || !ends) return 0;
  // The response is whole: the rest of the request is not wanted.
  StreamState* const stream = Find(frame.hd.stream_id);
  if (stream != nullptr && !stream->remote_ended_) {
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, frame.hd.stream_id, NGHTTP2_NO_ERROR);
  }
  return 0;
}

int Session::OnFrameNotSent(const nghttp2_frame& frame) {
  if (frame.hd.type != NGHTTP2_HEADERS) return 0;
  StreamState* const stream = Find(frame.hd.stream_id);
  if (stream != nullptr && !stream->closed_) {
    stream->reset_in_ = ResetReason::kRefused;
    Queue(stream);
  }
  return 0;
}

}  // namespace heddle::http::h2
