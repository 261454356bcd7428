#include "control_plane/kube/client.h"

#include <curl/curl.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "control_plane/kube/answer.h"
#include "source/base/clock.h"
#include "source/base/log.h"
#include "source/base/status.h"

namespace heddle::kube {
namespace {

// Of a watch that was refused, this much of the reason is kept.
constexpr size_t kMaxRefusal = 64 << 10;
constexpr base::Micros kLongestPoll = 1000 * 1000;

struct EasyFree {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct MultiFree {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
struct ListFree {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

void InitCurlOnce() {
  static const CURLcode once = curl_global_init(CURL_GLOBAL_DEFAULT);
  (void)once;
}

// scheme, host and port of "https://host:port/base", for CURLOPT_CONNECT_TO.
struct Url {
  std::string scheme, host, port, base;
};

absl::StatusOr<Url> SplitUrl(const std::string& text) {
  std::unique_ptr<CURLU, void (*)(CURLU*)> url(curl_url(), curl_url_cleanup);
  if (curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK)
    return absl::InvalidArgumentError(absl::StrCat("server \"", text, "\": not a URL"));
  const auto part = [&](CURLUPart what, unsigned flags) {
    char* value = nullptr;
    std::string out;
    if (curl_url_get(url.get(), what, &value, flags) == CURLUE_OK && value != nullptr) out = value;
    curl_free(value);
    return out;
  };
  Url out{.scheme = part(CURLUPART_SCHEME, 0),
          .host = part(CURLUPART_HOST, 0),
          .port = part(CURLUPART_PORT, CURLU_DEFAULT_PORT),
          .base = std::string(absl::StripSuffix(part(CURLUPART_PATH, 0), "/"))};
  if (out.scheme != "https" && out.scheme != "http")
    return absl::InvalidArgumentError(absl::StrCat("server \"", text, "\": want https://"));
  return out;
}

}  // namespace

// Everything but the queue of posted tasks belongs to its thread.
class Client::Engine {
 public:
  Engine(ClusterConfig cluster, ClientOptions options)
      : cluster_(std::move(cluster)), options_(std::move(options)) {}
  ~Engine() { Stop(); }

  absl::Status Start();
  void Stop();
  void Post(std::function<void()> task);
  Id Send(Request request, Done done);
  Id Stream(Request request, std::function<void(absl::string_view)> on_bytes,
            std::function<void(absl::Status)> on_end);
  Id After(absl::Duration wait, std::function<void()> task);
  void Cancel(Id id);

  const ClusterConfig& cluster() const { return cluster_; }
  size_t active() const { return active_.load(std::memory_order_relaxed); }
  bool reachable() const { return reachable_.load(std::memory_order_relaxed); }
  bool on_own_thread() const { return std::this_thread::get_id() == thread_.get_id(); }

 private:
  struct Transfer {
    Engine* engine = nullptr;
    Id id = 0;
    Request request;
    std::unique_ptr<CURL, EasyFree> easy;
    std::unique_ptr<curl_slist, ListFree> headers, connect_to;
    std::string body;  // whole, or of a refused stream
    absl::Duration retry_after;
    bool too_large = false;
    std::function<void(absl::string_view)> on_bytes;  // streams only
    std::function<void(absl::Status)> on_end;         // streams only
    Done done;                                        // others
    char error[CURL_ERROR_SIZE] = {};

    std::string Doing() const {
      return absl::StrCat(request.method, " ", request.path.substr(0, request.path.find('?')));
    }
    void End(const absl::Status& status) {
      if (on_end) return on_end(status);
      if (!status.ok()) return done(status);
      done(std::move(body));
    }
  };

  static size_t OnBody(char* data, size_t size, size_t count, void* transfer);
  static size_t OnHeader(char* data, size_t size, size_t count, void* transfer);
  void Run();
  void RunPosted();
  void FireTimers();
  void CancelTransfers();
  void Finish(CURL* easy, CURLcode code);
  Id Begin(std::unique_ptr<Transfer> transfer);
  void SetUp(Transfer* transfer);
  void SetUpTls(CURL* easy);
  void ReadCredentials();
  base::Micros UntilTimer() const;

  ClusterConfig cluster_;
  const ClientOptions options_;
  Url url_;
  std::unique_ptr<CURLM, MultiFree> multi_;
  std::map<Id, std::unique_ptr<Transfer>> transfers_;
  std::map<std::pair<base::Micros, Id>, std::function<void()>> timers_;
  std::map<Id, base::Micros> deadlines_;
  Id next_ = 1;
  std::string token_, ca_;
  base::Micros credentials_read_ = 0;
  std::atomic<size_t> active_{0};
  std::atomic<bool> reachable_{false};
  std::thread thread_;

