#include "source/probe/command.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "source/base/flags.h"
#include "source/base/status.h"
#include "source/event/loop.h"
#include "source/net/address.h"
#include "source/probe/http_call.h"

namespace heddle::probe {
namespace {

constexpr char kWaitHelp[] =
    R"(heddle-proxy wait: waits until the sidecar beside it is ready.

Usage:
  heddle-proxy wait [--admin-address IP:PORT] [--timeout SECONDS]

  --admin-address IP:PORT   its admin page; default 127.0.0.1:15000
  --timeout SECONDS         1 to 86400; default 600

Exit codes: 0 it is ready; 1 the time was over, or a wrong flag.
)";

constexpr char kDrainHelp[] =
    R"(heddle-proxy drain: prepares the sidecar beside it for its end, and comes back when it may end.

Usage:
  heddle-proxy drain [--admin-address IP:PORT] [--delay SECONDS] [--timeout SECONDS]

The sidecar says that it is not ready (/ready fails), goes on accepting for --delay, so that others learn of it, then
stops accepting inbound connections, lets those it has finish, and this command ends when there is none or after
--timeout. Outbound connections go on: the application may need them to finish.

  --admin-address IP:PORT   its admin page; default 127.0.0.1:15000
  --delay SECONDS           0 to 3600; default 3
  --timeout SECONDS         of everything, 1 to 86400; default 25, less than a pod's usual 30 seconds of grace

Exit codes: 0 no inbound connection is left, or the time was over (then it says how many are left); 1 a wrong flag, or
no sidecar answers.
)";

constexpr absl::Duration kAgain = absl::Milliseconds(100);
// One question to the admin page, which answers at once unless the machine is overrun.
constexpr absl::Duration kAsk = absl::Seconds(5);

struct Flags {
  net::Address admin = *net::Address::FromIp("127.0.0.1", 15000);
  absl::Duration delay = absl::Seconds(3), timeout;
  bool help = false;
};

absl::Status SetSeconds(absl::string_view flag, absl::string_view value, uint32_t low,
                        uint32_t high, absl::Duration* out) {
  uint32_t seconds = 0;
  HEDDLE_RETURN_IF_ERROR(base::SetNumber(flag, value, low, high, &seconds, "seconds"));
  *out = absl::Seconds(seconds);
  return absl::OkStatus();
}

absl::Status SetAdmin(absl::string_view flag, absl::string_view value, net::Address* out) {
  const absl::StatusOr<net::Address> address = net::Address::Parse(value);
  if (!address.ok()) return base::WrongFlag(flag, value, "IP:PORT");
  *out = *address;
  return absl::OkStatus();
}

// `delay`: the command has that flag.
absl::StatusOr<Flags> Parse(const std::vector<std::string>& arguments, const std::string& program,
                            bool delay, absl::Duration timeout) {
  Flags out;
  out.timeout = timeout;
  const base::FlagSyntax syntax{.program = program, .switches = {}, .ends = {"--help", "-h"}};
  HEDDLE_ASSIGN_OR_RETURN(const std::vector<base::Flag> flags, base::SplitFlags(arguments, syntax));
  for (const base::Flag& flag : flags) {
    if (!flag.value) {
      out.help = true;
    } else if (flag.name == "--admin-address") {
      HEDDLE_RETURN_IF_ERROR(SetAdmin(flag.name, *flag.value, &out.admin));
    } else if (flag.name == "--timeout") {
      HEDDLE_RETURN_IF_ERROR(SetSeconds(flag.name, *flag.value, 1, 86400, &out.timeout));
    } else if (flag.name == "--delay" && delay) {
      HEDDLE_RETURN_IF_ERROR(SetSeconds(flag.name, *flag.value, 0, 3600, &out.delay));
    } else {
      return base::UnknownFlag(flag.name, syntax);
    }
  }
  return out;
}

// Asks the admin page, one question after the other, and waits for each answer.
class Admin {
 public:
  explicit Admin(const Flags& flags) : flags_(flags), end_(loop_.WallNow() + flags.timeout) {}

  absl::Duration left() const { return std::max(end_ - absl::Now(), absl::ZeroDuration()); }

  void Sleep(absl::Duration time) {
    event::Timer timer(loop_, [this] { loop_.Stop(); });
    timer.Start(std::min(time, left()));
    RunLoop();
  }

