#include "source/http/h1/body.h"

#include <algorithm>

namespace heddle::http::h1 {
namespace {

// Chunk extensions are dropped; this many bytes of them in one message are an attack.
constexpr size_t kMaxExtensionBytes = 16 * 1024;
// Shorter chunks are copied without leaving the parser.
constexpr size_t kCopiedChunk = 1024;

// What the callbacks of one llhttp_execute leave behind.
struct ChunkState {
  base::Buffer* body;
  size_t* extension_bytes;
  size_t chunk_bytes = 0;        // of a long chunk: the parser paused behind it
  bool last_chunk = false;
};

ChunkState& Of(llhttp_t* parser) { return *static_cast<ChunkState*>(parser->data); }

int OnBody(llhttp_t* parser, const char* at, size_t bytes) {
  ChunkState& state = Of(parser);
  if (bytes <= kCopiedChunk) {
    state.body->Append({at, bytes});
    return 0;
  }
  state.chunk_bytes = bytes;
  return HPE_PAUSED;
}

int OnChunkHeader(llhttp_t* parser) {
  if (parser->content_length != 0) return 0;
  Of(parser).last_chunk = true;
  return HPE_PAUSED;
}

int OnExtension(llhttp_t* parser, const char*, size_t bytes) {
  *Of(parser).extension_bytes += bytes + 1;
  return *Of(parser).extension_bytes > kMaxExtensionBytes ? HPE_USER : 0;
}

llhttp_settings_t MakeSettings() {
  llhttp_settings_t settings;
  llhttp_settings_init(&settings);
  settings.on_body = OnBody;
  settings.on_chunk_header = OnChunkHeader;
  settings.on_chunk_extension_name = OnExtension;
  settings.on_chunk_extension_value = OnExtension;
  return settings;
}

const llhttp_settings_t& ChunkSettings() {
  static const llhttp_settings_t settings = MakeSettings();
  return settings;
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

void BodyReader::Start(const Framing& framing, llhttp_t* parser) {
  *this = BodyReader();
  kind_ = framing.kind;
  left_ = framing.length;
  parser_ = parser;
}

BodyReader::Result BodyReader::Read(base::Buffer& in, const Options& options, base::Buffer* body, Trailers* trailers,
                                    Failure* failure) {
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

BodyReader::Result BodyReader::ReadChunks(base::Buffer& in, const Options& options, base::Buffer* body,
                                          Trailers* trailers, Failure* failure) {
  while (!in_trailers_ && !in.empty()) {
    ChunkState state{.body = body, .extension_bytes = &extension_bytes_};
    parser_->data = &state;
    parser_->settings = const_cast<llhttp_settings_t*>(&ChunkSettings());
    if (llhttp_get_errno(parser_) == HPE_PAUSED) llhttp_resume(parser_);
    const absl::string_view run = in.Front();
    const llhttp_errno_t error = llhttp_execute(parser_, run.data(), run.size());
    parser_->data = nullptr;
    if (error == HPE_OK) {
      in.Consume(run.size());
      continue;
    }
    if (error != HPE_PAUSED) {
      *failure = kBadRequest;
      return Result::kBroken;
    }
    const size_t parsed = llhttp_get_error_pos(parser_) - run.data();
    in.Consume(parsed - state.chunk_bytes);
    if (state.chunk_bytes > 0) body->Move(in, state.chunk_bytes);
    in_trailers_ = state.last_chunk;
  }
  return in_trailers_ ? ReadTrailers(in, options, trailers, failure) : Result::kMore;
}

BodyReader::Result BodyReader::ReadTrailers(base::Buffer& in, const Options& options, Trailers* trailers,
                                            Failure* failure) {
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
  char* text = TakeInto(parsed.arena(), in, bytes);
  llhttp_resume(parser_);
  *failure = ParseTrailers(parser_, text, bytes, options, &parsed);
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
