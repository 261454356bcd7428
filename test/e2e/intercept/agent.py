"""What runs inside a namespace: serves on ports and connects to others, told so by JSON lines on standard input.

{"serve": {"label": L, "address": A, "ports": [...], "transparent": bool}}   each connection gets "L <where it wanted to go>"
{"connect": [ADDRESS, PORT]}                                                 what was said there, or "" when nobody answered
"""

import ipaddress
import json
import socket
import struct
import sys
import threading

SO_ORIGINAL_DST = 80
SOL_IPV6 = 41
IP_TRANSPARENT = 19
IPV6_TRANSPARENT = 75


def plain(address):
    """IPv4 in IPv6 as IPv4."""
    one = ipaddress.ip_address(address)
    return str(getattr(one, "ipv4_mapped", None) or one)


def wanted(connection):
    """Where the client meant to go: what connection tracking knows, else this end's own address."""
    try:
        raw = connection.getsockopt(socket.SOL_IP, SO_ORIGINAL_DST, 16)
        return socket.inet_ntoa(raw[4:8]), struct.unpack("!H", raw[2:4])[0]
    except OSError:
        pass
    try:
        raw = connection.getsockopt(SOL_IPV6, SO_ORIGINAL_DST, 28)
        return socket.inet_ntop(socket.AF_INET6, raw[8:24]), struct.unpack("!H", raw[2:4])[0]
    except OSError:
        return plain(connection.getsockname()[0]), connection.getsockname()[1]


def answer(listener, label):
    while True:
        connection, _ = listener.accept()
        with connection:
            address, port = wanted(connection)
            try:
                connection.sendall(f"{label} {address} {port}".encode())
            except OSError:
                pass


def serve(label, address, ports, transparent=False):
    for port in ports:
        six = ":" in address
        listener = socket.socket(socket.AF_INET6 if six else socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if six:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if transparent:
            listener.setsockopt(socket.SOL_IP, IP_TRANSPARENT, 1)
            if six:
                listener.setsockopt(SOL_IPV6, IPV6_TRANSPARENT, 1)
        listener.bind((address, port))
        listener.listen(64)
        threading.Thread(target=answer, args=(listener, label), daemon=True).start()
    return "serving"


def connect(address, port):
    try:
        with socket.create_connection((address, port), timeout=20) as connection:
            connection.settimeout(20)
            said = b""
            while part := connection.recv(1000):
                said += part
            return said.decode()
    except OSError:
        return ""


for line in sys.stdin:
    request = json.loads(line)
    reply = serve(**request["serve"]) if "serve" in request else connect(*request["connect"])
    print(json.dumps(reply), flush=True)
