// Both ends of an HTTP connection in memory, for codec tests: they record every event and can be
// cabled together.
//
//   ServerPeer server([](base::Buffer* out, ServerEvents* e) { return h1::MakeServerCodec({}, out,
//   e); }); server.on_request = [](Served& s) { s.Reply(200, "hello"); }; server.Feed("GET /
//   HTTP/1.1\r\nhost: a\r\n\r\n", 3);   // cut in pieces of three bytes CHECK(server.TakeOutput()
//   == "HTTP/1.1 200 OK\r\n...");
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "source/http/codec.h"

namespace heddle::http {

inline std::string Describe(const Headers& headers) {
  std::string text;
  for (const Headers::Entry& e : headers.entries())
    absl::StrAppend(&text, " ", e.name, "=", e.value);
  return text;
}

// One request as a server saw it, and the means to answer.
struct Served : RequestEvents {
  ServerStream* stream = nullptr;
  RequestHead head;
  std::string body;
  std::optional<Trailers> trailers;
  std::optional<ResetReason> reset;
  bool ended = false;
  bool give_credit = true;
  int writable = 0;
  std::string malformed;  // details
  std::function<void(Served&)> on_event;

  void OnMalformed(const Malformed& what) override {
    malformed = std::string(what.details);
    if (what.status != 0) stream->SendHead(Head(what.status), true);
  }
  void OnBody(base::Buffer& data, bool end) override {
    const size_t n = data.size();
    body += data.ToString();
    data.Clear();
    ended = end;
    if (give_credit && !end) stream->Consumed(n);
    if (on_event) on_event(*this);
  }
  void OnTrailers(Trailers t) override {
    trailers = std::move(t);
    ended = true;
    if (on_event) on_event(*this);
  }
  void OnReset(ResetReason reason) override {
    reset = reason;
    if (on_event) on_event(*this);
  }
  void OnWritable() override {
    ++writable;
    if (on_event) on_event(*this);
  }

  static ResponseHead Head(int status,
                           std::vector<std::pair<std::string, std::string>> fields = {}) {
    ResponseHead head;
    head.status = status;
    for (const auto& [name, value] : fields) head.headers.Add(name, value);
    return head;
  }
  void SendBody(absl::string_view text, bool end) {
    base::Buffer data(text);
    stream->SendBody(data, end);
  }
  // With a content-length.
  void Reply(int status, absl::string_view text) {
    stream->SendHead(Head(status, {{"content-length", absl::StrCat(text.size())}}), text.empty());
    if (!text.empty()) SendBody(text, true);
  }
  std::string Text() const {
    std::string text =
        absl::StrCat(head.method, " ", head.scheme, "://", head.authority, " ", head.path,
                     head.protocol.empty() ? "" : absl::StrCat(" upgrade:", head.protocol),
                     Describe(head.headers));
    if (!body.empty()) absl::StrAppend(&text, " body:", body);
    if (trailers) absl::StrAppend(&text, " trailers:", Describe(*trailers));
    if (ended) absl::StrAppend(&text, " end");
    if (reset) absl::StrAppend(&text, " reset:", static_cast<int>(*reset));
    return text;
  }
};

// A codec and the bytes that go in and come out.
template <typename Codec>
struct Wire {
  // Feeds `bytes` behind what was left over, at most `cut` at a time.
  void Feed(absl::string_view bytes, size_t cut = SIZE_MAX) {
    while (!bytes.empty() && status.ok()) {
      const absl::string_view piece = bytes.substr(0, cut);
      in.Append(piece);
      bytes.remove_prefix(piece.size());
      FeedAgain();
    }
  }
  void FeedAgain(bool eof = false) {
    if (status.ok()) status = codec->Feed(in, eof);
  }
  std::string TakeOutput() {
    codec->PrepareFlush();
    output_waits = false;
    std::string text = out.ToString();
    out.Clear();
    return text;
  }

  base::Buffer in, out;
  absl::Status status;
  bool output_waits = false;
  std::unique_ptr<Codec> codec;
};

class ServerPeer : public ServerEvents, public Wire<ServerCodec> {
 public:
  using Make = std::function<std::unique_ptr<ServerCodec>(base::Buffer*, ServerEvents*)>;
  explicit ServerPeer(const Make& make) { codec = make(&out, this); }
  ~ServerPeer() override { codec = nullptr; }  // it may tell of its end

  RequestEvents* OnRequest(ServerStream* stream, RequestHead head, bool end) override {
    requests.push_back(std::make_unique<Served>());
    Served& s = *requests.back();
    s.stream = stream;
    s.head = std::move(head);
    s.ended = end;
    s.on_event = on_event;
    if (on_request) on_request(s);
    return &s;
  }
  void OnMalformed(ServerStream* stream, const Malformed& what) override {
    refused.push_back(what);
    if (stream != nullptr) stream->SendHead(Served::Head(what.status), true);
  }
  void OnPeerDraining() override { ++peer_draining; }
  void OnOutput() override { output_waits = true; }
  void OnPong(uint64_t opaque) override { pongs.push_back(opaque); }