  absl::Mutex mutex_;
  std::vector<std::function<void()>> posted_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool over_ ABSL_GUARDED_BY(mutex_) = false;  // nothing is taken any more
};

absl::Status Client::Engine::Start() {
  InitCurlOnce();
  HEDDLE_ASSIGN_OR_RETURN(url_, SplitUrl(cluster_.server));
  multi_.reset(curl_multi_init());
  if (multi_ == nullptr) return absl::ResourceExhaustedError("curl_multi_init failed");
  curl_multi_setopt(multi_.get(), CURLMOPT_MAX_TOTAL_CONNECTIONS, options_.max_connections);
  token_ = cluster_.token;
  ca_ = cluster_.ca_pem;
  ReadCredentials();
  thread_ = std::thread([this] { Run(); });
  return absl::OkStatus();
}

void Client::Engine::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (!thread_.joinable()) return;
  curl_multi_wakeup(multi_.get());
  thread_.join();
}

void Client::Engine::Post(std::function<void()> task) {
  {
    absl::MutexLock lock(&mutex_);
    if (!over_) {
      posted_.push_back(std::move(task));
      task = nullptr;
    }
  }
  if (task == nullptr) curl_multi_wakeup(multi_.get());
}

void Client::Engine::ReadCredentials() {
  const base::Micros now = base::SystemClock().Now();
  if (credentials_read_ != 0 &&
      now - credentials_read_ < base::ToMicros(options_.read_credentials_every))
    return;
  credentials_read_ = now;
  const auto read = [this](const std::string& path, std::string* into) {
    if (path.empty()) return;
    absl::StatusOr<std::string> text = ReadTextFile(path);
    if (!text.ok()) {
      HEDDLE_LOG(kWarning, "kube") << "credentials: " << text.status().message();
      return;
    }
    std::string found(absl::StripAsciiWhitespace(*text));
    if (into == &token_ && !IsToken(found)) {
      // Half written, or no token at all: the old one is the better guess.
      HEDDLE_LOG(kWarning, "kube")
          << "credentials: " << path << ": want visible ASCII, at most 16 KiB";
      return;
    }
    *into = std::move(found);
  };
  read(cluster_.token_file, &token_);
  read(cluster_.ca_file, &ca_);
}

void Client::Engine::SetUpTls(CURL* easy) {
  const auto blob = [easy](CURLoption option, const std::string& text) {
    if (text.empty()) return;
    curl_blob value{const_cast<char*>(text.data()), text.size(), CURL_BLOB_COPY};
    curl_easy_setopt(easy, option, &value);
  };
  blob(CURLOPT_CAINFO_BLOB, ca_);
  blob(CURLOPT_SSLCERT_BLOB, cluster_.certificate_pem);
  blob(CURLOPT_SSLKEY_BLOB, cluster_.key_pem);
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, cluster_.insecure ? 0L : 1L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, cluster_.insecure ? 0L : 2L);
}

void Client::Engine::SetUp(Transfer* transfer) {
  CURL* easy = transfer->easy.get();
  const Request& request = transfer->request;
  std::string host = url_.host;
  if (!cluster_.tls_server_name.empty() && cluster_.tls_server_name != host) {
    // The name that is verified stands in the URL; the connection goes where `server` says.
    host = cluster_.tls_server_name;
    transfer->connect_to.reset(curl_slist_append(
        nullptr, absl::StrCat(host, ":", url_.port, ":", url_.host, ":", url_.port).c_str()));
    curl_easy_setopt(easy, CURLOPT_CONNECT_TO, transfer->connect_to.get());
  }
  const std::string url =
      absl::StrCat(url_.scheme, "://", host, ":", url_.port, url_.base, request.path);
  curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  // A connection per watch: one that hangs or is cut takes no other with it.
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 15L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 5L);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(absl::ToInt64Milliseconds(options_.connect_timeout)));
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS,
                   static_cast<long>(absl::ToInt64Milliseconds(request.timeout)));
  curl_easy_setopt(easy, CURLOPT_USERAGENT, options_.user_agent.c_str());
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
  curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &OnBody);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &OnHeader);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
  // A compressed watch would sit in the decompressor.
  if (!transfer->on_bytes) curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
  SetUpTls(easy);
  curl_slist* headers = curl_slist_append(nullptr, "Accept: application/json");
  if (!token_.empty())
    headers = curl_slist_append(headers, absl::StrCat("Authorization: Bearer ", token_).c_str());
  if (request.method != "GET") {
    headers =
        curl_slist_append(headers, absl::StrCat("Content-Type: ", request.content_type).c_str());
    headers = curl_slist_append(headers, "Expect:");
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request.body.data());
  }
  transfer->headers.reset(headers);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
}

