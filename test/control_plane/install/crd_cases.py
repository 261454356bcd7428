"""Objects of our kinds, good and bad, for those who judge them: the API server by our CRDs, and heddle-control's decoder.

Each list holds (kind, spec). `bounds(kind, schema)` adds the values at both sides of every bound that a schema has.
"""

import re

TARGET = {"kind": "Service", "name": "reviews"}


def backend(**parts):
    return ("BackendPolicy", {"targetRef": TARGET, **parts})


def rules(**rule):
    return ("AuthorizationPolicy", {"rules": [rule]})


def source(**parts):
    return rules(**{"from": [parts]})


def operation(**parts):
    return rules(to=[parts])


def mesh(**parts):
    return ("MeshConfig", parts)


def policy(**parts):
    return ("WorkloadPolicy", parts)


def workload(**parts):
    return ("Workload", {"address": "10.9.8.7", **parts})


GOOD = [
    backend(),
    ("BackendPolicy", {"targetRef": {"group": "", "kind": "Service", "name": "reviews", "sectionName": "http"}}),
    ("BackendPolicy", {"targetRef": {"group": "core", "kind": "Service", "name": "reviews"}}),
    backend(timeouts={"connect": "1s500ms", "request": "0s", "idle": "1h30m"}),
    backend(timeouts={"request": "2s"}, retries={"perTryTimeout": "1999ms"}),
    backend(timeouts={"request": "0s"}, retries={"perTryTimeout": "1h"}),
    backend(retries={"on": ["503", "connect-failure", "5xx"], "onIdempotent": ["reset"]}),
    backend(retries={"sameForAllMethods": True}),
    backend(retries={"sameForAllMethods": True, "onIdempotent": []}),
    backend(outlierDetection={"disabled": True}, limits={}, loadBalancer={}),
    ("AuthorizationPolicy", {}),
    ("AuthorizationPolicy", {"action": "DENY", "rules": [{}]}),
    ("AuthorizationPolicy", {"rules": [{} for _ in range(512)]}),
    ("AuthorizationPolicy", {"selector": {"matchLabels": {"app": "web", "heddle.dev/x": ""}}}),
    source(principals=["*", "spiffe://cluster.local/ns/a/sa/*", "*/sa/web", "cluster.local/ns/a/sa/b"]),
    source(serviceAccounts=["web", "shop/web"], notPrincipals=["x"]),
    source(ipBlocks=["10.0.0.0/8", "192.168.1.1", "fd00::/8", "::1"], notIpBlocks=["10.0.0.1/32"]),
    operation(ports=[1, 65535], methods=["GET", "PO*"], paths=["/a*", "*.png", "*"], notHosts=["x.example"]),
    operation(headers=[{"name": "X-Who_`|~"}, {"name": "a", "values": ["b*"], "notValues": ["bc"]}]),
    policy(),
    policy(mtls={"mode": "STRICT", "ports": {"8080": "PERMISSIVE", "1": "DISABLE", "65535": "STRICT"}}),
    policy(egress={"services": ["reviews", "bookshop/reviews", "bookshop/*", "./*", "*/*", "./reviews"], "unlisted": "DENY"}),
    mesh(),
    mesh(trustDomain="cluster.local", clusterDomain="example.org", rootNamespace="root"),
    mesh(mtls={"mode": "DISABLE"}, egress={"services": ["*/*"], "unlisted": "ALLOW"}),
    mesh(defaults={"timeouts": {"request": "3s"}, "retries": {"perTryTimeout": "1s", "attempts": 0}}),
    mesh(tracing={"collector": "collector.tracing.svc:4317", "samplingPercent": 0.5}),
    mesh(tracing={"collector": "[fd00::1]:4317", "disabled": True}),
    mesh(accessLog={"path": "/dev/stdout", "text": "%REQ(:METHOD)% 100%% %START_TIME% %REQ(X):10%\n"}),
    mesh(accessLog={"format": "JSON", "json": {"method": "%REQ(:METHOD)%", "odd key": "plain"}}),
    workload(),
    workload(ports=[{"name": "http", "port": 8080, "appPort": 18080}, {"name": "tcp-x", "port": 9000, "protocol": "TCP"}]),
    workload(ports=[{"port": 15001}], sidecar="NONE"),
    ("Workload", {"address": "fd00::7", "serviceAccount": "web", "weight": 128, "locality": {"region": "a", "zone": "b"}}),
]

