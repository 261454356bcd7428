"""Sends what a test says, byte for byte or frame by frame, and reports what came back as plain dictionaries."""

import socket
import time

import http1


def send_http1(port, parts, answers=1, to_head=False, patience=4.0, linger=0.25, read=True,
               source=None, address="127.0.0.1"):
    """Sends `parts` (bytes, or a float to wait that many seconds, or "answer" to read one response first) on a new
    connection (from address `source`) and reads `answers` final responses. Returns {"answers": [...], "interim": [...], "closed"}."""
    out = {"answers": [], "interim": [], "closed": False}
    with _connect(address, port, patience, source) as sock:
        reader = http1.Reader(sock)
        try:
            for part in parts:
                if isinstance(part, float):
                    time.sleep(part)
                elif part == "answer":
                    _read_one(reader, out, to_head)
                elif part == "interim":
                    message = http1.Message()
                    reader.response(message)
                    out["interim"].append(message.status)
                else:
                    sock.sendall(part)
            while read and len(out["answers"]) < answers:
                _read_one(reader, out, to_head)
        except (http1.Closed, ConnectionError):
            out["closed"] = True
        except TimeoutError:
            out["timeout"] = True
        except ValueError as error:
            out["unreadable"] = str(error)
        if not out["closed"]:
            out["closed"] = _ended(sock, reader, linger)
        if reader.left:
            out["left"] = reader.left
    return out


def _connect(address, port, patience, source):
    sock = socket.create_connection((address, port), timeout=patience, source_address=(source, 0) if source else None)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _read_one(reader, out, to_head):
    while True:
        message = http1.Message()
        try:
            reader.response(message, to_head)
        except (http1.Closed, ConnectionError, TimeoutError):
            if message.start:
                out["answers"].append(_plain(message))
            raise
        if 100 <= message.status < 200 and message.status != 101:
            out["interim"].append(message.status)
            continue
        out["answers"].append(_plain(message))
        return


def _ended(sock, reader, linger):
    sock.settimeout(linger)
    try:
        while True:
            reader.more()
    except (http1.Closed, ConnectionError):
        return True
    except TimeoutError:
        return False


def _plain(message):
    return {"status": message.status, "start": message.start, "headers": message.headers, "body": message.body,
            "trailers": message.trailers, "framing": message.framing, "complete": message.complete}


def send_http2(port, headers, body=None, trailers=None, patience=4.0, pause=0.0, reset_after=None,
               source=None):
    """One HTTP/2 request with prior knowledge, its fields exactly as given. Returns {"answers", "interim", "reset": error code
    or None, "goaway": error code or None}."""
    import h2.config
    import h2.connection

    out = {"answers": [], "interim": [], "reset": None, "goaway": None, "closed": False}
    answer = {"status": 0, "headers": [], "body": b"", "trailers": [], "complete": False}
    config = h2.config.H2Configuration(client_side=True, header_encoding="latin-1", validate_outbound_headers=False,
                                       normalize_outbound_headers=False, validate_inbound_headers=False)
    link = h2.connection.H2Connection(config=config)
    with _connect("127.0.0.1", port, patience, source) as sock:
        link.initiate_connection()
        link.send_headers(1, headers, end_stream=body is None and trailers is None)
        if pause:
            sock.sendall(link.data_to_send())
            time.sleep(pause)
        if body is not None:
            link.send_data(1, body, end_stream=trailers is None)
        if trailers is not None:
            link.send_headers(1, trailers, end_stream=True)
        sock.sendall(link.data_to_send())
        if reset_after is not None:
            time.sleep(reset_after)
            link.reset_stream(1, 8)
            sock.sendall(link.data_to_send())
            time.sleep(0.1)
            return out
        try:
            while not answer["complete"] and out["reset"] is None and out["goaway"] is None:
                data = sock.recv(65536)
                if not data:
                    out["closed"] = True
                    break
                for event in link.receive_data(data):
                    _event(event, link, answer, out)
                sock.sendall(link.data_to_send())
        except TimeoutError:
            out["timeout"] = True
        except ConnectionError:
            out["closed"] = True
    if answer["status"]:
        out["answers"].append(answer)
    return out


def _event(event, link, answer, out):
    kind = type(event).__name__
    if kind == "InformationalResponseReceived":
        out["interim"].append(int(dict(event.headers)[":status"]))
    elif kind == "ResponseReceived":
        answer["status"] = int(dict(event.headers)[":status"])
        answer["headers"] = [(name, value) for name, value in event.headers if name != ":status"]
    elif kind == "DataReceived":
        answer["body"] += event.data
        link.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
    elif kind == "TrailersReceived":
        answer["trailers"] = list(event.headers)
    elif kind == "StreamEnded":
        answer["complete"] = True
    elif kind == "StreamReset":
        out["reset"] = int(event.error_code)
    elif kind == "ConnectionTerminated":
        out["goaway"] = int(event.error_code)
