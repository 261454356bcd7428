"""The bookshop: a control plane, seven pods with a sidecar each, their services, and a real Redis."""

import json
import os
import re
import shutil
import subprocess

import netns
from run import Failure, Pod, Processes, wait_for

NAMESPACE = "bookshop"
CONTROL = "127.0.0.1"


class Workload:
    def __init__(self, name, last_byte, role, port, app_port, *flags):
        self.name, self.last_byte, self.role, self.port, self.app_port, self.flags = (
            name, last_byte, role, port, app_port, flags)


WORKLOADS = [
    Workload("web-a", 1, "web", 9000, 19000),
    Workload("catalog-a", 2, "catalog", 9080, 19080),
    Workload("reviews-v1-a", 3, "reviews", 9080, 19080, "--version", "v1"),
    Workload("reviews-v1-b", 4, "reviews", 9080, 19080, "--version", "v1"),
    Workload("reviews-v2-a", 5, "reviews", 9080, 19080, "--version", "v2"),
    Workload("stock-a", 6, "stock", 9090, 19090, "--control-port", "19091"),
    Workload("redis-a", 7, "redis", 6379, 16379),
]
SERVICES = ["web", "catalog", "reviews", "reviews-v1", "reviews-v2", "stock", "redis"]


def identity(role):
    return f"spiffe://cluster.local/ns/{NAMESPACE}/sa/{role}"


