"""Heddle on a real cluster: install, label, deploy the bookshop; then each promise is one test, in the order of a mesh's life.

usage: scenarios.py
"""

import json
import sys
import threading
import time

import scenarios
from k8s.cluster import ClusterError
from mesh import SHOP, SYSTEM, identity
from report import need

ROUTE = f"/apis/gateway.networking.k8s.io/v1/namespaces/{SHOP}/httproutes/reviews"


def installed(mesh):
    mesh.install()
    lease = mesh.api.get(f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/heddle-control")
    names = [p["metadata"]["name"] for p in mesh.pods(SYSTEM)]
    need(any(name in lease["spec"]["holderIdentity"] for name in names), f"the lease is {lease['spec']}, the pods {names}")
    for kind, name in (("mutatingwebhookconfigurations", "heddle-injector"), ("validatingwebhookconfigurations", "heddle-validator")):
        path = f"/apis/admissionregistration.k8s.io/v1/{kind}/{name}"
        mesh.until(f"a caBundle in {name}", lambda path=path: all(
            hook["clientConfig"].get("caBundle") for hook in mesh.api.get(path)["webhooks"]))
    again = mesh.cluster.apply(text=mesh.heddlectl("install"), server_side=True)
    need("created" not in again, again)


def injected(mesh):
    mesh.visitors()
    mesh.bookshop()
    for item in mesh.pods(SHOP):
        inits = [c["name"] for c in item["spec"]["initContainers"]]
        need(inits[:2] == ["heddle-init", "heddle-proxy"], f"{item['metadata']['name']} has init containers {inits}")
        proxy = item["spec"]["initContainers"][1]
        need(proxy["restartPolicy"] == "Always" and "add" not in proxy["securityContext"]["capabilities"], proxy)
    need(len(mesh.pods("outside")[0]["spec"]["containers"]) == 1, "a pod of a namespace without the label was injected")
    mesh.until("an answer through the mesh", mesh.shop)


def mutual_tls(mesh):
    answer = mesh.until("an answer", mesh.shop)
    for part, caller, callee in ((answer["catalog"], "web", "catalog"), (answer["catalog"]["reviews"], "catalog", "reviews"),
                                 (answer["catalog"]["stock"], "catalog", "stock")):
        need(f"URI={identity(caller)}" in part["caller"] and f"By={identity(callee)}" in part["caller"],
             f"{callee} saw {part['caller']!r} as its caller")


def permissive_to_strict(mesh):
    plain = lambda: mesh.curl("outside", "app=outsider", f"http://catalog.{SHOP}:9080/healthz")
    need(plain()[1] == 200, f"PERMISSIVE refuses plain text: {plain()}")
    load = mesh.load(300)
    mesh.mtls("STRICT")
    mesh.until(lambda: f"plain text refused, but: {plain()}", lambda: plain()[0] != 0)
    mesh.mtls("PERMISSIVE")
    mesh.until(lambda: f"plain text taken again, but: {plain()}", lambda: plain()[1] == 200)
    mesh.mtls("STRICT")
    mesh.until(lambda: f"plain text refused, but: {plain()}", lambda: plain()[0] != 0)
    load.none_failed()


def canary(mesh):
    mesh.policy("backends", "reviews-route")
    mesh.until("the route's status", lambda: (c := mesh.condition(ROUTE, "Accepted")) and c["status"] == "True")
    mesh.until("its references' status", lambda: (c := mesh.condition(ROUTE, "ResolvedRefs")) and c["status"] == "True")
    load = mesh.load(300)
    share(mesh, 95, 5, 0, 15)
    share(mesh, 50, 50, 40, 60)
    share(mesh, 0, 100, 100, 100)
    load.none_failed()
    mesh.weights(95, 5)


def share(mesh, v1, v2, least, most):
    mesh.weights(v1, v2)
    mesh.until("the new weights' status", lambda: (c := mesh.condition(ROUTE, "Accepted")) and c["status"] == "True")
    time.sleep(0.5)
    versions = mesh.load(4, rate=80).none_failed(early=False)["versions"]
    found = 100.0 * versions.get("v2", 0) / max(1, sum(versions.values()))
    need(least <= found <= most, f"with weights {v1}/{v2}, v2 got {found:.0f} %")


def access(mesh):
    ask = lambda: json.loads(mesh.curl(SHOP, "app=web", "http://127.0.0.1:9000/forbidden")[2])["stock"]
    need(ask() == "answered", f"without a policy web got {ask()}")
    mesh.policy("access")
    mesh.until(lambda: f"web refused, but it got {ask()}", lambda: ask().startswith("PERMISSION_DENIED"))
    path = f"/apis/heddle.dev/v1/namespaces/{SHOP}/authorizationpolicies/stock-callers"
    mesh.until("the policy's status", lambda: (c := mesh.condition(path, "Accepted")) and c["status"] == "True")
    need(mesh.until("an answer", mesh.shop)["catalog"]["stock"]["copies"], "catalog is refused, too")


def bad_policies(mesh):
    """Refused when they are applied; told in the status when nobody was asked."""
    selector = {"apiVersion": "heddle.dev/v1", "kind": "AuthorizationPolicy", "metadata": {"name": "bad", "namespace": SHOP},
                "spec": {"action": "ALLOW", "rules": [{"from": [{"ipBlocks": ["10.0.0.0/99"]}]}]}}
    unresolved = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "lost", "namespace": SHOP},
                  "spec": {"parentRefs": [{"group": "", "kind": "Service", "name": "stock"}],
                           "rules": [{"matches": [{"path": {"value": "/lost"}}], "backendRefs": [{"name": "no-such", "port": 1}]}]}}
    try:
        mesh.cluster.apply(text=json.dumps(selector))
        raise AssertionError("a policy with a bad range was taken")
    except ClusterError as error:
        need("ipBlocks" in str(error) and "10.0.0.0/99" in str(error), error)
    mesh.cluster.apply(text=json.dumps(unresolved))
    path = f"/apis/gateway.networking.k8s.io/v1/namespaces/{SHOP}/httproutes/lost"
    found = mesh.until("ResolvedRefs False", lambda: (c := mesh.condition(path, "ResolvedRefs")) and c["status"] == "False" and c)
    need(found["reason"] == "BackendNotFound" and "no-such" in found["message"], found)
    mesh.cluster.kubectl("-n", SHOP, "delete", "httproute", "lost")
    need(mesh.until("an answer", mesh.shop), "")


