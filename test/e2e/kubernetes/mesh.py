"""A mesh in a real cluster: Heddle as `heddlectl install` writes it, the bookshop, and what tests ask of both."""

import json
import os
import subprocess
import threading

from k8s.cluster import Cluster, find_peer
from k8s.podrunner import Image, PodRunner
from k8s.support.waiting import until
from report import need

SYSTEM, SHOP, VISITORS = "heddle-system", "bookshop", "visitors"
BOOKSHOP = "examples/bookshop"
CONTROLLER = "heddle.dev/mesh"

VISITOR = """
apiVersion: v1
kind: Namespace
metadata: {name: visitors, labels: {heddle.dev/inject: enabled}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: visitor, namespace: visitors}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: visitor, namespace: visitors}
spec:
  selector: {matchLabels: {app: visitor}}
  template:
    metadata: {labels: {app: visitor}}
    spec:
      serviceAccountName: visitor
      terminationGracePeriodSeconds: 1
      containers: [{name: visitor, image: sh, args: ["sleep 100000"]}]
---
apiVersion: v1
kind: Namespace
metadata: {name: outside}
---
apiVersion: v1
kind: Pod
metadata: {name: outsider, namespace: outside, labels: {app: outsider}}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: sh, args: ["sleep 100000"]}]
"""


def identity(name, namespace=SHOP):
    return f"spiffe://cluster.local/ns/{namespace}/sa/{name}"


def images(programs):
    """What the names of images in manifests stand for; `programs`: name -> path."""
    def ours(name, user, *more):
        files = {f"/usr/local/bin/{one}": os.path.realpath(programs[one]) for one in (name, *more)}
        return Image([f"/usr/local/bin/{name}"], files=files, user=user)
    echo = os.path.realpath(os.path.join(os.path.dirname(__file__), "echo.py"))
    bookshop = ours("bookshop", "1000")
    return {"heddle/heddle-control": ours("heddle-control", "1338"), "heddle/heddle-proxy": ours("heddle-proxy", "1337"),
            "heddle-proxy": ours("heddle-proxy", "1337"),
            "bookshop": bookshop, "redis": Image(["/usr/bin/redis-server"], user="1000", workdir="/tmp"),
            "sh": Image(["/bin/sh", "-c"], files=bookshop.files, user="1000"),
            "gcr.io/k8s-staging-gateway-api/echo-advanced": Image(
                ["/usr/bin/python3", "/echo.py", "server"], files={"/echo.py": echo, "/usr/local/bin/client": echo})}


