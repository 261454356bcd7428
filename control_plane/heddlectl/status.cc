// heddlectl status, heddlectl rotate.
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "control_plane/heddlectl/commands.h"
#include "control_plane/heddlectl/control_pages.h"
#include "control_plane/heddlectl/http_client.h"
#include "control_plane/heddlectl/json_value.h"
#include "control_plane/heddlectl/table.h"

namespace heddle::heddlectl {
namespace {

// "3h12m" from now, "expired", or "-".
std::string Until(const std::string& rfc3339) {
  absl::Time time;
  if (!absl::ParseTime(absl::RFC3339_full, rfc3339, &time, nullptr)) return "-";
  const absl::Duration left = absl::Trunc(time - absl::Now(), absl::Minutes(1));
  return left <= absl::ZeroDuration()
             ? "expired"
             : absl::StrCat("in ", absl::StripSuffix(absl::FormatDuration(left), "0s"));
}

std::string TypeCell(const Json& proxy, absl::string_view name) {
  for (const Json& type : proxy["types"].Items()) {
    if (type["type"].Text() != name) continue;
    if (type["rejecting"].True()) return "REJECTED";
    if (type["waiting"].True()) return "waiting";
    return absl::StrCat(type["resources"].Text(), "@", type["acked_version"].Text().substr(0, 6));
  }
  return "-";
}

void PrintProxies(const Json& status, std::ostream& out) {
  std::vector<std::vector<std::string>> rows = {{"WORKLOAD", "STATE", "IDENTITY",
                                                 "CERTIFICATE ENDS", "CDS", "EDS", "LDS", "RDS",
                                                 "GENERATION", "AGENT"}};
  for (const Json& proxy : status["proxies"].Items()) {
    std::vector<std::string> row = {proxy["node"].Text(), proxy["state"].Text()};
    if (proxy["identity"].Text().empty()) {
      rows.push_back(std::move(row));
      continue;
    }
    const bool certificate = proxy["authenticated_by"].Text() == "certificate";
    row.push_back(proxy["identity"].Text());
    row.push_back(
        absl::StrCat(certificate ? "" : "token ", Until(proxy["credential_expires"].Text())));
    for (const char* type : {"CDS", "EDS", "LDS", "RDS"}) row.push_back(TypeCell(proxy, type));
    row.push_back(
        absl::StrCat(proxy["settled_generation"].Text(), "/", proxy["generation"].Text()));
    row.push_back(proxy["agent"].Text());
    rows.push_back(std::move(row));
  }
  out << Columns(rows);
}

void PrintTroubles(const Json& status, std::ostream& out) {
  for (const Json& proxy : status["proxies"].Items()) {
    for (const Json& type : proxy["types"].Items())
      if (type["rejecting"].True())
        out << "\n"
            << Printable(proxy["node"].Text()) << " rejected " << type["type"].Text() << " at "
            << type["rejected_at"].Text() << ":\n  " << Printable(type["rejected_why"].Text())
            << "\n";
    for (const Json& notice : proxy["notices"].Items())
      out << Printable(proxy["node"].Text()) << ": " << Printable(notice.Text()) << "\n";
    if (!proxy["disconnected_why"].Text().empty())
      out << Printable(proxy["node"].Text()) << " disconnected at "
          << proxy["disconnected_at"].Text() << ": " << Printable(proxy["disconnected_why"].Text())
          << "\n";
  }
  const std::vector<Json> problems = status["problems"].Items();
  if (!problems.empty())
    out << "\nProblems in the configuration (what was valid before is still served):\n";
  for (const Json& problem : problems) out << "  " << Printable(problem["text"].Text()) << "\n";
}

void PrintSummary(const Json& status, std::ostream& out) {
  const Json convergence = status["convergence"];
  out << "heddle-control " << status["version"].Text() << ", trust domain "
      << status["trust_domain"].Text() << ", generation " << convergence["generation"].Text()
      << ": ";
  if (convergence["proxies"].Number() == 0)
    out << "no proxy was connected when it was made\n";
  else if (convergence["outstanding"].Number() > 0)
    out << convergence["outstanding"].Text() << " of " << convergence["proxies"].Text()
        << " proxies have not answered\n";
  else
    out << "answered by all " << convergence["proxies"].Text()
        << " proxies that were connected, in "
        << absl::StrFormat("%.1f", convergence["ms"].Number()) << " ms\n";
}

// Every workload of the configuration that has a sidecar is synced, and no file is rejected.
bool AllSynced(const Json& status, std::string* missing) {
  missing->clear();
  for (const Json& proxy : status["proxies"].Items())
    if (proxy["in_configuration"].True() && proxy["state"].Text() != "synced")
      absl::StrAppend(missing, missing->empty() ? "" : ", ", proxy["node"].Text(), " is ",
                      proxy["state"].Text());
  for (const Json& problem : status["problems"].Items())
    if (problem["severity"].Text() == "error")
      absl::StrAppend(missing, missing->empty() ? "" : ", ", problem["text"].Text());
  return missing->empty();
}

absl::StatusOr<Json> ReadStatus(const ControlPages& control, std::string* raw) {
  const absl::StatusOr<std::vector<std::string>> pages = control.GetAll("/status");
  if (!pages.ok()) return pages.status();
  absl::StatusOr<std::string> page = MergeStatus(*pages);
  if (!page.ok()) return page.status();
  *raw = *std::move(page);
  return Json::Parse(*raw);
}

int WaitForAll(const Args& args, const ControlPages& control, Terminal& terminal) {
  absl::Duration patience;
  if (!absl::ParseDuration(args.Get("wait"), &patience))
    return Misused(terminal,
                   absl::StrCat("--wait \"", args.Get("wait"), "\": want a duration such as 30s"));
  const absl::Time deadline = absl::Now() + patience;
  std::string missing, raw;
  for (;;) {
    const absl::StatusOr<Json> status = ReadStatus(control, &raw);
    if (status.ok() && AllSynced(*status, &missing)) return 0;
    if (absl::Now() >= deadline)
      return Fail(terminal, status.ok() ? absl::DeadlineExceededError(absl::StrCat(
                                              "after ", args.Get("wait"), ": ", missing))
                                        : status.status());
    absl::SleepFor(absl::Milliseconds(100));
  }
}

}  // namespace

int ShowStatus(const Args& args, Terminal& terminal) {
  if (!args.rest().empty())
    return Misused(terminal, "status takes no arguments; see heddlectl status --help");
  const absl::StatusOr<ControlPages> control = ControlPages::Open(args);
  if (!control.ok()) return Fail(terminal, control.status());
  int waited = 0;
  if (args.Has("wait")) {
    waited = WaitForAll(args, *control, terminal);
    if (waited == 2) return waited;
  }
  std::string raw;
  const absl::StatusOr<Json> status = ReadStatus(*control, &raw);
  if (!status.ok()) return waited != 0 ? waited : Fail(terminal, status.status());
  if (args.Has("json")) {
    terminal.out << raw << "\n";
    return waited;
  }
  PrintSummary(*status, terminal.out);
  PrintProxies(*status, terminal.out);
  PrintTroubles(*status, terminal.out);
  return waited;
}

int Rotate(const Args& args, Terminal& terminal) {
  if (!args.rest().empty())
    return Misused(terminal, "rotate takes no arguments; see heddlectl rotate --help");
  const std::string step = args.Get("root");
  if (args.Has("root") && step != "prepare" && step != "activate" && step != "retire")
    return Misused(terminal,
                   absl::StrCat("--root \"", step, "\": want prepare, activate or retire"));
  const absl::StatusOr<ControlPages> control = ControlPages::Open(args);
  if (!control.ok()) return Fail(terminal, control.status());
  // One is enough: the others read what it writes to the mesh's Secret.
  const absl::StatusOr<Fetched> done =
      control->Post(step.empty() ? "/rotate" : "/rotate?root=" + step);
  if (!done.ok()) return Fail(terminal, done.status());
  if (done->code != 200)
    return Fail(terminal, absl::FailedPreconditionError(absl::StripSuffix(done->body, "\n")));
  terminal.out << done->body;
  return 0;
}

}  // namespace heddle::heddlectl