# What both refuse.
BAD = [
    ("BackendPolicy", None),
    ("BackendPolicy", {}),
    ("BackendPolicy", {"targetRef": {"kind": "Service"}}),
    ("BackendPolicy", {"targetRef": {"name": "reviews"}}),
    ("BackendPolicy", {"targetRef": {"kind": "Pod", "name": "reviews"}}),
    ("BackendPolicy", {"targetRef": {"group": "apps", "kind": "Service", "name": "reviews"}}),
    ("BackendPolicy", {"targetRef": {"kind": "Service", "name": "Reviews"}}),
    backend(timeoutz={}),
    backend(timeouts={"connect": 5}),
    backend(timeouts={"connect": "5"}),
    backend(timeouts={"connect": "1.5s"}),
    backend(timeouts={"connect": "-1s"}),
    backend(timeouts={"connect": "100000ms"}),
    backend(timeouts={"connect": "1ms1ms1ms1ms1ms"}),
    backend(timeouts={"request": "1s"}, retries={"perTryTimeout": "1s"}),
    backend(timeouts={"request": "1s"}, retries={"perTryTimeout": "1m"}),
    backend(retries={"perTryTimeout": "0s"}),
    backend(retries={"on": ["5XX"]}),
    backend(retries={"on": ["399"]}),
    backend(retries={"on": ["600"]}),
    backend(retries={"onIdempotent": ["never"]}),
    backend(retries={"sameForAllMethods": True, "onIdempotent": ["5xx"]}),
    backend(retries={"attempts": "many"}),
    ("AuthorizationPolicy", {"rules": [{} for _ in range(513)]}),
    ("AuthorizationPolicy", {"action": "AUDIT"}),
    ("AuthorizationPolicy", {"selector": {"matchExpressions": []}}),
    source(),
    source(principals=["a*b"]),
    source(principals=["**"]),
    source(principals=["*a*"]),
    source(principals=[""]),
    source(principals=["x" * 1025]),
    source(principals=["x"] * 1025),
    source(namespaces=["a*b"]),
    source(principals=["a"], serviceAccounts=["web"]),
    source(serviceAccounts=["shop/web/x"]),
    source(serviceAccounts=["*"]),
    source(serviceAccounts=["Shop/web"]),
    source(notServiceAccounts=["shop/"]),
    source(ipBlocks=["10.0.0.0/33"]),
    source(ipBlocks=["10.0.0"]),
    source(ipBlocks=["fd00::/129"]),
    source(notIpBlocks=["everywhere"]),
    source(principal=["a"]),
    operation(),
    operation(methods=["G*T"]),
    operation(ports=[0]),
    operation(notPorts=[65536]),
    operation(headers=[{"name": ":path"}]),
    operation(headers=[{"name": "a b"}]),
    operation(headers=[{"values": ["x"]}]),
    operation(headers=[{"name": "x" * 257}]),
    operation(headers=[{"name": "a", "values": ["b*c"]}]),
    policy(mtls={"ports": {"0": "STRICT"}}),
    policy(mtls={"ports": {"65536": "STRICT"}}),
    policy(mtls={"ports": {"http": "STRICT"}}),
    policy(mtls={"ports": {"80": "SOMETIMES"}}),
    policy(egress={"services": ["*"]}),
    policy(egress={"services": ["*/reviews"]}),
    policy(egress={"services": ["a/b/c"]}),
    policy(egress={"services": [""]}),
    policy(egress={"services": ["Reviews"]}),
    policy(egress={"services": ["shop/*x"]}),
    mesh(mtls={"ports": {"80": "STRICT"}}),
    mesh(trustDomain="Else"),
    mesh(clusterDomain="cluster..local"),
    mesh(clusterDomain="-a"),
    mesh(rootNamespace="a.b"),
    mesh(defaults={"timeouts": {"request": "1s"}, "retries": {"perTryTimeout": "2s"}}),
    mesh(defaults={"targetRef": TARGET}),
    mesh(tracing={"collector": "collector"}),
    mesh(tracing={"collector": "collector:0"}),
    mesh(tracing={"collector": "collector:65536"}),
    mesh(tracing={"collector": "a_b:1"}),
    mesh(tracing={"collector": "http://collector:4317"}),
    mesh(accessLog={"path": "log"}),
    mesh(accessLog={"text": "%"}),
    mesh(accessLog={"text": "%REQ(:METHOD)"}),
    mesh(accessLog={"text": "%req%"}),
    mesh(accessLog={"format": "JSON", "text": "x"}),
    mesh(accessLog={"json": {"a": "b"}}),
    mesh(accessLog={"format": "TEXT", "json": {"a": "b"}}),
    mesh(accessLog={"format": "JSON", "json": {"a": "100%"}}),
    ("Workload", {}),
    ("Workload", {"address": "web"}),
    ("Workload", {"address": "0.0.0.0"}),
    ("Workload", {"address": "::"}),
    ("Workload", {"address": "10.9.8.0/24"}),
    workload(serviceAccount="Web"),
    workload(ports=[{"name": "http"}]),
    workload(ports=[{"port": 80}, {"port": 80}]),
    workload(ports=[{"port": 15001}]),
    workload(ports=[{"name": "a", "port": 80}, {"name": "a", "port": 81}]),
    workload(ports=[{"name": "A", "port": 80}]),
    workload(ports=[{"port": 80, "appPort": 81}, {"port": 81}]),
    workload(ports=[{"port": 80, "appPort": 80}]),
    workload(ports=[{"port": 80, "appPort": 90}, {"port": 81, "appPort": 90}]),
    workload(ports=[{"port": 10000 + n} for n in range(257)]),
]

