"""A heddle-control that reads the test cluster, and the objects that it is shown."""

import json
import os
import subprocess
import urllib.error
import urllib.request

from k8s import world
from k8s.cluster import find_peer
from k8s.support.waiting import until

CONTROL = os.environ.get("HEDDLE_CONTROL", "control_plane/main/heddle-control")


class Control:
    """One replica. Ports follow from `number`; its world is the test's own."""

    def __init__(self, cluster, number, kubeconfig=None):
        self.name = f"control-{number}"
        self.grpc, self.admin, self.health = 20000 + number, 21000 + number, 22000 + number
        self.folder = os.path.join(world.folder(), self.name)
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        self.log_path = os.path.join(world.folder(), self.name + ".log")
        self.command = [CONTROL, "--kubeconfig", kubeconfig or cluster.kubeconfig, "--state-dir", self.folder,
                        "--listen", f"127.0.0.1:{self.grpc}", "--admin", f"127.0.0.1:{self.admin}",
                        "--health-address", f"127.0.0.1:{self.health}"]
        self.process = None

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, env={**os.environ, "POD_NAME": self.name})
        return self

    def wait_ready(self, seconds=60):
        until(lambda: "heddle-control ready: " + self.log(), lambda: self._running() and self.get(self.health, "/readyz")[0] == 200,
              seconds)
        return self

    def _running(self):
        if self.process.poll() is not None:
            raise AssertionError(f"heddle-control ended with {self.process.returncode}: {self.log()}")
        return True

    def get(self, port, path):
        """(status, text); status 0: nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def status(self):
        return json.loads(self.get(self.admin, "/status")[1])

    def proxy(self, workload):
        """What that workload's sidecar is given, as text; empty when it is not known."""
        code, text = self.get(self.admin, f"/debug/proxy?workload={workload}&intercept=1")
        return text if code == 200 else ""

    def memory(self):
        """Resident, in MiB: now and the most ever."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            lines = dict(line.split(":", 1) for line in file)
        return tuple(int(lines[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))

    def whole_log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def log(self):
        return self.whole_log()[-6000:]

    def stop(self):
        """Ends it as Kubernetes would."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)

    def kill(self):
        self.process.kill()
        self.process.wait(30)


def install(cluster):
    """Our CRDs, the Gateway API's, and the system namespace."""
    gateway = os.path.join(find_peer("gateway-api"), "config/crd/standard")
    crds = [os.path.join(gateway, name) for name in sorted(os.listdir(gateway)) if name.startswith("gateway.networking")]
    folder = "control_plane/install/chart/crds"
    crds += [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
    for path in crds:
        # Server-side: as one annotation the larger of them would be refused.
        cluster.kubectl("apply", "--server-side", "-f", path)
    namespace(cluster, "heddle-system")


def namespace(cluster, name, inject=False):
    labels = {"heddle.dev/inject": "enabled"} if inject else {}
    cluster.api.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    cluster.api.create(f"/api/v1/namespaces/{name}/serviceaccounts", {"metadata": {"name": "default"}})


def pod(cluster, ns, name, address, sidecar=True, labels=None, node=None):
    containers = [{"name": "app", "image": "app", "ports": [{"name": "http", "containerPort": 8080}]}]
    if sidecar:
        containers.append({"name": "heddle-proxy", "image": "heddle-proxy"})
    spec = {"containers": containers, "serviceAccountName": "default", "automountServiceAccountToken": False}
    if node:
        spec["nodeName"] = node
    path = f"/api/v1/namespaces/{ns}/pods"
    cluster.api.create(path, {"metadata": {"name": name, "labels": labels or {"app": name}}, "spec": spec})
    cluster.api.patch(f"{path}/{name}/status", {"status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}})


def service(cluster, ns, name, **more):
    spec = {"ports": [{"name": "http", "port": 80, "targetPort": 8080, "appProtocol": "http"}], "selector": {"app": name}, **more}
    return cluster.api.create(f"/api/v1/namespaces/{ns}/services", {"metadata": {"name": name}, "spec": spec})


def endpoint(address, pod_name=None, **conditions):
    out = {"addresses": [address], "conditions": {"ready": True, **conditions}}
    if pod_name:
        out["targetRef"] = {"kind": "Pod", "name": pod_name}
    return out


def endpoint_slice(cluster, ns, name, endpoints, number=0):
    return cluster.api.create(f"/apis/discovery.k8s.io/v1/namespaces/{ns}/endpointslices", {
        "metadata": {"name": f"{name}-{number}", "labels": {"kubernetes.io/service-name": name}}, "addressType": "IPv4",
        "endpoints": endpoints, "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]})


def route(cluster, ns, name, parent, backends, kind="HTTPRoute", **rule):
    refs = [{"name": one, "port": 80} if isinstance(one, str) else one for one in backends]
    return cluster.api.create(f"/apis/gateway.networking.k8s.io/v1/namespaces/{ns}/{kind.lower()}s", {
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": kind, "metadata": {"name": name},
        "spec": {"parentRefs": [{"group": "", "kind": "Service", "name": parent}], "rules": [{"backendRefs": refs, **rule}]}})


def conditions(item, parent=0):
    """{type: (status, reason, observedGeneration)} of a route's parent or of a policy."""
    status = item.get("status") or {}
    if "parents" in status:
        ours = [one for one in status["parents"] if one["controllerName"] == "heddle.dev/mesh"]
        status = ours[parent] if parent < len(ours) else {}
    return {one["type"]: (one["status"], one["reason"], one["observedGeneration"]) for one in status.get("conditions") or []}
