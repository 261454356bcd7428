"""`heddle-proxy intercept` with its rules executed: a pod and the world as network namespaces, scripted ends that say
where a connection arrived and where it wanted to go. Both backends, both modes, IPv4 and IPv6. Needs root.

usage: intercept_test.py HEDDLE_PROXY
"""

import os
import shutil
import subprocess
import sys
import tempfile

from process import Program, program, until
from report import Report

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from net import HERE, Network  # noqa: E402

POD, POD6, WORLD, WORLD6 = "10.99.0.2", "fd99::2", "10.200.0.1", "fd98::1"
SIDECAR, APP, OTHER = 1337, 1000, 2000
# What Debian calls iptables speaks nf_tables; the same with the older kernel interface is a backend of its own here.
BACKENDS = ("nftables", "iptables", "iptables-legacy")


class Pod:
    """The pod's programs by who they are, and one in the world."""

    def __init__(self, network):
        self.network = network
        # In TPROXY mode the sidecar is root of a group of its own: only so it may take connections to foreign addresses.
        self.sidecar = network.agent(network.pod, SIDECAR, SIDECAR)
        self.root_sidecar = network.agent(network.pod, 0, SIDECAR)
        self.app = network.agent(network.pod, APP, APP)
        self.other = network.agent(network.pod, OTHER, OTHER)
        self.world = network.agent(network.world)
        self.world.ask(serve={"label": "world", "address": "::", "ports": [80, 3306, 8080, 8081, 9999]})
        self.app.ask(serve={"label": "app", "address": "::", "ports": [8080, 8081, 9090, 15021]})
        for label, port in (("outbound", 15001), ("inbound", 15006)):
            self.sidecar.ask(serve={"label": label, "address": "::", "ports": [port]})
            self.root_sidecar.ask(serve={"label": label, "address": "::", "ports": [port + 1000], "transparent": True})


def check(report, name, good, said=""):
    report.record(name, [] if good else [said or "it is not so"])


def expect(report, name, rows):
    """rows: (who, address, port, what is said there); "there" stands for that address and port."""
    wrong = []
    for who, address, port, said in rows:
        found = who.connect(address, port)
        full = f"{said} {address} {port}" if said else ""
        if found != full:
            wrong.append(f"to {address}:{port}: found \"{found}\", wanted \"{full}\"")
    report.record(name, wrong)


def default_rows(pod, sidecar):
    return [
        (pod.app, WORLD, 80, "outbound"), (pod.app, WORLD6, 80, "outbound"),
        (pod.other, WORLD, 9999, "outbound"),
        (sidecar, WORLD, 80, "world"), (sidecar, WORLD6, 80, "world"),
        # What arrives, and the health port.
        (pod.world, POD, 8080, "inbound"), (pod.world, POD6, 8080, "inbound"), (pod.world, POD, 7, "inbound"),
        (pod.world, POD, 15021, "app"), (pod.world, POD6, 15021, "app"),
        # Loopback and the pod itself.
        (pod.app, "127.0.0.1", 8080, "app"), (pod.app, "::1", 8080, "app"), (pod.app, "127.8.8.8", 8080, "app"),
        (pod.app, POD, 8080, "app"), (pod.app, POD6, 8080, "app"),
        (sidecar, "127.0.0.1", 8080, "app"), (sidecar, "::1", 8080, "app"),
        # The application called its own service: the sidecar's connection to this pod is served as inbound.
        (sidecar, POD, 8080, "inbound"), (sidecar, POD6, 8080, "inbound"), (sidecar, POD, 15021, "app"),
    ]


def direct_rows(pod):
    return [(pod.app, WORLD, 80, "world"), (pod.app, WORLD6, 80, "world"), (pod.world, POD, 8080, "app"),
            (pod.world, POD6, 8080, "app"), (pod.sidecar, POD, 8080, "app")]