Client::Id Client::Engine::Begin(std::unique_ptr<Transfer> transfer) {
  ReadCredentials();
  Transfer* const raw = transfer.get();
  raw->engine = this;
  raw->id = next_++;
  raw->easy.reset(curl_easy_init());
  HEDDLE_CHECK(raw->easy != nullptr) << "curl_easy_init";
  SetUp(raw);
  transfers_.emplace(raw->id, std::move(transfer));
  active_.store(transfers_.size(), std::memory_order_relaxed);
  HEDDLE_CHECK(curl_multi_add_handle(multi_.get(), raw->easy.get()) == CURLM_OK)
      << "curl_multi_add_handle";
  return raw->id;
}

Client::Id Client::Engine::Send(Request request, Done done) {
  auto transfer = std::make_unique<Transfer>();
  transfer->request = std::move(request);
  transfer->done = std::move(done);
  return Begin(std::move(transfer));
}

Client::Id Client::Engine::Stream(Request request, std::function<void(absl::string_view)> on_bytes,
                                  std::function<void(absl::Status)> on_end) {
  auto transfer = std::make_unique<Transfer>();
  transfer->request = std::move(request);
  transfer->on_bytes = std::move(on_bytes);
  transfer->on_end = std::move(on_end);
  return Begin(std::move(transfer));
}

size_t Client::Engine::OnBody(char* data, size_t size, size_t count, void* self) {
  auto* const transfer = static_cast<Transfer*>(self);
  const absl::string_view bytes(data, size * count);
  long code = 0;
  curl_easy_getinfo(transfer->easy.get(), CURLINFO_RESPONSE_CODE, &code);
  if (transfer->on_bytes && code == 200) {
    transfer->on_bytes(bytes);
    return bytes.size();
  }
  const size_t limit = transfer->on_bytes ? kMaxRefusal : transfer->request.max_bytes;
  if (transfer->body.size() + bytes.size() > limit) {
    transfer->too_large = true;
    return 0;
  }
  transfer->body.append(bytes.data(), bytes.size());
  return bytes.size();
}

size_t Client::Engine::OnHeader(char* data, size_t size, size_t count, void* self) {
  auto* const transfer = static_cast<Transfer*>(self);
  absl::string_view line(data, size * count);
  constexpr absl::string_view kName = "retry-after:";
  int seconds = 0;
  if (absl::StartsWithIgnoreCase(line, kName) &&
      absl::SimpleAtoi(absl::StripAsciiWhitespace(line.substr(kName.size())), &seconds))
    transfer->retry_after = absl::Seconds(std::clamp(seconds, 0, 3600));
  return size * count;
}

void Client::Engine::Finish(CURL* easy, CURLcode code) {
  char* self = nullptr;
  curl_easy_getinfo(easy, CURLINFO_PRIVATE, &self);
  auto* const raw = reinterpret_cast<Transfer*>(self);
  long http = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &http);
  curl_multi_remove_handle(multi_.get(), easy);
  const auto it = transfers_.find(raw->id);
  if (it == transfers_.end()) return;  // cancelled by its own bytes
  const std::unique_ptr<Transfer> transfer = std::move(it->second);
  transfers_.erase(it);
  active_.store(transfers_.size(), std::memory_order_relaxed);
  reachable_.store(http != 0, std::memory_order_relaxed);
  if (http == 401) credentials_read_ = 0;
  absl::Status status;
  if (http != 0 && http != 200) {
    status =
        StatusOf(transfer->Doing(), static_cast<int>(http), transfer->body, transfer->retry_after);
  } else if (transfer->too_large) {
    status = absl::ResourceExhaustedError(absl::StrCat(
        transfer->Doing(), ": the answer is larger than ", transfer->request.max_bytes, " bytes"));
  }
  if (status.ok() && code != CURLE_OK) {
    const std::string why =
        absl::StrCat(transfer->Doing(), ": ",
                     transfer->error[0] != '\0' ? transfer->error : curl_easy_strerror(code));
    status = code == CURLE_OPERATION_TIMEDOUT ? absl::DeadlineExceededError(why)
                                              : absl::UnavailableError(why);
  }
  transfer->End(status);
}

Client::Id Client::Engine::After(absl::Duration wait, std::function<void()> task) {
  const Id id = next_++;
  const base::Micros at = base::SystemClock().Now() + base::ToMicros(wait);
  timers_.emplace(std::make_pair(at, id), std::move(task));
  deadlines_[id] = at;
  return id;
}

void Client::Engine::Cancel(Id id) {
  if (const auto it = deadlines_.find(id); it != deadlines_.end()) {
    timers_.erase({it->second, id});
    deadlines_.erase(it);
    return;
  }
  const auto it = transfers_.find(id);
  if (it == transfers_.end()) return;
  // Not from inside its own callback: libcurl is on the stack then.
  CURL* const easy = it->second->easy.get();
  curl_multi_remove_handle(multi_.get(), easy);
  transfers_.erase(it);
  active_.store(transfers_.size(), std::memory_order_relaxed);
}

