#include "control_plane/ingest/file_source.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <set>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "control_plane/ingest/directory.h"
#include "source/base/log.h"
#include "source/base/status.h"

namespace heddle::ingest {
namespace {

constexpr uint32_t kEvents = IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE |
                             IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB;
// A writer that keeps a file open longer than this is read as it is.
constexpr absl::Duration kLongestWrite = absl::Seconds(1);

model::Problem DirectoryProblem(const FileSourceOptions& options, const absl::Status& status) {
  model::Problem problem;
  problem.file = options.directory;
  problem.message = std::string(status.message());
  return problem;
}

class FileSource : public Source {
 public:
  explicit FileSource(FileSourceOptions options)
      : options_(std::move(options)), directory_(options_), merge_(options_.world) {}
  ~FileSource() override { Stop(); }

  absl::Status Start(Callback callback) override;
  void Stop() override;

 private:
  void Run();
  bool Wait(absl::Duration timeout);  // true: something happened
  void DrainEvents();
  void OnEvent(const inotify_event& event);
  std::set<std::string> Unfinished();
  void LookAndDeliver();
  void WatchFolders();

  const FileSourceOptions options_;
  Directory directory_;
  Merge merge_;
  Callback callback_;
  uint64_t generation_ = 0;
  absl::Status last_look_;
  std::map<int, std::string> watches_;         // by descriptor
  std::map<std::string, absl::Time> written_;  // written to and not closed since, by file name
  int inotify_ = -1;
  int stop_ = -1;          // an eventfd: readable when Stop was called
  bool stopping_ = false;  // the source's thread only
  std::thread thread_;
};

absl::Status FileSource::Start(Callback callback) {
  HEDDLE_CHECK(callback_ == nullptr) << "started twice";
  callback_ = std::move(callback);
  inotify_ = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  stop_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (inotify_ < 0 || stop_ < 0)
    return absl::UnavailableError(absl::StrCat("inotify: ", strerror(errno)));
  // Watched before it is read, so that no change falls between.
  inotify_add_watch(inotify_, options_.directory.c_str(), kEvents);
  last_look_ = directory_.Look({}, &merge_);
  if (!last_look_.ok()) return last_look_;
  WatchFolders();
  merge_.Apply();
  callback_({++generation_, merge_.world(), merge_.problems(), merge_.kept()});
  thread_ = std::thread([this] { Run(); });
  return absl::OkStatus();
}

void FileSource::Stop() {
  if (thread_.joinable()) {
    const uint64_t one = 1;
    HEDDLE_CHECK(write(stop_, &one, sizeof(one)) == sizeof(one)) << strerror(errno);
    thread_.join();
  }
  if (inotify_ >= 0) close(inotify_);
  if (stop_ >= 0) close(stop_);
  inotify_ = stop_ = -1;
}

void FileSource::WatchFolders() {
  std::map<int, std::string> now;
  for (const std::string& folder : directory_.folders()) {
    const int watch = inotify_add_watch(inotify_, folder.c_str(), kEvents);
    if (watch >= 0) now[watch] = folder;
  }
  for (const auto& [watch, folder] : watches_)
    if (!now.contains(watch)) inotify_rm_watch(inotify_, watch);
  watches_ = std::move(now);
}

bool FileSource::Wait(absl::Duration timeout) {
  pollfd fds[2] = {{inotify_, POLLIN, 0}, {stop_, POLLIN, 0}};
  const int64_t ms = std::max<int64_t>(absl::ToInt64Milliseconds(timeout), 0);
  const int ready = poll(fds, 2, static_cast<int>(ms));
  if (fds[1].revents != 0) stopping_ = true;
  return ready > 0;
}

void FileSource::OnEvent(const inotify_event& event) {
  if (event.len == 0) return;
  const std::string name(event.name);
  if (event.mask & IN_MODIFY) written_[name] = absl::Now();
  if (event.mask & (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE)) written_.erase(name);
}

void FileSource::DrainEvents() {
  alignas(inotify_event) char buffer[16 * 1024];
  while (true) {
    const ssize_t got = read(inotify_, buffer, sizeof(buffer));
    if (got <= 0) return;
    for (ssize_t at = 0; at < got;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      OnEvent(*event);
      at += static_cast<ssize_t>(sizeof(inotify_event)) + event->len;
    }
  }
}

std::set<std::string> FileSource::Unfinished() {
  std::set<std::string> names;
  const absl::Time now = absl::Now();
  for (auto it = written_.begin(); it != written_.end();) {
    if (now - it->second > kLongestWrite) {
      it = written_.erase(it);
    } else {
      names.insert((it++)->first);
    }
  }
  return names;
}

void FileSource::LookAndDeliver() {
  const absl::Status look = directory_.Look(Unfinished(), &merge_);
  const bool changed = look.ok() && merge_.Apply();
  if (look.ok()) WatchFolders();
  if (!changed && look == last_look_) return;
  last_look_ = look;
  Update update{++generation_, merge_.world(), merge_.problems(), merge_.kept()};
  if (!look.ok()) update.problems.insert(update.problems.begin(), DirectoryProblem(options_, look));
  for (const model::Problem& problem : update.problems)
    HEDDLE_LOG(kWarning, "ingest") << problem.ToString();
  callback_(std::move(update));
}

void FileSource::Run() {
  while (!stopping_) {
    const bool event = Wait(options_.look_anyway);
    const absl::Time first = absl::Now();
    absl::Time last = first;
    if (event) DrainEvents();
    while (event && !stopping_) {
      const absl::Time now = absl::Now();
      const absl::Duration wait =
          std::min(last + options_.quiet - now, first + options_.longest_wait - now);
      if (wait <= absl::ZeroDuration()) break;
      if (Wait(wait + absl::Microseconds(999))) {
        DrainEvents();
        last = absl::Now();
      }
    }
    if (!stopping_) LookAndDeliver();
  }
}

}  // namespace

std::unique_ptr<Source> MakeFileSource(FileSourceOptions options) {
  return std::make_unique<FileSource>(std::move(options));
}

Update LoadDirectory(const FileSourceOptions& options) {
  Directory directory(options);
  Merge merge(options.world);
  if (const absl::Status status = directory.Look({}, &merge); !status.ok())
    return {0, nullptr, {DirectoryProblem(options, status)}};
  merge.Apply();
  return {1, merge.world(), merge.problems(), merge.kept()};
}

}  // namespace heddle::ingest
