// Writing access records as lines. A LogFile is one open destination, shared by all workers; lines
// are gathered in memory and written by one thread, so a slow disk or terminal never stops a
// worker.
//
//   HEDDLE_ASSIGN_OR_RETURN(auto logger, AccessLogger::Create(config, log_files));
//   logger->Write(record);            // any worker
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "source/config/http.h"
#include "source/observe/format.h"

namespace heddle::observe {

class LogFiles;

class LogFile {
 public:
  // Bytes waiting for the writer beyond which lines are dropped (and counted), so that a stuck disk
  // costs no memory.
  static constexpr size_t kMaxWaiting = 1024 * 1024;

  void Append(absl::string_view line);
  uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  friend class LogFiles;
  LogFile(LogFiles* files, std::string path, int fd)
      : files_(files), path_(std::move(path)), fd_(fd) {}

  LogFiles* files_;
  const std::string path_;
  int fd_;  // writer thread only, after the start
  std::mutex mutex_;
  std::string waiting_;  // guarded by mutex_
  std::atomic<uint64_t> dropped_{0};
};

// Every open log of the process and the thread that writes them. Lines reach the file within
// kFlushMillis.
class LogFiles {
 public:
  static constexpr int kFlushMillis = 50;

  LogFiles() = default;
  ~LogFiles();  // writes what waits

  // The same path gives the same file while somebody holds it. "/dev/stdout" and "/dev/stderr" are
  // not reopened.
  absl::StatusOr<std::shared_ptr<LogFile>> Open(const std::string& path);
  // Reopens by path (after rotation): admin POST /reopen_logs and SIGUSR1.
  void Reopen();
  void Flush();  // blocks until everything waiting now is written

 private:
  friend class LogFile;
  void Wake();
  void Run();
  void WriteAll();

  std::mutex mutex_;
  std::condition_variable wake_;
  bool work_ = false, stop_ = false, reopen_ = false;
  std::vector<std::shared_ptr<LogFile>> files_;
  std::mutex writing_;
  std::thread thread_;
};

// One configured access log: where, which records, which format. Immutable; any thread.
class AccessLogger {
 public:
  static absl::StatusOr<std::shared_ptr<AccessLogger>> Create(const config::AccessLog& config,
                                                              LogFiles& files);
  void Write(const AccessRecord& record) const;

 private:
  AccessLogger(config::AccessLog config, std::shared_ptr<LogFile> file, Formatter format)
      : filter_(std::move(config.filter)), file_(std::move(file)), format_(std::move(format)) {}

  std::optional<config::AccessLogFilter> filter_;
  std::shared_ptr<LogFile> file_;
  Formatter format_;
};

// Whether the filter lets the record through (Envoy: source/common/access_log/access_log_impl.cc).
bool Passes(const config::AccessLogFilter& filter, const AccessRecord& record);

}  // namespace heddle::observe