  absl::StatusOr<HttpCall::Reply> Ask(const std::string& method, const std::string& path) {
    std::optional<absl::StatusOr<HttpCall::Reply>> reply;
    HttpCall::Request request;
    request.address = flags_.admin;
    request.method = method;
    request.path = path;
    request.timeout = kAsk;
    request.max_body = 64 * 1024;
    const std::unique_ptr<HttpCall> call =
        HttpCall::Start(loop_, std::move(request),
                        [&](absl::StatusOr<HttpCall::Reply> answer) { reply = std::move(answer); });
    while (!reply.has_value()) loop_.RunOnce(true);
    return *std::move(reply);
  }

 private:
  void RunLoop() { loop_.Run(); }

  const Flags flags_;
  event::Loop loop_;
  const absl::Time end_;
};

int Refuse(absl::string_view command, absl::string_view why) {
  std::fprintf(stderr, "heddle-proxy %s: %s\n", std::string(command).c_str(),
               std::string(why).c_str());
  return 1;
}

// "server.inbound_cx_active: 3"
absl::StatusOr<uint64_t> Active(Admin& admin) {
  constexpr absl::string_view kGauge = "server.inbound_cx_active";
  HEDDLE_ASSIGN_OR_RETURN(const HttpCall::Reply reply,
                          admin.Ask("GET", absl::StrCat("/stats?filter=", kGauge)));
  for (absl::string_view line : absl::StrSplit(reply.body, '\n')) {
    uint64_t count = 0;
    if (absl::ConsumePrefix(&line, kGauge) && absl::ConsumePrefix(&line, ": ") &&
        absl::SimpleAtoi(line, &count)) {
      return count;
    }
  }
  return absl::NotFoundError("the admin page does not know how many inbound connections there are");
}

absl::Status Post(Admin& admin, const std::string& path) {
  HEDDLE_ASSIGN_OR_RETURN(const HttpCall::Reply reply, admin.Ask("POST", path));
  if (reply.status == 200) return absl::OkStatus();
  return absl::UnknownError(absl::StrCat("POST ", path, ": status ", reply.status));
}

absl::Status Drain(Admin& admin, const Flags& flags) {
  HEDDLE_RETURN_IF_ERROR(Post(admin, "/healthcheck/fail"));
  admin.Sleep(flags.delay);
  HEDDLE_RETURN_IF_ERROR(Post(admin, "/drain_listeners?inboundonly&graceful"));
  for (;;) {
    // The workers count again while they drain: the first look is taken after that.
    admin.Sleep(kAgain);
    HEDDLE_ASSIGN_OR_RETURN(const uint64_t active, Active(admin));
    if (active == 0) return absl::OkStatus();
    if (admin.left() == absl::ZeroDuration()) {
      std::printf("%llu inbound connections are left\n", static_cast<unsigned long long>(active));
      return absl::OkStatus();
    }
  }
}

}  // namespace

int WaitMain(const std::vector<std::string>& arguments) {
  const absl::StatusOr<Flags> flags =
      Parse(arguments, "heddle-proxy wait", false, absl::Seconds(600));
  if (!flags.ok()) return Refuse("wait", flags.status().message());
  if (flags->help) {
    std::fputs(kWaitHelp, stdout);
    return 0;
  }
  Admin admin(*flags);
  for (;;) {
    const absl::StatusOr<HttpCall::Reply> reply = admin.Ask("GET", "/ready");
    if (reply.ok() && reply->status == 200) return 0;
    if (admin.left() == absl::ZeroDuration()) {
      return Refuse("wait",
                    absl::StrCat("not ready after ", absl::FormatDuration(flags->timeout), ": ",
                                 reply.ok() ? absl::StripSuffix(reply->body, "\n")
                                            : reply.status().message()));
    }
    admin.Sleep(kAgain);
  }
}

int DrainMain(const std::vector<std::string>& arguments) {
  const absl::StatusOr<Flags> flags =
      Parse(arguments, "heddle-proxy drain", true, absl::Seconds(25));
  if (!flags.ok()) return Refuse("drain", flags.status().message());
  if (flags->help) {
    std::fputs(kDrainHelp, stdout);
    return 0;
  }
  Admin admin(*flags);
  const absl::Status drained = Drain(admin, *flags);
  return drained.ok() ? 0 : Refuse("drain", drained.message());
}

}  // namespace heddle::probe
