// Taking resources in. Making snapshots of them: snapshot_build.cc.
#include "source/xds/config_store.h"

#include "absl/strings/str_cat.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/wire_format_lite.h"
#include "source/base/log.h"
#include "source/base/status.h"
#include "source/decode/decode.h"
#include "source/decode/references.h"

namespace heddle::xds {
namespace {

// A resource's name is field 1 of every type; read without decoding, so that a resource that does
// not decode is known by name too. Empty when the bytes are broken.
std::string NameOf(const std::string& bytes) {
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(bytes.data()),
                                            static_cast<int>(bytes.size()));
  while (const uint32_t tag = in.ReadTag()) {
    uint32_t length = 0;
    std::string name;
    if (tag == (1u << 3 | 2u)) {
      return in.ReadVarint32(&length) && in.ReadString(&name, static_cast<int>(length)) ? name : "";
    }
    if (!google::protobuf::internal::WireFormatLite::SkipField(&in, tag)) return "";
  }
  return "";
}

template <typename Map>
void EraseOthers(const std::set<std::string>& names, Map* map) {
  for (auto it = map->begin(); it != map->end();) {
    it = names.count(it->first) == 0 ? map->erase(it) : std::next(it);
  }
}

void CollectRouteNames(const config::FilterChain& chain, std::set<std::string>* out) {
  const auto* http =
      std::get_if<std::shared_ptr<const config::HttpConnectionManager>>(&chain.terminal);
  if (http != nullptr && *http != nullptr && !(*http)->rds_name.empty())
    out->insert((*http)->rds_name);
}

template <typename Visit>
void ForEachChain(const config::Listener& listener, Visit visit) {
  for (const config::FilterChain& chain : listener.chains) visit(chain);
  if (listener.default_chain.has_value()) visit(*listener.default_chain);
}

template <typename Visit>
void ForEachSocket(const config::Cluster& cluster, Visit visit) {
  visit(cluster.transport);
  for (const config::TransportSocketMatch& match : cluster.transport_matches) visit(match.socket);
}

}  // namespace

ConfigStore::ConfigStore(Environment environment)
    : env_(std::move(environment)),
      snapshot_(std::make_shared<proxy::Snapshot>()),
      wait_timer_(env_.loop, [this] { env_.on_change(); }) {
  for (const Type type : kTypes) held_[type];
}

ConfigStore::~ConfigStore() = default;

void ConfigStore::NoteWarnings(const std::vector<std::string>& warnings) {
  warning_count_ += warnings.size();
  for (const std::string& warning : warnings) HEDDLE_LOG(kWarning, "config") << warning;
}

absl::Status ConfigStore::AddStatic(const config::Bootstrap& bootstrap) {
  NoteWarnings(bootstrap.warnings);
  for (const auto& secret : bootstrap.secrets) {
    HEDDLE_RETURN_IF_ERROR(secrets_.Put(Secrets::Origin::kFile, secret));
  }
  for (const auto& cluster : bootstrap.clusters) {
    absl::Status status;
    ForEachSocket(*cluster, [&](const config::TransportSocket& socket) {
      if (status.ok()) status = secrets_.Factory(socket).status();
    });
    if (!status.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("cluster ", cluster->name, ": ", status.message()));
    }
    static_clusters_[cluster->name] = cluster;
  }
  for (const auto& listener : bootstrap.listeners) {
    const auto made = MakeListener(listener);
    if (!made.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("listener ", listener->name, ": ", made.status().message()));
    }
    static_listeners_[listener->name] = listener;
  }
  return absl::OkStatus();
}

absl::Status ConfigStore::Put(Type type, Resource* resource) {
  if (resource->name.empty()) resource->name = NameOf(resource->bytes);
  absl::Status status;
  switch (type) {
    case Type::kCluster:
      status = PutCluster(resource);
      break;
    case Type::kEndpoint:
      status = PutEndpoints(resource);
      break;
    case Type::kListener:
      status = PutListener(resource);
      break;
    case Type::kRoute:
      status = PutRoutes(resource);
      break;
    case Type::kSecret:
      status = PutSecret(resource);
      break;
  }
  Held& held = held_[type][resource->name];
  if (!status.ok()) {
    held.error = std::string(status.message());
    return status;
  }
  held.error.clear();
  held.resource = *resource;
  // A secret's bytes are a private key: never kept for a dump.
  if (type == Type::kSecret) held.resource.bytes.clear();
  return absl::OkStatus();
}

absl::Status ConfigStore::CheckCluster(absl::string_view name, const base::Path& at) const {
  const std::string text(name);
  if (clusters_.count(text) != 0 || static_clusters_.count(text) != 0) return absl::OkStatus();
  return at.Error(absl::StrCat("unknown cluster \"", name, "\""));
}

absl::Status ConfigStore::PutListener(Resource* resource) {
  decode::Context context(env_.catalogue);
  auto decoded = decode::ListenerFromBytes(resource->bytes, context);
  NoteWarnings(context.TakeWarnings());
  HEDDLE_RETURN_IF_ERROR(decoded.status());
  const std::shared_ptr<const config::Listener>& listener = *decoded;
  if (static_listeners_.count(listener->name) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("listener ", listener->name, ": a static one has this name"));
  }
  HEDDLE_RETURN_IF_ERROR(decode::CheckInlineRoutes(
      *listener, base::Path(listener->name),
      [this](absl::string_view name, const base::Path& at) { return CheckCluster(name, at); }));
  const auto made = MakeListener(listener);
  if (!made.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("listener ", listener->name, ": ", made.status().message()));
  }
  listeners_[listener->name] = listener;
  return absl::OkStatus();
}

