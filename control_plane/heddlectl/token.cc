// heddlectl token.
#include "control_plane/identity/token.h"

#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "control_plane/heddlectl/commands.h"
#include "control_plane/identity/spiffe.h"

namespace heddle::heddlectl {

int MakeToken(const Args& args, Terminal& terminal) {
  for (const char* name : {"state-dir", "namespace", "service-account"})
    if (args.Get(name).empty())
      return Misused(terminal,
                     absl::StrCat("token wants --", name, "; see heddlectl token --help"));
  absl::Duration lifetime;
  if (!absl::ParseDuration(args.Get("ttl"), &lifetime))
    return Misused(terminal,
                   absl::StrCat("--ttl \"", args.Get("ttl"), "\": want a duration such as 1h"));
  const auto id = identity::WorkloadId::FromSubject(
      args.Get("trust-domain"), absl::StrCat("system:serviceaccount:", args.Get("namespace"), ":",
                                             args.Get("service-account")));
  if (!id.ok()) return Misused(terminal, id.status().message());
  // Opening would make a key, of which heddle-control would know nothing.
  struct stat info {};
  const std::string path = absl::StrCat(args.Get("state-dir"), "/token.key");
  if (::stat(path.c_str(), &info) != 0)
    return Fail(
        terminal,
        absl::NotFoundError(absl::StrCat(
            path,
            ": no such file; is this heddle-control's --state-dir, and has it started once?")));
  const auto key = identity::TokenKey::Open(args.Get("state-dir"));
  if (!key.ok()) return Fail(terminal, key.status());
  const auto token = key->Make(*id, lifetime, absl::Now());
  if (!token.ok()) return Fail(terminal, token.status());
  terminal.out << *token << "\n";
  return 0;
}

}  // namespace heddle::heddlectl
