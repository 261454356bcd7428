"""One probe or hook handler, tried once: httpGet, tcpSocket, grpc, exec, sleep. Each gives (passed, message).

The node asks, as a kubelet does: over the pod's address, from the node's network.
"""

import http.client
import socket
import ssl
import struct
import time

USER_AGENT = "kube-probe/1.34"


def port_of(port, container):
    """A port by number or by the container's name for it."""
    if isinstance(port, int) or str(port).isdigit():
        return int(port)
    for one in container.get("ports") or []:
        if one.get("name") == port:
            return one["containerPort"]
    raise ValueError(f"couldn't find port: {port}")


def http_get(how, container, address, timeout):
    try:
        port = port_of(how["port"], container)
        host = how.get("host") or address
        if how.get("scheme", "HTTP") == "HTTPS":
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=timeout)
        given = {one["name"].lower(): one["value"] for one in how.get("httpHeaders") or []}
        headers = {"user-agent": USER_AGENT, "accept": "*/*", "connection": "close", **given}
        connection.putrequest("GET", how.get("path") or "/", skip_host="host" in headers, skip_accept_encoding=True)
        for name, value in headers.items():
            if value:
                connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read(10240).decode(errors="replace")
        connection.close()
    except TimeoutError:
        return False, "context deadline exceeded"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return False, str(error) or repr(error)
    passed = 200 <= answer.status < 400
    return passed, body[:200] if passed else f"HTTP probe failed with statuscode: {answer.status}"


def tcp_socket(how, container, address, timeout):
    try:
        socket.create_connection((how.get("host") or address, port_of(how["port"], container)), timeout).close()
        return True, ""
    except (OSError, ValueError) as error:
        return False, str(error)


def grpc(how, address, timeout):
    """grpc.health.v1.Health/Check over a connection of its own, written by hand: one small request and answer."""
    try:
        with socket.create_connection((address, how["port"]), timeout) as sock:
            status = _health(sock, f"{address}:{how['port']}", how.get("service") or "", time.monotonic() + timeout)
    except (OSError, ValueError, struct.error) as error:
        return False, str(error) or repr(error)
    return (True, "") if status == 1 else (False, f"service unhealthy (responded with {status})")


def _literal(name, value):
    return b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def _frame(kind, flags, stream, payload):
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def _health(sock, authority, service, end):
    headers = b"".join(_literal(*pair) for pair in (
        (":method", "POST"), (":scheme", "http"), (":path", "/grpc.health.v1.Health/Check"), (":authority", authority),
        ("content-type", "application/grpc"), ("te", "trailers"), ("user-agent", USER_AGENT)))
    message = b"\x0a" + bytes([len(service)]) + service.encode() if service else b""
    sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0, b"") + _frame(1, 4, 1, headers) +
                 _frame(0, 1, 1, b"\0" + struct.pack("!I", len(message)) + message))
    data, body = b"", b""
    while True:
        sock.settimeout(max(0.001, end - time.monotonic()))
        more = sock.recv(65536)
        if not more:
            raise ValueError("the server closed the connection without an answer")
        data += more
        while len(data) >= 9 and len(data) >= 9 + (length := struct.unpack("!I", b"\0" + data[:3])[0]):
            kind, flags, stream = struct.unpack("!BBI", data[3:9])
            payload, data = data[9:9 + length], data[9 + length:]
            if kind == 4 and not flags & 1:
                sock.sendall(_frame(4, 1, 0, b""))
            elif kind == 6 and not flags & 1:
                sock.sendall(_frame(6, 1, 0, payload))
            elif kind == 7 or (kind == 3 and stream == 1):
                raise ValueError("the server reset the call")
            elif kind == 0 and stream == 1:
                body += payload
                if len(body) >= 5 and len(body) >= 5 + struct.unpack("!I", body[1:5])[0]:
                    answer = body[5:]
                    return answer[1] if answer[:1] == b"\x08" else 0
            if kind == 1 and stream == 1 and flags & 1 and not body:
                raise ValueError("the call failed")
