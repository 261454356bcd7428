// heddlectl proxy.
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "control_plane/heddlectl/commands.h"
#include "control_plane/heddlectl/http_client.h"
#include "control_plane/heddlectl/kubectl.h"

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

constexpr int kAdminPort = 15000;

// "shop/web-1", and no address or URL.
bool NamesPod(const std::string& text) {
  return absl::StrContains(text, "/") && !absl::StrContains(text, ":");
}

}  // namespace

int Proxy(const Args& args, Terminal& terminal) {
  if (args.rest().size() != 2)
    return Misused(terminal,
                   "proxy wants an admin address or a pod, and a page, such as: heddlectl proxy "
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
  std::string address = args.rest()[0];
  std::unique_ptr<PortForward> forward;
  if (NamesPod(address)) {
    const std::vector<std::string> pod = absl::StrSplit(address, '/');
    if (pod.size() != 2 || pod[0].empty() || pod[1].empty())
      return Misused(terminal, absl::StrCat("\"", address, "\": want NAMESPACE/POD"));
    absl::StatusOr<std::unique_ptr<PortForward>> opened =
        Kubectl::FromArgs(args).Forward(pod[0], pod[1], kAdminPort);
    if (!opened.ok()) return Fail(terminal, opened.status());
    forward = *std::move(opened);
    address = forward->address();
  }
  const absl::StatusOr<Fetched> fetched = Fetch(address, path);
  if (!fetched.ok())
    return Fail(terminal,
                absl::UnavailableError(absl::StrCat(
                    fetched.status().message(),
                    forward == nullptr
                        ? "; give heddle-proxy's --admin-address, from the machine it runs on"
                        : "; has the pod a heddle-proxy?")));
  terminal.out << fetched->body;
  if (!fetched->body.empty() && fetched->body.back() != '\n') terminal.out << "\n";
  return fetched->code == 200 ? 0 : 1;
}

}  // namespace heddle::heddlectl
