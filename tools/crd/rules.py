"""What a value may be, beyond its type: the bounds that control_plane/model checks, for the API server to check too.

FIELDS is by "Message.field" of api/heddle/v1, MESSAGES by message. A bound or default here must also be said in the
field's comment, in the words of `said()`, so that the documentation, the CRDs and the decoder cannot drift apart without a
check failing; `said=False` where the comment of a neighbour says it.

  min, max         of a number
  duration         (shortest, longest) of a GEP-2257 duration; zero=True: "0s" as well
  pattern          of a string; max_length in characters (default 1024)
  item             the same rules, for the entries of a list or the values of a map
  max_items        of a list or a map; min_items
  keys             a CEL expression over `k` that each key of a map satisfies, and the message
  default          what the decoder takes when the field is absent and the object around it is there
  required         True
  any_format       one of these OpenAPI formats
  not_one_of       values that are refused
  only             the values that are allowed
  map_by           a list is a map by this field of its entries
  cel              [(expression over self, message)]
"""

LABEL = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
SUBDOMAIN = f"{LABEL}(\\.{LABEL})*"
PORT = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"

# x, x*, *x, *
PATTERN = {"pattern": r"^(\*[^*]*|[^*]+\*?)$", "max_length": 1024}
PATTERNS = {"item": PATTERN, "min_items": 1, "max_items": 1024}
ACCOUNT = {"pattern": f"^({LABEL}/)?{LABEL}$", "max_length": 127}
ACCOUNTS = {"item": ACCOUNT, "min_items": 1, "max_items": 1024}
BLOCKS = {"item": {"any_format": ["ipv4", "ipv6", "cidr"], "max_length": 64}, "min_items": 1, "max_items": 1024}
PORTS = {"item": {"min": 1, "max": 65535}, "min_items": 1, "max_items": 1024}
NAMESPACES = PATTERNS

CONDITIONS = {"item": {"pattern": "^(connect-failure|refused-stream|reset-before-request|reset|gateway-error|5xx|"
                                  "retriable-4xx|cancelled|deadline-exceeded|internal|resource-exhausted|unavailable|"
                                  "[45][0-9][0-9])$", "max_length": 32},
              "max_items": 64}
# Text with Envoy's command operators: every '%' is doubled or part of one.
FORMAT = {"pattern": r"^([^%]|%%|%[A-Z][A-Z0-9_]*(\([^)]*\))?(:[0-9]+)?%)*$", "max_length": 16384}

# The connection between retries and timeouts, wherever both stand side by side.
PER_TRY = ("!has(self.retries) || !has(self.retries.perTryTimeout) || !has(self.timeouts) || "
           "!has(self.timeouts.request) || duration(self.timeouts.request) == duration('0s') || "
           "duration(self.retries.perTryTimeout) < duration(self.timeouts.request)",
           "retries.perTryTimeout is not less than timeouts.request")

