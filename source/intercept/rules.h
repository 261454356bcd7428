// The rules of interception as text; pure. Two forms of one set: a script for nft (both families in
// one table, one transaction) and input for iptables-restore --noflush (one family at a time, each
// table at once). Applying either again gives the same rules, whatever was there before.
//
// The set, in order, for what leaves (chain outbound) and what arrives (chain inbound):
//   outbound  the sidecar's own connection over lo to this pod's address (the application called
//             its own service): through `inbound`, so that it is served as from anywhere else
//             the sidecar's other connections; lo; loopback addresses: left alone
//             excluded users, interfaces, ports, networks: left alone
//             included networks and ports: to the sidecar's outbound port
//   inbound   excluded interfaces, the health port, excluded ports: left alone
//             included ports: to the sidecar's inbound port
// With Mode::kTproxy what arrives from outside is taken in mangle without NAT. No policy routing is
// needed for it: such packets carry this pod's own address and are delivered here anyway.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "source/intercept/options.h"

namespace heddle::intercept {

// The name of the nftables table (family inet), and what names of iptables chains begin with.
inline constexpr char kTable[] = "heddle";
inline constexpr char kChainPrefix[] = "HEDDLE_";

std::string NftScript(const Options& options, bool ipv6);
std::string NftCleanup();

// `existing` is what iptables-save (or ip6tables-save) prints: jumps of an earlier run that stand
// there are taken out, since iptables-restore would add to them. May be empty.
std::string IptablesRestore(const Options& options, bool ipv6, absl::string_view existing);
// Empty: there is nothing of ours.
std::string IptablesCleanup(absl::string_view existing);

}  // namespace heddle::intercept
