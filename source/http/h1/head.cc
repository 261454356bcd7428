#include "source/http/h1/head.h"

#include <array>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "llhttp.h"

namespace heddle::http::h1 {
namespace {

constexpr std::array<char, 256> BuildTokens() {
  std::array<char, 256> table{};
  for (const char c : {'!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~'})
    table[c] = c;
  for (char c = '0'; c <= '9'; ++c) table[c] = c;
  for (char c = 'a'; c <= 'z'; ++c) table[c] = c;
  for (char c = 'A'; c <= 'Z'; ++c) table[c] = static_cast<char>(c - 'A' + 'a');
  return table;
}
constexpr std::array<char, 256> kTokens = BuildTokens();

// Collects the fields of a head or trailer block that llhttp reports. Everything lies in one
// writable piece of memory.
struct Collector {
  Headers* headers;
  const Options* options;
  ParsedHead* head;  // null for trailers
  size_t max_entries;
  bool request = false;
  absl::string_view name = {};
  char* value = nullptr;
  size_t value_bytes = 0;
  Failure failure = {};

  int Fail(const Failure& why) {
    failure = why;
    return HPE_USER;
  }
  int Field(char* text, size_t bytes);
  int Value(char* text, size_t bytes);
  int ValueComplete();
};

int Collector::Field(char* text, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) {
    const char lowered = LowerToken(text[i]);
    if (lowered == 0) return Fail(text[i] == '\0' ? kInvalidCharacters : kBadRequest);
    text[i] = lowered;
  }
  name = name.empty() ? absl::string_view(text, bytes)
                      : absl::string_view(name.data(), name.size() + bytes);
  return 0;
}

// A second piece is a folded line: joined to the first, keeping its leading blanks and dropping the
// line break.
int Collector::Value(char* text, size_t bytes) {
  if (value == nullptr) {
    value = text;
  } else if (value + value_bytes != text) {
    std::memmove(value + value_bytes, text, bytes);
  }
  value_bytes += bytes;
  return 0;
}

int Collector::ValueComplete() {
  const absl::string_view text = absl::StripAsciiWhitespace(absl::string_view(value, value_bytes));
  const absl::string_view field = name;
  name = {};
  value = nullptr;
  value_bytes = 0;
  if (field.empty()) return Fail(kBadRequest);
  if (request && options->underscores != Options::Underscores::kAllow &&
      absl::StrContains(field, '_')) {
    if (options->underscores == Options::Underscores::kDrop) return 0;
    return Fail({400, "http1.unexpected_underscore"});
  }
  if (headers->size() >= max_entries) return Fail({431, "http1.too_many_headers"});
  headers->AddView(IdOf(field), field, text);
  return 0;
}

Collector& Of(llhttp_t* parser) { return *static_cast<Collector*>(parser->data); }

int OnUrl(llhttp_t* parser, const char* at, size_t bytes) {
  Of(parser).head->target = {at, bytes};
  return 0;
}
int OnField(llhttp_t* parser, const char* at, size_t bytes) {
  return Of(parser).Field(const_cast<char*>(at), bytes);
}
int OnValue(llhttp_t* parser, const char* at, size_t bytes) {
  return Of(parser).Value(const_cast<char*>(at), bytes);
}
int OnValueComplete(llhttp_t* parser) { return Of(parser).ValueComplete(); }
int OnHeadersComplete(llhttp_t*) { return HPE_PAUSED; }

llhttp_settings_t MakeSettings() {
  llhttp_settings_t settings;
  llhttp_settings_init(&settings);
  settings.on_url = OnUrl;
  settings.on_header_field = OnField;
  settings.on_header_value = OnValue;
  settings.on_header_value_complete = OnValueComplete;
  settings.on_headers_complete = OnHeadersComplete;
  return settings;
}

const llhttp_settings_t& HeadSettings() {
  static const llhttp_settings_t settings = MakeSettings();
  return settings;
}

// Whether the request line is one, of some version "HTTP/d.d".
bool NamesVersion(absl::string_view text) {
  constexpr absl::string_view kProtocol = " HTTP/";
  const absl::string_view line = text.substr(0, text.find('\r'));
  if (line.size() < kProtocol.size() + 3) return false;
  const absl::string_view tail = line.substr(line.size() - kProtocol.size() - 3);
  return absl::StartsWith(tail, kProtocol) && absl::ascii_isdigit(tail[6]) && tail[7] == '.' &&
         absl::ascii_isdigit(tail[8]);
}

// A control character that no line may hold; those that end it are another matter.
bool Control(char c) {
  return c == 0x7f || (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\r' && c != '\n');
}

// `text` is the whole head, `at` where llhttp stopped.
Failure FailureOf(llhttp_errno_t error, absl::string_view text, const char* at) {
  switch (error) {
    case HPE_INVALID_URL:
    case HPE_INVALID_HEADER_TOKEN:
      if (at < text.data() || at >= text.data() + text.size()) return kBadRequest;
      return Control(*at) ? kInvalidCharacters : kBadRequest;
    case HPE_INVALID_VERSION:
      return NamesVersion(text) ? kLowVersion : kBadRequest;
    case HPE_INVALID_TRANSFER_ENCODING:
      return {501, "http1.invalid_transfer_encoding"};
    default:
      return kBadRequest;
  }
}

// Runs llhttp over one whole head, writable; it must pause exactly at the end.
Failure Run(llhttp_t* parser, HeadKind kind, char* text, size_t bytes, Collector* collector) {
  llhttp_init(parser, kind == HeadKind::kRequest ? HTTP_REQUEST : HTTP_RESPONSE, &HeadSettings());
  // These two conflicts are judged by Examine*Framing, which knows what to answer.
  llhttp_set_lenient_chunked_length(parser, 1);
  llhttp_set_lenient_transfer_encoding(parser, 1);
  parser->data = collector;
  const llhttp_errno_t error = llhttp_execute(parser, text, bytes);
  if (collector->failure.failed()) return collector->failure;
  if (error == HPE_OK) return kBadRequest;
  if (error != HPE_PAUSED) return FailureOf(error, {text, bytes}, llhttp_get_error_pos(parser));
  if (llhttp_get_error_pos(parser) != text + bytes) return kBadRequest;
  return {};
}

void CopyFront(base::Buffer& in, char* text, size_t bytes) {
  for (size_t taken = 0; taken < bytes;) {
    const absl::string_view run = in.Front().substr(0, bytes - taken);
    std::memcpy(text + taken, run.data(), run.size());
    taken += run.size();
    in.Consume(run.size());
  }
}

// method SP target SP "HTTP/x.y" CRLF and nothing else; llhttp takes more blanks, and other
// protocols.
bool PlainRequestLine(absl::string_view text, absl::string_view method, absl::string_view target) {
  constexpr absl::string_view kProtocol = " HTTP/";
  constexpr size_t kVersion = 3;
  const size_t target_end = method.size() + 1 + target.size();
  return text.data() + method.size() + 1 == target.data() &&
         text.substr(target_end, kProtocol.size()) == kProtocol &&
         text.find('\r') == target_end + kProtocol.size() + kVersion;
}

// llhttp compiled loosely lets tabs, form feeds and bytes above 0x7f into a target.
bool VisibleAscii(absl::string_view text) {
  for (const char c : text) {
    if (c <= 0x20 || c == 0x7f) return false;
  }
  return true;
}

}  // namespace

char LowerToken(char c) { return kTokens[static_cast<unsigned char>(c)]; }

bool HeadScanner::ScanPiece(absl::string_view piece) {
  while (!piece.empty()) {
    const void* found = std::memchr(piece.data(), '\n', piece.size());
    const size_t n =
        found == nullptr ? piece.size() : static_cast<const char*>(found) - piece.data();
    // A CR may only be the last byte before the LF.
    if (n > 0) {
      const void* cr = after_cr_ ? piece.data() - 1 : std::memchr(piece.data(), '\r', n - 1);
      if (cr != nullptr) return broken_ = true;
      after_cr_ = piece[n - 1] == '\r';
    }
    line_bytes_ += n;
    scanned_ += n;
    if (found == nullptr) return false;
    ++scanned_;
    if (!after_cr_) return broken_ = true;
    if (line_bytes_ == 1) return true;
    line_bytes_ = 0;
    after_cr_ = false;
    piece.remove_prefix(n + 1);
  }
  return false;
}

HeadScanner::Result HeadScanner::Scan(const base::Buffer& in, size_t max_bytes) {
  // A head in more blocks than this has tiny ones: the rest is seen once the front has grown
  // together or is refused.
  constexpr int kSlices = 64;
  iovec slices[kSlices];
  const int count = in.Slices(slices, kSlices);
  size_t begin = 0;
  for (int i = 0; i < count; ++i) {
    const absl::string_view slice(static_cast<const char*>(slices[i].iov_base), slices[i].iov_len);
    if (scanned_ < begin + slice.size() && ScanPiece(slice.substr(scanned_ - begin))) {
      if (broken_) return Result::kBroken;
      return scanned_ > max_bytes ? Result::kTooLarge : Result::kDone;
    }
    begin += slice.size();
  }
  return scanned_ > max_bytes || count == kSlices ? Result::kTooLarge : Result::kMore;
}

Failure ParseHead(HeadKind kind, base::Buffer& in, size_t bytes, const Options& options,
                  Headers* headers, ParsedHead* head) {
  const bool request = kind == HeadKind::kRequest;
  Collector collector{.headers = headers,
                      .options = &options,
                      .head = head,
                      .max_entries = options.max_headers_count,
                      .request = request};
  char* const text = headers->arena().Allocate(bytes);
  CopyFront(in, text, bytes);
  llhttp_t parser;
  const Failure failure = Run(&parser, kind, text, bytes, &collector);
  if (failure.failed()) return failure;
  head->major = llhttp_get_http_major(&parser);
  head->minor = llhttp_get_http_minor(&parser);
  if (request) {
    head->method = llhttp_method_name(static_cast<llhttp_method_t>(llhttp_get_method(&parser)));
    if (!PlainRequestLine({text, bytes}, head->method, head->target)) return kBadRequest;
    if (!VisibleAscii(head->target)) return kBadRequest;
  } else {
    head->status = llhttp_get_status_code(&parser);
  }
  return {};
}

Failure ParseTrailers(base::Buffer& in, size_t bytes, const Options& options, Headers* trailers) {
  // llhttp reads them as the fields of a request, which they follow the grammar of.
  constexpr absl::string_view kLine = "GET / HTTP/1.1\r\n";
  ParsedHead unused;
  Collector collector{.headers = trailers,
                      .options = &options,
                      .head = &unused,
                      .max_entries = options.max_headers_count,
                      .request = true};
  char* const text = trailers->arena().Allocate(kLine.size() + bytes);
  kLine.copy(text, kLine.size());
  CopyFront(in, text + kLine.size(), bytes);
  llhttp_t parser;
  return Run(&parser, HeadKind::kRequest, text, kLine.size() + bytes, &collector);
}

std::optional<Failure> TakeHead(HeadKind kind, HeadScanner& scanner, base::Buffer& in,
                                const Options& options, Headers* headers, ParsedHead* head) {
  switch (scanner.Scan(in, options.max_headers_bytes)) {
    case HeadScanner::Result::kMore:
      return std::nullopt;
    case HeadScanner::Result::kBroken:
      return kind == HeadKind::kRequest ? kBadRequest : kBrokenResponse;
    case HeadScanner::Result::kTooLarge:
      return Failure{431, "http1.headers_too_large"};
    case HeadScanner::Result::kDone:
      break;
  }
  const size_t size = scanner.size();
  scanner.Reset();
  return ParseHead(kind, in, size, options, headers, head);
}

namespace {

// Digits only, no sign, no list. False when it is anything else or does not fit.
bool ParseLength(absl::string_view text, uint64_t* length) {
  if (text.empty() || text.size() > 19) return false;
  *length = 0;
  for (const char c : text) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return false;
    *length = *length * 10 + static_cast<uint64_t>(c - '0');
  }
  return true;
}

struct FramingFields {
  int lengths = 0, encodings = 0;
  bool good_length = false, chunked = false;
  uint64_t length = 0;
};

FramingFields ReadFramingFields(const Headers& headers) {
  FramingFields f;
  for (const Headers::Entry& e : headers.entries()) {
    if (e.id == HeaderId::kContentLength) {
      ++f.lengths;
      f.good_length = ParseLength(e.value, &f.length);
    } else if (e.id == HeaderId::kTransferEncoding) {
      ++f.encodings;
      f.chunked = absl::EqualsIgnoreCase(e.value, "chunked");
    }
  }
  return f;
}

// The part that both directions share. Sets kChunked or kLength where the fields say so.
Failure ExamineLengths(const Options& options, Headers* headers, Framing* framing) {
  const FramingFields f = ReadFramingFields(*headers);
  const bool chunked = f.encodings == 1 && f.chunked;
  if (f.encodings > 0 && f.lengths > 0) {
    if (!chunked || !options.allow_chunked_length) {
      return {400, "http1.content_length_and_chunked_not_allowed"};
    }
    headers->Remove(HeaderId::kContentLength);
  }
  if (f.encodings > 0) {
    if (!chunked) return {501, "http1.invalid_transfer_encoding"};
    headers->Remove(HeaderId::kTransferEncoding);
    framing->kind = BodyKind::kChunked;
    return {};
  }
  if (f.lengths == 0) return {};
  if (f.lengths > 1 || !f.good_length) return kBadRequest;
  framing->has_length = true;
  framing->length = f.length;
  if (f.length > 0) framing->kind = BodyKind::kLength;
  return {};
}

}  // namespace