def rolling_update(mesh):
    """Every deployment renewed and one scaled up and down, under load."""
    load = mesh.load(600)
    mesh.cluster.kubectl("-n", SHOP, "rollout", "restart", "deployment", "catalog", "reviews-v1", "stock", "web")
    for name in ("catalog", "reviews-v1", "stock", "web"):
        mesh.cluster.kubectl("-n", SHOP, "rollout", "status", "deployment", name, "--timeout=180s")
    mesh.cluster.kubectl("-n", SHOP, "scale", "deployment", "reviews-v1", "--replicas=4")
    mesh.cluster.kubectl("-n", SHOP, "rollout", "status", "deployment", "reviews-v1", "--timeout=120s")
    mesh.cluster.kubectl("-n", SHOP, "scale", "deployment", "reviews-v1", "--replicas=2")
    mesh.until("two replicas left", lambda: len(mesh.runner.listed(SHOP, "app=reviews,version=v1")) == 2)
    load.none_failed()


def job(mesh):
    mesh.api.create(f"/apis/batch/v1/namespaces/{SHOP}/jobs", {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "count"}, "spec": {"backoffLimit": 0, "template": {
            "metadata": {"labels": {"app": "count"}}, "spec": {"restartPolicy": "Never", "containers": [
                {"name": "count", "image": "sh", "args": ["curl -sSf -m 10 http://catalog:9080/books/1"]}]}}}})
    def ended():
        status = mesh.api.get(f"/apis/batch/v1/namespaces/{SHOP}/jobs/count").get("status") or {}
        return [c["type"] for c in status.get("conditions") or [] if c["type"] in ("Complete", "Failed") and c["status"] == "True"]
    found = mesh.until(lambda: "the Job's end: " + mesh.runner.describe(SHOP, "app=count"), ended, 90)
    need(found == ["Complete"], mesh.runner.describe(SHOP, "app=count"))


