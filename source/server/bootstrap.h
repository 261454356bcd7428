// What the process starts from: the file of -c, or what the --control flags stand for.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "source/config/bootstrap.h"
#include "source/server/options.h"

namespace heddle::server {

// Name of the static cluster that stands for heddle-control when --control is used.
inline constexpr char kControlCluster[] = "xds";
// The same host without a client certificate: for the first certificate.
inline constexpr char kFirstContactCluster[] = "xds-first-contact";
// SDS names of the workload's own certificate and of the mesh's roots, and the renewal signal.
inline constexpr char kIdentitySecret[] = "default";
inline constexpr char kRootsSecret[] = "ROOTCA";
inline constexpr char kRenewSecret[] = "heddle:renew";

std::string WorkloadUri(const Options& options);  // spiffe://<trust domain>/ns/<ns>/sa/<sa>
std::string ControlUri(const Options& options);   // what heddle-control's certificate must say

// Errors are one line with the file, the line and the path.
absl::StatusOr<config::Bootstrap> LoadBootstrap(const Options& options);

absl::StatusOr<std::string> ReadWholeFile(const std::string& path, size_t max_bytes);

}  // namespace heddle::server