# What only the API server refuses: nobody means these, and an object that was stored by files does not have them.
STRICTER = [
    ("AuthorizationPolicy", None),                                   # says nothing, refuses everything
    ("Workload", {"address": "10.9.8.7", "weight": 0}),              # reads as absent
    workload(ports=[{"port": 80, "appPort": 0}]),
    backend(timeouts={"connect": ""}),                               # reads as absent
    mesh(clusterDomain=""),
    source(principals=[], namespaces=["a"]),                         # reads as absent
    rules(**{"from": [{"principals": ["a"]} for _ in range(129)]}),  # keeps the cost of checking bounded
    operation(headers=[{"name": "a"}] * 65),
    ("AuthorizationPolicy", {"selector": {"matchLabels": {"app": "no such label"}}}),
    policy(egress={"services": ["reviews"] * 1025}),
]

# What only heddle-control refuses, because it takes more than the one object to know. The validating webhook says it too.
LOOSER = [
    mesh(trustDomain="example.org"),                                 # heddle-control's --trust-domain is another
    ("BackendPolicy", {"targetRef": {"kind": "Service", "name": "nobody"}}),
    policy(egress={"services": ["nobody"]}),
    mesh(tracing={"collector": "[fd00:::1]:4317"}),                  # an address that a pattern cannot tell
    source(principals=["\u00e9" * 1024]),                            # 1,024 characters, but more bytes
]

DURATION = "^([0-9]{1,5}(h|m|s|ms)){1,4}$"
SAMPLES = {"targetRef": TARGET, "kind": "Service", "name": "sample", "address": "10.9.8.7", "port": 8080}
# Bad everywhere in this kind, whatever its bounds; checked by hand above.
NOT_WALKED = {("MeshConfig", "mtls.ports.8080")}
# Zero is "absent" to the decoder.
ZERO_IS_ABSENT = {"weight", "appPort"}


def _duration_values(schema):
    shortest, longest = re.search(r"duration\('(\w+)'\) && .*duration\('(\w+)'\)", schema["x-kubernetes-validations"][0]["rule"]).groups()
    zero = "== duration('0s')" in schema["x-kubernetes-validations"][0]["rule"]
    good = [shortest, longest] + (["0s"] if zero else [])
    bad = [longest + "1ms", "5", "soon"] + ([] if zero else ["0s"])
    if not zero and shortest != "1ms":
        bad.append(f"{int(shortest[:-2]) - 1}ms")
    return good, bad


def _leaf_values(name, schema):
    good, bad = [], []
    if "enum" in schema:
        good += [value for value in schema["enum"]]
        bad.append("NOPE")
    elif schema.get("pattern") == DURATION:
        good, bad = _duration_values(schema)
    elif schema["type"] in ("integer", "number"):
        good += [schema[bound] for bound in ("minimum", "maximum") if bound in schema]
        bad += [schema["maximum"] + 1] if "maximum" in schema else []
        if "minimum" in schema and not (schema["minimum"] == 1 and name in ZERO_IS_ABSENT):
            bad.append(schema["minimum"] - 1)
    elif schema["type"] == "boolean":
        good, bad = [True, False], ["maybe"]
    return good, bad


def _walk(kind, schema, path, wrap):
    """Yields (spec, is it good) for each value at a bound below `schema`."""
    here = ".".join(path)
    if (kind, here) in NOT_WALKED:
        return
    if schema["type"] == "object" and "properties" in schema:
        for name, inner in schema["properties"].items():
            others = {other: SAMPLES[other] for other in schema.get("required", []) if other != name}
            yield from _walk(kind, inner, path + [name], lambda value, name=name, others=others: wrap({**others, name: value}))
    elif schema["type"] == "object" and "additionalProperties" in schema:
        yield from _walk(kind, schema["additionalProperties"], path + ["8080"], lambda value: wrap({"8080": value}))
    elif schema["type"] == "array":
        yield from _walk(kind, schema["items"], path, lambda value: wrap([value]))
    elif schema["type"] in ("string", "integer", "number", "boolean"):
        good, bad = _leaf_values(path[-1], schema)
        yield from ((wrap(value), True) for value in good)
        yield from ((wrap(value), False) for value in bad)


def bounds(kind, spec_schema):
    return [(kind, spec, good) for spec, good in _walk(kind, spec_schema, [], lambda value: value)]
