#include "source/admin/server.h"

#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "source/base/status.h"
#include "source/http/codec.h"
#include "source/http/h1/codec.h"
#include "source/net/connection.h"
#include "source/net/socket.h"

namespace heddle::admin {
namespace {

constexpr absl::Duration kIdleTimeout = absl::Seconds(60);

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// %XX and '+'; what is malformed stays as it is.
std::string Unescape(absl::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      out.push_back(' ');
    } else if (text[i] == '%' && i + 2 < text.size() && HexValue(text[i + 1]) >= 0 &&
               HexValue(text[i + 2]) >= 0) {
      out.push_back(static_cast<char>(HexValue(text[i + 1]) * 16 + HexValue(text[i + 2])));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

Request Parse(const http::RequestHead& head) {
  Request out;
  out.method = std::string(head.method);
  out.path = std::string(head.path_without_query());
  if (head.query().empty()) return out;
  for (const absl::string_view pair : absl::StrSplit(head.query(), '&')) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(pair, absl::MaxSplits('=', 1));
    out.query[Unescape(parts.first)] = Unescape(parts.second);
  }
  return out;
}

}  // namespace

class AdminServer::Session final : public event::Destroyable,
                                   private net::ConnectionEvents,
                                   private http::ServerEvents,
                                   private http::RequestEvents,
                                   private event::EndOfIteration {
 public:
  Session(AdminServer& server, int fd, const net::Address& peer)
      : server_(server),
        idle_(server.loop_, [this] { connection_->Close(net::Connection::How::kAbort); }) {
    net::ConnectionOptions options;
    connection_ =
        net::Connection::Accepted(server.loop_, fd, net::MakePlainTransport(), peer, options, this);
    codec_ = http::h1::MakeServerCodec({}, &connection_->out(), this);
    idle_.Start(kIdleTimeout);
  }

 private:
  void OnData(base::Buffer& in, bool eof) override {
    idle_.Start(kIdleTimeout);
    const absl::Status fed = codec_->Feed(in, eof);
    if (!fed.ok() || codec_->finished()) {
      codec_->PrepareFlush();
      connection_->Flush();
      connection_->Close(net::Connection::How::kFlush);
    }
  }
  void OnClosed(net::CloseReason) override { server_.Remove(this); }

  http::RequestEvents* OnRequest(http::ServerStream* stream, http::RequestHead head,
                                 bool end) override {
    stream_ = stream;
    request_ = Parse(head);
    if (end) Respond();
    return this;
  }
  using http::RequestEvents::OnMalformed;
  void OnMalformed(http::ServerStream* stream, const http::Malformed& what) override {
    http::ResponseHead head;
    head.status = what.status;
    head.keep_alive = false;
    stream->SendHead(head, /*end=*/true);
  }
  void OnBody(base::Buffer& data, bool end) override {
    stream_->Consumed(data.size());
    data.Clear();  // no page reads a body
    if (end) Respond();
  }
  void OnTrailers(http::Trailers) override { Respond(); }
  void OnReset(http::ResetReason) override { stream_ = nullptr; }

  void Respond() {
    // The client is waiting for us now; the handler bounds for how long.
    idle_.Stop();
    work_ = server_.handler_(request_, [this](const Reply& reply) {
      Send(reply);
      if (work_ != nullptr) server_.loop_.Destroy(std::move(work_));
    });
  }

  void Send(const Reply& reply) {
    if (stream_ == nullptr) return;  // the client gave up
    idle_.Start(kIdleTimeout);
    http::ResponseHead head;
    head.status = reply.status;
    head.headers.Add(http::HeaderId::kContentType, reply.content_type);
    head.headers.Add(http::HeaderId::kContentLength, absl::StrCat(reply.body.size()));
    head.headers.Add(http::HeaderId::kCacheControl, "no-cache, max-age=0");
    head.headers.Add("x-content-type-options", "nosniff");
    const bool no_body = request_.method == "HEAD" || reply.body.empty();
    stream_->SendHead(head, no_body);
    if (no_body) return;
    base::Buffer body(reply.body);
    stream_->SendBody(body, true);
  }

  void OnOutput() override { server_.loop_.MarkDirty(this); }
  void AtEnd() override {
    codec_->PrepareFlush();
    connection_->Flush();
  }

  AdminServer& server_;
  event::Timer idle_;
  std::unique_ptr<net::Connection> connection_;
  std::unique_ptr<http::ServerCodec> codec_;
  http::ServerStream* stream_ = nullptr;
  Request request_;
  std::unique_ptr<event::Destroyable> work_;  // of an answer that takes a while
};

AdminServer::AdminServer(event::Loop& loop, LateHandler handler)
    : loop_(loop), handler_(std::move(handler)) {}

AdminServer::~AdminServer() = default;

absl::StatusOr<std::unique_ptr<AdminServer>> AdminServer::Start(event::Loop& loop,
                                                                const net::Address& address,
                                                                Handler handler) {
  if (!address.loopback()) {
    return absl::InvalidArgumentError(
        absl::StrCat("admin.address: found ", address.ToString(), ", allowed a loopback address"));
  }
  return StartOpen(
      loop, address,
      [handler = std::move(handler)](
          const Request& request,
          const std::function<void(Reply)>& answer) -> std::unique_ptr<event::Destroyable> {
        answer(handler(request));
        return nullptr;
      });
}

absl::StatusOr<std::unique_ptr<AdminServer>> AdminServer::StartOpen(event::Loop& loop,
                                                                    const net::Address& address,
                                                                    LateHandler handler) {
  HEDDLE_ASSIGN_OR_RETURN(net::Fd fd, net::Listen(address, {.reuse_port = false}));
  std::unique_ptr<AdminServer> server(new AdminServer(loop, std::move(handler)));
  AdminServer* raw = server.get();
  server->listener_ = std::make_unique<net::Listener>(
      loop, std::move(fd), net::ListenerOptions{}, [raw](int accepted, const net::Address& peer) {
        if (raw->sessions_.size() >= kMaxConnections) {
          close(accepted);
          return;
        }
        raw->sessions_.push_back(std::make_unique<Session>(*raw, accepted, peer));
      });
  return server;
}

const net::Address& AdminServer::address() const { return listener_->address(); }

void AdminServer::Remove(Session* session) {
  const auto it =
      std::find_if(sessions_.begin(), sessions_.end(),
                   [&](const std::unique_ptr<Session>& s) { return s.get() == session; });
  if (it == sessions_.end()) return;
  loop_.Destroy(std::move(*it));
  sessions_.erase(it);
}

}  // namespace heddle::admin
