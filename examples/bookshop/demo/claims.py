"""The eight claims of the demo. Each function makes one happen, measures it, and returns a sentence; a claim that does
not hold raises Failure."""

import datetime
import json
import re
import signal
import time
import urllib.request

from run import Failure, wait_for
from shop import WORKLOADS, identity


def need(condition, text):
    if not condition:
        raise Failure(text)


def parse_time(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def failures(result):
    return f"{result['failed']} of {result['requests']} requests failed ({result['statuses']}): {result['first_failure']}"


def none_failed(result):
    need(result["requests"] > 0, "the load sent nothing")
    need(result["failed"] == 0, failures(result))
    return result["requests"]


def settled(shop):
    """The status once every sidecar has acknowledged the newest configuration, else None."""
    status = shop.status()
    if status is None:
        return None
    proxies = [p for p in status["proxies"] if p.get("in_configuration")]
    good = all(p.get("identity") and p.get("settled_generation") == status["generation"] and not p.get("nacks")
               for p in proxies)
    return status if good and len(proxies) == len(WORKLOADS) else None


def connected(shop):
    status = wait_for("every sidecar connected and acknowledged", lambda: settled(shop))
    lines = []
    for proxy in sorted(status["proxies"], key=lambda p: p["node"]):
        expiry = parse_time(proxy["credential_expires"])
        left = expiry - datetime.datetime.now(datetime.timezone.utc)
        need(left.total_seconds() > 0, f"{proxy['node']}: its certificate has expired")
        name = proxy["node"].split("/")[1]
        role = next(w.role for w in WORKLOADS if w.name == name)
        need(proxy["identity"] == identity(role), f"{name} is {proxy['identity']}, not {identity(role)}")
        lines.append(f"     {name:13} {proxy['identity']}  certificate until {expiry:%Y-%m-%d %H:%M} UTC, "
                     f"{proxy['acks']} acknowledged, {proxy['nacks']} rejected")
    return f"{len(lines)} sidecars are connected and have acknowledged everything:\n" + "\n".join(lines)


CALLERS = [  # where in the answer a service says who called it, and who that must be
    (("catalog",), "web", "catalog"),
    (("catalog", "reviews"), "catalog", "reviews"),
    (("catalog", "stock"), "catalog", "stock"),
]


def load_and_identity(shop):
    answer = shop.ask()
    for path, caller, callee in CALLERS:
        part = answer
        for key in path:
            part = part[key]
        need(f"URI={identity(caller)}" in part["caller"] and f"By={identity(callee)}" in part["caller"],
             f"{callee} saw {part['caller']!r} as its caller, not {identity(caller)}")
    # A TCP session is logged when it ends: one by hand ends at once.
    shop.talk_to_redis("catalog-a")
    wait_for("redis' sidecar to have logged its caller's identity",
             lambda: identity("catalog") in shop.processes.log("sidecar-redis-a"), 10)
    for name, port in (("catalog-a", 9080), ("reviews-v2-a", 9080)):
        pod = shop.pods[name]
        # Plain text from outside the mesh: from the control plane's place, which has no sidecar.
        code, status, _ = shop.control.curl(f"http://{pod.address}:{port}/", timeout=3)
        need(code != 0, f"{name} answered plain text with {status}, though the policy says STRICT")
    mesh = shop.load(5).result()
    requests = none_failed(mesh)
    sentence = (f"{requests} requests, success rate 100 %, p50 {mesh['p50_us'] / 1000:.1f} ms, p99 {mesh['p99_us'] / 1000:.1f} ms; every "
                "hop authenticated by both sides (asserted from what each receiver saw); plain text refused")
    if shop.intercept:
        return sentence
    shop.start_direct()
    direct = shop.load(5, url="http://127.0.1.1:29000/books/1").result()
    none_failed(direct)
    return sentence + (f";\n     the same calls without sidecars: p50 {direct['p50_us'] / 1000:.1f} ms, p99 "
                       f"{direct['p99_us'] / 1000:.1f} ms, so the mesh adds {(mesh['p50_us'] - direct['p50_us']) / 1000:.1f} ms and "
                       f"{(mesh['p99_us'] - direct['p99_us']) / 1000:.1f} ms over eight sidecar passages")


def ejected(shop, name):
    address = f"{shop.pods[name].address}:9080"
    clusters = json.loads(shop.admin("catalog-a", "/clusters?format=json&filter=reviews-v1"))
    hosts = [h for c in clusters["cluster_statuses"] for h in c["host_statuses"] if h["address"] == address]
    need(hosts, f"catalog's sidecar does not know {address}")
    return any(h["health"] == "/failed_outlier_check" for h in hosts)


def requests_of(shop, name):
    address = f"{shop.pods[name].address}:9080"
    clusters = json.loads(shop.admin("catalog-a", "/clusters?format=json&filter=reviews-v1"))
    return sum(h["rq_total"] for c in clusters["cluster_statuses"] for h in c["host_statuses"] if h["address"] == address)


def failing_replica(shop):
    bad = "reviews-v1-a"
    load = shop.load(60)
    time.sleep(0.5)
    shop.behave(bad, fail_percent=50)
    began = time.monotonic()
    wait_for(f"{bad} ejected", lambda: ejected(shop, bad), 20)
    took = time.monotonic() - began
    time.sleep(1)
    shop.behave(bad, fail_percent=0)
    wait_for(f"{bad} taken back", lambda: not ejected(shop, bad), 30)
    before = requests_of(shop, bad)
    wait_for(f"{bad} asked again", lambda: requests_of(shop, bad) > before + 5 and not ejected(shop, bad), 30)
    requests = none_failed(load.stop())
    return (f"{bad} failed half its answers: callers saw 0 errors in {requests} requests (retries), it was ejected after "
            f"{took:.1f} s and is back since it healed")


def split(shop, seconds=6):
    result = shop.load(seconds, rate=150).result()
    none_failed(result)
    v1, v2 = result["versions"].get("v1", 0), result["versions"].get("v2", 0)
    return 100.0 * v2 / max(1, v1 + v2)


def last_acknowledgement(status):
    return max(parse_time(t["acked_at"]) for p in status["proxies"] for t in p["types"] if t.get("acked_at"))


def change_weights(shop, v1, v2):
    """Saves new weights; milliseconds until the last sidecar acknowledged them."""
    before = shop.status()["generation"]
    saved = datetime.datetime.now(datetime.timezone.utc)
    shop.set_weights(v1, v2)
    status = wait_for("the new weights acknowledged",
                      lambda: (s := settled(shop)) and s["generation"] > before and s, 10, pause=0.02)
    return (last_acknowledgement(status) - saved).total_seconds() * 1000


def canary(shop):
    small = split(shop)
    need(1 <= small <= 12, f"with weights 95/5 v2 got {small:.1f} % of the requests")
    load = shop.load(60)
    time.sleep(0.5)
    took = change_weights(shop, 50, 50)
    need(took <= 200, f"the edit took {took:.0f} ms from save to the last acknowledgement; at most 200 ms are promised")
    half = split(shop)
    need(42 <= half <= 58, f"with weights 50/50 v2 got {half:.1f} % of the requests")
    requests = none_failed(load.stop())
    return (f"weights 95/5 gave v2 {small:.1f} %; after the edit to 50/50 it got {half:.1f} %; {took:.0f} ms from saving the file to "
            f"the last acknowledgement; 0 of {requests} requests failed meanwhile")


def rbac_count(shop):
    text = shop.admin("stock-a", "/stats?filter=rbac") or ""
    return sum(int(n) for n in re.findall(r"denied: (\d+)", text))


def find_trace(shop, wanted):
    """Id of a recent trace with an error, whose spans satisfy wanted(list of spans)."""
    listed = shop.control.get_json("http://127.0.0.1:15014/traces") or {"traces": []}
    for trace in listed["traces"][:200]:
        full = shop.control.get(f"http://127.0.0.1:15014/traces?trace_id={trace['trace_id']}")
        if full is not None and wanted(full):
            return trace["trace_id"]
    return None


def refused(shop):
    before = rbac_count(shop)
    body = json.loads(shop.pods["web-a"].curl(shop.web_url("/forbidden"))[2])
    need(body["stock"].startswith("PERMISSION_DENIED"), f"web asked for stock and got: {body['stock']}")
    need(rbac_count(shop) > before, "stock's sidecar did not count the refusal")
    details = "rbac_access_denied"
    wait_for("the refusal in stock's access log", lambda: details in shop.processes.log("sidecar-stock-a"), 5)
    found = wait_for("the refusal in a trace", lambda: find_trace(shop, lambda text: details in text), 10)
    return (f"web asked for stock: {body['stock']}; counted, logged by stock's sidecar as {details}..., and to be seen in trace "
            f"{found[:8]}...")


def serials(shop):
    out = {}
    for w in WORKLOADS:
        certs = json.loads(shop.admin(w.name, "/certs"))
        out[w.name] = next(c["cert_chain"][0]["serial_number"] for c in certs["certificates"] if c["name"] == "default")
    return out


def rotation(shop):
    before = serials(shop)
    load = shop.load(60)
    time.sleep(0.5)
    began = time.monotonic()
    shop.heddlectl("rotate")
    wait_for("new certificates everywhere", lambda: all(
        serial != before[name] for name, serial in serials(shop).items()), 20)
    took = time.monotonic() - began
    time.sleep(1.5)
    requests = none_failed(load.stop())
    return f"every certificate of the mesh replaced within {took:.1f} s under load; 0 of {requests} requests failed"


def trace(shop):
    trace_id = wait_for("a whole trace", lambda: whole_trace(shop), 15)
    waterfall = shop.heddlectl("trace", trace_id)
    for role in ("web", "catalog", "reviews", "stock"):
        need(role in waterfall, f"heddlectl trace does not show {role}:\n{waterfall}")
    sentence = "one request, hop by hop (heddlectl trace):\n" + "".join(f"     {line}\n" for line in waterfall.splitlines())
    if not shop.jaeger:
        return sentence + "     (Jaeger is not installed: tools/peers/jaeger installs it)"
    spans = wait_for("the trace in Jaeger", lambda: jaeger_spans(trace_id), 15)
    need(spans >= 6, f"Jaeger has {spans} spans of trace {trace_id}")
    return sentence + f"     Jaeger shows the same trace with {spans} spans: http://127.0.0.1:16686/trace/{trace_id}"


def whole_trace(shop):
    shop.ask()
    listed = shop.control.get_json("http://127.0.0.1:15014/traces") or {"traces": []}
    for item in listed["traces"]:
        if item["spans"] >= 6 and not item["error"]:
            return item["trace_id"]
    return None


def jaeger_spans(trace_id):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:16686/api/traces/{trace_id}", timeout=3) as reply:
            data = json.load(reply)["data"]
            return sum(len(t["spans"]) for t in data)
    except (OSError, ValueError, KeyError):
        return 0


def control_plane_killed(shop):
    load = shop.load(90)
    time.sleep(0.5)
    shop.processes.end("heddle-control", signal.SIGKILL)
    time.sleep(2)
    # One of two replicas: its callers have another one while it restarts.
    again = next(w for w in WORKLOADS if w.name == "reviews-v1-b")
    shop.processes.end("sidecar-" + again.name)
    shop.start_sidecar(again)
    wait_for("the restarted sidecar ready without a control plane", lambda: shop.admin(again.name, "/ready"), 10)
    stats_before = shop.admin(again.name, "/stats?filter=downstream_rq_total")
    wait_for("the restarted sidecar serving", lambda: shop.admin(again.name, "/stats?filter=downstream_rq_total") != stats_before, 20)
    shop.start_control()
    wait_for("every sidecar connected again", lambda: settled(shop), 40)
    change_weights(shop, 0, 100)
    only_v2 = split(shop, 3)
    need(only_v2 == 100, f"after the edit to 0/100, v2 got {only_v2:.1f} %")
    requests = none_failed(load.stop())
    change_weights(shop, 95, 5)
    return (f"heddle-control killed with -9 and a sidecar restarted without it from its last good configuration: 0 of {requests} requests "
            "failed; after it came back every sidecar connected again and an edit took effect")


CLAIMS = [
    ("connected", connected),
    ("load, mutual authentication", load_and_identity),
    ("a failing replica", failing_replica),
    ("canary", canary),
    ("access refused", refused),
    ("certificate rotation", rotation),
    ("trace", trace),
    ("control plane killed", control_plane_killed),
]
