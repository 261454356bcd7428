"""Files whose routes name clusters: which of them Envoy and heddle-proxy refuse, by `--mode validate`."""

FILE = """
%(before)s
static_resources:
  clusters:
  - {name: there, load_assignment: {cluster_name: there}}
  - name: xds
    load_assignment: {cluster_name: xds}
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
  listeners:
  - name: l
    address: {socket_address: {address: 127.0.0.1, port_value: 1234}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: x
          http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
          route_config: {name: r, %(table)svirtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {%(route)s}}]}]}
"""
CDS = """
node: {id: one, cluster: c}
dynamic_resources:
  ads_config: {api_type: GRPC, transport_api_version: V3, grpc_services: [{envoy_grpc: {cluster_name: xds}}]}
  cds_config: {ads: {}, resource_api_version: V3}
"""
ROUTES = {
    "cluster": "cluster: %s",
    "weighted": "weighted_clusters: {clusters: [{name: there, weight: 1}, {name: %s, weight: 1}]}",
    "mirror": "cluster: there, request_mirror_policies: [{cluster: %s}]",
}
TABLES = {"": "", "validate_clusters": "validate_clusters: true, ", "validate_clusters off": "validate_clusters: false, "}


def files():
    """(name, text) of each."""
    for route, text in ROUTES.items():
        for cluster in ("there", "nobody"):
            for table, option in TABLES.items():
                for cds in ("", CDS):
                    name = ", ".join(part for part in (route, cluster, table, "cds" if cds else "") if part)
                    yield name, FILE % {"before": cds, "table": option, "route": text % cluster}
