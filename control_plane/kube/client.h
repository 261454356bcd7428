// A client of one API server: HTTP/1.1 over TLS by libcurl, any number of requests and watches on
// one thread of its own. Bodies are text; what they say is for others to read.
//
//   auto client = Client::Start(cluster, {});
//   absl::StatusOr<std::string> pods = (*client)->Call({.path = "/api/v1/pods?limit=500"});
//   (*client)->Post([&] { reflector.Start(); });          // things that live on the client's
//   thread
//
// Destruction ends every request (Cancelled) and the thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "control_plane/kube/config.h"

namespace heddle::kube {

inline constexpr char kJson[] = "application/json";
inline constexpr char kMergePatch[] = "application/merge-patch+json";
inline constexpr char kJsonPatch[] = "application/json-patch+json";
// Server-side apply; JSON is YAML too.
inline constexpr char kApplyPatch[] = "application/apply-patch+yaml";

struct Request {
  std::string method = "GET";
  std::string path = {};  // with the query, percent-encoded: "/api/v1/pods?limit=500"
  std::string body = {};
  std::string content_type = kJson;
  absl::Duration timeout = absl::Seconds(30);
  size_t max_bytes = 64 << 20;  // of the answer, decompressed
};

struct ClientOptions {
  std::string user_agent = "heddle-control";
  absl::Duration connect_timeout = absl::Seconds(10);
  absl::Duration read_credentials_every = absl::Minutes(1);
  long max_connections = 64;
};

class Client {
 public:
  // Fails on a certificate, key or URL that cannot be used. Does not connect yet.
  static absl::StatusOr<std::unique_ptr<Client>> Start(ClusterConfig cluster,
                                                       ClientOptions options);
  ~Client();

  using Done = std::function<void(absl::StatusOr<std::string> body)>;
  // Any thread. `done` is called on the client's thread, once.
  void Send(Request request, Done done);
  // Any thread but the client's: waits for the answer.
  absl::StatusOr<std::string> Call(Request request);
  // Any thread: runs `task` on the client's.
  void Post(std::function<void()> task);

  // The client's thread only. -------------------------------------------------------------------
  using Id = uint64_t;  // never 0, never used again
  // The answer in pieces as they come. `on_end` is called once unless the stream was cancelled.
  // `max_bytes` of the request counts for refusals only.
  Id Stream(Request request, std::function<void(absl::string_view)> on_bytes,
            std::function<void(absl::Status)> on_end);
  Id After(absl::Duration wait, std::function<void()> task);
  // A stream or a timer; nothing when it is over already.
  void Cancel(Id id);

  const ClusterConfig& cluster() const;
  // Requests under way, for tests and the status page. Any thread.
  size_t active() const;
  // Whether the last request that ended got any answer from the server. Any thread.
  bool reachable() const;
  // Ends everything; later calls fail at once with Cancelled. Once, not on the client's thread.
  void Stop();

 private:
  class Engine;
  explicit Client(std::unique_ptr<Engine> engine);
  std::unique_ptr<Engine> engine_;
};

// "a b/c" -> "a%20b%2Fc", for what stands in a path or a query.
std::string Escape(absl::string_view text);

}  // namespace heddle::kube
