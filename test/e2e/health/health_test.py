"""The health port and the two commands of a pod's hooks, wait and drain, with a real heddle-proxy and a scripted
application.

usage: health_test.py HEDDLE_PROXY
"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time

from process import Program, free_ports, get, program, until
from report import Report

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from application import GrpcHealth, Http  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
PROXY = program(sys.argv[1])


class Echo:
    """A TCP origin that sends back what it gets."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            sock, _ = self.listener.accept()
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    @staticmethod
    def _serve(sock):
        with sock:
            while data := sock.recv(65536):
                sock.sendall(data)


class Sidecar:
    """heddle-proxy with a health port. Use as a context manager."""

    def __init__(self, folder, probes=None, text=None):
        self.folder, self.echo = folder, Echo()
        self.inbound, self.outbound, self.health = free_ports(3)
        values = {"INBOUND": self.inbound, "OUTBOUND": self.outbound, "ORIGIN": self.echo.port}
        config = os.path.join(folder, "server.yaml")
        with open(os.path.join(HERE, "server.yaml"), encoding="utf-8") as source, open(config, "w", encoding="utf-8") as out:
            out.write(re.sub(r"@([A-Z]+)@", lambda match: str(values[match[1]]), source.read()))
        self.admin_file = os.path.join(folder, f"admin-{self.health}")
        env = {**os.environ, "HEDDLE_APP_PROBES": text if text is not None else json.dumps(probes or {})}
        self.program = Program([PROXY, "-c", config, "--health-address", f"127.0.0.1:{self.health}",
                                "--admin-address-path", self.admin_file, "--drain-time-s", "1"],
                               os.path.join(folder, "log"), env=env)

    def __enter__(self):
        until(lambda: os.path.exists(self.admin_file) and open(self.admin_file, encoding="utf-8").read().count(":"), 30,
              self.program.log)
        with open(self.admin_file, encoding="utf-8") as file:
            self.admin = file.read()
        self.program.wait_ready(int(self.admin.split(":")[1]))
        return self

    def __exit__(self, *_):
        self.program.stop()

    def get(self, path, method="GET", timeout=30.0):
        return get(f"http://127.0.0.1:{self.health}{path}", method, timeout)


def livez(name):
    return f"/app-health/{name}/livez"


def test_pages(folder):
    problems = []
    with Sidecar(folder) as sidecar:
        rows = [("GET", "/healthz/ready", 200, "LIVE"), ("HEAD", "/healthz/ready", 200, ""),
                ("GET", "/stats/prometheus", 200, "envoy_server_live 1"), ("POST", "/healthz/ready", 405, ""),
                ("GET", "/", 404, ""), ("GET", "/ready", 404, ""), ("GET", "/config_dump", 404, ""),
                ("GET", "/certs", 404, ""), ("POST", "/quitquitquit", 405, ""), ("GET", livez("web"), 404, "")]
        for method, path, status, part in rows:
            found, body, _ = sidecar.get(path, method)
            if found != status or part not in body:
                problems.append(f"{method} {path}: {found}, {body[:200]}")
        get(f"http://{sidecar.admin}/healthcheck/fail", "POST")
        if (found := sidecar.get("/healthz/ready")[0]) != 503:
            problems.append(f"after /healthcheck/fail /healthz/ready is {found}")
        # A client that says nothing takes one place of many, not the port.
        silent = [socket.create_connection(("127.0.0.1", sidecar.health)) for _ in range(30)]
        if sidecar.get("/healthz/ready")[0] != 503:
            problems.append("silent clients took the port")
        for one in silent:
            one.close()
    return problems


