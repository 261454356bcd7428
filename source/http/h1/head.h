// Reading one HTTP/1 head (or trailer block): where it ends, its fields, and what it says about the
// body. Three steps, each without I/O: HeadScanner finds the end, ParseHead runs llhttp over a copy
// in the arena, ExamineFraming and ExamineConnection apply the rules against smuggling.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "source/base/buffer.h"
#include "source/http/h1/codec.h"
#include "source/http/headers.h"

namespace heddle::http::h1 {

// A request's failure: the status to answer with and Envoy's detail text. Static text; no failure:
// empty detail.
struct Failure {
  int status = 0;
  absl::string_view detail;
  bool failed() const { return !detail.empty(); }
};

inline constexpr Failure kBadRequest{400, "http1.codec_error"};
inline constexpr Failure kBrokenResponse{502, "http1.codec_error"};
inline constexpr Failure kInvalidCharacters{400, "http1.invalid_characters"};
inline constexpr Failure kLowVersion{426, "low_version"};

// Finds the empty line at the end of a head, looking at each byte once however it arrives. Every
// line must end in CRLF: a CR or LF alone is an error, as two parsers may disagree about it.
class HeadScanner {
 public:
  enum class Result : uint8_t { kMore, kDone, kBroken, kTooLarge };
  // Looks at `in` from where the last call stopped. kDone: the head is the first size() bytes.
  Result Scan(const base::Buffer& in, size_t max_bytes);
  size_t size() const { return scanned_; }
  bool idle() const { return scanned_ == 0; }
  // An empty first line is a whole block (trailers) rather than an error.
  void Reset() { *this = HeadScanner(); }

 private:
  // True when the block ends in this piece. Sets broken_.
  bool ScanPiece(absl::string_view piece);

  size_t scanned_ = 0;
  size_t line_bytes_ = 0;  // of the line so far, its CR included
  bool after_cr_ = false;
  bool broken_ = false;
};

// What llhttp makes of a head. Views point into the Headers' arena.
struct ParsedHead {
  absl::string_view target;  // requests
  absl::string_view method;  // requests: static text
  int status = 0;            // responses
  uint8_t major = 0, minor = 0;
};

enum class HeadKind : uint8_t { kRequest, kResponse };

// Takes the first `bytes` of `in`, which must be one whole head, into the arena of `headers` and
// runs llhttp over them. Fields are appended to `headers`, names in lower case.
Failure ParseHead(HeadKind kind, base::Buffer& in, size_t bytes, const Options& options,
                  Headers* headers, ParsedHead* head);
// The same for the trailers of a chunked body: fields and an empty line.
Failure ParseTrailers(base::Buffer& in, size_t bytes, const Options& options, Headers* trailers);
// Scans and, once the head is whole, takes and parses it. Nothing: it is not whole yet.
std::optional<Failure> TakeHead(HeadKind kind, HeadScanner& scanner, base::Buffer& in,
                                const Options& options, Headers* headers, ParsedHead* head);

enum class BodyKind : uint8_t { kNone, kLength, kChunked, kUntilEof };

struct Framing {
  BodyKind kind = BodyKind::kNone;
  uint64_t length = 0;      // kLength
  bool has_length = false;  // a content-length field stands in the head
};

// Requests: content-length and transfer-encoding by RFC 9112 6.3, strictly. Removes
// transfer-encoding (and content-length where Options::allow_chunked_length drops it).
Failure ExamineRequestFraming(bool connect, const Options& options, Headers* headers,
                              Framing* framing);
// Responses: `bodiless` for HEAD, `tunnel` for 2xx to CONNECT.
Failure ExamineResponseFraming(int status, bool bodiless, bool tunnel, const Options& options,
                               Headers* headers, Framing* framing);

struct ConnectionFields {
  bool close = false;
  bool keep_alive = false;
  bool upgrade = false;  // `connection: upgrade`
};

// Reads and removes the connection's own fields: connection and what it nominates, keep-alive,
// proxy-connection, te other than trailers. Upgrade itself stays.
Failure ExamineConnection(Headers* headers, ConnectionFields* fields);

// Whether the connection serves another message after one with this head: HTTP/1.0 has to ask.
bool KeepsAlive(const ParsedHead& head, const ConnectionFields& connection);

// RFC 9110 token characters, lowered; 0 for any other byte.
char LowerToken(char c);

}  // namespace heddle::http::h1