Failure ExamineRequestFraming(bool connect, const Options& options, Headers* headers,
                              Framing* framing) {
  const Failure failure = ExamineLengths(options, headers, framing);
  if (failure.failed()) return failure;
  if (!connect) return {};
  if (framing->kind == BodyKind::kChunked) return {501, "http1.invalid_transfer_encoding"};
  if (framing->kind == BodyKind::kLength) return {400, "http1.content_length_not_allowed"};
  headers->Remove(HeaderId::kContentLength);
  framing->has_length = false;
  return {};
}

Failure ExamineResponseFraming(int status, bool bodiless, bool tunnel, const Options& options,
                               Headers* headers, Framing* framing) {
  const Failure failure = ExamineLengths(options, headers, framing);
  if (failure.failed()) return failure;
  const bool never = status < 200 || status == 204 || tunnel;
  if (never) {
    if (framing->kind == BodyKind::kChunked) return {502, "http1.transfer_encoding_not_allowed"};
    if (framing->kind == BodyKind::kLength) return {502, "http1.content_length_not_allowed"};
    headers->Remove(HeaderId::kContentLength);
    framing->has_length = false;
    return {};
  }
  if (bodiless || status == 304) {
    framing->kind = BodyKind::kNone;
  } else if (framing->kind == BodyKind::kNone && !framing->has_length) {
    framing->kind = BodyKind::kUntilEof;
  }
  return {};
}

