// envoy.config.rbac.v3.RBAC to an Engine, and the catalogue's entries of the two RBAC filters.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "source/base/path.h"
#include "source/decode/catalogue.h"
#include "source/filter/rbac/engine.h"

namespace envoy::config::rbac::v3 {
class RBAC;
}

namespace heddle::filter::rbac {

// Unknown fields, empty rule sets and conditions we do not know are errors: what guards access is
// never guessed.
absl::StatusOr<std::shared_ptr<const Engine>> DecodeEngine(
    const envoy::config::rbac::v3::RBAC& rules, const base::Path& at);

// envoy.extensions.filters.http.rbac.v3.RBAC (and RBACPerRoute),
// envoy.extensions.filters.network.rbac.v3.RBAC.
decode::HttpFilterEntry HttpEntry();
decode::NetworkFilterEntry NetworkEntry();

}  // namespace heddle::filter::rbac