# Flags, and what becomes of connections with them.
SHAPES = [
    ("excluded ports, one by one and as ranges",
     ["--exclude-inbound-ports", "8000-8080,22", "--exclude-outbound-ports", "25,3000-4000"],
     lambda p: [(p.app, WORLD, 3306, "world"), (p.app, WORLD6, 3306, "world"), (p.app, WORLD, 80, "outbound"),
                (p.world, POD, 8080, "app"), (p.world, POD6, 8080, "app"), (p.world, POD, 8081, "inbound"),
                (p.sidecar, POD, 8080, "app"), (p.sidecar, POD, 8081, "inbound")]),
    ("more ports than one match of iptables holds",
     ["--exclude-inbound-ports", ",".join(str(port) for port in range(2, 80, 2)) + ",8080",
      "--exclude-outbound-ports", ",".join(str(port) for port in range(3, 79, 2)) + ",9999"],
     lambda p: [(p.app, WORLD, 9999, "world"), (p.app, WORLD, 80, "outbound"), (p.world, POD, 8080, "app"),
                (p.world, POD, 8081, "inbound")]),
    ("only some ports",
     ["--include-inbound-ports", "8081", "--include-outbound-ports", "80,9000-10000"],
     lambda p: [(p.world, POD, 8080, "app"), (p.world, POD6, 8081, "inbound"), (p.app, WORLD, 80, "outbound"),
                (p.app, WORLD6, 9999, "outbound"), (p.app, WORLD, 3306, "world"), (p.app, WORLD6, 3306, "world")]),
    ("only some networks, less some of them",
     ["--include-outbound-cidrs", "10.200.0.0/16,fd98::/16", "--exclude-outbound-cidrs", "10.200.7.0/24"],
     lambda p: [(p.app, WORLD, 80, "outbound"), (p.app, WORLD6, 80, "outbound"), (p.app, "10.99.0.1", 80, "world"),
                (p.app, "fd99::1", 80, "world")]),
    ("excluded networks",
     ["--exclude-outbound-cidrs", "10.200.0.0/24,fd98::1"],
     lambda p: [(p.app, WORLD, 80, "world"), (p.app, WORLD6, 80, "world"), (p.app, "10.99.0.1", 80, "outbound"),
                (p.app, "fd99::1", 80, "outbound")]),
    ("nothing outbound", ["--include-outbound-cidrs", ""],
     lambda p: [(p.app, WORLD, 80, "world"), (p.app, WORLD6, 80, "world"), (p.world, POD, 8080, "inbound")]),
    ("nothing inbound", ["--include-inbound-ports", ""],
     lambda p: [(p.world, POD, 8080, "app"), (p.world, POD6, 8080, "app"), (p.app, WORLD, 80, "outbound")]),
    ("users", ["--exclude-uids", "1990-2010"],
     lambda p: [(p.other, WORLD, 80, "world"), (p.other, WORLD6, 80, "world"), (p.app, WORLD, 80, "outbound")]),
    ("interfaces", ["--exclude-interfaces", "net1"],
     lambda p: [(p.app, "10.98.0.1", 80, "world"), (p.world, "10.98.0.2", 8080, "app"),
                (p.world, POD, 8080, "inbound"), (p.app, WORLD, 80, "outbound")]),
    ("IPv6 left alone", ["--ipv6", "off"],
     lambda p: [(p.app, WORLD, 80, "outbound"), (p.app, WORLD6, 80, "world"), (p.world, POD6, 8080, "app"),
                (p.world, POD, 8080, "inbound")]),
    ("a sidecar of another user", ["--proxy-uid", "2000"],
     lambda p: [(p.other, WORLD, 80, "world"), (p.sidecar, WORLD, 80, "outbound"), (p.other, POD, 8080, "inbound")]),
]


