#include "control_plane/heddlectl/kubectl.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "source/base/status.h"

namespace heddle::heddlectl {
namespace {

constexpr size_t kMaxOutput = 256 << 20;
constexpr int kNoProgram = 127;

// Closes what it holds.
class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    Reset();
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }
  ~Fd() { Reset(); }
  int get() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }
  void Reset() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }

 private:
  int fd_;
};

struct Pipe {
  Fd read, write;
};

absl::StatusOr<Pipe> MakePipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0)
    return absl::InternalError(absl::StrCat("pipe: ", strerror(errno)));
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

struct Child {
  pid_t pid = -1;
  Fd in, out, err;
};

// This program has one thread here, so that the child may do what it likes before exec. The child
// ends when this program does.
absl::StatusOr<Child> Spawn(const std::vector<std::string>& words) {
  HEDDLE_ASSIGN_OR_RETURN(Pipe in, MakePipe());
  HEDDLE_ASSIGN_OR_RETURN(Pipe out, MakePipe());
  HEDDLE_ASSIGN_OR_RETURN(Pipe err, MakePipe());
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const pid_t pid = fork();
  if (pid < 0) return absl::InternalError(absl::StrCat("fork: ", strerror(errno)));
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    signal(SIGPIPE, SIG_DFL);
    dup2(in.read.get(), STDIN_FILENO);
    dup2(out.write.get(), STDOUT_FILENO);
    dup2(err.write.get(), STDERR_FILENO);
    execvp(argv[0], argv.data());
    _exit(kNoProgram);
  }
  return Child{pid, std::move(in.write), std::move(out.read), std::move(err.read)};
}

// Its exit code.
int Reap(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

int End(pid_t pid) {
  kill(pid, SIGTERM);
  return Reap(pid);
}

// Appends what can be read now. False: the other side is closed, or there was too much.
bool ReadSome(const Fd& fd, std::string* out) {
  std::array<char, 65536> buffer;
  const ssize_t got = read(fd.get(), buffer.data(), buffer.size());
  if (got < 0) return errno == EINTR || errno == EAGAIN;
  out->append(buffer.data(), static_cast<size_t>(got));
  return got > 0 && out->size() <= kMaxOutput;
}

struct Talk {
  std::string out, err;
  bool in_time = true;
};

// Feeds and reads the child until it has closed both outputs.
Talk Converse(Child* child, absl::string_view input, absl::Time deadline) {
  Talk talk;
  fcntl(child->in.get(), F_SETFL, O_NONBLOCK);
  if (input.empty()) child->in.Reset();
  while (child->out.get() >= 0 || child->err.get() >= 0) {
    std::array<pollfd, 3> wait = {{{child->out.get(), POLLIN, 0},
                                   {child->err.get(), POLLIN, 0},
                                   {child->in.get(), POLLOUT, 0}}};
    const int64_t left = absl::ToInt64Milliseconds(deadline - absl::Now());
    if (left <= 0) {
      talk.in_time = false;
      return talk;
    }
    if (poll(wait.data(), wait.size(), static_cast<int>(std::min<int64_t>(left, 60000))) < 0)
      continue;
    if (wait[0].revents != 0 && !ReadSome(child->out, &talk.out)) child->out.Reset();
    if (wait[1].revents != 0 && !ReadSome(child->err, &talk.err)) child->err.Reset();
    if (wait[2].revents != 0) {
      const ssize_t sent = write(child->in.get(), input.data(), input.size());
      if (sent > 0) input.remove_prefix(static_cast<size_t>(sent));
      if (input.empty() || (sent < 0 && errno != EAGAIN && errno != EINTR)) child->in.Reset();
    }
  }
  return talk;
}

absl::Status NoKubectl(const std::string& program) {
  return absl::FailedPreconditionError(absl::StrCat(
      program, " is not on PATH: heddlectl reaches clusters by kubectl, with its configuration"));
}

absl::Status Refused(const std::string& error) {
  const std::string text(absl::StripAsciiWhitespace(error.substr(0, 2000)));
  if (absl::StrContains(error, "(NotFound)") || absl::StrContains(error, "could not find"))
    return absl::NotFoundError(text);
  if (absl::StrContains(error, "(Forbidden)") || absl::StrContains(error, "(Unauthorized)"))
    return absl::PermissionDeniedError(text);
  return absl::UnavailableError(text.empty() ? "kubectl failed without a word" : text);
}

}  // namespace

bool WantsCluster(const Args& args) {
  return args.Has("kubernetes") || args.Has("kubeconfig") || args.Has("context");
}

