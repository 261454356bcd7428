"""The node: binds pods to itself, runs them (pod.py), keeps services' rules and DNS, answers tests' questions."""

import os
import queue
import subprocess
import threading
import time

from k8s import world
from k8s.podrunner import dns, kubelet, runtime, services
from k8s.podrunner.network import Addresses
from k8s.podrunner.pod import Pod
from k8s.support.api import ApiError, Reflector
from k8s.support.log import say
from k8s.support.waiting import until

LOOK_AGAIN = 0.5


class PodRunner:
    """images: name in a pod -> Image. nodes: name -> zone; all of them are this one machine."""

    def __init__(self, api, images, nodes=None, first_backoff=1.0, last_backoff=10.0, token_life=10**9):
        self.api, self.images = api, images
        self.nodes = nodes or {"node-1": "zone-a"}
        self.first_backoff, self.last_backoff, self.token_life = first_backoff, last_backoff, token_life
        self.addresses = Addresses()
        self.lock = threading.RLock()
        self.pods = {}
        self.objects = {"configmaps": {}, "secrets": {}}
        self.changed = threading.Event()
        self.stopped = threading.Event()
        self.events = queue.Queue()
        self.table = services.Table(lambda: self.proxy.wanted.set())
        self.proxy = services.Proxy(self.table)
        self.dns = self.kubelet = None
        self.reflectors = [
            Reflector(api, "/api/v1/configmaps", lambda kind, item: self._object("configmaps", kind, item)),
            Reflector(api, "/api/v1/secrets", lambda kind, item: self._object("secrets", kind, item)),
            Reflector(api, "/api/v1/services", self.table.service),
            Reflector(api, "/apis/discovery.k8s.io/v1/endpointslices", self.table.slice),
            Reflector(api, "/api/v1/pods", self._pod),
        ]

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def start(self):
        runtime.become_subreaper()
        for name, zone in self.nodes.items():
            self._make_node(name, zone)
        self.dns = dns.Server(self.table)
        self.kubelet = kubelet.Server(self)
        self.proxy.wanted.set()
        for target in (self._write_events, self._refresh):
            threading.Thread(target=target, name="podrunner", daemon=True).start()
        for reflector in self.reflectors:
            reflector.start()
        return self

    def stop(self):
        """Ends every container at once. The pods' objects stay as they are, as when a node loses power."""
        self.stopped.set()
        for reflector in self.reflectors:
            reflector.stop()
        with self.lock:
            running = list(self.pods.values())
        for pod in running:
            for container in pod.inits + pod.mains:
                container.halted.set()
                if container.process is not None:
                    container.process.kill()

    # --- what tests ask -------------------------------------------------------------------------

    def find(self, namespace, name):
        """The Pod of that name that runs here; KeyError when there is none."""
        with self.lock:
            for pod in self.pods.values():
                if pod.namespace == namespace and pod.name == name and not pod.gone:
                    return pod
        raise KeyError(f"{namespace}/{name}")

    def exec(self, namespace, name, argv, container=None, seconds=60):
        """(exit code, output) of a command beside a container's program; exit code None when it took too long."""
        return self.find(namespace, name).container(container).exec(argv, seconds)

    def logs(self, namespace, name, container=None, previous=False):
        path = self.find(namespace, name).container(container).log_path(previous)
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def cut(self, namespace, name, port):
        """Ends the pod's connections to that port as a broken network would: both sides see a reset."""
        pod = self.find(namespace, name)
        inside = ["ip", "netns", "exec", pod.network.name] if pod.network else []
        subprocess.run([*inside, "ss", "-K", "dport", "=", str(port)], capture_output=True, check=False)

    def listed(self, namespace, selector=""):
        """The API's pods with that label selector."""
        query = f"?labelSelector={selector.replace('=', '%3D').replace(',', '%2C')}" if selector else ""
        return self.api.get(f"/api/v1/namespaces/{namespace}/pods{query}")["items"]

    def wait_ready(self, namespace, selector="", count=1, seconds=120):
        """Waits for at least `count` pods that are ready, with none that is not (deleted and completed ones aside); their names."""
        def ready():
            items = [p for p in self.listed(namespace, selector) if not p["metadata"].get("deletionTimestamp")
                     and (p.get("status") or {}).get("phase") != "Succeeded"]
            good = [p["metadata"]["name"] for p in items if is_ready(p)]
            return good if len(good) >= count and len(good) == len(items) else None
        return until(lambda: self.describe(namespace, selector), ready, seconds, 0.1)

    def describe(self, namespace, selector=""):
        """What can be said about pods that are not as they should be: states and the ends of the logs."""
        lines = [f"pods of {namespace} {selector}:"]
        for item in self.listed(namespace, selector):
            status = item.get("status") or {}
            lines.append(f"{item['metadata']['name']}: {status.get('phase')} {status.get('podIP')}")
            for one in (status.get("initContainerStatuses") or []) + (status.get("containerStatuses") or []):
                lines.append(f"  {one['name']}: ready={one['ready']} restarts={one['restartCount']} {one['state']} {one['lastState']}")
                try:
                    lines.append("    | " + self.logs(namespace, item["metadata"]["name"], one["name"])[-800:].replace("\n", "\n    | "))
                except (KeyError, OSError, StopIteration):
                    pass
        return "\n".join(lines)

    # --- what pods ask --------------------------------------------------------------------------

    def image(self, name):
        return self.images.get(name) or self.images.get(name.rpartition(":")[0])

    def object(self, kind, namespace, name):
        """A ConfigMap or Secret, or None."""
        with self.lock:
            return self.objects[kind].get((namespace, name))

    def service_environment(self, namespace, links):
        env = {}
        with self.table.lock:
            for service in self.table.services.values():
                own = (service.namespace, service.name) == ("default", "kubernetes")
                if not service.cluster_ip or not service.ports or not (own or (links and service.namespace == namespace)):
                    continue
                name = service.name.upper().replace("-", "_")
                protocol, port = service.ports[0][1].lower(), service.ports[0][2]
                address = f"{protocol}://{service.cluster_ip}:{port}"
                env.update({f"{name}_SERVICE_HOST": service.cluster_ip, f"{name}_SERVICE_PORT": str(port), f"{name}_PORT": address,
                            f"{name}_PORT_{port}_{protocol.upper()}": address})
        return env

    def event(self, item, kind, reason, message, container=None):
        self.events.put((item, kind, reason, message, container))

    def forget(self, pod):
        with self.lock:
            self.pods.pop(pod.uid, None)

    # --- the node's own work --------------------------------------------------------------------

    def _make_node(self, name, zone):
        labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
                  "topology.kubernetes.io/zone": zone, "topology.kubernetes.io/region": "region-1"}
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": {}}
        try:
            self.api.create("/api/v1/nodes", node)
        except ApiError as error:
            if error.code != 409:
                raise
        size = {"cpu": "64", "memory": "64Gi", "pods": "500", "ephemeral-storage": "100Gi"}
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "played by podrunner"}
        self.api.patch(f"/api/v1/nodes/{name}", {"spec": {"taints": None}})
        self.api.patch(f"/api/v1/nodes/{name}/status", {"status": {
            "addresses": [{"type": "InternalIP", "address": world.NODE_ADDRESS}, {"type": "Hostname", "address": name}],
            "capacity": size, "allocatable": size, "conditions": [ready], "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet.PORT}},
            "nodeInfo": {"kubeletVersion": "v1.34.1", "osImage": "test", "kernelVersion": os.uname().release,
                         "containerRuntimeVersion": "podrunner://1", "architecture": "amd64", "operatingSystem": "linux",
                         "machineID": "", "systemUUID": "", "bootID": "", "kubeProxyVersion": ""}}})

    def _object(self, collection, kind, item):
        key = (item["metadata"]["namespace"], item["metadata"]["name"])
        with self.lock:
            if kind == "set":
                self.objects[collection][key] = item
            else:
                self.objects[collection].pop(key, None)
        self.changed.set()

    def _pod(self, kind, item):
        uid = item["metadata"]["uid"]
        with self.lock:
            pod = self.pods.get(uid)
            if kind == "gone":
                if pod:
                    pod.vanish()
                return
            if pod:
                pod.update(item)
                self.changed.set()
                return
            if item["spec"].get("nodeName"):
                if item["spec"]["nodeName"] in self.nodes and (item.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
                    pod = self.pods[uid] = Pod(self, item)
                    pod.update(item)
                    pod.begin()
                elif item["metadata"].get("deletionTimestamp"):
                    # It was completed before we came: nothing of it runs any more.
                    self._delete(item)
                return
        if not item["metadata"].get("deletionTimestamp") and not item["spec"].get("schedulingGates"):
            self._bind(item)

    def _bind(self, item):
        name, namespace = item["metadata"]["name"], item["metadata"]["namespace"]
        wanted = item["spec"].get("nodeSelector") or {}
        fitting = [node for node, zone in self.nodes.items()
                   if wanted.get("topology.kubernetes.io/zone", zone) == zone and wanted.get("kubernetes.io/hostname", node) == node]
        if not fitting:
            self.event(item, "Warning", "FailedScheduling", "0 nodes match the pod's node selector")
            return
        with self.lock:
            used = [pod.spec.get("nodeName") for pod in self.pods.values()]
        node = min(fitting, key=used.count)
        try:
            self.api.create(f"/api/v1/namespaces/{namespace}/pods/{name}/binding", {
                "apiVersion": "v1", "kind": "Binding", "metadata": {"name": name, "namespace": namespace},
                "target": {"apiVersion": "v1", "kind": "Node", "name": node}})
        except ApiError as error:
            if error.code not in (404, 409):
                raise

    def _delete(self, item):
        try:
            self.api.request("DELETE", f"/api/v1/namespaces/{item['metadata']['namespace']}/pods/{item['metadata']['name']}",
                             {"gracePeriodSeconds": 0, "preconditions": {"uid": item["metadata"]["uid"]}})
        except ApiError as error:
            if error.code not in (404, 409):
                raise

    def _refresh(self):
        while not self.stopped.is_set():
            self.changed.wait(LOOK_AGAIN)
            self.changed.clear()
            with self.lock:
                running = list(self.pods.values())
            for pod in running:
                pod.refresh()
            time.sleep(0.05)

    def _write_events(self):
        while True:
            item, kind, reason, message, container = self.events.get()
            meta = item["metadata"]
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            where = {}
            if container is not None:
                group = "containers" if container in item["spec"]["containers"] else "initContainers"
                where["fieldPath"] = f"spec.{group}{{{container['name']}}}"
            say(f"{meta['name']}: {reason}: {message}")
            try:
                self.api.create(f"/api/v1/namespaces/{meta['namespace']}/events", {
                    "apiVersion": "v1", "kind": "Event", "type": kind, "reason": reason, "message": message[:1000],
                    "metadata": {"generateName": meta["name"] + ".", "namespace": meta["namespace"]},
                    "involvedObject": {"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "namespace": meta["namespace"],
                                       "uid": meta["uid"], **where},
                    "source": {"component": "kubelet", "host": item["spec"].get("nodeName", "")},
                    "reportingComponent": "kubelet", "reportingInstance": item["spec"].get("nodeName", ""),
                    "firstTimestamp": stamp, "lastTimestamp": stamp, "count": 1})
            except (ApiError, OSError) as error:
                say(f"event lost: {error}")


def is_ready(item):
    return any(c["type"] == "Ready" and c["status"] == "True" for c in (item.get("status") or {}).get("conditions") or [])
