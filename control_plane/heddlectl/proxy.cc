// heddlectl proxy.
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "control_plane/heddlectl/commands.h"
#include "control_plane/heddlectl/http_client.h"

namespace heddle::heddlectl {
namespace {

struct Page {
  absl::string_view name, path;
};

constexpr Page kPages[] = {
    {"clusters", "/clusters"},  {"listeners", "/listeners"}, {"certs", "/certs"},
    {"config", "/config_dump"}, {"stats", "/stats"},         {"ready", "/ready"},
    {"info", "/server_info"},
};

}  // namespace

int Proxy(const Args& args, Terminal& terminal) {
  if (args.rest().size() != 2)
    return Misused(terminal,
                   "proxy wants an admin address and a page, such as: heddlectl proxy "
                   "127.0.0.1:15000 clusters");
  std::string path = args.rest()[1];
  if (!absl::StartsWith(path, "/")) {
    const std::string name = path;
    path.clear();
    std::string known;
    for (const Page& page : kPages) {
      if (page.name == name) path = std::string(page.path);
      absl::StrAppend(&known, known.empty() ? "" : ", ", page.name);
    }
    if (path.empty())
      return Misused(terminal,
                     absl::StrCat("no page \"", name, "\"; there are ", known, ", or a path"));
  }
  const absl::StatusOr<Fetched> fetched = Fetch(args.rest()[0], path);
  if (!fetched.ok())
    return Fail(terminal,
                absl::UnavailableError(absl::StrCat(
                    fetched.status().message(),
                    "; give heddle-proxy's --admin-address, from the machine it runs on")));
  terminal.out << fetched->body;
  if (!fetched->body.empty() && fetched->body.back() != '\n') terminal.out << "\n";
  return fetched->code == 200 ? 0 : 1;
}

}  // namespace heddle::heddlectl
