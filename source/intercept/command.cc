#include "source/intercept/command.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "source/base/status.h"
#include "source/intercept/rules.h"

namespace heddle::intercept {
namespace {

// The programs of one family.
struct Family {
  bool ipv6;
  const char *restore, *save;
};
constexpr Family kFamilies[] = {{false, "iptables-restore", "iptables-save"},
                                {true, "ip6tables-restore", "ip6tables-save"}};

// What a program said when it failed, on one line.
absl::Status Check(const absl::StatusOr<Ended>& ended, absl::string_view program) {
  if (!ended.ok()) return ended.status();
  if (ended->code == 0) return absl::OkStatus();
  std::string said(absl::StripSuffix(ended->error, "\n"));
  absl::StrReplaceAll({{"\n", "; "}}, &said);
  if (said.size() > 500) said.resize(500);
  return absl::InternalError(absl::StrCat(program, " ended with ", ended->code, ": ", said));
}

class Run {
 public:
  Run(const Options& options, const System& system) : options_(options), system_(system) {}

  absl::StatusOr<std::string> Go() {
    if (options_.cleanup) return Cleanup();
    ipv6_ = options_.ipv6 == Ipv6::kOn || (options_.ipv6 == Ipv6::kAuto && system_.has_ipv6());
    HEDDLE_ASSIGN_OR_RETURN(const Backend backend, Choose());
    const bool nft = backend == Backend::kNftables;
    if (options_.dry_run) return nft ? NftScript(options_, ipv6_) : IptablesText();
    const absl::Status applied = nft ? ApplyNft() : ApplyIptables();
    if (!applied.ok()) {
      // Best effort: what could not be made because of a missing right is not there to be removed.
      (void)(nft ? CleanNft() : CleanIptables());
      return applied;
    }
    return absl::StrCat("intercepting by ", nft ? "nftables" : "iptables", ", ",
                        ipv6_ ? "IPv4 and IPv6" : "IPv4 only", ": outbound to ",
                        options_.outbound_port, ", inbound to ", options_.inbound_port, "\n");
  }

 private:
  bool NftWorks() const {
    const absl::StatusOr<Ended> listed = system_.run({"nft", "list", "tables"}, "");
    return listed.ok() && listed->code == 0;
  }

  absl::StatusOr<Backend> Choose() const {
    if (options_.backend != Backend::kAuto) return options_.backend;
    if (NftWorks()) return Backend::kNftables;
    const absl::StatusOr<Ended> saved = system_.run({kFamilies[0].save, "-t", "nat"}, "");
    if (saved.ok() && saved->code == 0) return Backend::kIptables;
    if (options_.dry_run) return Backend::kNftables;
    return absl::FailedPreconditionError(
        "--backend auto: neither nft nor iptables works here; both need NET_ADMIN and a kernel "
        "with nf_tables or ip_tables");
  }

  std::string IptablesText() const {
    std::string out;
    for (const Family& family : kFamilies) {
      if (family.ipv6 && !ipv6_) continue;
      absl::StrAppend(&out, "# ", family.restore, "\n", IptablesRestore(options_, family.ipv6, ""));
    }
    return out;
  }

  absl::Status ApplyNft() const {
    return Check(system_.run({"nft", "-f", "-"}, NftScript(options_, ipv6_)), "nft");
  }
  absl::Status CleanNft() const {
    return Check(system_.run({"nft", "-f", "-"}, NftCleanup()), "nft");
  }

  absl::StatusOr<std::string> Saved(const Family& family) const {
    std::string out;
    for (const char* table : {"nat", "mangle"}) {
      const absl::StatusOr<Ended> saved = system_.run({family.save, "-t", table}, "");
      HEDDLE_RETURN_IF_ERROR(Check(saved, family.save));
      absl::StrAppend(&out, saved->out);
    }
    return out;
  }

  absl::Status Restore(const Family& family, const std::string& text) const {
    return Check(system_.run({family.restore, "--wait", "10", "--noflush"}, text), family.restore);
  }

  absl::Status ApplyIptables() const {
    for (const Family& family : kFamilies) {
      const absl::StatusOr<std::string> saved = Saved(family);
      if (family.ipv6 && !ipv6_) {
        // An earlier run may have set some. Where ip6tables does not work, it did not.
        const std::string text = saved.ok() ? IptablesCleanup(*saved) : "";
        if (!text.empty()) HEDDLE_RETURN_IF_ERROR(Restore(family, text));
        continue;
      }
      HEDDLE_RETURN_IF_ERROR(saved.status());
      HEDDLE_RETURN_IF_ERROR(Restore(family, IptablesRestore(options_, family.ipv6, *saved)));
    }
    return absl::OkStatus();
  }

  // Every family is cleaned, whatever becomes of the other. Unavailable: iptables does not work
  // here.
  absl::Status CleanIptables() const {
    absl::Status out = absl::UnavailableError("iptables does not work here");
    for (const Family& family : kFamilies) {
      const absl::StatusOr<std::string> saved = Saved(family);
      if (!saved.ok()) continue;
      if (absl::IsUnavailable(out)) out = absl::OkStatus();
      const std::string text = IptablesCleanup(*saved);
      if (!text.empty()) out.Update(Restore(family, text));
    }
    return out;
  }

  // Where the backend is not named, one that does not work here has nothing to remove.
  absl::StatusOr<std::string> Cleanup() const {
    if (options_.backend == Backend::kNftables) {
      HEDDLE_RETURN_IF_ERROR(CleanNft());
    } else if (options_.backend == Backend::kIptables) {
      HEDDLE_RETURN_IF_ERROR(CleanIptables());
    } else {
      const bool nft = NftWorks();
      if (nft) HEDDLE_RETURN_IF_ERROR(CleanNft());
      const absl::Status iptables = CleanIptables();
      if (!iptables.ok() && !(nft && absl::IsUnavailable(iptables))) return iptables;
    }
    return "nothing is intercepted any more\n";
  }

  const Options& options_;
  const System& system_;
  bool ipv6_ = false;
};

bool HasIpv6() {
  std::ifstream file("/proc/self/net/if_inet6");
  return file && file.peek() != std::ifstream::traits_type::eof();
}

}  // namespace

System ThisSystem() { return {.run = RunProgram, .has_ipv6 = HasIpv6}; }

absl::StatusOr<std::string> Execute(const Options& options, const System& system) {
  return Run(options, system).Go();
}

int Main(const std::vector<std::string>& arguments) {
  const auto refuse = [](const absl::Status& status) {
    std::fprintf(stderr, "heddle-proxy intercept: %s\n", std::string(status.message()).c_str());
    return 1;
  };
  const absl::StatusOr<Options> options = ParseOptions(arguments);
  if (!options.ok()) return refuse(options.status());
  if (options->help) {
    std::fputs(kHelp, stdout);
    return 0;
  }
  // Where its lock file cannot be made (a read-only root) iptables would not run, and there is
  // nobody to lock out.
  if (access("/run", W_OK) != 0) setenv("XTABLES_LOCKFILE", "/dev/null", 0);
  const absl::StatusOr<std::string> said = Execute(*options, ThisSystem());
  if (!said.ok()) return refuse(said.status());
  std::fputs(said->c_str(), stdout);
  return 0;
}

}  // namespace heddle::intercept
