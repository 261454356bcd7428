"""One pod bound to our node: from its first sight to its removal. Its thread goes through the pod's life in order; each container
has a thread of its own (container.py)."""

import os
import shutil
import threading
import time

from k8s import world
from k8s.podrunner import status
from k8s.podrunner.container import Container, now
from k8s.podrunner.network import PodNetwork
from k8s.podrunner.volumes import VolumeError, Volumes
from k8s.support.api import ApiError
from k8s.support.log import say

MANAGED_HOSTS = "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"


class Pod:
    def __init__(self, runner, item):
        self.runner = runner
        self.latest = item
        self.name, self.namespace = item["metadata"]["name"], item["metadata"]["namespace"]
        self.uid, self.spec = item["metadata"]["uid"], item["spec"]
        self.path = f"/api/v1/namespaces/{self.namespace}/pods/{self.name}"
        self.folder = os.path.join(world.folder(), "pods", f"{self.namespace}_{self.name}_{self.uid}")
        self.host_network = self.spec.get("hostNetwork", False)
        self.grace = self.spec.get("terminationGracePeriodSeconds", 30)
        self.address = world.NODE_ADDRESS if self.host_network else None
        self.network = None
        self.files = {}
        self.volumes = Volumes(runner, item, os.path.join(self.folder, "volumes"))
        self.lock = threading.Condition()
        self.stopping = False         # deleted, or gone from the API
        self.gone = False
        self.removed = False
        self.began = now()
        self.dirty = threading.Event()
        self.finished = threading.Event()
        self.has_init = bool(self.spec.get("initContainers"))
        self.inits = [Container(self, c, "sidecar" if c.get("restartPolicy") == "Always" else "init")
                      for c in self.spec.get("initContainers") or []]
        self.mains = [Container(self, c, "main") for c in self.spec["containers"]]

    def begin(self):
        for target in (self._run, self._report):
            threading.Thread(target=target, name=f"pod {self.name}", daemon=True).start()

    # --- what others tell and ask ---------------------------------------------------------------

    def update(self, item):
        with self.lock:
            self.latest = item
            if item["metadata"].get("deletionTimestamp") and not self.stopping:
                self.stopping = True
                self.grace = item["metadata"].get("deletionGracePeriodSeconds", self.grace)
                say(f"{self.name}: deleted, {self.grace} s of grace")
            self.notify()

    def vanish(self):
        """The object is gone without our having finished: it was deleted by force."""
        with self.lock:
            self.gone = True
            if not self.stopping:
                self.grace = 1
            self.stopping = True
            self.notify()

    def notify(self):
        """With the lock held: something that others wait for has changed."""
        self.lock.notify_all()
        self.dirty.set()

    def object(self):
        """The pod as the API has it, with the addresses that containers are told even before the API is."""
        with self.lock:
            item = self.latest
        told = {"hostIP": world.NODE_ADDRESS, "hostIPs": [{"ip": world.NODE_ADDRESS}]}
        if self.address:
            told.update(podIP=self.address, podIPs=[{"ip": self.address}])
        return {**item, "status": {**(item.get("status") or {}), **told}}

    def container(self, name=None):
        every = self.inits + self.mains
        return self.mains[0] if name is None else next(c for c in every if c.name == name)

    def event(self, kind, reason, message, container=None):
        self.runner.event(self.latest, kind, reason, message, container)

    def service_environment(self):
        return self.runner.service_environment(self.namespace, self.spec.get("enableServiceLinks", True))

    def netns_path(self):
        return None if self.host_network else self.network.path

    def refresh(self):
        """Now and then: what has changed in the volumes."""
        if self.files and not self.removed:
            try:
                self.volumes.refresh(self.object())
            except VolumeError as error:
                say(f"{self.name}: {error}")

    # --- its life -------------------------------------------------------------------------------

    def _run(self):
        try:
            if self._prepare():
                self._live()
        except Exception as error:  # noqa: BLE001: whatever breaks here must be seen as this pod's trouble
            say(f"{self.name}: {error!r}")
            self.event("Warning", "FailedCreatePodSandBox", repr(error))
        with self.lock:
            grace = self.grace
        self._end_containers(grace)
        self._wait(lambda: False)
        self._remove()

    def _prepare(self):
        """Network, volumes, files. False when the pod was deleted meanwhile."""
        os.makedirs(self.folder, mode=0o755, exist_ok=True)
        if not self.host_network:
            self.network = PodNetwork(f"pod-{self.uid[:13]}", self.runner.addresses.take())
            self.network.make()
            self.address = self.network.address
        for container in self.inits + self.mains:
            os.makedirs(container.folder, mode=0o755, exist_ok=True)
        with self.lock:
            self.notify()
        told = None
        while True:
            try:
                os.makedirs(self.volumes.folder, mode=0o755, exist_ok=True)
                self.volumes.make(self.object())
                break
            except VolumeError as error:
                if told != str(error):
                    told = str(error)
                    self.event("Warning", "FailedMount", f"MountVolume.SetUp failed: {error}")
            if self._wait(lambda: False, 0.3):
                return False
        self._write_files()
        return not self.stopping

    def _write_files(self):
        aliases = "".join(f"{alias['ip']}\t{' '.join(alias['hostnames'])}\n" for alias in self.spec.get("hostAliases") or [])
        hosts = MANAGED_HOSTS + f"{self.address}\t{self.spec.get('hostname') or self.name}\n" + aliases
        search = f"{self.namespace}.svc.cluster.local svc.cluster.local cluster.local"
        resolv = f"search {search}\nnameserver {world.DNS_ADDRESS}\noptions ndots:5\n"
        if self.spec.get("dnsPolicy") == "None" or self.spec.get("dnsConfig"):
            how = self.spec.get("dnsConfig") or {}
            resolv = "" if self.spec.get("dnsPolicy") == "None" else resolv
            resolv += "".join(f"nameserver {server}\n" for server in how.get("nameservers") or [])
            resolv += f"search {' '.join(how['searches'])}\n" if how.get("searches") else ""
            resolv += "".join(f"options {one['name']}{':' + one['value'] if one.get('value') else ''}\n"
                              for one in how.get("options") or [])
        elif self.spec.get("dnsPolicy") == "Default" or (
                self.host_network and self.spec.get("dnsPolicy") != "ClusterFirstWithHostNet"):
            # The node's own resolver; it has none besides.
            resolv = f"nameserver {world.DNS_ADDRESS}\n"
        files = {}
        for name, text in (("hosts", hosts), ("resolv.conf", resolv), ("hostname", (self.spec.get("hostname") or self.name) + "\n")):
            path = os.path.join(self.folder, name)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            files["/etc/" + name] = path
        self.files = files

    def _live(self):
        """Until the pod is deleted or has completed."""
        for container in self.inits:
            container.begin()
            if container.kind == "sidecar":
                self._wait(lambda c=container: c.started and c.attempted)
            else:
                self._wait(lambda c=container: c.done)
            if self.stopping or (container.done and not container.succeeded()):
                return
        for container in self.mains:
            # One after the other, each with its postStart hook.
            container.begin()
            if self._wait(lambda c=container: c.attempted or c.done or c.waiting[0] not in ("PodInitializing", "ContainerCreating")):
                return
        self._wait(lambda: all(c.done for c in self.mains))

    def _wait(self, condition, seconds=None):
        """Until the condition holds; True when the pod was deleted instead (or before)."""
        with self.lock:
            self.lock.wait_for(lambda: self.stopping or condition(), seconds)
            return self.stopping

    def _end_containers(self, grace):
        """Main containers first, then sidecars from the last to the first; all share the grace period."""
        end = time.monotonic() + grace
        over = {c.name: threading.Event() for c in self.inits + self.mains}
        threads = []
        turn = [over[c.name] for c in self.mains]
        plan = [(c, []) for c in self.mains + [c for c in self.inits if c.kind == "init"]]
        for container in reversed([c for c in self.inits if c.kind == "sidecar"]):
            plan.append((container, list(turn)))
            turn.append(over[container.name])

        def stop(container, before):
            container.stop(end, before)
            over[container.name].set()

        for container, before in plan:
            threads.append(threading.Thread(target=stop, args=(container, before), daemon=True))
            threads[-1].start()
        for thread in threads:
            thread.join()
        with self.lock:
            self.notify()

    def _remove(self):
        """Its files, network and last of all its object."""
        while not self.gone and not self._report_once():
            time.sleep(0.3)
        self.removed = True
        if self.network:
            self.network.remove()
            self.runner.addresses.give_back(self.network.address)
        self.volumes.remove()
        for container in self.inits + self.mains:
            for name in os.listdir(container.folder) if os.path.isdir(container.folder) else []:
                if not name.endswith(".log"):
                    shutil.rmtree(os.path.join(container.folder, name), ignore_errors=True)
        while not self.gone:
            try:
                self.runner.api.request("DELETE", self.path, {"gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}})
                break
            except ApiError as error:
                if error.code in (404, 409):
                    break
                say(f"{self.name}: {error}")
            except OSError:
                pass
            time.sleep(0.3)
        self.finished.set()
        self.runner.forget(self)

    # --- status ---------------------------------------------------------------------------------

    def _report(self):
        while not self.removed:
            self.dirty.wait(1.0)
            if self.dirty.is_set() and not self.gone:
                self.dirty.clear()
                if not self._report_once():
                    self.dirty.set()
                    time.sleep(0.3)

    def _report_once(self):
        """False: the API server cannot be reached."""
        try:
            self.runner.api.patch(self.path + "/status", {"metadata": {"uid": self.uid}, "status": self.status()})
        except ApiError as error:
            if error.code == 404:
                return True
            say(f"{self.name}: status: {error}")
            return error.code != 409 and error.code < 500
        except OSError:
            return False
        return True

    def status(self):
        with self.lock:
            of_phase = status.phase(self.spec, self.inits, self.mains)
            old = (self.latest.get("status") or {}).get("conditions") or []
            made = status.conditions(self.latest, self.inits, self.mains, of_phase, old)
            for one in made:
                if "lastTransitionTime" in one and one["lastTransitionTime"] is None:
                    one["lastTransitionTime"] = now()
            result = {"phase": of_phase, "conditions": made, "startTime": self.began, "hostIP": world.NODE_ADDRESS,
                      "hostIPs": [{"ip": world.NODE_ADDRESS}], "qosClass": (self.latest.get("status") or {}).get("qosClass"),
                      "containerStatuses": [c.status() for c in self.mains]}
            if self.inits:
                result["initContainerStatuses"] = [c.status() for c in self.inits]
            if self.address:
                result.update(podIP=self.address, podIPs=[{"ip": self.address}])
            return result
