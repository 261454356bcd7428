"""The pods' network: a network namespace each, joined to the node by a veth pair and routed there (no bridge, so that everything
between two pods passes the node's rules)."""

import ipaddress
import os
import subprocess
import threading

from k8s import world

GATEWAY = "169.254.1.1"


class NetworkError(Exception):
    pass


def ip(*commands, namespace=None):
    """Several ip commands in one process."""
    argv = ["ip", *(["-n", namespace] if namespace else []), "-batch", "-"]
    done = subprocess.run(argv, input="\n".join(commands) + "\n", capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NetworkError(f"{' && '.join(commands)}: {done.stderr.strip()}")


class Addresses:
    """Hands out the pods' addresses; one that was given back is the last to be given again."""

    def __init__(self):
        hosts = [str(host) for host in ipaddress.ip_network(world.POD_RANGE).hosts()]
        self.free = [host for host in hosts if host != world.NODE_ADDRESS][8:]
        self.lock = threading.Lock()

    def take(self):
        with self.lock:
            if not self.free:
                raise NetworkError("no pod address is left")
            return self.free.pop(0)

    def give_back(self, address):
        with self.lock:
            self.free.append(address)


class PodNetwork:
    """One pod's: namespace `name`, file `path`, `address`."""

    def __init__(self, name, address):
        self.name, self.address = name, address
        self.path = f"/run/netns/{name}"
        self.device = "p" + address.replace("10.244.", "").replace(".", "-")

    def make(self):
        subprocess.run(["ip", "netns", "add", self.name], check=True, capture_output=True)
        ip(f"link add {self.device} type veth peer name eth0 netns {self.name}", f"link set {self.device} up",
           f"address add {GATEWAY}/32 dev {self.device}", f"route add {self.address}/32 dev {self.device} src {world.NODE_ADDRESS}")
        ip("link set lo up", "link set eth0 up", f"address add {self.address}/32 dev eth0",
           f"route add {GATEWAY}/32 dev eth0 scope link", f"route add default via {GATEWAY} dev eth0", namespace=self.name)
        # As container runtimes set it, so that port 80 needs no privilege.
        subprocess.run(["ip", "netns", "exec", self.name, "sh", "-c", "echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start"],
                       check=True, capture_output=True)

    def remove(self):
        subprocess.run(["ip", "link", "delete", self.device], capture_output=True, check=False)
        subprocess.run(["ip", "netns", "delete", self.name], capture_output=True, check=False)
        if os.path.exists(self.path):
            os.unlink(self.path)
