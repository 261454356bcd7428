#include "source/observe/access_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "source/base/log.h"
#include "source/base/status.h"
#include "source/config/match.h"
#include "source/observe/flags.h"

namespace heddle::observe {
namespace {

bool Standard(const std::string& path) { return path == "/dev/stdout" || path == "/dev/stderr"; }

int OpenPath(const std::string& path) {
  if (path == "/dev/stdout") return STDOUT_FILENO;
  if (path == "/dev/stderr") return STDERR_FILENO;
  return open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
}

void WriteFully(int fd, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n > 0) {
      bytes.remove_prefix(static_cast<size_t>(n));
    } else if (errno != EINTR && errno != EAGAIN) {
      return;  // a full disk loses log lines, never requests
    }
  }
}

bool Compare(config::AccessLogFilter::Op op, int64_t left, int64_t right) {
  switch (op) {
    case config::AccessLogFilter::Op::kEq:
      return left == right;
    case config::AccessLogFilter::Op::kGe:
      return left >= right;
    case config::AccessLogFilter::Op::kLe:
      return left <= right;
    case config::AccessLogFilter::Op::kNe:
      return left != right;
  }
  return false;
}

bool FlagPasses(const std::vector<std::string>& flags, const AccessRecord& record) {
  if (flags.empty()) return record.flags != 0;
  return std::any_of(flags.begin(), flags.end(), [&](const std::string& name) {
    const auto flag = FlagOf(name);
    return flag.has_value() && record.Has(*flag);
  });
}

}  // namespace

bool Passes(const config::AccessLogFilter& f, const AccessRecord& r) {
  using Kind = config::AccessLogFilter::Kind;
  const auto passes = [&](const config::AccessLogFilter& child) { return Passes(child, r); };
  switch (f.kind) {
    case Kind::kAnd:
      return std::all_of(f.children.begin(), f.children.end(), passes);
    case Kind::kOr:
      return std::any_of(f.children.begin(), f.children.end(), passes);
    case Kind::kStatus:
      return Compare(f.op, r.status, f.value);
    case Kind::kDuration:
      return Compare(f.op, (r.finished - r.started) / 1000, f.value);
    case Kind::kNotHealthCheck:
      return !r.health_check;
    case Kind::kResponseFlag:
      return FlagPasses(f.flags, r);
    case Kind::kHeader:
      return f.header.has_value() && r.request != nullptr && config::Matches(*f.header, *r.request);
    case Kind::kGrpcStatus: {
      const bool listed = std::find(f.grpc_statuses.begin(), f.grpc_statuses.end(),
                                    r.grpc_status) != f.grpc_statuses.end();
      return listed != f.exclude;
    }
    case Kind::kRuntime:
      // Stable for a request: the same record always gives the same answer.
      return absl::Hash<std::pair<uint64_t, int64_t>>{}({r.connection_id, r.started}) %
                 f.fraction.denominator <
             f.fraction.numerator;
    case Kind::kTraceable:
      return !r.trace_id.empty();
  }
  return true;
}

void LogFile::Append(absl::string_view line) {
  bool first;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (waiting_.size() + line.size() > kMaxWaiting) {
      dropped_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    first = waiting_.empty();
    waiting_.append(line.data(), line.size());
  }
  if (first) files_->Wake();
}

LogFiles::~LogFiles() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
  WriteAll();
  for (const auto& file : files_) {
    if (!Standard(file->path_)) close(file->fd_);
  }
}

absl::StatusOr<std::shared_ptr<LogFile>> LogFiles::Open(const std::string& path) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& file : files_) {
    if (file->path_ == path) return file;
  }
  const int fd = OpenPath(path);
  if (fd < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot open access log \"", path, "\": ", std::strerror(errno)));
  }
  files_.push_back(std::shared_ptr<LogFile>(new LogFile(this, path, fd)));
  if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
  return files_.back();
}

void LogFiles::Reopen() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    reopen_ = work_ = true;
  }
  wake_.notify_one();
}

void LogFiles::Wake() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    work_ = true;
  }
  wake_.notify_one();
}

void LogFiles::Flush() { WriteAll(); }

void LogFiles::Run() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stop_) {
    wake_.wait(lock, [this] { return work_ || stop_; });
    if (stop_) return;
    work_ = false;
    // Lines that come within this time share one write.
    wake_.wait_for(lock, std::chrono::milliseconds(kFlushMillis), [this] { return stop_; });
    lock.unlock();
    WriteAll();
    lock.lock();
  }
}

void LogFiles::WriteAll() {
  const std::lock_guard<std::mutex> writing(writing_);
  std::vector<std::shared_ptr<LogFile>> files;
  bool reopen = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    files = files_;
    std::swap(reopen, reopen_);
  }
  for (const auto& file : files) {
    std::string lines;
    {
      const std::lock_guard<std::mutex> lock(file->mutex_);
      lines.swap(file->waiting_);
    }
    WriteFully(file->fd_, lines);
    if (!reopen || Standard(file->path_)) continue;
    if (const int fd = OpenPath(file->path_); fd >= 0) {
      close(file->fd_);
      file->fd_ = fd;
    } else {
      HEDDLE_LOG(kWarning, "log") << "cannot reopen access log \"" << file->path_
                                  << "\", going on with the old file";
    }
  }
}

absl::StatusOr<std::shared_ptr<AccessLogger>> AccessLogger::Create(const config::AccessLog& config,
                                                                   LogFiles& files) {
  std::string path = config.path;
  if (config.sink == config::AccessLog::Sink::kStdout) path = "/dev/stdout";
  if (config.sink == config::AccessLog::Sink::kStderr) path = "/dev/stderr";
  HEDDLE_ASSIGN_OR_RETURN(Formatter format, Formatter::FromConfig(config.format));
  HEDDLE_ASSIGN_OR_RETURN(std::shared_ptr<LogFile> file, files.Open(path));
  return std::shared_ptr<AccessLogger>(
      new AccessLogger(config, std::move(file), std::move(format)));
}

void AccessLogger::Write(const AccessRecord& record) const {
  if (filter_.has_value() && !Passes(*filter_, record)) return;
  std::string line;
  line.reserve(256);
  format_.Append(record, &line);
  file_->Append(line);
}

}  // namespace heddle::observe