def test_http(folder):
    plain, secured, six = Http(), Http(folder=folder), Http("::1")
    (nobody,) = free_ports(1)
    http_get = lambda app, path, **more: {"httpGet": {"port": app.port, "path": path, **more}, "timeoutSeconds": 20}
    probes = {livez("ok"): http_get(plain, "/status/200?a=b", httpHeaders=[
                  {"name": "X-Asked-By", "value": "kubelet"}, {"name": "Host", "value": "shop.test"}]),
              livez("moved"): http_get(plain, "/status/302"), livez("bad"): http_get(plain, "/status/500"),
              livez("missing"): http_get(plain, "/status/404"),
              livez("tls"): http_get(secured, "/status/200", scheme="HTTPS"),
              livez("tls-bad"): http_get(secured, "/status/503", scheme="HTTPS"),
              livez("not-tls"): http_get(plain, "/status/200", scheme="HTTPS"),
              livez("six"): http_get(six, "/status/200"),
              livez("slow"): {"httpGet": {"port": plain.port, "path": "/hang"}, "timeoutSeconds": 1},
              livez("nobody"): {"httpGet": {"port": nobody, "path": "/"}, "timeoutSeconds": 20}}
    wanted = {"ok": (200, "ok"), "moved": (200, "ok"), "bad": (503, "/status/500: status 500"), "missing": (503, "status 404"),
              "tls": (200, "ok"), "tls-bad": (503, "status 503"), "not-tls": (503, ""), "six": (200, "ok"),
              "slow": (503, "no answer within 1s"), "nobody": (503, "Connection refused")}
    problems = []
    with Sidecar(folder, probes) as sidecar:
        for name, (status, part) in wanted.items():
            found, body, _ = sidecar.get(livez(name))
            if found != status or part not in body:
                problems.append(f"{name}: {found}, {body}")
    heads = dict(plain.seen).get("/status/200?a=b", {})
    for name, value in (("host", "shop.test"), ("x-asked-by", "kubelet"), ("user-agent", "kube-probe/heddle")):
        if heads.get(name) != value:
            problems.append(f"the application got {name}: {heads.get(name)}")
    if (host := dict(plain.seen).get("/status/302", {}).get("host")) != f"127.0.0.1:{plain.port}":
        problems.append(f"without a host of its own the probe says {host}")
    for app in (plain, secured, six):
        app.end()
    return problems


def test_tcp_and_grpc(folder):
    echo, health = Echo(), GrpcHealth()
    health.status.update({"books": 1, "stock": 2})
    (nobody,) = free_ports(1)
    grpc = lambda port, service: {"grpc": {"port": port, "service": service}, "timeoutSeconds": 20}
    probes = {livez("tcp"): {"tcpSocket": {"port": echo.port}, "timeoutSeconds": 20},
              livez("tcp-nobody"): {"tcpSocket": {"port": nobody}, "timeoutSeconds": 20},
              livez("grpc"): grpc(health.port, ""), livez("books"): grpc(health.port, "books"),
              livez("stock"): grpc(health.port, "stock"), livez("unknown"): grpc(health.port, "unknown"),
              livez("grpc-nobody"): grpc(nobody, "")}
    wanted = {"tcp": (200, "ok"), "tcp-nobody": (503, f"TCP 127.0.0.1:{nobody}: "), "grpc": (200, "ok"), "books": (200, "ok"),
              "stock": (503, "health status 2"), "unknown": (503, "NOT_FOUND unknown service"), "grpc-nobody": (503, "UNAVAILABLE")}
    problems = []
    with Sidecar(folder, probes) as sidecar:
        for name, (status, part) in wanted.items():
            found, body, _ = sidecar.get(livez(name))
            if found != status or part not in body:
                problems.append(f"{name}: {found}, {body}")
    health.end()
    return problems


def answers(sidecar):
    try:
        return sidecar.get("/healthz/ready")[0] == 200
    except OSError:
        return False