def webhook_down(mesh):
    """Closed for labelled namespaces, open for all others, and nothing stays broken."""
    deployment = "/apis/apps/v1/namespaces/heddle-system/deployments/heddle-control"
    mesh.api.patch(deployment, {"spec": {"replicas": 0}})
    mesh.until("no heddle-control", lambda: not mesh.runner.listed(SYSTEM))
    pod = lambda namespace: {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "while-away", "namespace": namespace},
                             "spec": {"terminationGracePeriodSeconds": 1,
                                      "containers": [{"name": "main", "image": "sh", "args": ["sleep 1000"]}]}}
    need("heddle" in (refused(mesh, pod(SHOP)) or ""), "a pod of the mesh was started without a sidecar")
    for namespace in ("outside", "kube-system"):
        mesh.until(f"a pod in {namespace}", lambda namespace=namespace: refused(mesh, pod(namespace)) is None)
        mesh.api.delete(f"/api/v1/namespaces/{namespace}/pods/while-away")
    need(mesh.until("an answer without a control plane", mesh.shop), "")
    mesh.api.patch(deployment, {"spec": {"replicas": 2}})
    mesh.control_ready()
    mesh.until("pods of the mesh again", lambda: refused(mesh, pod(SHOP)) is None)
    mesh.runner.wait_ready(SHOP)
    mesh.cluster.kubectl("-n", SHOP, "delete", "pod", "while-away")


def refused(mesh, item):
    """Why the API server does not create it, or None."""
    try:
        mesh.cluster.kubectl("create", "-f", "-", text=json.dumps(item))
    except ClusterError as error:
        return str(error)
    return None


def everything_killed(mesh):
    """heddle-control, API server and etcd, each killed under load: traffic goes on, and a change made after takes effect."""
    load = mesh.load(900)
    for name in [p["metadata"]["name"] for p in mesh.pods(SYSTEM)]:
        mesh.runner.find(SYSTEM, name).container().process.kill()
    mesh.cluster.apiserver.kill()
    time.sleep(1)
    mesh.cluster.restart_etcd()
    mesh.cluster.start_apiserver()
    mesh.control_ready()
    mesh.weights(0, 100)
    asked = lambda: mesh.shop()["catalog"]["reviews"]["version"]
    mesh.until("only v2", lambda: all(asked() == "v2" for _ in range(10)))
    mesh.weights(95, 5)
    load.none_failed()