class Command:
    """heddle-proxy intercept in the pod's namespace."""

    def __init__(self, network, proxy, folder):
        self.network, self.proxy = network, proxy
        self.legacy = os.path.join(folder, "legacy")
        os.mkdir(self.legacy)
        for name in ("iptables", "ip6tables"):
            for what in ("restore", "save"):
                os.symlink(f"/usr/sbin/{name}-legacy-{what}", os.path.join(self.legacy, f"{name}-{what}"))

    def backend(self, name, *flags, **more):
        """run() with one of BACKENDS."""
        if name == "iptables-legacy":
            more["env"] = {**os.environ, "PATH": self.legacy + ":" + os.environ["PATH"]}
        return self.run("--backend", name.removesuffix("-legacy"), *flags, **more)

    def run(self, *flags, env=None, user=None):
        as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--inh-caps=-all"] if user else []
        return subprocess.run(["ip", "netns", "exec", self.network.pod, *as_user, self.proxy, "intercept", *flags],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, check=False)

    def rules(self):
        return "".join(self.network.inside(self.network.pod, *argv) for argv in (
            ("nft", "list", "tables"), ("iptables-save",), ("ip6tables-save",), ("iptables-legacy-save",),
            ("ip6tables-legacy-save",)))

    def ours(self):
        """Whether a rule of this command is there."""
        text = self.rules()
        return "HEDDLE_" in text or "inet heddle" in text


def test_default(report, command, pod, backend):
    done = command.backend(backend)
    check(report, f"{backend}: rules are set", done.returncode == 0 and ", IPv4 and IPv6: outbound to 15001" in done.stdout,
                 done.stdout + done.stderr)
    expect(report, f"{backend}: everything but loopback and the sidecar's own goes through the sidecar",
           default_rows(pod, pod.sidecar))


def stable(text):
    """Rules without counters and times."""
    return [line.split("[")[0] for line in text.splitlines() if not line.startswith("#")]


def test_twice(report, command, backend):
    before = stable(command.rules())
    done = command.backend(backend)
    check(report, f"{backend}: a second run changes nothing", done.returncode == 0 and before == stable(command.rules()),
                 done.stderr)


def test_shapes(report, command, pod, backend):
    for name, flags, rows in SHAPES:
        done = command.backend(backend, *flags)
        if done.returncode != 0:
            check(report, f"{backend}: {name}", False, done.stderr)
        else:
            expect(report, f"{backend}: {name}", rows(pod))


def test_tproxy(report, command, pod, backend):
    flags = ["--mode", "tproxy", "--proxy-gid", str(SIDECAR), "--proxy-uid", "4000",
             "--outbound-port", "16001", "--inbound-port", "16006"]
    done = command.backend(backend, *flags)
    check(report, f"{backend}: TPROXY rules are set", done.returncode == 0, done.stderr)
    expect(report, f"{backend}: with TPROXY the same goes through the sidecar", default_rows(pod, pod.root_sidecar))
    command.backend(backend, *flags, "--exclude-inbound-ports", "8080", "--exclude-interfaces", "net1")
    expect(report, f"{backend}: with TPROXY exclusions hold", [
        (pod.world, POD, 8080, "app"), (pod.world, POD6, 8080, "app"), (pod.world, POD, 8081, "inbound"),
        (pod.world, "10.98.0.2", 8081, "app")])


class Sidecar:
    """A real heddle-proxy in the pod, on sidecar.yaml. Use as a context manager."""

    def __init__(self, network, proxy, folder, uid, flag):
        self.network = network
        self.program = Program(["ip", "netns", "exec", network.pod, "setpriv", f"--reuid={uid}", f"--regid={SIDECAR}",
                                "--clear-groups", proxy, "-c", os.path.join(HERE, "sidecar.yaml"), flag, "--drain-time-s", "0"],
                               os.path.join(folder, "sidecar.log"))

    def __enter__(self):
        until(lambda: "17006" in self.network.inside(self.network.pod, "ss", "-tln"), 30, self.program.log)
        return self

    def __exit__(self, *_):
        self.program.stop()

    def count(self, prefix):
        """Connections so far of a listener's TCP proxy."""
        text = self.network.inside(self.network.pod, sys.executable, "-c", "import urllib.request as r; print(r.urlopen("
                                   "'http://127.0.0.1:17000/stats?filter=tcp." + prefix + ".downstream_cx_total').read().decode())")
        return int(text.split(": ")[1])


