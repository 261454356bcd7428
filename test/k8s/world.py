"""The machine that a test's cluster runs on: network, process and mount namespaces of its own.

    world.enter()                      # first thing in main(): from here on this program is alone in its world
    os.path.join(world.folder(), ...)  # files there vanish with the world

enter() starts the program again as a child of a small init. When that init ends, however it ends, the kernel ends every process
below it and takes network, mounts and files away: nothing can be left behind, and no port or path can clash with another test.
/run is an empty tmpfs inside. Needs root; see missing().
"""

import os
import shutil
import signal
import subprocess
import sys

MARK = "HEDDLE_TEST_WORLD"
NODE_ADDRESS = "10.244.0.1"
POD_RANGE = "10.244.0.0/24"
SERVICE_RANGE = "10.96.0.0/16"
DNS_ADDRESS = "10.96.0.10"


def missing():
    """What this machine lacks for a world, as a sentence, or None."""
    if os.geteuid() != 0:
        return "needs root"
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    for program in ("unshare", "nsenter", "setpriv", "ip", "nft", "openssl"):
        if shutil.which(program) is None:
            return f"needs {program}"
    tried = subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "ip", "link", "add", "type", "veth"],
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    return None if tried.returncode == 0 else f"needs namespaces: {tried.stderr.strip()}"


def inside():
    return MARK in os.environ


def folder():
    """Where everything of this world belongs: a tmpfs that nobody else sees."""
    return os.environ[MARK]


def enter(argv=None):
    """Comes back inside a world of its own, in the same program started anew. Does nothing when it is in one already."""
    if inside():
        return
    reason = missing()
    if reason:
        # A test that cannot run here says so and does not fail: continuous integration runs as root.
        print(f"skipped: {reason}")
        sys.exit(0)
    again = argv or [sys.executable, *sys.orig_argv[1:]]
    flags = ["--net", "--mount", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc", "--propagation", "private"]
    # Started, not replaced: the caller's own child keeps its pid, and its end takes the world with it.
    os.execvp("unshare", ["unshare", *flags, sys.executable, "-S", "-E", os.path.abspath(__file__), *again])


def _run(*argv):
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)


def _furnish():
    _run("mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/run")
    for path in ("/run/netns", "/run/lock", "/run/world"):
        os.mkdir(path, 0o755)
    _run("ip", "link", "set", "lo", "up")
    # The node's own address and that of the cluster's DNS. Traffic for a service finds a route here before it is translated.
    _run("ip", "link", "add", "node", "type", "veth", "peer", "name", "nowhere")
    _run("ip", "address", "add", NODE_ADDRESS + "/32", "dev", "node")
    _run("ip", "address", "add", DNS_ADDRESS + "/32", "dev", "node")
    for device in ("node", "nowhere"):
        _run("ip", "link", "set", device, "up")
    _run("ip", "route", "add", SERVICE_RANGE, "dev", "node", "src", NODE_ADDRESS)
    with open("/proc/sys/net/ipv4/ip_forward", "w", encoding="ascii") as knob:
        knob.write("1")


def _init(argv):
    """Process 1: starts argv, passes signals on, collects what is orphaned, ends as argv ends."""
    _furnish()
    child = subprocess.Popen(argv, env={**os.environ, MARK: "/run/world"})
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: child.send_signal(number))
    while True:
        pid, status = os.wait()
        if pid == child.pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(_init(sys.argv[1:]))