def leader_lost(mesh):
    lease = lambda: mesh.api.get(f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/heddle-control")["spec"]["holderIdentity"]
    before = lease()
    leader = next(p["metadata"]["name"] for p in mesh.pods(SYSTEM) if p["metadata"]["name"] in before)
    mesh.cluster.kubectl("-n", SYSTEM, "delete", "pod", leader, "--wait=false")
    mesh.until(lambda: f"another leader than {before}", lambda: lease() and leader not in lease(), 90)
    mesh.weights(90, 10)
    mesh.until("the new leader writes status", lambda: mesh.condition(ROUTE, "Accepted"))
    mesh.control_ready()


def watches_cut(mesh):
    """Each connection of heddle-control to the API server is cut every second for a while: what changes meanwhile arrives."""
    load = mesh.load(600)
    stopped = threading.Event()

    def cut():
        while not stopped.wait(1.0):
            for item in mesh.pods(SYSTEM):
                mesh.runner.cut(SYSTEM, item["metadata"]["name"], 443)
    thread = threading.Thread(target=cut, daemon=True)
    thread.start()
    try:
        for v1, v2, wanted in ((0, 100, "v2"), (100, 0, "v1"), (0, 100, "v2")):
            mesh.weights(v1, v2)
            mesh.until(f"only {wanted}", lambda wanted=wanted: all(
                mesh.shop()["catalog"]["reviews"]["version"] == wanted for _ in range(5)))
        mesh.cluster.kubectl("-n", SHOP, "rollout", "restart", "deployment", "reviews-v2")
        mesh.cluster.kubectl("-n", SHOP, "rollout", "status", "deployment", "reviews-v2", "--timeout=180s")
    finally:
        stopped.set()
        thread.join()
    load.none_failed()
    mesh.weights(95, 5)


def token_revoked(mesh):
    """heddle-control's service account is made anew: its old token is refused; with the new file it goes on, not restarted."""
    before = {p["metadata"]["name"]: p["status"]["containerStatuses"][0]["restartCount"] for p in mesh.pods(SYSTEM)}
    account = mesh.api.get(f"/api/v1/namespaces/{SYSTEM}/serviceaccounts/heddle-control")
    mesh.api.delete(f"/api/v1/namespaces/{SYSTEM}/serviceaccounts/heddle-control")
    mesh.api.create(f"/api/v1/namespaces/{SYSTEM}/serviceaccounts", {
        "metadata": {key: account["metadata"][key] for key in ("name", "labels") if key in account["metadata"]}})
    mesh.runner.token_life = 0
    time.sleep(3)
    mesh.runner.token_life = 10**9
    for item in mesh.pods(SYSTEM):
        mesh.runner.cut(SYSTEM, item["metadata"]["name"], 443)
    mesh.weights(0, 100)
    mesh.until("the change to arrive", lambda: all(mesh.shop()["catalog"]["reviews"]["version"] == "v2" for _ in range(5)), 150)
    mesh.weights(95, 5)
    mesh.until("status written with the new token", lambda: mesh.condition(ROUTE, "Accepted"), 150)
    after = {p["metadata"]["name"]: p["status"]["containerStatuses"][0]["restartCount"] for p in mesh.pods(SYSTEM)}
    need(before == after, f"heddle-control was restarted: {before} {after}")


def heddlectl_sees(mesh):
    text = mesh.heddlectl("status", "--kubernetes")
    for item in mesh.pods(SHOP):
        need(item["metadata"]["name"] in text, f"{item['metadata']['name']} is not in:\n{text}")
    found = mesh.heddlectl("check", "--kubeconfig", mesh.cluster.kubeconfig, check=False)
    need("heddle-control" in found, found)
    name = mesh.pod(SHOP, "app=catalog")
    need("reviews" in mesh.heddlectl("proxy", f"{SHOP}/{name}", "clusters"), "heddlectl proxy does not show the sidecar's clusters")


def uninstalled(mesh):
    listed = mesh.heddlectl("uninstall")
    mesh.cluster.kubectl("delete", "--ignore-not-found", "-f", "-", text=listed)
    mesh.cluster.kubectl("-n", SHOP, "rollout", "restart", "deployment", "web")
    mesh.cluster.kubectl("-n", SHOP, "rollout", "status", "deployment", "web", "--timeout=120s")
    need(all("initContainers" not in p["spec"] for p in mesh.pods(SHOP, "app=web")), "pods still get a sidecar")


TESTS = [
    ("heddlectl install | kubectl apply: two replicas, a leader, webhooks with a CA", installed),
    ("a labelled namespace's pods get a sidecar and are ready", injected),
    ("calls are authenticated by both sides", mutual_tls),
    ("permissive to strict under load", permissive_to_strict),
    ("canary by HTTPRoute, with status, under load", canary),
    ("AuthorizationPolicy", access),
    ("bad policies are refused or told in the status", bad_policies),
    ("heddlectl through the kubeconfig", heddlectl_sees),
    ("rolling update and scale-down under load", rolling_update),
    ("a Job with a sidecar completes", job),
    ("leader lost and another elected", leader_lost),
    ("watches cut every second", watches_cut),
    ("heddle-control's token revoked and replaced", token_revoked),
    ("control plane, API server and etcd killed under load", everything_killed),
    ("without a control plane: closed for the mesh, open for the rest", webhook_down),
    ("heddlectl uninstall", uninstalled),
]


if __name__ == "__main__":
    sys.exit(scenarios.main(TESTS, needed=(installed, injected), ends=(uninstalled,)))
