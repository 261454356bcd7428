"""A real sidecar and heddle-control in a real cluster: the token that lets it join, and how soon it knows of a new endpoint."""

import datetime
import os
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from report import Report

import control as c
from k8s import world
from k8s.cluster import Cluster, find_peer, find_peers
from k8s.support.waiting import until

PROXY = os.environ.get("HEDDLE_PROXY", "source/main/heddle-proxy")
CHANGES = 500
SLICE = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/reviews-0"
ENDPOINTS = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"


def need(condition, text):
    if not condition:
        raise AssertionError(text)


class Sidecar:
    def __init__(self, cluster, control, name, account="default", claims="default", audience="heddle-control"):
        self.control, self.node = control, f"shop/{name}"
        folder = os.path.join(world.folder(), f"sidecar-{name}-{account}-{audience}")
        os.makedirs(folder, mode=0o700)
        token = cluster.api.create(f"/api/v1/namespaces/shop/serviceaccounts/{account}/token", {
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"audiences": [audience], "expirationSeconds": 600}})["status"]["token"]
        with open(os.path.join(folder, "token"), "w", encoding="ascii") as file:
            file.write(token)
        root = until("heddle-root", lambda: cluster.api.find("/api/v1/namespaces/shop/configmaps/heddle-root"))
        with open(os.path.join(folder, "ca.crt"), "w", encoding="ascii") as file:
            file.write(root["data"]["ca.crt"])
        self.log_path = os.path.join(folder, "log")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [PROXY, "--control", f"127.0.0.1:{control.grpc}", "--namespace", "shop", "--service-account", claims, "--workload", name,
                 "--address", "10.244.0.50", "--token-file", os.path.join(folder, "token"), "--control-ca", os.path.join(folder, "ca.crt"),
                 "--state-dir", folder, "--intercept", "--admin-address", "127.0.0.1:0"], stdout=log, stderr=log)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()[-3000:]

    def line(self):
        return next((one for one in self.control.status()["proxies"] if one["node"] == self.node), {})

    def stop(self):
        self.process.kill()
        self.process.wait()


def seconds(text):
    """Since the epoch, of a time as the status page writes it."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def acknowledged(sidecar, since):
    """When the sidecar acknowledged the endpoints that were sent after `since`; 0: not yet."""
    for one in sidecar.line().get("types", []):
        if one["type_url"] == ENDPOINTS and one.get("sent_at") and seconds(one["sent_at"]) >= since and one.get("acked_at"):
            acked = seconds(one["acked_at"])
            return acked if acked >= seconds(one["sent_at"]) else 0
    return 0


def main():
    if not world.inside():
        find_peers()
        find_peer("gateway-api")
    world.enter()
    report = Report()
    with Cluster(controllers=False) as cluster:
        one = c.Control(cluster, 1)

        def joins():
            c.install(cluster)
            c.namespace(cluster, "shop", inject=True)
            cluster.api.create("/api/v1/namespaces/shop/serviceaccounts", {"metadata": {"name": "other"}})
            c.pod(cluster, "shop", "web", "10.244.0.50")
            c.service(cluster, "shop", "reviews")
            c.endpoint_slice(cluster, "shop", "reviews", [c.endpoint("10.244.0.51")])
            one.start().wait_ready()
            sidecar = Sidecar(cluster, one, "web")
            until(lambda: f"synced: {sidecar.log()} {one.log()}", lambda: sidecar.line().get("state") == "synced")
            return sidecar

        def a_token_for_another_audience_is_refused():
            sidecar = Sidecar(cluster, one, "web", audience="https://kubernetes.default.svc")
            until(lambda: "the refusal: " + sidecar.log(), lambda: "audience" in sidecar.log() or "vouch" in sidecar.log())
            sidecar.stop()
            need(sidecar.line().get("state") not in ("synced", "pending"), sidecar.line())

        def another_account_is_not_this_workload():
            """The identity is the token's, whatever the proxy says of itself."""
            sidecar = Sidecar(cluster, one, "web", account="other")
            until(lambda: "the refusal: " + one.log(), lambda: "ns/shop/sa/other" in one.log())
            time.sleep(1)
            need(sidecar.line().get("state") not in ("synced", "pending"), sidecar.line())
            sidecar.stop()

        def endpoints_reach_it_in_time():
            sidecar = joins()
            times = []
            for i in range(CHANGES):
                begin = time.time()
                cluster.api.patch(SLICE, {"endpoints": [c.endpoint(f"10.250.{i // 250}.{i % 250 + 1}")]})
                times.append(until("the acknowledgement", lambda begin=begin: acknowledged(sidecar, begin), step=0.02) - begin)
            sidecar.stop()
            times.sort()
            p99 = times[int(CHANGES * 0.99) - 1]
            print(f"{CHANGES} endpoint changes, from the request to the API server to the sidecar's acknowledgement: "
                  f"p50 {statistics.median(times) * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms, most {times[-1] * 1000:.0f} ms")
            # 100 ms on a machine that does nothing else.
            need(p99 < 0.1 * float(os.environ.get("HEDDLE_SLOW", "10")), f"p99 {p99 * 1000:.0f} ms")

        for test in (endpoints_reach_it_in_time, a_token_for_another_audience_is_refused, another_account_is_not_this_workload):
            report.run(test.__name__.replace("_", " "), test)
        one.stop()
        if report.failed and one.process:
            print(one.log())
    sys.exit(report.end())


main()
