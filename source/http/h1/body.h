// Reading the body of one HTTP/1 message: by length, chunked, until the end of the connection.
// Bytes move from the connection's buffer to the body's.
//
// Chunks are read here and not by llhttp: its strictness about the line ends around them depends on
// how it was compiled (Debian's build takes any two bytes for the CRLF behind a chunk), and its
// callbacks would cost a copy.
#pragma once

#include <cstdint>

#include "source/base/buffer.h"
#include "source/http/h1/codec.h"
#include "source/http/h1/head.h"
#include "source/http/headers.h"

namespace heddle::http::h1 {

class BodyReader {
 public:
  enum class Result : uint8_t { kMore, kEnd, kBroken };

  void Start(const Framing& framing);
  // Takes what it can of `in`. `body` gets bytes, `trailers` fields (with kEnd only), `failure` the
  // reason of kBroken.
  Result Read(base::Buffer& in, const Options& options, base::Buffer* body, Trailers* trailers,
              Failure* failure);
  // Bytes that are certainly still to come; chunked and until-eof: 0.
  uint64_t left() const { return kind_ == BodyKind::kLength ? left_ : 0; }
  BodyKind kind() const { return kind_; }
  bool in_trailers() const { return chunk_ == Chunk::kTrailers; }

 private:
  Result ReadLength(base::Buffer& in, base::Buffer* body);
  // Reads size lines and line ends up to the next data. False: the coding is broken.
  bool ReadChunkLines(base::Buffer& in);
  bool TakeByte(char c);
  Result ReadChunks(base::Buffer& in, const Options& options, base::Buffer* body,
                    Trailers* trailers, Failure* failure);
  Result ReadTrailers(base::Buffer& in, const Options& options, Trailers* trailers,
                      Failure* failure);

  // What the next byte of a chunked body is.
  enum class Chunk : uint8_t {
    kFirstDigit,
    kDigit,
    kExtension,
    kSizeLf,
    kData,
    kDataCr,
    kDataLf,
    kTrailers
  };

  BodyKind kind_ = BodyKind::kNone;
  Chunk chunk_ = Chunk::kFirstDigit;
  uint8_t digits_ = 0;          // of this chunk's size
  uint64_t left_ = 0;           // of the body, or of this chunk
  size_t extension_bytes_ = 0;  // of all chunk extensions so far
  HeadScanner scanner_;         // trailers
};

}  // namespace heddle::http::h1