absl::Status ConfigStore::PutCluster(Resource* resource) {
  decode::Context context(env_.catalogue);
  auto decoded = decode::ClusterFromBytes(resource->bytes, context);
  NoteWarnings(context.TakeWarnings());
  HEDDLE_RETURN_IF_ERROR(decoded.status());
  const std::shared_ptr<const config::Cluster>& cluster = *decoded;
  if (static_clusters_.count(cluster->name) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("cluster ", cluster->name, ": a static one has this name"));
  }
  absl::Status status;
  ForEachSocket(*cluster, [&](const config::TransportSocket& socket) {
    if (status.ok()) status = secrets_.Factory(socket).status();
  });
  if (!status.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cluster ", cluster->name, ": ", status.message()));
  }
  clusters_[cluster->name] = cluster;
  return absl::OkStatus();
}

absl::Status ConfigStore::PutRoutes(Resource* resource) {
  decode::Context context(env_.catalogue);
  auto decoded = decode::RoutesFromBytes(resource->bytes, context);
  NoteWarnings(context.TakeWarnings());
  HEDDLE_RETURN_IF_ERROR(decoded.status());
  HEDDLE_RETURN_IF_ERROR(decode::CheckRoutes(
      **decoded, /*by_default=*/false, base::Path((*decoded)->name),
      [this](absl::string_view name, const base::Path& at) { return CheckCluster(name, at); }));
  routes_[(*decoded)->name] = *decoded;
  return absl::OkStatus();
}

absl::Status ConfigStore::PutEndpoints(Resource* resource) {
  decode::Context context(env_.catalogue);
  auto decoded = decode::EndpointsFromBytes(resource->bytes, context);
  NoteWarnings(context.TakeWarnings());
  HEDDLE_RETURN_IF_ERROR(decoded.status());
  endpoints_[(*decoded)->cluster] = *decoded;
  return absl::OkStatus();
}

absl::Status ConfigStore::PutSecret(Resource* resource) {
  decode::Context context(env_.catalogue);
  auto decoded = decode::SecretFromBytes(resource->bytes, context);
  NoteWarnings(context.TakeWarnings());
  HEDDLE_RETURN_IF_ERROR(decoded.status());
  return secrets_.Put(Secrets::Origin::kDiscovered, *decoded);
}

absl::Status ConfigStore::PutLocalSecret(Secrets::Origin origin, config::Secret secret) {
  return secrets_.Put(origin, std::make_shared<const config::Secret>(std::move(secret)));
}

void ConfigStore::Remove(Type type, const std::string& name) {
  held_[type].erase(name);
  switch (type) {
    case Type::kCluster:
      clusters_.erase(name);
      break;
    case Type::kEndpoint:
      endpoints_.erase(name);
      break;
    case Type::kListener:
      listeners_.erase(name);
      break;
    case Type::kRoute:
      routes_.erase(name);
      break;
    case Type::kSecret:
      // A secret in use stays: taking a certificate away must not take the listener down.
      break;
  }
}

void ConfigStore::KeepOnly(Type type, const std::set<std::string>& names) {
  EraseOthers(names, &held_[type]);
  if (type == Type::kCluster) EraseOthers(names, &clusters_);
  if (type == Type::kListener) EraseOthers(names, &listeners_);
}

std::set<std::string> ConfigStore::Wanted(Type type) const {
  std::set<std::string> out;
  const auto visit_listeners = [&](auto visit) {
    for (const auto* map : {&static_listeners_, &listeners_}) {
      for (const auto& [name, listener] : *map) {
        ForEachChain(*listener, visit);
      }
    }
  };
  const auto visit_clusters = [&](auto visit) {
    for (const auto* map : {&static_clusters_, &clusters_}) {
      for (const auto& [name, cluster] : *map) visit(*cluster);
    }
  };
  switch (type) {
    case Type::kCluster:
    case Type::kListener:
      break;
    case Type::kRoute:
      visit_listeners([&](const config::FilterChain& chain) { CollectRouteNames(chain, &out); });
      break;
    case Type::kEndpoint:
      visit_clusters([&](const config::Cluster& cluster) {
        if (cluster.discovery == config::Cluster::Discovery::kEds) out.insert(cluster.eds_name);
      });
      break;
    case Type::kSecret: {
      visit_listeners(
          [&](const config::FilterChain& chain) { Secrets::Names(chain.transport, &out); });
      visit_clusters([&](const config::Cluster& cluster) {
        ForEachSocket(cluster,
                      [&](const config::TransportSocket& socket) { Secrets::Names(socket, &out); });
      });
      break;
    }
  }
  return out;
}

std::shared_ptr<const upstream::ClusterSpec> ConfigStore::FindCluster(
    const std::string& name) const {
  const auto it = snapshot_->clusters.find(name);
  return it == snapshot_->clusters.end() ? nullptr : it->second;
}

}  // namespace heddle::xds
