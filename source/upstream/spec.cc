#include "source/upstream/spec.h"

namespace heddle::upstream {

uint16_t TransportOf(const config::Cluster& cluster, const config::Metadata& endpoint) {
  if (cluster.transport_matches.empty()) return 0;
  static const auto* const none = new config::Metadata::mapped_type;
  const auto ns = endpoint.find("envoy.transport_socket_match");
  const auto& labels = ns == endpoint.end() ? *none : ns->second;
  for (size_t i = 0; i < cluster.transport_matches.size(); ++i) {
    bool fits = true;
    for (const auto& [key, value] : cluster.transport_matches[i].match) {
      const auto label = labels.find(key);
      fits = fits && label != labels.end() && label->second == value;
    }
    if (fits) return static_cast<uint16_t>(i + 1);
  }
  return 0;
}

}  // namespace heddle::upstream
