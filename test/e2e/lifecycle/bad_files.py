"""Wrong bootstrap files and flags, and what the one line about each must name."""

CLUSTER = """
  clusters:
  - name: origin
    load_assignment:
      cluster_name: origin
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 1}}}}]}]
"""


def listener(manager="", route="route: {cluster: origin}", filters="", address="port_value: 10001"):
    """A bootstrap file with one HTTP listener, with something wrong in one place."""
    return f"""
static_resources:
  listeners:
  - name: l
    address: {{socket_address: {{address: 127.0.0.1, {address}}}}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: s
          {manager}
          http_filters:
          {filters}
          - name: router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
          route_config:
            virtual_hosts:
            - name: any
              domains: ["*"]
              routes:
              - match: {{prefix: /}}
                {route}
{CLUSTER}"""


CHAIN = "static_resources.listeners[0].filter_chains[0]"
MANAGER = CHAIN + ".filters[0].typed_config"
ROUTE = MANAGER + ".route_config.virtual_hosts[0].routes[0]"

BAD_FILES = [  # name, text, what its line names
    ("not YAML", "a: [", [":1"]),
    ("empty", "", []),
    ("a list", "- a\n", []),
    ("wrong type of a section", "static_resources: 3\n", ["static_resources"]),
    ("listener without address", "static_resources: {listeners: [{name: l}]}\n", ["static_resources.listeners[0].address"]),
    ("port out of range", listener(address="port_value: 70000"), ["static_resources.listeners[0].address", "70000"]),
    ("port is a word", listener(address="port_value: http"), ["static_resources.listeners[0].address", "port_value"]),
    ("unknown enum value", listener("codec_type: HTTP4"), [MANAGER + ".codec_type", "HTTP4"]),
    ("bad duration", listener("stream_idle_timeout: soon"), [MANAGER + ".stream_idle_timeout", "soon"]),
    ("negative duration", listener("request_timeout: -1s"), [MANAGER + ".request_timeout"]),
    ("bad regex", listener(route="route: {cluster: origin, regex_rewrite: {pattern: {regex: '('}, substitution: x}}"),
     [ROUTE + ".route.regex_rewrite.pattern.regex"]),
    ("unknown retry condition", listener(route="route: {cluster: origin, retry_policy: {retry_on: 5XX}}"),
     [ROUTE + ".route.retry_policy.retry_on", "5XX"]),
    ("unknown cluster", listener(route="route: {cluster: nobody}"), [ROUTE, "nobody"]),
    ("unknown filter", listener(filters="""- name: mine
            typed_config: {"@type": type.googleapis.com/mine.Filter}"""), [MANAGER + ".http_filters[0]", "mine.Filter"]),
    ("unknown log operator", listener("""access_log:
          - name: file
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: /dev/null
              log_format: {text_format_source: {inline_string: "%NO_SUCH%"}}"""), [MANAGER + ".access_log[0]", "NO_SUCH"]),
    ("two listeners of one name", listener().replace("  listeners:\n", """  listeners:
  - name: l
    address: {socket_address: {address: 127.0.0.1, port_value: 10002}}
    filter_chains:
    - filters:
      - name: tcp
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: t
          cluster: origin
"""), ["static_resources.listeners[1].name"]),
    ("two clusters of one name", listener() + CLUSTER.replace("  clusters:\n", ""), ["static_resources.clusters[1].name"]),
    ("missing certificate file", listener().replace("    filter_chains:\n    - filters:", """    filter_chains:
    - transport_socket:
        name: tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            tls_certificates:
            - {certificate_chain: {filename: /nonexistent/c.pem}, private_key: {filename: /nonexistent/k.pem}}
      filters:"""), ["static_resources.listeners[0]", "/nonexistent/"]),
]

BAD_FLAGS = [  # flags, what the line names
    (["-c", "/nonexistent/file.yaml"], ["/nonexistent/file.yaml"]),
    ([], ["-c", "--control"]),
    (["--no-such-flag"], ["--no-such-flag"]),
    (["-c", "x", "--concurrency", "0"], ["--concurrency", "0"]),
    (["-c", "x", "--drain-time-s", "soon"], ["--drain-time-s", "soon"]),
    (["-c", "x", "--admin-address", "0.0.0.0:1"], ["--admin-address", "loopback"]),
    (["-c", "x", "--mode", "guess"], ["--mode", "guess"]),
    (["-c", "x", "--control", "127.0.0.1:1"], ["-c", "--control"]),
    (["--control", "127.0.0.1:1"], ["--namespace"]),
]