base::Micros Client::Engine::UntilTimer() const {
  if (timers_.empty()) return kLongestPoll;
  const base::Micros left = timers_.begin()->first.first - base::SystemClock().Now();
  return std::clamp<base::Micros>(left, 0, kLongestPoll);
}

void Client::Engine::FireTimers() {
  const base::Micros now = base::SystemClock().Now();
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    auto node = timers_.extract(timers_.begin());
    deadlines_.erase(node.key().second);
    node.mapped()();
  }
}

void Client::Engine::RunPosted() {
  std::vector<std::function<void()>> tasks;
  {
    absl::MutexLock lock(&mutex_);
    tasks.swap(posted_);
  }
  for (const std::function<void()>& task : tasks) task();
}

void Client::Engine::CancelTransfers() {
  while (!transfers_.empty()) {
    const std::unique_ptr<Transfer> transfer = std::move(transfers_.begin()->second);
    transfers_.erase(transfers_.begin());
    curl_multi_remove_handle(multi_.get(), transfer->easy.get());
    if (transfer->done) transfer->done(absl::CancelledError("the client was stopped"));
  }
}

void Client::Engine::Run() {
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_) break;
    }
    RunPosted();
    FireTimers();
    int running = 0;
    curl_multi_perform(multi_.get(), &running);
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &left))
      if (message->msg == CURLMSG_DONE) Finish(message->easy_handle, message->data.result);
    // Rounded up, so that a timer is never looked at just before it is due.
    curl_multi_poll(multi_.get(), nullptr, 0, static_cast<int>((UntilTimer() + 999) / 1000),
                    nullptr);
  }
  RunPosted();
  CancelTransfers();
  {
    absl::MutexLock lock(&mutex_);
    over_ = true;
  }
  RunPosted();  // their requests are begun below nobody's eyes, and answered here
  CancelTransfers();
  timers_.clear();
  active_.store(0, std::memory_order_relaxed);
}

Client::Client(std::unique_ptr<Engine> engine) : engine_(std::move(engine)) {}
Client::~Client() = default;

absl::StatusOr<std::unique_ptr<Client>> Client::Start(ClusterConfig cluster,
                                                      ClientOptions options) {
  auto engine = std::make_unique<Engine>(std::move(cluster), std::move(options));
  HEDDLE_RETURN_IF_ERROR(engine->Start());
  return std::unique_ptr<Client>(new Client(std::move(engine)));
}

void Client::Send(Request request, Done done) {
  // Dropped with the queue when the client was stopped before; then nobody would answer.
  struct Ticket {
    Done done;
    ~Ticket() {
      if (done) done(absl::CancelledError("the client was stopped"));
    }
  };
  auto ticket = std::make_shared<Ticket>();
  ticket->done = std::move(done);
  engine_->Post([engine = engine_.get(), request = std::move(request), ticket]() mutable {
    engine->Send(std::move(request), std::exchange(ticket->done, nullptr));
  });
}

absl::StatusOr<std::string> Client::Call(Request request) {
  HEDDLE_CHECK(!engine_->on_own_thread()) << "Call would wait for itself";
  // Shared: the answer of a stopped client may come while this one returns.
  struct Waiter {
    absl::Notification done;
    absl::StatusOr<std::string> answer = absl::CancelledError("the client was stopped");
  };
  auto waiter = std::make_shared<Waiter>();
  Send(std::move(request), [waiter](absl::StatusOr<std::string> answer) {
    waiter->answer = std::move(answer);
    waiter->done.Notify();
  });
  waiter->done.WaitForNotification();
  return std::move(waiter->answer);
}

void Client::Post(std::function<void()> task) { engine_->Post(std::move(task)); }
Client::Id Client::Stream(Request request, std::function<void(absl::string_view)> on_bytes,
                          std::function<void(absl::Status)> on_end) {
  return engine_->Stream(std::move(request), std::move(on_bytes), std::move(on_end));
}
Client::Id Client::After(absl::Duration wait, std::function<void()> task) {
  return engine_->After(wait, std::move(task));
}
void Client::Cancel(Id id) { engine_->Cancel(id); }
const ClusterConfig& Client::cluster() const { return engine_->cluster(); }
size_t Client::active() const { return engine_->active(); }
bool Client::reachable() const { return engine_->reachable(); }
void Client::Stop() { engine_->Stop(); }

std::string Escape(absl::string_view text) {
  std::string out;
  for (const char c : text) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '.' || c == '_' ||
        c == '~') {
      out += c;
    } else {
      absl::StrAppend(&out, "%", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
    }
  }
  return out;
}

}  // namespace heddle::kube
