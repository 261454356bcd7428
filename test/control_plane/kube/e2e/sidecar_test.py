"""A real sidecar and heddle-control in a real cluster: the token that lets it join, and how soon it knows of a new endpoint."""

import os
import statistics
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from report import Report, need

import control as c
from k8s.cluster import Cluster, enter
from k8s.support.waiting import until
from sidecar import Sidecar, acknowledged

CHANGES = 500
SLICE = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/reviews-0"


def main():
    enter("gateway-api")
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
            return Sidecar(cluster, one, "web").wait_synced()

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
