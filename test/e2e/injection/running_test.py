"""Every way of putting the sidecar into a pod, run: the pod becomes ready in a mesh that is STRICT, and ends.

usage: running_test.py HEDDLE_PROXY HEDDLE_CONTROL HEDDLECTL BOOKSHOP
"""

import os
import sys
import time

from report import Report, need

sys.path.append("test/e2e/kubernetes")

import mesh as fixture
from k8s.cluster import enter
from mesh import VISITORS, Mesh

WAYS = {
    "native": {},
    "classic": {"sidecar": "classic"},
    "unheld": {"hold-until-ready": "false"},
    "classic-unheld": {"sidecar": "classic", "hold-until-ready": "false"},
    "tproxy": {"interception-mode": "tproxy"},
    "listed": {"include-inbound-ports": "8080", "include-outbound-ports": "80,9080", "exclude-uids": "2000-2010"},
}


def pod(name, annotations):
    probe = {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1, "timeoutSeconds": 5}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {
        "name": name, "namespace": VISITORS, "labels": {"app": name},
        "annotations": {"heddle.dev/" + key: value for key, value in annotations.items()}}, "spec": {
            "terminationGracePeriodSeconds": 2, "containers": [{
                "name": "app", "image": "sh", "args": ["exec python3 -m http.server -d /tmp 8080"],
                "ports": [{"name": "http", "containerPort": 8080}], "readinessProbe": probe,
                "livenessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
                "lifecycle": {"preStop": {"httpGet": {"path": "/", "port": "http"}}}}]}}


def runs(mesh, name):
    mesh.api.create(f"/api/v1/namespaces/{VISITORS}/pods", pod(name, WAYS[name]))
    mesh.runner.wait_ready(VISITORS, f"app={name}")
    mesh.cluster.kubectl("delete", "pod", name, "-n", VISITORS, "--timeout=60s")


def rewriting_matters(mesh):
    """The same pod with its probe left to the kubelet, which has no certificate: the port does not answer it."""
    mesh.api.create(f"/api/v1/namespaces/{VISITORS}/pods", pod("raw", {"rewrite-probes": "false"}))

    def states():
        found = mesh.api.get(f"/api/v1/namespaces/{VISITORS}/pods/raw")["status"]
        both = found.get("initContainerStatuses", []) + found.get("containerStatuses", [])
        return {one["name"]: one["ready"] for one in both}
    mesh.until(lambda: f"the sidecar ready: {states()}", lambda: states().get("heddle-proxy"))
    mesh.until("the application running", lambda: "running" in mesh.api.get(
        f"/api/v1/namespaces/{VISITORS}/pods/raw")["status"]["containerStatuses"][0]["state"])
    time.sleep(5)  # five probes
    need(not states()["app"], "a STRICT port answers the kubelet")


def main():
    programs = dict(zip(("heddle-proxy", "heddle-control", "heddlectl", "bookshop"), map(os.path.abspath, sys.argv[1:5])))
    enter("gateway-api")
    report = Report()
    with Mesh(programs) as mesh:
        mesh.install()
        mesh.cluster.apply(text=fixture.VISITOR)
        mesh.mtls("STRICT")
        for name in WAYS:
            report.run(f"a pod with a sidecar that is {name} becomes ready and ends", lambda name=name: runs(mesh, name))
        report.run("a probe that is not rewritten is not answered", lambda: rewriting_matters(mesh))
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
