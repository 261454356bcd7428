"""The cluster's DNS: A records of services (and of headless services' endpoints), over UDP and TCP. answer() is pure."""

import socket
import struct
import threading

from k8s import world

DOMAIN = "cluster.local"
A, CNAME, SOA, AAAA, ANY = 1, 5, 6, 28, 255
NXDOMAIN, REFUSED = 3, 5
TTL = 5


def question(packet):
    """(name, type, bytes of the question) of a query; ValueError when it is none."""
    if len(packet) < 17 or packet[2] & 0x80 or struct.unpack("!H", packet[4:6])[0] != 1:
        raise ValueError("no query")
    labels, at = [], 12
    while packet[at]:
        length = packet[at]
        if length > 63 or at + length + 5 >= len(packet):
            raise ValueError("bad name")
        labels.append(packet[at + 1:at + 1 + length].decode("latin-1").lower())
        at += length + 1
    return ".".join(labels), struct.unpack("!H", packet[at + 1:at + 3])[0], packet[12:at + 5]


def name_bytes(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def reply(packet, asked, records, code):
    """records: [(type, data)], all of the asked name."""
    known = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, TTL, len(data)) + data for kind, data in records)
    authority = b""
    if not records and code != REFUSED:
        data = name_bytes("ns.dns." + DOMAIN) + name_bytes("hostmaster." + DOMAIN) + struct.pack("!IIIII", 1, 7200, 1800, 86400, TTL)
        authority = name_bytes(DOMAIN) + struct.pack("!HHIH", SOA, 1, TTL, len(data)) + data
    flags = 0x8400 | (struct.unpack("!H", packet[2:4])[0] & 0x0100) | 0x0080 | code
    return packet[:2] + struct.pack("!HHHHH", flags, 1, len(records), 1 if authority else 0, 0) + asked + known + authority


def lookup(table, name):
    """(found, [address], alias) of a name below the cluster's domain."""
    parts = name.removesuffix("." + DOMAIN).split(".")
    with table.lock:
        if len(parts) == 3 and parts[2] == "svc":
            service = table.services.get((parts[1], parts[0]))
            if service is None:
                return False, [], ""
            if service.headless:
                return True, sorted(table.hosts((parts[1], parts[0]), service.not_ready_too)), ""
            return True, [service.cluster_ip] if service.cluster_ip else [], service.external_name
        if len(parts) == 4 and parts[3] == "svc":
            service = table.services.get((parts[2], parts[1]))
            if service is not None and service.headless:
                hosts = table.hosts((parts[2], parts[1]), service.not_ready_too)
                found = sorted(address for address, host in hosts.items() if host == parts[0])
                return bool(found), found, ""
        # A namespace or "svc" itself exists without having records.
        known = parts == ["svc"] or parts == [DOMAIN] or (len(parts) == 2 and parts[1] == "svc" and any(
            namespace == parts[0] for namespace, _ in table.services))
        return known, [], ""


def answer(table, packet):
    """The answer to one query's bytes, or None when it deserves none."""
    try:
        name, kind, asked = question(packet)
    except (ValueError, IndexError, struct.error):
        return None
    if name != DOMAIN and not name.endswith("." + DOMAIN):
        # There is nobody to ask outside.
        return reply(packet, asked, [], NXDOMAIN)
    found, addresses, alias = lookup(table, name)
    records = [(A, socket.inet_aton(address)) for address in addresses] if kind in (A, ANY) else []
    if alias:
        records = [(CNAME, name_bytes(alias))]
    return reply(packet, asked, records, 0 if found else NXDOMAIN)


class Server:
    """Answers at the cluster's DNS address until the program ends."""

    def __init__(self, table, address=world.DNS_ADDRESS, port=53):
        self.table = table
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((address, port))
        self.tcp = socket.create_server((address, port), backlog=64)
        for target in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=target, name="dns", daemon=True).start()

    def _serve_udp(self):
        while True:
            packet, peer = self.udp.recvfrom(4096)
            made = answer(self.table, packet)
            if made:
                self.udp.sendto(made, peer)

    def _serve_tcp(self):
        while True:
            connection, _ = self.tcp.accept()
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection):
        with connection:
            connection.settimeout(10)
            try:
                stream = connection.makefile("rwb")
                while len(head := stream.read(2)) == 2:
                    made = answer(self.table, stream.read(struct.unpack("!H", head)[0]))
                    if made is None:
                        return
                    stream.write(struct.pack("!H", len(made)) + made)
                    stream.flush()
            except OSError:
                return
