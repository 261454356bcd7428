"""kube-proxy's part and what DNS answers from: services with their endpoints, kept from Service and EndpointSlice events.

rules() is pure: it gives the nftables text that translates each service's address to one of its endpoints.
"""

import subprocess
import threading
from dataclasses import dataclass, field

from k8s import world
from k8s.support.log import say

TABLE = "services"


@dataclass
class Service:
    namespace: str
    name: str
    cluster_ip: str = ""
    headless: bool = False
    external_name: str = ""
    not_ready_too: bool = False
    ports: list = field(default_factory=list)     # (name, protocol, port)


class Table:
    """The services and slices known. Thread-safe; changed() is called on the caller's thread after each change."""

    def __init__(self, changed=lambda: None):
        self.lock = threading.Lock()
        self.services = {}
        self.slices = {}
        self.changed = changed

    def service(self, kind, item):
        key = (item["metadata"]["namespace"], item["metadata"]["name"])
        spec = item["spec"]
        with self.lock:
            self.services.pop(key, None)
            if kind == "set":
                address = spec.get("clusterIP", "")
                self.services[key] = Service(*key, cluster_ip="" if address == "None" else address, headless=address == "None",
                                             external_name=spec.get("externalName", ""),
                                             not_ready_too=spec.get("publishNotReadyAddresses", False),
                                             ports=[(p.get("name", ""), p.get("protocol", "TCP"), p["port"])
                                                    for p in spec.get("ports") or []])
        self.changed()

    def slice(self, kind, item):
        meta = item["metadata"]
        with self.lock:
            self.slices.pop(meta["uid"], None)
            if kind == "set" and item.get("addressType") == "IPv4":
                self.slices[meta["uid"]] = (
                    (meta["namespace"], (meta.get("labels") or {}).get("kubernetes.io/service-name", "")), item)
        self.changed()

    def endpoints(self, key, port_name, protocol):
        """[(address, port)] that a new connection may go to: the ready ones, else those that still serve while they end."""
        ready, ending = set(), set()
        for owner, item in self.slices.values():
            if owner != key:
                continue
            for port in item.get("ports") or []:
                if (port.get("name") or "") != port_name or port.get("protocol", "TCP") != protocol:
                    continue
                for endpoint in item.get("endpoints") or []:
                    conditions = endpoint.get("conditions") or {}
                    if conditions.get("ready", True):
                        ready.add((endpoint["addresses"][0], port["port"]))
                    elif conditions.get("serving") and conditions.get("terminating"):
                        ending.add((endpoint["addresses"][0], port["port"]))
        return sorted(ready or ending)

    def hosts(self, key, not_ready_too):
        """{address: hostname or ""} of a headless service."""
        found = {}
        for owner, item in self.slices.values():
            if owner == key:
                for endpoint in item.get("endpoints") or []:
                    if (endpoint.get("conditions") or {}).get("ready", True) or not_ready_too:
                        found[endpoint["addresses"][0]] = endpoint.get("hostname") or ""
        return found

    def translations(self):
        """{(address, protocol, port): [(endpoint address, port)]}, for rules()."""
        with self.lock:
            return {(service.cluster_ip, protocol.lower(), port): self.endpoints(key, name, protocol)
                    for key, service in self.services.items() if service.cluster_ip
                    for name, protocol, port in service.ports if protocol in ("TCP", "UDP")}


def rules(translations):
    lines = [f"table ip {TABLE} {{}}", f"delete table ip {TABLE}", f"table ip {TABLE} {{"]
    chains, dispatch, pods = [], [], set()
    for number, ((address, protocol, port), endpoints) in enumerate(sorted(translations.items())):
        # The API's own address for DNS is served by the node itself.
        if not endpoints or address == world.DNS_ADDRESS:
            continue
        targets = ", ".join(f"{index} : {ip} . {to}" for index, (ip, to) in enumerate(endpoints))
        chains.append(f"  chain s{number} {{ meta l4proto {protocol} dnat ip to numgen random mod {len(endpoints)} map {{ {targets} }}; }}")
        dispatch.append(f"{address} . {protocol} . {port} : goto s{number}")
        pods.update(ip for ip, _ in endpoints)
    lines += chains
    elements = f" elements = {{ {', '.join(dispatch)} }};" if dispatch else ""
    lines.append(f"  map known {{ type ipv4_addr . inet_proto . inet_service : verdict;{elements} }}")
    own = f" elements = {{ {', '.join(f'{ip} . {ip}' for ip in sorted(pods))} }};" if pods else ""
    lines.append(f"  set itself {{ type ipv4_addr . ipv4_addr;{own} }}")
    look = "ip daddr . meta l4proto . th dport vmap @known"
    lines += [f"  chain arriving {{ type nat hook prerouting priority dstnat; {look}; }}",
              f"  chain leaving {{ type nat hook output priority -100; {look}; }}",
              # A pod that reaches itself through its service must see another source than its own address.
              "  chain after { type nat hook postrouting priority srcnat; ct status dnat ip saddr . ip daddr @itself masquerade; }",
              # What is still addressed to a service has no endpoint.
              *(f"  chain dead_{hook} {{ type filter hook {hook} priority filter; ip daddr != {world.DNS_ADDRESS} "
                f"ip daddr {world.SERVICE_RANGE} reject; }}" for hook in ("forward", "output")), "}"]
    return "\n".join(lines) + "\n"


class Proxy:
    """Keeps the kernel's rules as the table says; changes that come together are written once."""

    def __init__(self, table):
        self.table = table
        self.wanted = threading.Event()
        self.written = None
        threading.Thread(target=self._run, name="proxy", daemon=True).start()

    def _run(self):
        while True:
            self.wanted.wait()
            self.wanted.clear()
            text = rules(self.table.translations())
            if text == self.written:
                continue
            done = subprocess.run(["nft", "-f", "-"], input=text, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                say(f"nft: {done.stderr.strip()[:500]}")
            else:
                self.written = text