class Mesh:
    """with Mesh(programs) as mesh: an empty cluster with Gateway API CRDs; then install() and so on."""

    def __init__(self, programs, **runner):
        self.programs = programs
        self.cluster = Cluster()
        self.api = self.cluster.api
        self.runner = PodRunner(self.api, images(programs), first_backoff=0.5, last_backoff=5.0, **runner)

    def __enter__(self):
        self.cluster.start()
        self.runner.start()
        self.cluster.apply(os.path.join(find_peer("gateway-api"), "config/crd/standard"), server_side=True)
        return self

    def __exit__(self, *_):
        self.runner.stop()
        self.cluster.stop()

    def heddlectl(self, *argv, check=True):
        """Standard output; AssertionError when it fails and check is set."""
        done = subprocess.run([self.programs["heddlectl"], *argv], capture_output=True, text=True, check=False, env=self.environment())
        need(not check or done.returncode == 0, lambda: f"heddlectl {' '.join(argv)}: {done.stdout[-1000:]}{done.stderr[-2000:]}")
        return done.stdout

    def environment(self):
        """With which kubectl and heddlectl are found and find the cluster."""
        folders = [os.path.dirname(path) for path in (self.cluster.program("kubectl"), os.path.realpath(self.programs["heddlectl"]))]
        return {**os.environ, "KUBECONFIG": self.cluster.kubeconfig, "PATH": ":".join([*folders, os.environ["PATH"]])}

    # --- installing -----------------------------------------------------------------------------

    def install(self, *flags):
        self.cluster.apply(text=self.heddlectl("install", *flags), server_side=True)
        self.control_ready()

    def control_ready(self, count=2):
        return self.runner.wait_ready(SYSTEM, "app.kubernetes.io/name=heddle-control", count)

    def visitors(self):
        self.cluster.apply(text=VISITOR)
        self.runner.wait_ready(VISITORS, "app=visitor")
        self.runner.wait_ready("outside", "app=outsider")

    def bookshop(self):
        for name in ("namespace", "services", "deployments"):
            self.cluster.apply(f"{BOOKSHOP}/kubernetes/{name}.yaml")
        self.runner.wait_ready(SHOP, count=7)

    def policy(self, *names):
        """Files of the bookshop's mesh folder."""
        for name in names:
            self.cluster.apply(f"{BOOKSHOP}/mesh/{name}.yaml")

    def mtls(self, mode):
        self.cluster.apply(text=json.dumps({"apiVersion": "heddle.dev/v1", "kind": "MeshConfig", "metadata": {"name": "mesh"},
                                            "spec": {"mtls": {"mode": mode}}}))

    def weights(self, v1, v2):
        self.api.patch(f"/apis/gateway.networking.k8s.io/v1/namespaces/{SHOP}/httproutes/reviews", {"spec": {"rules": [{"backendRefs": [
            {"name": "reviews-v1", "port": 9080, "weight": v1}, {"name": "reviews-v2", "port": 9080, "weight": v2}]}]}})

    # --- asking ---------------------------------------------------------------------------------

    def pods(self, namespace, selector=""):
        return [p for p in self.runner.listed(namespace, selector) if not p["metadata"].get("deletionTimestamp")]

    def pod(self, namespace, selector):
        return self.pods(namespace, selector)[0]["metadata"]["name"]

    def curl(self, namespace, selector, url, *argv):
        """(curl's exit code, status, body) of a request from that pod's application."""
        code, out = self.runner.exec(namespace, self.pod(namespace, selector), [
            "curl", "-sS", "-m", "10", "-w", "\n%{http_code}", *argv, url])
        body, _, status = out.rpartition("\n")
        return code, int(status) if status.isdigit() else 0, body if code == 0 else out

    def shop(self, path="/books/1"):
        """The bookshop's answer to a visitor, or None."""
        code, status, body = self.curl(VISITORS, "app=visitor", f"http://web.{SHOP}:9000{path}")
        return json.loads(body) if code == 0 and status == 200 else None

    def load(self, seconds, url=f"http://web.{SHOP}:9000/books/1", rate=50):
        return Load(self, seconds, url, rate)

    def condition(self, path, kind, generation=True):
        """{"status", "reason", "message"} of a Gateway API route's or our kind's condition as heddle-control wrote it last; None
        until it has seen the object's newest generation."""
        item = self.api.get(path)
        status = item.get("status") or {}
        parents = [one for one in status.get("parents") or [] if one["controllerName"] == CONTROLLER]
        for one in (parents[0]["conditions"] if parents else status.get("conditions") or []):
            if one["type"] == kind and (not generation or one.get("observedGeneration") == item["metadata"]["generation"]):
                return one
        return None

    def until(self, what, condition, seconds=60):
        def text():
            logs = [f"{name}: ...{self.runner.logs(SYSTEM, name)[-1500:]}" for name in
                    [p["metadata"]["name"] for p in self.runner.listed(SYSTEM, "app.kubernetes.io/name=heddle-control")]]
            return "\n".join([what() if callable(what) else what, *logs])
        return until(text, condition, seconds, 0.1)

    def proxy_log(self, namespace, selector):
        return self.runner.logs(namespace, self.pod(namespace, selector), "heddle-proxy")


class Load:
    """Requests from the visitor at a steady rate while something happens; result() waits for the end."""

    def __init__(self, mesh, seconds, url, rate):
        self.outcome = None
        pod = mesh.pod(VISITORS, "app=visitor")
        argv = ["/usr/local/bin/bookshop", "load", "--url", url, "--host", url.split("/")[2], "--rate", str(rate),
                "--seconds", str(seconds), "--connections", "4"]
        self.argv, self.mesh, self.pod = argv, mesh, pod
        self.thread = threading.Thread(target=self._run, args=(seconds + 60,), daemon=True)
        self.thread.start()

    def _run(self, patience):
        self.outcome = self.mesh.runner.exec(VISITORS, self.pod, self.argv, seconds=patience)

    def stop(self):
        """Ends it early."""
        self.mesh.runner.exec(VISITORS, self.pod, ["sh", "-c", "for p in /proc/[0-9]*; do "
                                                   "[ \"$(readlink $p/exe)\" = /usr/local/bin/bookshop ] && kill ${p#/proc/}; done"])
        return self.result()

    def result(self):
        self.thread.join()
        code, out = self.outcome
        need(code == 0, f"the load ended with {code}: {out}")
        return json.loads(out.splitlines()[-1])

    def none_failed(self, early=True):
        result = self.stop() if early else self.result()
        need(result["requests"] > 0, "the load sent nothing")
        need(result["failed"] == 0, f"{result['failed']} of {result['requests']} failed: {result['statuses']} {result['first_failure']}")
        return result
