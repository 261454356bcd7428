"""A stock Envoy is a sidecar under heddle-control, next to one of ours: traffic both ways over mutual TLS, identities seen by
the programs, policies that reach it. Once with delta xDS and once with state of the world.

usage: sidecar_test.py HEDDLE_PROXY HEDDLE_CONTROL HEDDLECTL
"""

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading

import client
from origin import Origin
from process import Program, get, peer, program, until
from report import Report

HERE = os.path.dirname(os.path.abspath(__file__))
FRONT, BACK, CONTROL = "127.0.2.1", "127.0.2.2", "127.0.2.100"
SIDES = {"front": (FRONT, "heddle-proxy"), "back": (BACK, "Envoy")}


def identity(account):
    return f"spiffe://cluster.local/ns/shop/sa/{account}"


class Echo:
    """A TCP program that sends back what it gets, after its name."""

    def __init__(self, address, port, name):
        self.name = name
        self.listener = socket.create_server((address, port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        with sock:
            sock.sendall(self.name.encode() + b":")
            while data := sock.recv(4096):
                sock.sendall(data)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self.listener.close()


class Mesh:
    def __init__(self, api, folder, programs):
        self.proxy, self.control_program, self.ctl = programs
        self.folder = folder
        self.mesh = os.path.join(folder, "mesh")
        shutil.copytree(os.path.join(HERE, "mesh"), self.mesh)
        self.state = os.path.join(folder, "control")
        self.apps = {name: Origin({}, port=19080, address=address) for name, (address, _) in SIDES.items()}
        self.echoes = [Echo(address, 17000, name) for name, (address, _) in SIDES.items()]
        self.running = []
        self.control = None
        self.start_control()
        front_token = os.path.join(folder, "front.token")
        with open(front_token, "w", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
            out.write(self.token("front"))
        self.start("front", [self.proxy, "--control", f"{CONTROL}:15010", "--namespace", "shop", "--service-account", "front",
                             "--workload", "front-a", "--address", FRONT, "--token-file", front_token, "--control-ca",
                             os.path.join(self.state, "ca.crt"), "--admin-address", f"{FRONT}:15000"])
        self.back_token = os.path.join(folder, "back-token.yaml")
        self.replace_token(self.token("back").strip())
        values = {"API": api, "TOKEN": self.back_token, "CA": os.path.join(self.state, "ca.crt")}
        bootstrap = os.path.join(folder, "envoy.yaml")
        with open(os.path.join(HERE, "envoy.yaml"), encoding="utf-8") as text, open(bootstrap, "w", encoding="utf-8") as out:
            out.write(re.sub(r"@([A-Z]+)@", lambda match: values[match[1]], text.read()))
        self.start("back", [peer("envoy"), "-c", bootstrap, "--concurrency", "1", "--use-dynamic-base-id", "--log-level",
                            "warning"])

    def start(self, name, argv):
        self.running.append(Program(argv, os.path.join(self.folder, name + ".log")))
        return self.running[-1]

    def start_control(self):
        """heddle-control, again on the same addresses when it ran before."""
        if self.control:
            self.control.stop()
            self.running.remove(self.control)
        self.control = self.start("control", [self.control_program, "--config", self.mesh, "--state-dir", self.state,
                                              "--listen", f"{CONTROL}:15010", "--admin", f"{CONTROL}:15014"])
        until(lambda: self.page(f"{CONTROL}:15014", "/ready"), 15, self.logs)

    def replace_token(self, token):
        """Envoy reads the file again when another one is renamed over it."""
        with open(self.back_token + ".new", "w", encoding="utf-8",
                  opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
            json.dump({"resources": [{
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret", "name": "join-token",
                "generic_secret": {"secret": {"inline_string": "Bearer " + token}}}]}, out)
        os.rename(self.back_token + ".new", self.back_token)

    def stop(self):
        for one in reversed(self.running):
            one.stop()
        for one in [*self.apps.values(), *self.echoes]:
            one.close()

    def logs(self):
        return "\n".join(f"--- {one.args[0]} ({one.process.poll()})\n{one.log()[-3000:]}" for one in self.running)

    def token(self, account):
        return subprocess.run([self.ctl, "token", "--state-dir", self.state, "--namespace", "shop", "--service-account",
                               account], stdout=subprocess.PIPE, text=True, check=True).stdout

    @staticmethod
    def page(address, path):
        try:
            status, body, _ = get(f"http://{address}{path}", timeout=2)
        except OSError:
            return None
        return body if status == 200 else None

    def status(self):
        return json.loads(self.page(f"{CONTROL}:15014", "/status") or "{}")

    def settled(self):
        """The proxies by node, once both have acknowledged the newest configuration and rejected nothing."""
        status = self.status()
        proxies = {one["node"]: one for one in status.get("proxies", []) if one.get("in_configuration")}
        good = all(one.get("settled_generation") == status.get("generation") for one in proxies.values())
        return proxies if good and set(proxies) == {"shop/front-a", "shop/back-a"} else None

    def ask(self, caller, path="/", body="", count=1):
        """Asks the other side through `caller`'s sidecar; what client.send_http1 says."""
        other = "back" if caller == "front" else "front"
        text = f"POST {path} HTTP/1.1\r\nHost: {other}:9080\r\nx-case: x\r\ncontent-length: {len(body)}\r\n\r\n{body}"
        return client.send_http1(15001, [text.encode()] + ["answer", text.encode()] * (count - 1), answers=count,
                                 address=SIDES[caller][0], linger=0.01)


def statuses(got):
    return [answer["status"] for answer in got["answers"]]


def both_settle(mesh):
    proxies = until(mesh.settled, 20, lambda: f"not settled: {mesh.status()}\n{mesh.logs()}")
    problems = []
    for account in SIDES:
        one = proxies[f"shop/{account}-a"]
        if one.get("identity") != identity(account):
            problems.append(f"{account} is {one.get('identity')}")
        if one.get("nacks"):
            problems.append(f"{account} rejected something: {one}")
    return problems


def traffic(mesh, caller):
    callee = "back" if caller == "front" else "front"
    until(lambda: statuses(mesh.ask(caller)) == [200], 15, lambda: f"{mesh.ask(caller)}\n{mesh.logs()}")
    mesh.apps[callee].take()
    got = mesh.ask(caller, "/a?b=c", body="hello")
    if statuses(got) != [200] or got["answers"][0]["body"] != b"origin 200\n":
        return [got, mesh.logs()]
    seen = mesh.apps[callee].take()
    if len(seen) != 1 or seen[0].start != "POST /a?b=c HTTP/1.1" or seen[0].body != b"hello":
        return [f"the program got {seen}"]
    certificate = seen[0].get("x-forwarded-client-cert", "")
    wanted = f"By={identity(callee)}", f"URI={identity(caller)}"
    return [f"x-forwarded-client-cert is {certificate!r}, without {one}" for one in wanted if one not in certificate]


def many(mesh, caller):
    got = statuses(mesh.ask(caller, body="x" * 3000, count=100))
    return [] if got == [200] * 100 else [f"{got}"]


def tcp(mesh, caller):
    callee = "back" if caller == "front" else "front"
    port = 7002 if callee == "back" else 7001
    with socket.create_connection((SIDES[caller][0], port), timeout=5) as sock:
        sock.sendall(b"ping")
        got = b""
        while len(got) < len(callee) + 5 and (data := sock.recv(100)):
            got += data
    return [] if got == callee.encode() + b":ping" else [f"got {got!r}", mesh.logs()]


def plain_text_refused(callee):
    got = client.send_http1(9080, [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"], address=SIDES[callee][0], patience=2.0)
    return [f"plain text was answered: {got}"] if got["answers"] else []


def stranger_refused(callee):
    """TLS without a certificate: nothing is answered."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    try:
        with socket.create_connection((SIDES[callee][0], 9080), timeout=3) as plain:
            with context.wrap_socket(plain, server_hostname="x") as sock:
                sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
                data = sock.recv(100)
    except (ssl.SSLError, ConnectionError):
        return []
    return [f"a client without a certificate got {data!r}"] if data else []


def policy(mesh):
    """A new policy reaches both; each refuses by it, and nothing else."""
    shutil.copy(os.path.join(HERE, "deny.yaml"), os.path.join(mesh.mesh, "deny.yaml"))
    problems = []
    for caller in SIDES:
        until(lambda caller=caller: statuses(mesh.ask(caller, "/secret/x")) == [403], 10,
              lambda caller=caller: f"{caller} is still let in: {mesh.ask(caller, '/secret/x')}\n{mesh.logs()}")
        if statuses(mesh.ask(caller, "/open")) != [200]:
            problems.append(f"{caller}'s /open is refused too")
    proxies = until(mesh.settled, 10, lambda: f"{mesh.status()}")
    return problems + [f"{node} rejected something: {one}" for node, one in proxies.items() if one.get("nacks")]


def token_is_read_again(mesh):
    """With a token that is no good Envoy cannot come back after heddle-control restarted, and goes on serving; with a new one
    in the same place it comes back by itself."""
    mesh.replace_token("no.such.token")
    mesh.start_control()
    mark = len(mesh.control.log())
    until(lambda: "refused" in mesh.control.log()[mark:], 60, mesh.logs)
    problems = [] if statuses(mesh.ask("front", "/open")) == [200] else ["it does not serve while it is refused"]
    mesh.replace_token(mesh.token("back").strip())
    until(mesh.settled, 60, lambda: f"did not come back: {mesh.status()}\n{mesh.logs()}")
    return problems


def secrets_arrived(mesh):
    """Envoy's certificate came by SDS and is the one that heddle-control says it has."""
    certificates = mesh.page(f"{BACK}:15000", "/certs") or ""
    return [] if identity("back") in certificates else [certificates[:2000]]


def run(api, programs, report):
    with tempfile.TemporaryDirectory() as folder:
        mesh = Mesh(api, folder, programs)
        try:
            report.run(f"{api}: both acknowledge everything", lambda: both_settle(mesh))
            for caller in SIDES:
                way = f"{api}: {SIDES[caller][1]} calls"
                report.run(f"{way}, both sides are known", lambda caller=caller: traffic(mesh, caller))
                report.run(f"{way} 100 times", lambda caller=caller: many(mesh, caller))
                report.run(f"{way} over TCP", lambda caller=caller: tcp(mesh, caller))
            for callee in SIDES:
                report.run(f"{api}: {SIDES[callee][1]} refuses plain text", lambda callee=callee: plain_text_refused(callee))
                report.run(f"{api}: {SIDES[callee][1]} refuses strangers", lambda callee=callee: stranger_refused(callee))
            report.run(f"{api}: Envoy has its certificate by SDS", lambda: secrets_arrived(mesh))
            report.run(f"{api}: a policy reaches both", lambda: policy(mesh))
            report.run(f"{api}: Envoy comes back with the token that is there now", lambda: token_is_read_again(mesh))
        finally:
            mesh.stop()


def main():
    report = Report()
    programs = [program(path) for path in sys.argv[1:4]]
    for api in ("DELTA_GRPC", "GRPC"):
        report.run(f"{api} starts", lambda api=api: run(api, programs, report))
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
