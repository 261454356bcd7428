#include "source/http/h1/encode.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string>

#include "source/http/h1/codec.h"

namespace heddle::http::h1 {
namespace {

// Room for text of a known upper bound, written in place where the buffer has that much in one
// piece.
class Writer {
 public:
  Writer(base::Buffer* out, size_t bound) : out_(out) {
    const absl::Span<char> room = out->Reserve(bound);
    if (room.size() >= bound) {
      begin_ = at_ = room.data();
      return;
    }
    out->Commit(0);
    scratch_.resize(bound);
    begin_ = at_ = scratch_.data();
  }
  ~Writer() {
    const size_t bytes = at_ - begin_;
    if (scratch_.empty()) {
      out_->Commit(bytes);
    } else {
      out_->Append({begin_, bytes});
    }
  }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  void Put(absl::string_view text) {
    if (text.empty()) return;
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  void Field(absl::string_view name, absl::string_view value) {
    Put(name);
    Put(": ");
    Put(value);
    Put("\r\n");
  }
  void Number(int number) { at_ = std::to_chars(at_, at_ + 11, number).ptr; }

 private:
  base::Buffer* out_;
  char* begin_;
  char* at_;
  std::string scratch_;
};

constexpr size_t kFieldExtra = 4;         // ": " and CRLF
constexpr size_t kWireFieldsBound = 128;  // what WireFields may add, the upgrade token aside

// Fields of one connection never go on as they came.
bool Forwarded(HeaderId id, const WireFields& wire) {
  switch (id) {
    case HeaderId::kConnection:
    case HeaderId::kHost:
    case HeaderId::kHttp2Settings:
    case HeaderId::kKeepAlive:
    case HeaderId::kProxyConnection:
    case HeaderId::kTransferEncoding:
    case HeaderId::kUpgrade:
      return false;
    case HeaderId::kContentLength:
      return !wire.chunked && !wire.drop_length;
    default:
      return true;
  }
}

size_t BoundOf(const Headers& headers) { return headers.bytes() + headers.size() * kFieldExtra; }

void PutFields(const Headers& headers, const WireFields& wire, Writer& to) {
  for (const Headers::Entry& e : headers.entries()) {
    if (Forwarded(e.id, wire)) to.Field(e.name, e.value);
  }
  switch (wire.connection) {
    case WireFields::Connection::kNone:
      break;
    case WireFields::Connection::kClose:
      to.Put("connection: close\r\n");
      break;
    case WireFields::Connection::kKeepAlive:
      to.Put("connection: keep-alive\r\n");
      break;
    case WireFields::Connection::kUpgrade:
      to.Put("connection: upgrade\r\n");
      to.Field("upgrade", wire.upgrade);
      break;
  }
  if (wire.chunked) to.Put("transfer-encoding: chunked\r\n");
  if (wire.zero_length) to.Put("content-length: 0\r\n");
  to.Put("\r\n");
}

}  // namespace

// NOLINTNEXTLINE(readability-function-size): a table
absl::string_view ReasonPhrase(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 101:
      return "Switching Protocols";
    case 102:
      return "Processing";
    case 103:
      return "Early Hints";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 203:
      return "Non-Authoritative Information";
    case 204:
      return "No Content";
    case 205:
      return "Reset Content";
    case 206:
      return "Partial Content";
    case 207:
      return "Multi-Status";
    case 208:
      return "Already Reported";
    case 226:
      return "IM Used";
    case 300:
      return "Multiple Choices";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 303:
      return "See Other";
    case 304:
      return "Not Modified";
    case 305:
      return "Use Proxy";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 402:
      return "Payment Required";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 407:
      return "Proxy Authentication Required";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Payload Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 416:
      return "Range Not Satisfiable";
    case 417:
      return "Expectation Failed";
    case 421:
      return "Misdirected Request";
    case 422:
      return "Unprocessable Entity";
    case 423:
      return "Locked";
    case 424:
      return "Failed Dependency";
    case 425:
      return "Too Early";
    case 426:
      return "Upgrade Required";
    case 428:
      return "Precondition Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 451:
      return "Unavailable For Legal Reasons";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 506:
      return "Variant Also Negotiates";
    case 507:
      return "Insufficient Storage";
    case 508:
      return "Loop Detected";
    case 510:
      return "Not Extended";
    case 511:
      return "Network Authentication Required";
    default:
      return "Unknown";
  }
}

void AppendRequestHead(const RequestHead& head, const WireFields& wire, base::Buffer* out) {
  // An authority-form target for CONNECT, origin-form otherwise.
  const bool connect = head.method == "CONNECT" && head.protocol.empty();
  const absl::string_view target = connect             ? head.authority
                                   : head.path.empty() ? absl::string_view("/")
                                                       : head.path;
  Writer to(out, head.method.size() + target.size() + head.authority.size() +
                     BoundOf(head.headers) + wire.upgrade.size() + 32 + kWireFieldsBound);
  to.Put(head.method);
  to.Put(" ");
  to.Put(target);
  to.Put(" HTTP/1.1\r\n");
  to.Field("host", head.authority);
  PutFields(head.headers, wire, to);
}

void AppendResponseHead(const ResponseHead& head, const WireFields& wire, base::Buffer* out) {
  const absl::string_view reason = ReasonPhrase(head.status);
  Writer to(out,
            32 + reason.size() + BoundOf(head.headers) + wire.upgrade.size() + kWireFieldsBound);
  if (head.status == 200 && !wire.http10) {
    to.Put("HTTP/1.1 200 OK\r\n");
  } else {
    to.Put(wire.http10 ? "HTTP/1.0 " : "HTTP/1.1 ");
    to.Number(head.status);
    to.Put(" ");
    to.Put(reason);
    to.Put("\r\n");
  }
  PutFields(head.headers, wire, to);
}

void AppendChunk(base::Buffer& data, base::Buffer* out) {
  char size[20];
  char* end = std::to_chars(size, size + 16, data.size(), 16).ptr;
  *end++ = '\r';
  *end++ = '\n';
  out->Append({size, static_cast<size_t>(end - size)});
  out->Move(data);
  out->Append("\r\n");
}

void AppendLastChunk(const Trailers* trailers, base::Buffer* out) {
  if (trailers == nullptr || trailers->empty()) return out->Append("0\r\n\r\n");
  Writer to(out, 8 + BoundOf(*trailers));
  to.Put("0\r\n");
  for (const Headers::Entry& e : trailers->entries()) {
    if (Forwarded(e.id, {.drop_length = true})) to.Field(e.name, e.value);
  }
  to.Put("\r\n");
}

void BodyWriter::Write(base::Buffer& data, base::Buffer* out) {
  switch (mode_) {
    case Mode::kDrop:
      break;
    case Mode::kLength: {
      const size_t n = static_cast<size_t>(std::min<uint64_t>(left_, data.size()));
      out->Move(data, n);
      left_ -= n;
      break;
    }
    case Mode::kChunked:
      if (!data.empty()) AppendChunk(data, out);
      break;
    case Mode::kRaw:
      out->Move(data);
      break;
  }
  data.Clear();
}

bool BodyWriter::Finish(const Trailers* trailers, base::Buffer* out) {
  switch (mode_) {
    case Mode::kDrop:
      return true;
    case Mode::kLength:
      return left_ == 0;
    case Mode::kChunked:
      AppendLastChunk(trailers, out);
      return true;
    case Mode::kRaw:
      return false;
  }
  return false;
}

std::optional<uint64_t> LengthOf(const Headers& headers) {
  const std::optional<absl::string_view> text = headers.Get(HeaderId::kContentLength);
  if (!text) return std::nullopt;
  uint64_t length = 0;
  const auto parsed = std::from_chars(text->data(), text->data() + text->size(), length);
  if (parsed.ec != std::errc() || parsed.ptr != text->data() + text->size()) return std::nullopt;
  return length;
}

}  // namespace heddle::http::h1
