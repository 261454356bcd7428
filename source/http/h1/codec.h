// HTTP/1.1 (and 1.0 when allowed) over llhttp: strict about everything that two parsers could read
// in two ways. Rules and detail texts follow Envoy's HTTP/1 codec.
//
//   auto codec = h1::MakeServerCodec({.max_headers_count = 100}, &connection->out(), this);
//   absl::Status status = codec->Feed(in, eof);
//
// A head is parsed once it is wholly there (bounded by max_headers_bytes), copied once into the
// arena of its Headers, and its fields are views into that copy. A body with a content-length is
// moved, not copied.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "source/base/buffer.h"
#include "source/http/codec.h"

namespace heddle::http::h1 {

// Defaults are Envoy's.
struct Options {
  bool accept_http_10 = false;  // else 426
  std::string
      default_host_for_http_10;  // authority of an HTTP/1.0 request without Host; empty = 400
  bool allow_absolute_url = true;
  bool allow_chunked_length = false;  // content-length beside chunked: dropped instead of 400
  bool enable_trailers = false;       // pass trailers on in both directions; else they are dropped
  enum class Underscores : uint8_t { kAllow, kReject, kDrop };
  Underscores underscores = Underscores::kAllow;  // header names; HTTP requests only
  uint32_t max_headers_count = 100;               // head and trailers each
  size_t max_headers_bytes = 60 * 1024;           // head and trailers each, request line included
  bool secure = false;                            // scheme of requests: https
};

// `out` and `events` outlive the codec.
std::unique_ptr<ServerCodec> MakeServerCodec(const Options& options, base::Buffer* out,
                                             ServerEvents* events);
std::unique_ptr<ClientCodec> MakeClientCodec(const Options& options, base::Buffer* out,
                                             ClientEvents* events);

// "OK" for 200; "Unknown" for what has no phrase. Static text.
absl::string_view ReasonPhrase(int status);

}  // namespace heddle::http::h1
