// An HTTP connection without I/O: bytes in, events out; messages in, bytes out. HTTP/1 (h1/,
// llhttp) and HTTP/2 (h2/, nghttp2) implement the same four classes, so a session never asks which
// one it has.
//
//   Server side                              Client side
//   ServerCodec::Feed(bytes)                 ClientCodec::Feed(bytes)
//     -> ServerEvents::OnRequest(stream)       -> StreamEvents::OnHead(ResponseHead) ...
//        -> StreamEvents::OnBody ...
//
// A codec writes to the Buffer given to Make...Codec (the connection's out()); its owner flushes.
// All on one thread. From inside any event the receiver may call the codec back (send, reset), but
// must destroy the codec only late (loop.Destroy).
//
// Output is gathered: a codec that has something to write calls OnOutput of its ServerEvents or
// ClientEvents once; the owner then calls PrepareFlush once before it flushes out(), at the end of
// the loop iteration:
//
//   void Session::OnOutput() { loop.MarkDirty(this); }
//   void Session::AtEnd() { codec->PrepareFlush(); connection->Flush(); }
//
// HTTP/1 appends to out() at once, HTTP/2 makes its frames in PrepareFlush; both want the same two
// calls.
//
// Upgrades look the same in both: RequestHead::protocol holds the token and method is what an
// HTTP/1 request would say ("GET"); a ResponseHead with status 101 accepts (HTTP/2 sends it as
// :status 200 on an extended CONNECT) and is a final head. After 101, or 2xx to CONNECT, OnBody and
// SendBody carry raw bytes both ways; `end` half-closes.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "source/base/buffer.h"
#include "source/http/headers.h"

namespace heddle::http {

enum class ResetReason : uint8_t {
  kCancel,         // h2 CANCEL or the local side gave up
  kRefused,        // h2 REFUSED_STREAM or GOAWAY above the last id: surely not processed
  kProtocolError,  // the peer broke the protocol on this stream
  kInternal,
  kConnectionClosed,  // the connection went away under the stream
  kFlowControl,
  kTooLarge,  // a limit on headers was hit
  kHttp11Required,
};

// What makes bytes no request (or no more of one), from the codec that read them.
struct Malformed {
  enum class Kind : uint8_t {
    kBroken,  // against the protocol or a limit of the connection
    kReset,   // refused by a rule of ours that ends only the stream (h2)
    kLate,    // the head did not arrive in time; see ServerCodec::GiveUp
  };
  int status = 0;             // to answer with; 0: the protocol has no answer
  absl::string_view details;  // Envoy's response code details; static text
  Kind kind = Kind::kBroken;
};

// What the peer does on one stream. `end`: nothing follows. After OnReset, or once both directions
// have ended, the codec forgets the stream and calls no more. A server's stream is over as soon as
// its response has ended: what is still to come of the request is discarded (h1, up to a limit,
// then the connection ends) or refused (h2 RST_STREAM(NO_ERROR)) without an event.
class StreamEvents {
 public:
  virtual ~StreamEvents() = default;
  virtual void OnBody(base::Buffer& data,
                      bool end) = 0;  // take it all; give credit back by Stream::Consumed
  virtual void OnTrailers(Trailers trailers) = 0;  // implies end
  virtual void OnReset(ResetReason reason) = 0;
  // Pending() fell to kLowPending or less after it had been more; h1: out() is below its limit
  // again.
  virtual void OnWritable() {}
};

class RequestEvents : public StreamEvents {
 public:
  // The rest of the request is no HTTP. With a status, and as long as no head was sent, the stream
  // may still be answered before this returns; then it is over, by an OnReset if need be.
  virtual void OnMalformed(const Malformed& what) { (void)what; }
};

class ResponseEvents : public StreamEvents {
 public:
  // 1xx heads come with end = false and may be several; then the final head.
  virtual void OnHead(ResponseHead head, bool end) = 0;
};

// The half of a stream that both sides share. Owned by its codec; valid until the codec forgets it
// (see StreamEvents). Reset() by us: no event follows and the pointer is dead.
class Stream {
 public:
  static constexpr size_t kLowPending = 32 * 1024;

  virtual uint32_t id() const = 0;                          // h2 stream id; 1, 2, 3... for h1
  virtual void SendBody(base::Buffer& data, bool end) = 0;  // takes all of data
  virtual void SendTrailers(const Trailers& trailers) = 0;  // implies end
  virtual void Reset(ResetReason reason) = 0;
  // Gives the peer room for `bytes` more of body (h2 window update; h1 none). Call as body is
  // passed on.
  virtual void Consumed(size_t bytes) = 0;
  // Bytes taken by SendBody that are still inside the codec (h2 waits for a window).
  virtual size_t Pending() const = 0;
  // HTTP/1 reads on only while the current stream wants more: false stops parsing body. (h2: no
  // effect.)
  virtual void SetReading(bool on) = 0;

