"""Pods as network namespaces whose traffic heddle-proxy intercepts. Needs root; everything it makes has the prefix below, lives in
namespaces of its own (the bridge too), and is removed again."""

import os
import shutil
import subprocess

PREFIX = "heddle-demo-"
NETWORK = PREFIX + "net"
PROXY_UID = 1337
GATEWAY = "10.77.0.254"


def sh(*argv):
    subprocess.run(argv, check=True, capture_output=True, text=True)


def inside(namespace, *argv):
    sh("ip", "netns", "exec", namespace, *argv)


def possible():
    """Why pods cannot be namespaces here, or None."""
    if os.geteuid() != 0:
        return "needs root"
    for program in ("ip", "setpriv"):
        if shutil.which(program) is None:
            return f"needs {program}"
    if shutil.which("nft") is None and shutil.which("iptables-restore") is None:
        return "needs nft or iptables"
    return None


def remove():
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout
    for line in listed.splitlines():
        name = line.split()[0] if line.strip() else ""
        if name.startswith(PREFIX):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)
            shutil.rmtree(f"/etc/netns/{name}", ignore_errors=True)


def make_network():
    remove()
    sh("ip", "netns", "add", NETWORK)
    inside(NETWORK, "ip", "link", "add", "mesh", "type", "bridge")
    inside(NETWORK, "ip", "addr", "add", GATEWAY + "/24", "dev", "mesh")
    inside(NETWORK, "ip", "link", "set", "mesh", "up")


def make_pod(index, name, address, hosts):
    """A namespace on the bridge whose /etc/hosts knows the services by name, as cluster DNS would."""
    namespace = PREFIX + name
    sh("ip", "netns", "add", namespace)
    inside(namespace, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", f"pod{index}", "netns", NETWORK)
    inside(namespace, "ip", "addr", "add", address + "/24", "dev", "eth0")
    inside(namespace, "ip", "link", "set", "lo", "up")
    inside(namespace, "ip", "link", "set", "eth0", "up")
    inside(NETWORK, "ip", "link", "set", f"pod{index}", "master", "mesh")
    inside(NETWORK, "ip", "link", "set", f"pod{index}", "up")
    inside(namespace, "ip", "route", "add", "default", "via", GATEWAY)
    os.makedirs(f"/etc/netns/{namespace}", exist_ok=True)
    with open(f"/etc/netns/{namespace}/hosts", "w", encoding="utf-8") as file:
        file.write("127.0.0.1 localhost\n" + "".join(f"{ip} {host}\n" for host, ip in hosts.items()))
    return namespace


def intercept(namespace, proxy):
    """What the pod's init step does in a cluster: all TCP goes through the sidecar, except the sidecar's own."""
    inside(namespace, proxy, "intercept", "--proxy-uid", str(PROXY_UID))