def test_sidecar(report, command, pod, folder, backend, mode):
    """Through heddle-proxy itself: it finds where connections wanted to go, of both families, in both modes."""
    flags, uid = ["--outbound-port", "17001", "--inbound-port", "17006", "--mode", mode], SIDECAR
    if mode == "tproxy":
        flags, uid = [*flags, "--proxy-gid", str(SIDECAR), "--proxy-uid", "4000"], 0
    done = command.backend(backend, *flags)
    with Sidecar(command.network, command.proxy, folder, uid, f"--intercept={mode}") as sidecar:
        # The application sees its own loopback address: there inbound is sent to.
        rows = [(pod.app, WORLD, 80), (pod.app, WORLD6, 80), (pod.world, POD, 8080), (pod.world, POD6, 8080)]
        said = [who.connect(address, port) for who, address, port in rows]
        counts = [sidecar.count("out"), sidecar.count("in")]
        unknown = pod.world.connect(POD, 8081)
    wanted = [f"world {WORLD} 80", f"world {WORLD6} 80", "app 127.0.0.1 8080", "app 127.0.0.1 8080"]
    check(report, f"{backend}, {mode}: both families pass through heddle-proxy",
          done.returncode == 0 and said == wanted and counts == [2, 2] and unknown == "",
          f"{done.stderr}{said}, {counts}, to a port of nobody: {unknown}\n{sidecar.program.log()[-2000:]}")


def test_cleanup(report, command, pod, backend):
    done = command.backend(backend, "--cleanup")
    check(report, f"{backend}: clean-up leaves nothing of ours", done.returncode == 0 and not command.ours(), done.stderr)
    expect(report, f"{backend}: after clean-up nothing is intercepted", direct_rows(pod))
    check(report, f"{backend}: cleaning up again is no error", command.run("--cleanup").returncode == 0)


def test_half(report, command, pod):
    """The second family fails: the first must not stay."""
    with tempfile.TemporaryDirectory() as folder:
        broken = os.path.join(folder, "ip6tables-restore")
        with open(broken, "w", encoding="utf-8") as out:
            out.write("#!/bin/sh\necho it is broken >&2\nexit 3\n")
        os.chmod(folder, 0o755)
        os.chmod(broken, 0o755)
        done = command.run("--backend", "iptables", env={**os.environ, "PATH": folder + ":" + os.environ["PATH"]})
    check(report, "when one family cannot be set, the error says so",
                 done.returncode == 1 and "ip6tables-restore ended with 3: it is broken" in done.stderr, done.stderr)
    check(report, "and the other is taken back", not command.ours(), command.rules())
    expect(report, "and nothing is intercepted", direct_rows(pod))


def test_refusals(report, command):
    for backend in BACKENDS:
        done = command.backend(backend, user=APP)
        check(report, f"{backend}: without the right to do it, one line says so and nothing is set",
                     done.returncode == 1 and done.stderr.count("\n") == 1 and not command.ours(), done.stderr)
    done = command.run("--exclude-inbound-ports", "http")
    check(report, "a bad flag is named", done.returncode == 1 and "--exclude-inbound-ports: found \"http\"" in done.stderr,
                 done.stderr)
    dry = command.run("--dry-run", "--backend", "nftables", user=APP)
    check(report, "a dry run prints what nft takes, and needs no rights",
                 dry.returncode == 0 and "table inet heddle {" in dry.stdout and not command.ours(), dry.stderr)


def main():
    report = Report()
    if os.geteuid() != 0:
        print("skipped: network namespaces need root")
        return 0
    for tool in ("ip", "nft", "iptables-restore", "setpriv"):
        if shutil.which(tool) is None:
            print(f"skipped: needs {tool}")
            return 0
    with Network() as network, tempfile.TemporaryDirectory() as folder:
        pod, command = Pod(network), Command(network, program(sys.argv[1]), folder)
        expect(report, "without rules nothing is intercepted", direct_rows(pod))
        test_refusals(report, command)
        test_half(report, command, pod)
        for backend in BACKENDS:
            test_default(report, command, pod, backend)
            test_twice(report, command, backend)
            test_shapes(report, command, pod, backend)
            test_tproxy(report, command, pod, backend)
            for mode in ("redirect", "tproxy"):
                test_sidecar(report, command, pod, folder, backend, mode)
            test_cleanup(report, command, pod, backend)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