  // Everything that happened, one line for each request.
  std::string Log() const {
    std::string log;
    for (const auto& r : requests) absl::StrAppend(&log, r->Text(), "\n");
    if (!status.ok()) absl::StrAppend(&log, "error ", status.message(), "\n");
    return log;
  }
  Served& last() { return *requests.back(); }

  std::vector<std::unique_ptr<Served>> requests;
  std::function<void(Served&)> on_request, on_event;
  std::vector<uint64_t> pongs;
  std::vector<Malformed> refused;  // never were requests
  int peer_draining = 0;
};

// One request as a client sent it, and its response.
struct Asked : ResponseEvents {
  ClientStream* stream = nullptr;
  ClientStream::WireBytes wire;  // at the end
  std::vector<ResponseHead> heads;
  std::string body;
  std::optional<Trailers> trailers;
  std::optional<ResetReason> reset;
  bool ended = false;
  bool give_credit = true;
  int writable = 0;
  std::function<void(Asked&)> on_event;

  void OnHead(ResponseHead head, bool end) override {
    heads.push_back(std::move(head));
    ended = end;
    if (end) wire = stream->wire_bytes();
    if (on_event) on_event(*this);
  }
  void OnBody(base::Buffer& data, bool end) override {
    const size_t n = data.size();
    body += data.ToString();
    data.Clear();
    ended = end;
    if (end) wire = stream->wire_bytes();
    if (give_credit && !end) stream->Consumed(n);
    if (on_event) on_event(*this);
  }
  void OnTrailers(Trailers t) override {
    trailers = std::move(t);
    ended = true;
    wire = stream->wire_bytes();
  }
  void OnReset(ResetReason reason) override { reset = reason; }
  void OnWritable() override { ++writable; }

  void SendBody(absl::string_view text, bool end) {
    base::Buffer data(text);
    stream->SendBody(data, end);
  }
  std::string Text() const {
    std::string text;
    for (const ResponseHead& h : heads) absl::StrAppend(&text, h.status, Describe(h.headers), " ");
    if (!body.empty()) absl::StrAppend(&text, "body:", body, " ");
    if (trailers) absl::StrAppend(&text, "trailers:", Describe(*trailers), " ");
    if (ended) absl::StrAppend(&text, "end");
    if (reset) absl::StrAppend(&text, "reset:", static_cast<int>(*reset));
    return text;
  }
};

class ClientPeer : public ClientEvents, public Wire<ClientCodec> {
 public:
  using Make = std::function<std::unique_ptr<ClientCodec>(base::Buffer*, ClientEvents*)>;
  explicit ClientPeer(const Make& make) { codec = make(&out, this); }
  ~ClientPeer() override { codec = nullptr; }  // it may tell of its end

  static RequestHead Head(absl::string_view method, absl::string_view path,
                          std::vector<std::pair<std::string, std::string>> fields = {}) {
    RequestHead head;
    head.SetMethod(method);
    head.SetScheme("http");
    head.SetAuthority("a");
    head.SetPath(path);
    for (const auto& [name, value] : fields) head.headers.Add(name, value);
    return head;
  }
  // Null when the codec has no room.
  Asked* Ask(const RequestHead& head, bool end = true) {
    auto asked = std::make_unique<Asked>();
    asked->stream = codec->NewStream(asked.get());
    if (asked->stream == nullptr) return nullptr;
    asked->stream->SendHead(head, end);
    requests.push_back(std::move(asked));
    return requests.back().get();
  }
  Asked* Get(absl::string_view path = "/") { return Ask(Head("GET", path)); }

  void OnGoAway() override { ++go_aways; }
  void OnSettings(uint32_t n) override { peer_streams = n; }
  void OnOutput() override { output_waits = true; }
  void OnPong(uint64_t opaque) override { pongs.push_back(opaque); }

  std::vector<std::unique_ptr<Asked>> requests;
  std::vector<uint64_t> pongs;
  int go_aways = 0;
  uint32_t peer_streams = 0;
};

// Carries bytes both ways, `cut` at a time, until nothing moves.
inline void Exchange(ClientPeer& client, ServerPeer& server, size_t cut = SIZE_MAX) {
  for (bool moved = true; moved;) {
    const std::string up = client.TakeOutput();
    server.Feed(up, cut);
    const std::string down = server.TakeOutput();
    client.Feed(down, cut);
    moved = !up.empty() || !down.empty();
  }
}

}  // namespace heddle::http