FIELDS = {
    "LabelSelector.matchLabels": {
        "item": {"pattern": "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$", "max_length": 63}, "max_items": 64},

    "PolicyTargetRef.group": {"only": ["", "core"]},
    "PolicyTargetRef.kind": {"only": ["Service"], "required": True, "said": False},
    "PolicyTargetRef.name": {"required": True, "pattern": f"^{LABEL}$", "max_length": 63},
    "PolicyTargetRef.sectionName": {"pattern": f"^{LABEL}$", "max_length": 63},

    "BackendPolicySpec.targetRef": {"required": True},
    "LoadBalancer.algorithm": {"default": "LEAST_REQUEST"},
    "BackendTimeouts.connect": {"duration": ("1ms", "1h"), "default": "5s"},
    "BackendTimeouts.request": {"duration": ("1ms", "24h"), "zero": True},
    "BackendTimeouts.idle": {"duration": ("1ms", "24h"), "zero": True, "default": "5m"},
    "BackendRetries.attempts": {"min": 0, "max": 10, "default": 2},
    "BackendRetries.on": CONDITIONS,
    "BackendRetries.onIdempotent": CONDITIONS,
    "BackendRetries.perTryTimeout": {"duration": ("1ms", "24h"), "said": False},
    "BackendRetries.backoff": {"duration": ("1ms", "1m"), "default": "25ms"},
    "RetryBudget.percent": {"min": 0, "max": 100, "default": 25},
    "RetryBudget.minConcurrency": {"min": 1, "max": 10000, "default": 20},
    "OutlierDetection.consecutive5xx": {"min": 1, "max": 10000, "default": 5},
    "OutlierDetection.consecutiveGatewayFailures": {"min": 0, "max": 10000, "default": 0},
    "OutlierDetection.interval": {"duration": ("10ms", "1h"), "default": "10s"},
    "OutlierDetection.baseEjectionTime": {"duration": ("10ms", "1h"), "default": "30s"},
    "OutlierDetection.maxEjectionPercent": {"min": 0, "max": 100, "default": 50},
    "Limits.connections": {"min": 1, "max": 1000000, "default": 1024, "said": False},
    "Limits.pendingRequests": {"min": 1, "max": 1000000, "default": 1024, "said": False},
    "Limits.requests": {"min": 1, "max": 1000000, "default": 10240, "said": False},

    "AuthorizationPolicySpec.action": {"default": "ALLOW"},
    "AuthorizationPolicySpec.rules": {"max_items": 512},
    "Rule.from": {"max_items": 128},
    "Rule.to": {"max_items": 128},
    "Source.principals": PATTERNS,
    "Source.notPrincipals": PATTERNS,
    "Source.namespaces": NAMESPACES,
    "Source.notNamespaces": NAMESPACES,
    "Source.serviceAccounts": ACCOUNTS,
    "Source.notServiceAccounts": ACCOUNTS,
    "Source.ipBlocks": BLOCKS,
    "Source.notIpBlocks": BLOCKS,
    "Operation.hosts": PATTERNS,
    "Operation.notHosts": PATTERNS,
    "Operation.ports": PORTS,
    "Operation.notPorts": PORTS,
    "Operation.methods": PATTERNS,
    "Operation.notMethods": PATTERNS,
    "Operation.paths": PATTERNS,
    "Operation.notPaths": PATTERNS,
    "Operation.headers": {"min_items": 1, "max_items": 64},
    "HeaderCondition.name": {"required": True, "pattern": "^[-!#$%&'*+.^_`|~0-9A-Za-z]+$", "max_length": 256},
    "HeaderCondition.values": PATTERNS,
    "HeaderCondition.notValues": PATTERNS,

    "Mtls.ports": {"max_items": 256,
                   "keys": (f"k.matches('^{PORT}$')", "a port is a number 1 to 65535")},
    "Egress.services": {
        "item": {"pattern": f"^({LABEL}|\\*/\\*|(\\.|{LABEL})/(\\*|{LABEL}))$", "max_length": 127}, "max_items": 1024},

    "MeshConfigSpec.trustDomain": {"pattern": f"^{SUBDOMAIN}$", "max_length": 253},
    "MeshConfigSpec.clusterDomain": {"pattern": f"^{SUBDOMAIN}$", "max_length": 253, "default": "cluster.local"},
    "MeshConfigSpec.rootNamespace": {"pattern": f"^{LABEL}$", "max_length": 63, "default": "heddle-system"},
    "Tracing.samplingPercent": {"min": 0, "max": 100, "default": 100},
    "Tracing.collector": {"pattern": f"^({SUBDOMAIN}|\\[[0-9A-Fa-f:.]+\\]):{PORT}$", "max_length": 300},
    "AccessLog.path": {"pattern": "^/", "max_length": 4096},
    "AccessLog.format": {"default": "TEXT"},
    "AccessLog.text": FORMAT,
    "AccessLog.json": {"item": FORMAT, "max_items": 256},

    "WorkloadSpec.address": {"required": True, "any_format": ["ipv4", "ipv6"], "not_one_of": ["0.0.0.0", "::"],
                             "max_length": 64},
    "WorkloadSpec.serviceAccount": {"pattern": f"^{LABEL}$", "max_length": 63, "default": "default"},
    "WorkloadSpec.ports": {"max_items": 256, "map_by": "port"},
    "WorkloadSpec.weight": {"min": 1, "max": 128, "default": 1},
    "WorkloadSpec.sidecar": {"default": "PROXY"},
    "WorkloadPort.name": {"pattern": f"^{LABEL}$", "max_length": 63},
    "WorkloadPort.port": {"required": True, "min": 1, "max": 65535},
    "WorkloadPort.appPort": {"min": 1, "max": 65535},
    "Locality.region": {"max_length": 253},
    "Locality.zone": {"max_length": 253},
    "Locality.subZone": {"max_length": 253},
}

