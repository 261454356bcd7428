// HTTP/2 over nghttp2. Flow control is the owner's: a window opens again only by Stream::Consumed.
// Limits against floods are Envoy's (protocol_constraints.cc), each an error of Feed with Envoy's
// detail text.
//
//   auto codec = h2::MakeServerCodec({.max_concurrent_streams = 100}, &connection->out(), this);
//
// Frames of a body are made in PrepareFlush; its blocks move to out() without a copy. A new codec
// has its preface and SETTINGS waiting without having said so by OnOutput: they go with the first
// PrepareFlush.
//
// active_streams() counts streams whose last bytes still wait for a window although their owner has
// been done with them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "source/base/buffer.h"
#include "source/base/clock.h"
#include "source/http/codec.h"

namespace heddle::http::h2 {

// Defaults are Envoy's.
struct Options {
  uint32_t max_concurrent_streams =
      1024;  // told to the peer; a client also opens no more than this
  uint32_t initial_stream_window = 16 * 1024 * 1024;  // bytes
  uint32_t initial_connection_window = 24 * 1024 * 1024;
  uint32_t hpack_table_size = 4096;  // both directions
  bool allow_connect = false;        // server: extended CONNECT (RFC 8441)
  // A malformed message ends its stream (PROTOCOL_ERROR) instead of the connection.
  bool stream_error_on_invalid = false;
  enum class Underscores : uint8_t { kAllow, kReject, kDrop };
  Underscores underscores = Underscores::kAllow;  // server: request header names
  uint32_t max_headers_count = 100;               // head and trailers each; more resets the stream
  size_t max_headers_bytes = 60 * 1024;
  // out() beyond this holds DATA back until OnOutWritable: the connection's buffer_limit, which
  // calls it.
  size_t output_limit = 1024 * 1024;

  // Floods.
  uint32_t max_outbound_frames = 10000;         // since out() was empty last
  uint32_t max_outbound_control_frames = 1000;  // PING, SETTINGS and RST_STREAM among them
  uint32_t max_consecutive_empty_frames = 1;    // HEADERS, CONTINUATION, DATA without END_STREAM
  uint32_t max_priority_frames_per_stream = 100;
  uint32_t max_window_updates_per_data_frame = 10;
  uint32_t premature_reset_streams =
      500;  // CVE-2023-44487; proxy-wide default of Envoy's runtime key
  base::Micros premature_reset_lifetime = 1'000'000;
  const base::Clock* clock = nullptr;  // null: base::SystemClock()
};

// `out` and `events` outlive the codec.
std::unique_ptr<ServerCodec> MakeServerCodec(const Options& options, base::Buffer* out,
                                             ServerEvents* events);
std::unique_ptr<ClientCodec> MakeClientCodec(const Options& options, base::Buffer* out,
                                             ClientEvents* events);

}  // namespace heddle::http::h2
