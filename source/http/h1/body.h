// Reading the body of one HTTP/1 message: by length, chunked (llhttp), until the end of the connection. Bytes move from
// the connection's buffer to the body's; only short chunks are copied.
#pragma once

#include <cstdint>

#include "llhttp.h"
#include "source/base/buffer.h"
#include "source/http/h1/codec.h"
#include "source/http/h1/head.h"
#include "source/http/headers.h"

namespace heddle::http::h1 {

class BodyReader {
 public:
  enum class Result : uint8_t { kMore, kEnd, kBroken };

  // `parser` is the one that read the head; it must outlive the body.
  void Start(const Framing& framing, llhttp_t* parser);
  // Takes what it can of `in`. `body` gets bytes, `trailers` fields (with kEnd only), `failure` the reason of kBroken.
  Result Read(base::Buffer& in, const Options& options, base::Buffer* body, Trailers* trailers, Failure* failure);
  // Bytes that are certainly still to come; chunked and until-eof: 0.
  uint64_t left() const { return kind_ == BodyKind::kLength ? left_ : 0; }
  BodyKind kind() const { return kind_; }

 private:
  Result ReadLength(base::Buffer& in, base::Buffer* body);
  Result ReadChunks(base::Buffer& in, const Options& options, base::Buffer* body, Trailers* trailers, Failure* failure);
  Result ReadTrailers(base::Buffer& in, const Options& options, Trailers* trailers, Failure* failure);

  BodyKind kind_ = BodyKind::kNone;
  bool in_trailers_ = false;
  uint64_t left_ = 0;
  size_t extension_bytes_ = 0;   // of all chunk extensions so far
  llhttp_t* parser_ = nullptr;
  HeadScanner scanner_;          // trailers
};

}  // namespace heddle::http::h1