def test_client_leaves(folder):
    """A kubelet that gives up while the application hangs: nothing stays behind, and others are answered."""
    app = Http()
    with Sidecar(folder, {livez("slow"): {"httpGet": {"port": app.port, "path": "/hang"}, "timeoutSeconds": 600}}) as sidecar:
        for _ in range(100):
            with socket.create_connection(("127.0.0.1", sidecar.health)) as one:
                one.sendall(f"GET {livez('slow')} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        fds = f"/proc/{sidecar.program.pid}/fd"
        # More than the port takes at once: whoever comes in between is refused.
        until(lambda: answers(sidecar), 30, "the health port does not answer any more")
        until(lambda: len(os.listdir(fds)) < 40, 30, lambda: f"{len(os.listdir(fds))} descriptors are open")
    app.end()
    return []


def test_bad_starts(folder):
    problems = []
    for name, text, part in (("json", "{", "HEDDLE_APP_PROBES"), ("port", '{"/app-health/a/livez": {"tcpSocket": {"port": 0}}}',
                             'HEDDLE_APP_PROBES["/app-health/a/livez"].tcpSocket.port: found "0", allowed 1 to 65535')):
        sidecar = Sidecar(os.path.join(folder), text=text)
        code = sidecar.program.wait(30)
        if code != 1 or part not in sidecar.program.log():
            problems.append(f"{name}: {code}, {sidecar.program.log()[-500:]}")
        sidecar.program.stop()
    return problems


def command(*words):
    return subprocess.run([PROXY, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120, check=False)


def test_wait(folder):
    problems = []
    with Sidecar(folder) as sidecar:
        done = command("wait", "--admin-address", sidecar.admin, "--timeout", "60")
        if done.returncode != 0 or done.stdout or done.stderr:
            problems.append(f"ready: {done}")
        get(f"http://{sidecar.admin}/healthcheck/fail", "POST")
        waiting = subprocess.Popen([PROXY, "wait", "--admin-address", sidecar.admin, "--timeout", "100"])
        time.sleep(0.3)
        if waiting.poll() is not None:
            problems.append(f"not ready: it came back with {waiting.returncode}")
        done = command("wait", "--admin-address", sidecar.admin, "--timeout", "1")
        if done.returncode != 1 or "not ready after 1s: DRAINING" not in done.stderr:
            problems.append(f"time over: {done}")
        get(f"http://{sidecar.admin}/healthcheck/ok", "POST")
        if waiting.wait(60) != 0:
            problems.append(f"ready again: {waiting.returncode}")
    done = command("wait", "--admin-address", sidecar.admin, "--timeout", "1")
    if done.returncode != 1 or "Connection refused" not in done.stderr:
        problems.append(f"nobody: {done}")
    for words, part in ((["--timeout", "0"], '--timeout: found "0", allowed 1 to 86400 (seconds)'),
                        (["--admin-address", "x"], '--admin-address: found "x", allowed IP:PORT'),
                        (["--delay", "1"], 'unknown flag "--delay"'), (["--timeout"], "needs a value")):
        done = command("wait", *words)
        if done.returncode != 1 or part not in done.stderr:
            problems.append(f"{words}: {done}")
    return problems


def say(sock, text):
    sock.sendall(text)
    return sock.recv(100) == text


def test_drain(folder):
    problems = []
    with Sidecar(folder) as sidecar:
        ends = {name: socket.create_connection(("127.0.0.1", getattr(sidecar, name)), timeout=30)
                for name in ("inbound", "outbound")}
        for name, sock in ends.items():
            if not say(sock, b"before"):
                problems.append(f"{name} does not work")
        draining = subprocess.Popen([PROXY, "drain", "--admin-address", sidecar.admin, "--delay", "1", "--timeout", "100"],
                                    stdout=subprocess.PIPE, text=True)
        until(lambda: sidecar.get("/healthz/ready")[0] == 503, 30, "it still says that it is ready")
        socket.create_connection(("127.0.0.1", sidecar.inbound), timeout=30).close()  # within the delay

        def refused():
            try:
                socket.create_connection(("127.0.0.1", sidecar.inbound), timeout=30).close()
            except ConnectionRefusedError:
                return True
            return False
        until(refused, 30, "inbound connections are still taken")
        for name, sock in ends.items():
            if not say(sock, b"after"):
                problems.append(f"{name} was cut")
        socket.create_connection(("127.0.0.1", sidecar.outbound), timeout=30).close()  # outbound goes on
        if draining.poll() is not None:
            problems.append("it came back while a connection was open")
        ends["inbound"].close()
        if draining.wait(60) != 0 or draining.stdout.read() != "":
            problems.append(f"the end: {draining.returncode}")
        if not say(ends["outbound"], b"still"):
            problems.append("outbound was cut by the end of the drain")
    with Sidecar(folder) as sidecar:
        with socket.create_connection(("127.0.0.1", sidecar.inbound)) as sock:
            say(sock, b"x")
            done = command("drain", "--admin-address", sidecar.admin, "--delay", "0", "--timeout", "1")
            if done.returncode != 0 or "1 inbound connections are left" not in done.stdout:
                problems.append(f"time over: {done}")
    done = command("drain", "--admin-address", sidecar.admin)
    if done.returncode != 1 or "Connection refused" not in done.stderr:
        problems.append(f"nobody: {done}")
    return problems


TESTS = [("what the health port shows, and that it shows nothing else", test_pages),
         ("HTTP and HTTPS probes of the application", test_http),
         ("TCP and gRPC probes of the application", test_tcp_and_grpc),
         ("clients that give up leave nothing behind", test_client_leaves),
         ("a broken HEDDLE_APP_PROBES ends the start with its place", test_bad_starts),
         ("heddle-proxy wait", test_wait),
         ("heddle-proxy drain", test_drain)]


def main():
    report = Report()
    for name, test in TESTS:
        with tempfile.TemporaryDirectory() as folder:
            report.run(name, lambda test=test, folder=folder: test(folder))
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