 protected:
  ~Stream() = default;
};

// Server side of one stream.
class ServerStream : public Stream {
 public:
  // 1xx any number of times, then the final one. HTTP/1: keep_alive = false asks for `connection:
  // close`.
  virtual void SendHead(const ResponseHead& head, bool end) = 0;
};

class ClientStream : public Stream {
 public:
  // Bytes of this exchange on the wire so far, heads and framing included; still right inside the
  // last event.
  struct WireBytes {
    uint64_t sent = 0, received = 0;
  };
  virtual WireBytes wire_bytes() const = 0;
  virtual void SendHead(const RequestHead& head, bool end) = 0;  // once, first
};

class ServerEvents {
 public:
  virtual ~ServerEvents() = default;
  // A request's head is complete. Returns who receives the rest of that stream; must not be null.
  virtual RequestEvents* OnRequest(ServerStream* stream, RequestHead head, bool end) = 0;
  // Bytes that never became a request. `stream` takes the answer before this returns, and (h1) ends
  // the connection with it; null where there is no answer.
  virtual void OnMalformed(ServerStream* stream, const Malformed& what) = 0;
  // The peer goes away or asked for the end of the connection (h2 GOAWAY, h1 connection: close).
  virtual void OnPeerDraining() {}
  // Something waits to be written: call PrepareFlush, then flush out(). Not repeated until
  // PrepareFlush ran.
  virtual void OnOutput() {}
  // The answer to SendPing.
  virtual void OnPong(uint64_t opaque) { (void)opaque; }
};

// What is malformed is told by OnMalformed, of the events or of the stream it belongs to; where
// that ends the connection, Feed then returns an error whose message is Malformed::details, e.g.
// "http1.content_length_and_chunked_not_allowed".
class ServerCodec {
 public:
  virtual ~ServerCodec() = default;
  // Consumes what it can of `in`; call it again with what is left once wants_input() is true again.
  // An error is a connection error: every stream got its OnReset already; flush out() and close.
  // `eof`: the peer half-closed.
  virtual absl::Status Feed(base::Buffer& in, bool eof) = 0;
  // h2: resets streams whose owner is done with them and whose last bytes wait for a window that
  // did not open since the last call. True while any such stream waits. (h1: no effect.)
  virtual bool ResetStalled() = 0;
  // A request's head has begun and is not whole.
  virtual bool reading_head() const = 0;
  // That head, if there is one, is OnMalformed(what). Flush out() and close; an h2 connection may
  // live on for its other streams.
  virtual void GiveUp(const Malformed& what) = 0;
  // Moves what waits into out(). See OnOutput.
  virtual void PrepareFlush() = 0;
  // The connection is gone: OnReset(reason) for every stream; nothing may be sent after it.
  virtual void ResetAll(ResetReason reason) = 0;
  // Liveness probe (h2 PING; nothing in h1); answered by OnPong.
  virtual void SendPing(uint64_t opaque) = 0;
  virtual Protocol protocol() const = 0;
  virtual size_t active_streams() const = 0;
  // Graceful end. h2: GOAWAY (first with the highest id, the final one by a second call). h1: the
  // next response carries `connection: close`.
  virtual void Drain() = 0;
  // True when no further request can come and no stream is left: close the connection.
  virtual bool finished() const = 0;
  // Called when the connection's out() is below its limit again: goes on with what was held back
  // and tells OnWritable to the streams that may still send.
  virtual void OnOutWritable() = 0;
  // False while the codec wants no input (h1: a request waits for the previous response). Ask after
  // each event.
  virtual bool wants_input() const = 0;
};

class ClientEvents {
 public:
  virtual ~ClientEvents() = default;
  virtual void OnGoAway() {}  // no new streams; running ones go on
  virtual void OnSettings(uint32_t max_concurrent_streams) { (void)max_concurrent_streams; }
  virtual void OnOutput() {}  // as ServerEvents::OnOutput
  // h1: our end of a tunnel has ended: half-close the connection behind what waits in out().
  virtual void OnHalfClose() {}
  virtual void OnPong(uint64_t opaque) { (void)opaque; }
};

class ClientCodec {
 public:
  virtual ~ClientCodec() = default;
  virtual absl::Status Feed(base::Buffer& in, bool eof) = 0;  // as ServerCodec::Feed
  virtual void PrepareFlush() = 0;
  virtual void ResetAll(ResetReason reason) = 0;
  virtual void SendPing(uint64_t opaque) = 0;
  virtual Protocol protocol() const = 0;
  // Null when no stream can be opened now (h1 busy, h2 at its limit or going away). The stream has
  // its id after SendHead.
  virtual ClientStream* NewStream(ResponseEvents* events) = 0;
  virtual size_t active_streams() const = 0;
  virtual size_t max_streams() const = 0;  // 1 for h1
  virtual bool reusable() const = 0;       // false after GOAWAY, connection: close, an error
  virtual void Drain() = 0;
  virtual void OnOutWritable() = 0;
  virtual bool wants_input() const = 0;  // as ServerCodec::wants_input
};

}  // namespace heddle::http