namespace {

// Limits of Envoy's sanitizeConnectionHeader.
constexpr size_t kMaxNominated = 10;
constexpr size_t kMaxNominatedBytes = 256;

// Fields that no client may have us drop. (host may go: the request is refused for the want of it.)
bool MayBeNominated(absl::string_view lower) {
  switch (IdOf(lower)) {
    case HeaderId::kXForwardedFor:
    case HeaderId::kXForwardedHost:
    case HeaderId::kXForwardedProto:
    case HeaderId::kXForwardedClientCert:
    case HeaderId::kContentLength:
    case HeaderId::kTransferEncoding:
    case HeaderId::kAuthorization:
      return false;
    default:
      return lower.find(':') == absl::string_view::npos;
  }
}

// One list element of a connection field. Adds what is to be removed to `nominated`.
bool ReadConnectionToken(absl::string_view token, ConnectionFields* fields,
                         absl::InlinedVector<std::string, 4>* nominated) {
  token = absl::StripAsciiWhitespace(token);
  if (token.empty()) return true;
  if (absl::EqualsIgnoreCase(token, "close")) return fields->close = true;
  if (absl::EqualsIgnoreCase(token, "keep-alive")) return fields->keep_alive = true;
  if (absl::EqualsIgnoreCase(token, "upgrade")) return fields->upgrade = true;
  if (absl::EqualsIgnoreCase(token, "te") || absl::EqualsIgnoreCase(token, "http2-settings"))
    return true;
  if (nominated->size() >= kMaxNominated || token.size() > kMaxNominatedBytes) return false;
  std::string lower = absl::AsciiStrToLower(token);
  if (!MayBeNominated(lower)) return false;
  nominated->push_back(std::move(lower));
  return true;
}

bool ListsTrailers(absl::string_view te) {
  for (const absl::string_view element : absl::StrSplit(te, ',')) {
    const absl::string_view name = absl::StripAsciiWhitespace(element.substr(0, element.find(';')));
    if (absl::EqualsIgnoreCase(name, "trailers")) return true;
  }
  return false;
}

}  // namespace