MESSAGES = {
    "BackendPolicySpec": {"cel": [PER_TRY]},
    "BackendDefaults": {"cel": [PER_TRY]},
    "BackendRetries": {"cel": [
        ("!has(self.sameForAllMethods) || !self.sameForAllMethods || !has(self.onIdempotent) || "
         "size(self.onIdempotent) == 0", "onIdempotent has no meaning with sameForAllMethods")]},
    "MeshConfigSpec": {"cel": [
        ("!has(self.mtls) || !has(self.mtls.ports) || size(self.mtls.ports) == 0",
         "mtls.ports: only in a WorkloadPolicy")]},
    "AccessLog": {"cel": [
        ("!has(self.text) || self.text == '' || !has(self.format) || self.format == 'TEXT'",
         "text: only with format TEXT"),
        ("!has(self.json) || size(self.json) == 0 || (has(self.format) && self.format == 'JSON')",
         "json: only with format JSON")]},
    "Source": {"min_properties": 1, "cel": [
        ("!(has(self.serviceAccounts) && has(self.principals))", "serviceAccounts: not together with principals")]},
    "Operation": {"min_properties": 1},
    "WorkloadSpec": {"cel": [
        ("!has(self.ports) || (has(self.sidecar) && self.sidecar == 'NONE') || "
         "self.ports.all(p, !(p.port in [15000, 15001, 15006]))",
         "ports: 15000, 15001 and 15006 are the sidecar's own"),
        ("!has(self.ports) || self.ports.all(p, !has(p.appPort) || "
         "(!self.ports.exists(q, q.port == p.appPort) && "
         "self.ports.exists_one(q, has(q.appPort) && q.appPort == p.appPort)))",
         "ports: an appPort is taken by another port"),
        ("!has(self.ports) || self.ports.all(p, !has(p.name) || "
         "self.ports.exists_one(q, has(q.name) && q.name == p.name))",
         "ports: a name is given twice")]},
}

# What is said about an object of a kind as a whole.
KINDS = {
    "MeshConfig": {
        "plural": "meshconfigs", "short": "hmc", "scope": "Cluster",
        "cel": [("self.metadata.name == 'mesh'", "there is one MeshConfig, and its name is mesh")],
        "columns": [("mTLS", "string", ".spec.mtls.mode", 0)],
    },
    "BackendPolicy": {
        "plural": "backendpolicies", "short": "hbp", "scope": "Namespaced", "spec_required": True,
        "columns": [("Service", "string", ".spec.targetRef.name", 0), ("Port", "string", ".spec.targetRef.sectionName", 1)],
    },
    "AuthorizationPolicy": {
        "plural": "authorizationpolicies", "short": "hap", "scope": "Namespaced", "spec_required": True,
        "columns": [("Action", "string", ".spec.action", 0), ("Selector", "string", ".spec.selector.matchLabels", 1)],
    },
    "WorkloadPolicy": {
        "plural": "workloadpolicies", "short": "hwp", "scope": "Namespaced",
        "columns": [("mTLS", "string", ".spec.mtls.mode", 0), ("Unlisted", "string", ".spec.egress.unlisted", 0),
                    ("Selector", "string", ".spec.selector.matchLabels", 1)],
    },
    "Workload": {
        "plural": "workloads", "short": "hwl", "scope": "Namespaced", "spec_required": True,
        "cel": [("self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')",
                 "metadata.name is not a DNS label: at most 63 of a-z, 0-9 and '-'")],
        "columns": [("Address", "string", ".spec.address", 0), ("Account", "string", ".spec.serviceAccount", 0)],
    },
}


def said(rule, comment):
    """What `comment` fails to say of `rule`: a list of phrases."""
    if not rule.get("said", True):
        return []
    wanted = []
    if "min" in rule and "max" in rule:
        wanted.append(f"{rule['min']} to {rule['max']}")
    if "duration" in rule:
        shortest, longest = rule["duration"]
        wanted.append(f"At most {longest}" if rule.get("zero") else f"{shortest} to {longest}")
    if rule.get("zero"):
        wanted.append('"0s"')
    if "default" in rule:
        value = rule["default"]
        text = str(value) if isinstance(value, (int, float)) or value.isupper() else f'"{value}"'
        wanted.append(f"Default: {text}")
    if rule.get("required"):
        wanted.append("equired")
    if "max_items" in rule and rule["max_items"] == 512:
        wanted.append(f"At most {rule['max_items']}")
    flat = comment.replace("at most", "At most")
    return [phrase for phrase in wanted if phrase not in flat]
