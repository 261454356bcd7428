// What the two sides of an HTTP/1 connection have in common, one of them for each codec: a message
// is read, another written, and whoever owns the connection is told of output.
#pragma once

#include <cstdint>
#include <utility>

#include "source/base/buffer.h"
#include "source/http/h1/body.h"
#include "source/http/h1/codec.h"
#include "source/http/h1/encode.h"
#include "source/http/h1/head.h"

namespace heddle::http::h1 {

// `Events` is told of the connection, `Receiver` of the stream there is.
template <typename Events, typename Receiver>
class Half {
 protected:
  Half(const Options& options, base::Buffer* out, Events* events)
      : options_(options), out_(out), events_(events) {}
  ~Half() = default;

  // Runs `step` until it makes no progress with the input or says what is wrong with it.
  template <typename Step>
  static Failure FeedBy(base::Buffer& in, Step step) {
    Failure failure;
    while (!in.empty() && step(in, &failure)) {
    }
    return failure;
  }

  // Bytes of a tunnel, as they are. False: they are not wanted now.
  bool PassTunnel(base::Buffer& in) {
    if (!reading_) return false;
    base::Buffer data;
    data.Move(in);
    receiver_->OnBody(data, false);
    return true;
  }

  void ClearOutputNotice() { output_noted_ = false; }
  void NoteOutput() {
    if (std::exchange(output_noted_, true)) return;
    events_->OnOutput();
  }
  void TellWritable() {
    if (receiver_ != nullptr) receiver_->OnWritable();
  }

  const Options options_;
  base::Buffer* const out_;
  Events* const events_;
  Receiver* receiver_ = nullptr;  // of the stream there is
  HeadScanner scanner_;
  BodyReader body_;
  BodyWriter writer_;
  uint32_t id_ = 0;
  bool reading_ = true;
  bool keep_alive_ = true;  // after the message there is
  bool head_request_ = false;
  bool connect_ = false;

 private:
  bool output_noted_ = false;
};

}  // namespace heddle::http::h1