Failure ExamineConnection(Headers* headers, ConnectionFields* fields) {
  bool any = false, te = false, trailers = false;
  absl::InlinedVector<std::string, 4> nominated;
  for (const Headers::Entry& e : headers->entries()) {
    if (e.id == HeaderId::kTe) {
      te = true;
      trailers = trailers || ListsTrailers(e.value);
    }
    any = any || e.id == HeaderId::kKeepAlive || e.id == HeaderId::kProxyConnection ||
          e.id == HeaderId::kConnection;
    if (e.id != HeaderId::kConnection) continue;
    for (const absl::string_view token : absl::StrSplit(e.value, ',')) {
      if (!ReadConnectionToken(token, fields, &nominated))
        return {400, "http1.connection_header_rejected"};
    }
  }
  for (const std::string& name : nominated) headers->Remove(name);
  if (any) {
    headers->Remove(HeaderId::kConnection);
    headers->Remove(HeaderId::kKeepAlive);
    headers->Remove(HeaderId::kProxyConnection);
  }
  if (te) headers->Remove(HeaderId::kTe);
  if (trailers) headers->AddView(HeaderId::kTe, NameOf(HeaderId::kTe), "trailers");
  return {};
}

bool KeepsAlive(const ParsedHead& head, const ConnectionFields& connection) {
  if (connection.close) return false;
  return head.minor != 0 || head.major != 1 || connection.keep_alive;
}

}  // namespace heddle::http::h1
