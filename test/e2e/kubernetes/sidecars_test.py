"""The sidecar in its other forms, each as docs/injection.md promises it: a classic one, TPROXY, lifecycle hooks.

usage: scenarios.py
"""

import json
import os
import sys
import threading
import time

import scenarios
from k8s.podrunner import Image
from mesh import SHOP, VISITORS, identity
from report import need

RENEWED = ("web", "catalog", "reviews-v1", "reviews-v2", "stock")


def images(_):
    app = os.path.realpath("test/k8s/support/app.py")
    return {"app": Image(["/usr/bin/python3", "/app.py"], files={"/app.py": app}, user="1000")}


def installed(mesh):
    mesh.install()
    mesh.visitors()
    mesh.bookshop()
    mesh.mtls("STRICT")
    mesh.until("an answer through the mesh", mesh.shop)


def pod(name, containers, annotations, **spec):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {
        "name": name, "namespace": VISITORS, "labels": {"app": name},
        "annotations": {"heddle.dev/" + key: value for key, value in annotations.items()}},
        "spec": {"terminationGracePeriodSeconds": 20, "containers": containers, **spec}}


def annotate(mesh, name, annotations):
    """Changes the pod template of a bookshop's deployment, which renews its pods; waits until they have."""
    mesh.api.patch(f"/apis/apps/v1/namespaces/{SHOP}/deployments/{name}", {"spec": {"template": {"metadata": {
        "annotations": {f"heddle.dev/{key}": value for key, value in annotations.items()}}}}})
    mesh.cluster.kubectl("-n", SHOP, "rollout", "status", "deployment", name, "--timeout=180s")


def restart(mesh, *names):
    mesh.cluster.kubectl("-n", SHOP, "rollout", "restart", "deployment", *names)
    for name in names:
        mesh.cluster.kubectl("-n", SHOP, "rollout", "status", "deployment", name, "--timeout=180s")


def times(text):
    """{what: when} of what app.py told."""
    return {what: float(when) for what, when in (line.split() for line in text.splitlines() if line.count(" ") == 1)}


def state(mesh, name, container):
    status = mesh.api.get(f"/api/v1/namespaces/{VISITORS}/pods/{name}")["status"]
    return next(one for one in status["containerStatuses"] if one["name"] == container)


def classic_order(mesh):
    """The application's very first request, made the moment that it starts, passes the mesh; its init container has the network bare."""
    ask = "curl -sSf -m 5 http://catalog.bookshop:9080/healthz && echo through && exec sleep 100000"
    bare = "if curl -s -m 3 http://catalog.bookshop:9080/healthz; then exit 1; else echo refused; fi"
    mesh.api.create(f"/api/v1/namespaces/{VISITORS}/pods", pod(
        "classic", [{"name": "main", "image": "sh", "args": [ask]}], {"sidecar": "classic"}, serviceAccountName="visitor",
        initContainers=[{"name": "before", "image": "sh", "args": [bare]}], terminationGracePeriodSeconds=8))
    mesh.runner.wait_ready(VISITORS, "app=classic")
    spec = mesh.api.get(f"/api/v1/namespaces/{VISITORS}/pods/classic")["spec"]
    need([c["name"] for c in spec["initContainers"]] == ["before", "heddle-init"], spec["initContainers"])
    need([c["name"] for c in spec["containers"]] == ["heddle-proxy", "main"], spec["containers"])
    need(state(mesh, "classic", "main")["restartCount"] == 0, "the application started before the sidecar was ready")
    # kubectl means the application, although it is not the first container.
    need("through" in mesh.cluster.kubectl("-n", VISITORS, "logs", "classic"), "kubectl logs shows another container")
    need(mesh.cluster.kubectl("-n", VISITORS, "exec", "classic", "--", "id", "-u").strip() == "1000", "kubectl exec")
    need(mesh.cluster.kubectl("-n", VISITORS, "logs", "classic", "-c", "before").strip() == "refused", "a STRICT port answered")
    mesh.cluster.kubectl("-n", VISITORS, "delete", "pod", "classic", "--timeout=60s")