class Shop:
    def __init__(self, work, bin_dir, intercept=False, jaeger=None):
        self.work, self.bin, self.intercept, self.jaeger = work, bin_dir, intercept, jaeger
        self.mesh = os.path.join(work, "mesh")
        self.processes = Processes(os.path.join(work, "log"))
        self.pods = {}
        self.control = Pod("control", CONTROL)

    def program(self, name):
        return os.path.join(self.bin, name)

    # --- places ------------------------------------------------------------------------------

    def make_places(self):
        source = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "mesh")
        shutil.copytree(source, self.mesh)
        if not self.intercept:
            self.pods = {w.name: Pod(w.name, f"127.0.1.{w.last_byte}") for w in WORKLOADS}
            return
        self.edit("workloads.yaml", lambda text: re.sub(r", appPort: \d+", "", text.replace("127.0.1.", "10.77.0.")))
        hosts = {service: f"10.96.0.{i + 1}" for i, service in enumerate(SERVICES)}
        netns.make_network()
        self.control = Pod("control", "10.77.0.100", netns.make_pod(100, "control", "10.77.0.100", {}))
        for w in WORKLOADS:
            address = f"10.77.0.{w.last_byte}"
            namespace = netns.make_pod(w.last_byte, w.name, address, hosts)
            netns.intercept(namespace, self.program("heddle-proxy"))
            self.pods[w.name] = Pod(w.name, address, namespace)

    def edit(self, name, change):
        """Saves a changed file as an editor does: a new file takes the old one's name."""
        path = os.path.join(self.mesh, name)
        with open(path, encoding="utf-8") as file:
            text = change(file.read())
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(path + ".new", path)

    def set_weights(self, v1, v2):
        def change(text):
            text = re.sub(r"(reviews-v1, port: 9080, weight: )\d+", rf"\g<1>{v1}", text)
            return re.sub(r"(reviews-v2, port: 9080, weight: )\d+", rf"\g<1>{v2}", text)
        self.edit("reviews-route.yaml", change)

    # --- starting ----------------------------------------------------------------------------

    def start_control(self):
        argv = [self.program("heddle-control"), "--config", self.mesh, "--state-dir", os.path.join(self.work, "control"),
                "--listen", f"{self.control.address}:15010", "--admin", "127.0.0.1:15014"]
        if self.jaeger:
            argv += ["--otlp-forward", self.jaeger]
        self.processes.start("heddle-control", self.control.command(argv))
        wait_for("heddle-control's status page", lambda: self.status())

    def start_sidecar(self, workload):
        token = os.path.join(self.work, f"token-{workload.role}")
        if not os.path.exists(token):
            made = self.heddlectl("token", "--service-account", workload.role, "--namespace", NAMESPACE, "--state-dir",
                                  os.path.join(self.work, "control"), "--ttl", "1h")
            with open(token, "w", encoding="utf-8", opener=lambda p, f: os.open(p, f, 0o600)) as file:
                file.write(made)
        state = os.path.join(self.work, "sidecar-" + workload.name)
        os.makedirs(state, mode=0o700, exist_ok=True)
        pod = self.pods[workload.name]
        argv = [self.program("heddle-proxy"), "--control", f"{self.control.address}:15010", "--namespace", NAMESPACE,
                "--service-account", workload.role, "--workload", workload.name, "--address", pod.address,
                "--token-file", token, "--control-ca", self.root_certificate(), "--state-dir", state,
                "--admin-address", self.admin_address(pod)]
        if self.intercept:
            argv.append("--intercept")
            os.chown(state, netns.PROXY_UID, netns.PROXY_UID)
            os.chown(token, netns.PROXY_UID, netns.PROXY_UID)
            log = self.processes.log_path("sidecar-" + workload.name)
            open(log, "ab").close()
        self.processes.start("sidecar-" + workload.name, pod.command(argv, uid=netns.PROXY_UID))

    def root_certificate(self):
        """What a sidecar is given to know its control plane by: a copy, because the CA's own folder is closed."""
        path = os.path.join(self.work, "root.crt")
        if not os.path.exists(path):
            shutil.copyfile(os.path.join(self.work, "control", "ca.crt"), path)
        return path

    def admin_address(self, pod):
        return "127.0.0.1:15000" if self.intercept else f"{pod.address}:15000"

    def app_address(self, workload):
        """Where the service's own program listens, without a sidecar."""
        if self.intercept:
            return f"127.0.0.1:{workload.port}"
        return f"{self.pods[workload.name].address}:{workload.app_port}"

    def start_apps(self):
        for w in WORKLOADS:
            pod = self.pods[w.name]
            listen = f"0.0.0.0:{w.port}" if self.intercept else self.app_address(w)
            if w.role == "redis":
                ip, port = listen.split(":")
                self.processes.start("app-" + w.name, pod.command(
                    ["redis-server", "--bind", ip, "--port", port, "--save", "", "--appendonly", "no",
                     "--protected-mode", "no", "--dir", self.work]))
                continue
            # gRPC's own resolver would ask name servers that pods here do not have, before /etc/hosts.
            argv = ["env", "GRPC_DNS_RESOLVER=native", self.program("bookshop"), w.role, "--listen", listen, "--name", w.name, *w.flags]
            if self.intercept:
                argv += ["--catalog", "catalog:9080", "--reviews", "reviews:9080", "--stock", "stock:9090",
                         "--redis", f"10.96.0.{SERVICES.index('redis') + 1}:6379"]
            else:
                argv += ["--mesh", f"{pod.address}:15001", "--redis", f"{pod.address}:6379"]
            self.processes.start("app-" + w.name, pod.command(argv))

    def start_direct(self):
        """web and catalog once more, calling the same services without any sidecar: what to compare with."""
        app = {w.name: self.app_address(w) for w in WORKLOADS}
        self.processes.start("direct-catalog", [
            self.program("bookshop"), "catalog", "--listen", "127.0.1.2:29080", "--reviews", app["reviews-v1-a"],
            "--stock", app["stock-a"], "--redis", app["redis-a"]])
        self.processes.start("direct-web", [
            self.program("bookshop"), "web", "--listen", "127.0.1.1:29000", "--catalog", "127.0.1.2:29080"])
        wait_for("the services without sidecars", lambda: self.pods["web-a"].get("http://127.0.1.1:29000/books/1"))

    def start(self):
        self.make_places()
        self.start_control()
        for w in WORKLOADS:
            self.start_sidecar(w)
        self.start_apps()
        wait_for("every sidecar ready", lambda: self.processes.check_alive() or all(
            self.admin(w.name, "/ready") for w in WORKLOADS), 30)
        wait_for("the first whole answer", lambda: self.ask() is not None, 30)

    def stop(self):
        self.processes.end_all()
        if self.intercept:
            netns.remove()

    # --- asking ------------------------------------------------------------------------------

    def admin(self, name, path, *argv):
        return self.pods[name].get(f"http://{self.admin_address(self.pods[name])}{path}", *argv)

    def status(self):
        return self.control.get_json("http://127.0.0.1:15014/status")

    def heddlectl(self, *argv):
        done = subprocess.run(self.control.command([self.program("heddlectl"), *argv]), capture_output=True, text=True)
        if done.returncode != 0:
            raise Failure(f"heddlectl {' '.join(argv)}: {done.stderr.strip()}")
        return done.stdout

    def web_url(self, path="/books/1"):
        return f"http://{self.app_address(WORKLOADS[0])}{path}"

    def ask(self, path="/books/1"):
        body = self.pods["web-a"].get(self.web_url(path))
        return None if body is None else json.loads(body)

    def talk_to_redis(self, name):
        """One PING from a pod through its sidecar."""
        ip = f"10.96.0.{SERVICES.index('redis') + 1}" if self.intercept else self.pods[name].address
        script = f"exec 3<>/dev/tcp/{ip}/6379; printf 'PING\\r\\n' >&3; head -c 7 <&3"
        done = subprocess.run(self.pods[name].command(["timeout", "5", "bash", "-c", script]), capture_output=True, text=True)
        if "PONG" not in done.stdout:
            raise Failure(f"redis does not answer {name}: {done.stdout!r} {done.stderr.strip()}")

    def behave(self, name, **how):
        w = next(w for w in WORKLOADS if w.name == name)
        query = "&".join(f"{key}={value}" for key, value in how.items())
        if self.pods[name].get(f"http://{self.app_address(w)}/behave?{query}", "-X", "POST") is None:
            raise Failure(f"{name} does not listen to /behave")

    def load(self, seconds, rate=100, url=None, connections=4):
        """A load that runs; call its result() for what callers saw."""
        return LoadRun(self, seconds, rate, url or self.web_url(), connections)


class LoadRun:
    def __init__(self, shop, seconds, rate, url, connections):
        argv = [shop.program("bookshop"), "load", "--url", url, "--host", "web:9000", "--seconds", str(seconds),
                "--rate", str(rate), "--connections", str(connections)]
        self.process = subprocess.Popen(shop.pods["web-a"].command(argv), stdout=subprocess.PIPE, text=True)

    def result(self):
        return json.loads(self.process.communicate()[0])

    def stop(self):
        """Ends a load early and gives its result."""
        self.process.send_signal(15)
        return self.result()
