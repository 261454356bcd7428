// The transport sockets of the mesh: mutual TLS 1.3 with the secrets "default" and "ROOTCA", and
// plain text.
#pragma once

#include <string>
#include <vector>

#include "control_plane/model/world.h"

namespace envoy::config::core::v3 {
class ConfigSource;
class TransportSocket;
}  // namespace envoy::config::core::v3

namespace heddle::translate {

// `ads: {}`.
void SetAds(envoy::config::core::v3::ConfigSource* out);

// spiffe://<trust domain>/ns/<ns>/sa/<service account>.
std::string SpiffeId(const model::MeshConfig& mesh, const std::string& ns,
                     const std::string& service_account);

struct ClientTls {
  // URIs of which the server's certificate must have one; with `san_prefix` what one must begin
  // with instead.
  std::vector<std::string> sans;
  std::string san_prefix;
  std::string sni;
  std::vector<std::string> alpn;
};
void SetClientTls(const ClientTls& tls, envoy::config::core::v3::TransportSocket* out);

// Requires a certificate of the mesh's trust domain.
void SetServerTls(const model::MeshConfig& mesh, const std::vector<std::string>& alpn,
                  envoy::config::core::v3::TransportSocket* out);

void SetPlain(envoy::config::core::v3::TransportSocket* out);

}  // namespace heddle::translate