def classic_ends_in_order(mesh):
    """A request that runs when its pod is deleted gets its answer: `heddle-proxy drain` waits for it. While the sidecar drains, it
    says that it is not ready, and the application's own calls go on."""
    mesh.api.create(f"/api/v1/namespaces/{VISITORS}/services", {
        "metadata": {"name": "slow"}, "spec": {"selector": {"app": "slow"}, "ports": [{"name": "http", "port": 8080}]}})
    mesh.api.create(f"/api/v1/namespaces/{VISITORS}/pods", pod("slow", [
        {"name": "app", "image": "app", "args": ["8080", "--linger", "9"], "ports": [{"name": "http", "containerPort": 8080}],
         "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1}},
        {"name": "beside", "image": "sh", "args": ["trap '' TERM; sleep 100000"]}], {"sidecar": "classic"}))
    mesh.runner.wait_ready(VISITORS, "app=slow")
    mesh.until("an answer", lambda: mesh.curl(VISITORS, "app=visitor", "http://slow:8080/")[1] == 200)
    running = mesh.runner.find(VISITORS, "slow")
    answers = []
    asking = threading.Thread(target=lambda: answers.append(mesh.curl(VISITORS, "app=visitor", "http://slow:8080/slow/7")))
    asking.start()
    active = lambda: running.container("beside").exec(["curl", "-s", "http://127.0.0.1:15000/stats?filter=downstream_rq_active"], 20)[1]
    mesh.until(lambda: f"the request on its way: {active()}", lambda: any(line.endswith(": 1") for line in active().splitlines()))
    mesh.cluster.kubectl("-n", VISITORS, "delete", "pod", "slow", "--wait=false")
    health = lambda: running.container("beside").exec(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}",
                                                       "http://127.0.0.1:15021/healthz/ready"], 20)[1]
    mesh.until(lambda: f"the sidecar not ready: {health()}", lambda: health() == "503", 20)
    code, out = running.container("beside").exec(["curl", "-sS", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}",
                                                  "http://catalog.bookshop:9080/healthz"], 20)
    need((code, out) == (0, "200"), f"the application's own call while its sidecar drains: {code} {out}")
    asking.join()
    need(answers[0][0] == 0 and answers[0][1] == 200, f"the request that ran got {answers[0]}")
    mesh.until("the pod gone", lambda: not mesh.runner.listed(VISITORS, "app=slow"))
    mesh.api.delete(f"/api/v1/namespaces/{VISITORS}/services/slow")


def classic_under_load(mesh):
    """Native to classic, renewed, scaled down: nothing fails."""
    load = mesh.load(600)
    for name in RENEWED:
        annotate(mesh, name, {"sidecar": "classic"})
    for item in mesh.pods(SHOP):
        if item["metadata"]["labels"]["app"] != "redis":
            need(item["spec"]["containers"][0]["name"] == "heddle-proxy", item["spec"]["containers"])
    restart(mesh, *RENEWED)
    mesh.cluster.kubectl("-n", SHOP, "scale", "deployment", "reviews-v1", "--replicas=4")
    mesh.cluster.kubectl("-n", SHOP, "rollout", "status", "deployment", "reviews-v1", "--timeout=120s")
    mesh.cluster.kubectl("-n", SHOP, "scale", "deployment", "reviews-v1", "--replicas=2")
    mesh.until("two replicas left", lambda: len(mesh.runner.listed(SHOP, "app=reviews,version=v1")) == 2)
    load.none_failed()


def classic_job(mesh):
    """It does not end by itself; it ends when it tells its sidecar so."""
    ask = "curl -sSf -m 10 http://catalog.bookshop:9080/healthz"
    for name, args in (("stays", ask), ("ends", f"{ask} && curl -sSf -X POST http://127.0.0.1:15000/quitquitquit")):
        mesh.api.create(f"/apis/batch/v1/namespaces/{VISITORS}/jobs", {
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"backoffLimit": 0, "template": {
                "metadata": {"labels": {"app": name}, "annotations": {"heddle.dev/sidecar": "classic"}},
                "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 3, "serviceAccountName": "visitor",
                         "containers": [{"name": "main", "image": "sh", "args": [args]}]}}}})
    outcome = lambda name: [c["type"] for c in (mesh.api.get(f"/apis/batch/v1/namespaces/{VISITORS}/jobs/{name}").get("status") or {})
                            .get("conditions") or [] if c["status"] == "True" and c["type"] in ("Complete", "Failed")]
    found = mesh.until(lambda: mesh.runner.describe(VISITORS, "app=ends"), lambda: outcome("ends"), 90)
    need(found == ["Complete"], mesh.runner.describe(VISITORS, "app=ends"))
    pod_of = mesh.pod(VISITORS, "app=stays")
    mesh.until("its container's end", lambda: state(mesh, pod_of, "main")["state"].get("terminated", {}).get("exitCode") == 0)
    time.sleep(2)
    need(not outcome("stays") and "running" in state(mesh, pod_of, "heddle-proxy")["state"], "the Job ended without its sidecar")
    mesh.cluster.kubectl("-n", VISITORS, "delete", "job", "stays", "ends", "--timeout=60s")