Kubectl Kubectl::FromArgs(const Args& args) {
  Options options;
  options.kubeconfig = args.Get("kubeconfig");
  options.context = args.Get("context");
  return Kubectl(std::move(options));
}

std::vector<std::string> Kubectl::CommandLine(const std::vector<std::string>& words) const {
  std::vector<std::string> out = {options_.program};
  if (!options_.kubeconfig.empty())
    out.push_back(absl::StrCat("--kubeconfig=", options_.kubeconfig));
  if (!options_.context.empty()) out.push_back(absl::StrCat("--context=", options_.context));
  out.insert(out.end(), words.begin(), words.end());
  return out;
}

absl::StatusOr<std::string> Kubectl::Run(const std::vector<std::string>& words,
                                         const std::string& input) const {
  HEDDLE_ASSIGN_OR_RETURN(Child child, Spawn(CommandLine(words)));
  Talk talk = Converse(&child, input, absl::Now() + options_.timeout);
  if (!talk.in_time) {
    End(child.pid);
    return absl::UnavailableError(absl::StrCat("kubectl ", absl::StrJoin(words, " "),
                                               " did not end within ",
                                               absl::FormatDuration(options_.timeout)));
  }
  const int code = Reap(child.pid);
  if (code == kNoProgram && talk.out.empty() && talk.err.empty())
    return NoKubectl(options_.program);
  if (code != 0) return Refused(talk.err);
  return std::move(talk.out);
}

absl::StatusOr<Json> Kubectl::Get(const std::string& path) const {
  const absl::StatusOr<std::string> text = Run({"get", "--raw", path});
  if (!text.ok()) return text.status();
  return Json::Parse(*text);
}

absl::StatusOr<Json> Kubectl::Create(const std::string& path, const std::string& body) const {
  const absl::StatusOr<std::string> text = Run({"create", "--raw", path, "-f", "-"}, body);
  if (!text.ok()) return text.status();
  return Json::Parse(*text);
}

int ForwardedPort(const std::string& output) {
  constexpr absl::string_view kMark = "Forwarding from 127.0.0.1:";
  const size_t at = output.find(std::string(kMark));
  if (at == std::string::npos) return 0;
  const absl::string_view rest = absl::string_view(output).substr(at + kMark.size());
  const size_t end = rest.find(' ');
  int port = 0;
  if (end == absl::string_view::npos || !absl::SimpleAtoi(rest.substr(0, end), &port)) return 0;
  return port;
}

absl::StatusOr<std::unique_ptr<PortForward>> Kubectl::Forward(const std::string& ns,
                                                              const std::string& pod,
                                                              int port) const {
  // Port 0 here: the kernel chooses, kubectl says which.
  HEDDLE_ASSIGN_OR_RETURN(
      Child child,
      Spawn(CommandLine({"port-forward", "--address=127.0.0.1", absl::StrCat("--namespace=", ns),
                         absl::StrCat("pod/", pod), absl::StrCat(":", port)})));
  const absl::Time deadline = absl::Now() + options_.timeout;
  std::string out, err;
  while (ForwardedPort(out) == 0) {
    std::array<pollfd, 2> wait = {{{child.out.get(), POLLIN, 0}, {child.err.get(), POLLIN, 0}}};
    const int64_t left = absl::ToInt64Milliseconds(deadline - absl::Now());
    if (left <= 0 || child.out.get() < 0) {
      const int code = End(child.pid);
      if (code == kNoProgram && err.empty()) return NoKubectl(options_.program);
      return absl::UnavailableError(absl::StrCat(
          "no way to port ", port, " of pod ", ns, "/", pod, ": ",
          err.empty() ? "kubectl port-forward says nothing" : absl::StripAsciiWhitespace(err)));
    }
    poll(wait.data(), wait.size(), static_cast<int>(left));
    if (wait[1].revents != 0 && !ReadSome(child.err, &err)) child.err.Reset();
    if (wait[0].revents != 0 && !ReadSome(child.out, &out)) child.out.Reset();
  }
  // kubectl writes a line for each connection and would stop when the pipe is full: read ends that
  // are never read are good for 64 KiB, which a command that lives seconds does not fill.
  return std::make_unique<PortForward>(child.pid, child.out.Release(), child.err.Release(),
                                       ForwardedPort(out));
}

PortForward::~PortForward() {
  End(pid_);
  close(output_);
  close(errors_);
}

std::string PortForward::address() const { return absl::StrCat("127.0.0.1:", port_); }

}  // namespace heddle::heddlectl
