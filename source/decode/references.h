// Whether the names that resources refer to lead anywhere.
#pragma once

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "source/base/path.h"
#include "source/config/bootstrap.h"
#include "source/config/listener.h"
#include "source/config/route.h"

namespace heddle::decode {

using base::Path;

// Clusters, secrets and discovery that static resources need, once all of them are known.
absl::Status CheckReferences(const config::Bootstrap& in, const Path& at);

// OK when there is a cluster of that name; else the error at `at`.
using ClusterCheck = absl::FunctionRef<absl::Status(absl::string_view name, const Path& at)>;

// RouteConfiguration.validate_clusters: each cluster that a route names passes `check`.
// `by_default`: when the table does not say.
absl::Status CheckRoutes(const config::RouteConfiguration& in, bool by_default, const Path& at,
                         ClusterCheck check);
// The same for the inline tables of a listener, checked by default.
absl::Status CheckInlineRoutes(const config::Listener& in, const Path& at, ClusterCheck check);

}  // namespace heddle::decode