def tproxy(mesh):
    """Under load from native to TPROXY and renewed there; the sidecar's side of each connection has both real addresses."""
    load = mesh.load(600)
    for name in ("catalog", "stock"):
        annotate(mesh, name, {"sidecar": "native", "interception-mode": "tproxy"})
    answer = mesh.until("an answer", mesh.shop)
    for part, caller, callee in ((answer["catalog"], "web", "catalog"), (answer["catalog"]["stock"], "catalog", "stock")):
        need(f"URI={identity(caller)}" in part["caller"] and f"By={identity(callee)}" in part["caller"],
             f"{callee} saw {part['caller']!r} as its caller")
    address = {name: mesh.pods(SHOP, f"app={name}")[0]["status"]["podIP"] for name in ("web", "catalog")}
    sockets = mesh.runner.exec(SHOP, mesh.pod(SHOP, "app=catalog"), ["ss", "-Htn", "state", "established"])[1]
    # An IPv4 connection of a socket that takes both families is printed as [::ffff:10.244.0.9]:9080.
    pairs = [tuple(line.replace("[::ffff:", "").replace("]", "").split()[2:4]) for line in sockets.splitlines()]
    need(any(local == f"{address['catalog']}:9080" and peer.startswith(address["web"] + ":") for local, peer in pairs), sockets)
    need(not any(local.endswith(":15006") for local, _ in pairs), sockets)
    restart(mesh, "catalog", "stock", "web")
    load.none_failed()


def tproxy_addresses(mesh):
    """A policy by the caller's address sees the real one."""
    def allow(address):
        mesh.cluster.apply(text=json.dumps({
            "apiVersion": "heddle.dev/v1", "kind": "AuthorizationPolicy", "metadata": {"name": "by-address", "namespace": SHOP},
            "spec": {"selector": {"matchLabels": {"app": "catalog"}}, "action": "ALLOW",
                     "rules": [{"from": [{"ipBlocks": [address + "/32"]}]}]}}))
    asked = lambda: mesh.curl(VISITORS, "app=visitor", f"http://catalog.{SHOP}:9080/healthz")[1]
    allow("10.244.0.250")
    mesh.until(lambda: f"refused for another address: {asked()}", lambda: asked() == 403)
    allow(mesh.pods(VISITORS, "app=visitor")[0]["status"]["podIP"])
    mesh.until(lambda: f"allowed for its own: {asked()}", lambda: asked() == 200)
    mesh.cluster.kubectl("-n", SHOP, "delete", "authorizationpolicy", "by-address")


def hooks(mesh):
    """HTTP hooks reach the application through the sidecar, on a port that is STRICT; each at its time, with either kind of sidecar."""
    listening = {"exec": {"command": ["curl", "-sS", "--retry", "60", "--retry-delay", "1", "--retry-connrefused", "http://127.0.0.1:8080/"]}}
    hook = lambda name: {"httpGet": {"path": f"/hook/{name}", "port": 8080}}
    for kind in ("native", "classic"):
        # The one is asked by the other's hooks: an application's own postStart hook would come before it listens.
        mesh.api.create(f"/api/v1/namespaces/{VISITORS}/pods", pod(f"hooks-{kind}", [
            {"name": "asked", "image": "app", "args": ["8080", "--linger", "4"], "lifecycle": {"postStart": listening}},
            {"name": "app", "image": "app", "args": ["8081"],
             "lifecycle": {"postStart": hook("started"), "preStop": hook("stopping")}}], {"sidecar": kind}))
        mesh.runner.wait_ready(VISITORS, f"app=hooks-{kind}")
        running = mesh.runner.find(VISITORS, f"hooks-{kind}")
        mesh.cluster.kubectl("-n", VISITORS, "delete", "pod", f"hooks-{kind}", "--timeout=60s")
        told = {}
        for name in ("asked", "app"):
            with open(running.container(name).log_path(), encoding="utf-8") as file:
                told.update({f"{name} {what}": when for what, when in times(file.read()).items()})
        order = ["asked start", "asked hook/started", "asked hook/stopping", "app term", "asked exit"]
        need([what for what in sorted(told, key=told.get) if what in order] == order, f"{kind}: {told}")
        need(told["asked hook/started"] < told["asked term"] and told["app start"] < told["asked hook/stopping"], f"{kind}: {told}")


TESTS = [
    ("install, bookshop, STRICT", installed),
    ("classic: its place, kubectl's default container, the application's first request", classic_order),
    ("classic: a request that runs when the pod is deleted is answered", classic_ends_in_order),
    ("lifecycle hooks over HTTP, beside a native and a classic sidecar", hooks),
    ("classic: a Job ends when it says so", classic_job),
    ("classic: rolling updates and scale-down under load", classic_under_load),
    ("TPROXY: under load, authenticated, both addresses real", tproxy),
    ("TPROXY: a policy by the caller's address", tproxy_addresses),
]

if __name__ == "__main__":
    sys.exit(scenarios.main(TESTS, needed=(installed,), images=images))
