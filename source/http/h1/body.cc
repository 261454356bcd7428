#include "source/http/h1/body.h"

#include <algorithm>

namespace heddle::http::h1 {
namespace {

// Chunk extensions are dropped; this many bytes of them in one message are an attack.
constexpr size_t kMaxExtensionBytes = 16 * 1024;
// 2^60 bytes; more is nonsense.
constexpr uint8_t kMaxSizeDigits = 15;

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Trailers that would change how the message is framed or routed (RFC 9110 6.5.1).
bool ForbiddenTrailer(HeaderId id) {
  switch (id) {
    case HeaderId::kContentLength:
    case HeaderId::kTransferEncoding:
    case HeaderId::kHost:
    case HeaderId::kConnection:
    case HeaderId::kKeepAlive:
    case HeaderId::kProxyConnection:
    case HeaderId::kTe:
    case HeaderId::kTrailer:
    case HeaderId::kUpgrade:
      return true;
    default:
      return false;
  }
}

}  // namespace

void BodyReader::Start(const Framing& framing) {
  *this = BodyReader();
  kind_ = framing.kind;
  if (kind_ == BodyKind::kLength) left_ = framing.length;
}

BodyReader::Result BodyReader::Read(base::Buffer& in, const Options& options, base::Buffer* body,
                                    Trailers* trailers, Failure* failure) {
  switch (kind_) {
    case BodyKind::kNone:
      return Result::kEnd;
    case BodyKind::kLength:
      return ReadLength(in, body);
    case BodyKind::kChunked:
      return ReadChunks(in, options, body, trailers, failure);
    case BodyKind::kUntilEof:
      body->Move(in);
      return Result::kMore;
  }
  return Result::kEnd;
}

BodyReader::Result BodyReader::ReadLength(base::Buffer& in, base::Buffer* body) {
  const size_t n = static_cast<size_t>(std::min<uint64_t>(left_, in.size()));
  if (n > 0) body->Move(in, n);
  left_ -= n;
  return left_ == 0 ? Result::kEnd : Result::kMore;
}

BodyReader::Result BodyReader::ReadChunks(base::Buffer& in, const Options& options,
                                          base::Buffer* body, Trailers* trailers,
                                          Failure* failure) {
  while (!in.empty() && chunk_ != Chunk::kTrailers) {
    if (chunk_ != Chunk::kData) {
      if (ReadChunkLines(in)) continue;
      *failure = kBadRequest;
      return Result::kBroken;
    }
    const size_t n = static_cast<size_t>(std::min<uint64_t>(left_, in.size()));
    body->Move(in, n);
    left_ -= n;
    if (left_ == 0) chunk_ = Chunk::kDataCr;
  }
  return chunk_ == Chunk::kTrailers ? ReadTrailers(in, options, trailers, failure) : Result::kMore;
}

bool BodyReader::ReadChunkLines(base::Buffer& in) {
  const absl::string_view run = in.Front();
  size_t taken = 0;
  while (taken < run.size() && chunk_ != Chunk::kData && chunk_ != Chunk::kTrailers) {
    if (!TakeByte(run[taken])) return false;
    ++taken;
  }
  in.Consume(taken);
  return true;
}

// chunk-size [ chunk-ext ] CRLF, and the CRLF behind data (RFC 9112 7.1). Extensions are dropped.
bool BodyReader::TakeByte(char c) {
  switch (chunk_) {
    case Chunk::kFirstDigit:
      left_ = digits_ = 0;
      chunk_ = Chunk::kDigit;
      if (HexValue(c) < 0) return false;
      [[fallthrough]];
    case Chunk::kDigit:
      if (const int value = HexValue(c); value >= 0) {
        left_ = left_ * 16 + static_cast<uint64_t>(value);
        return ++digits_ <= kMaxSizeDigits;
      }
      chunk_ = c == ';' ? Chunk::kExtension : Chunk::kSizeLf;
      return c == ';' || c == '\r';
    case Chunk::kExtension:
      if (c == '\r') {
        chunk_ = Chunk::kSizeLf;
        return true;
      }
      if (static_cast<unsigned char>(c) < 0x20 ? c != '\t' : c == 0x7f) return false;
      return ++extension_bytes_ <= kMaxExtensionBytes;
    case Chunk::kSizeLf:
      chunk_ = left_ == 0 ? Chunk::kTrailers : Chunk::kData;
      return c == '\n';
    case Chunk::kDataCr:
      chunk_ = Chunk::kDataLf;
      return c == '\r';
    case Chunk::kDataLf:
      chunk_ = Chunk::kFirstDigit;
      return c == '\n';
    case Chunk::kData:
    case Chunk::kTrailers:
      break;
  }
  return false;
}

BodyReader::Result BodyReader::ReadTrailers(base::Buffer& in, const Options& options,
                                            Trailers* trailers, Failure* failure) {
  switch (scanner_.Scan(in, options.max_headers_bytes)) {
    case HeadScanner::Result::kMore:
      return Result::kMore;
    case HeadScanner::Result::kBroken:
      *failure = kBadRequest;
      return Result::kBroken;
    case HeadScanner::Result::kTooLarge:
      *failure = {431, "http1.trailers_too_large"};
      return Result::kBroken;
    case HeadScanner::Result::kDone:
      break;
  }
  const size_t bytes = scanner_.size();
  Trailers parsed;
  *failure = ParseTrailers(in, bytes, options, &parsed);
  if (failure->failed()) return Result::kBroken;
  if (options.enable_trailers) {
    auto& entries = parsed.mutable_entries();
    entries.erase(std::remove_if(entries.begin(), entries.end(),
                                 [](const Headers::Entry& e) { return ForbiddenTrailer(e.id); }),
                  entries.end());
    *trailers = std::move(parsed);
  }
  return Result::kEnd;
}

}  // namespace heddle::http::h1
