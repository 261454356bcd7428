#!/usr/bin/python3
"""The echo program that the Gateway API's mesh conformance tests deploy and call, in the little form that they need: it answers with
what it was asked, one NAME=VALUE per line, and its client prints such answers.

usage: echo.py server [--port=N ...] [--grpc=N] [--tcp=N] (--tls, --crt, --key and their port are left out)
       client URL [--method=M] [-H NAME:VALUE ...] [--count=N]        http://host[:port]/path or grpc://host:port
"""

import http.client
import http.server
import os
import socket
import sys
import threading
import urllib.parse

import h2.config
import h2.connection
import h2.events

CALL = "/proto.EchoTestService/Echo"


def described(host, method, path, protocol, port, headers, peer):
    lines = [f"Host={host}", f"Hostname={os.environ.get('HOSTNAME', '')}", f"Method={method}", f"URL={path}", f"Proto={protocol}",
             f"ServicePort={port}", f"IP={peer}"]
    return "\n".join(lines + [f"RequestHeader={name}:{value}" for name, value in headers]) + "\n"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        text = described(self.headers.get("Host", ""), self.command, self.path, self.request_version, self.server.server_port,
                         self.headers.items(), self.client_address[0]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def log_message(self, *_):
        pass


def message(text):
    """A gRPC frame with one string as field 1, and back."""
    data, length, size = text.encode(), b"", len(text.encode())
    while True:
        length += bytes([size & 127 | (128 if size > 127 else 0)])
        size >>= 7
        if not size:
            break
    body = b"\x0a" + length + data
    return b"\0" + len(body).to_bytes(4, "big") + body


def text_of(frame):
    at = 6
    while frame[at] & 128:
        at += 1
    return frame[at + 1:].decode()


def serve_grpc(port):
    listener = socket.create_server(("0.0.0.0", port), backlog=128)
    while True:
        connection, peer = listener.accept()
        threading.Thread(target=converse, args=(connection, peer[0], port), daemon=True).start()


def converse(connection, peer, port):
    link = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
    link.initiate_connection()
    asked = {}
    with connection:
        connection.sendall(link.data_to_send())
        while data := connection.recv(65536):
            for event in link.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    asked[event.stream_id] = event.headers
                elif isinstance(event, h2.events.DataReceived):
                    link.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    headers = asked.pop(event.stream_id)
                    known = dict(headers)
                    text = described(known.get(":authority", ""), "POST", known[":path"], "GRPC", port,
                                     [pair for pair in headers if not pair[0].startswith(":")], peer)
                    link.send_headers(event.stream_id, [(":status", "200"), ("content-type", "application/grpc")])
                    link.send_data(event.stream_id, message(text))
                    link.send_headers(event.stream_id, [("grpc-status", "0")], end_stream=True)
            connection.sendall(link.data_to_send())


def serve_tcp(port):
    listener = socket.create_server(("0.0.0.0", port))
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(f"Hostname={os.environ.get('HOSTNAME', '')}\n".encode())


def server(argv):
    given = [flag.lstrip("-").split("=", 1) for flag in argv]
    secret = {value for name, value in given if name == "tls"}
    for name, value in given:
        target = {"grpc": serve_grpc, "tcp": serve_tcp}.get(name)
        if target:
            threading.Thread(target=target, args=(int(value),), daemon=True).start()
        elif name == "port" and value not in secret:
            made = http.server.ThreadingHTTPServer(("0.0.0.0", int(value)), Handler)
            threading.Thread(target=made.serve_forever, daemon=True).start()
    threading.Event().wait()


def show(code, headers, body):
    print(f"StatusCode={code}")
    for name, value in headers:
        print(f"ResponseHeader={name}:{value}")
    print(body, end="\n\n")


def ask_http(url, method, headers, count):
    connection = http.client.HTTPConnection(url.hostname, url.port or 80, timeout=10)
    path = (url.path or "/") + ("?" + url.query if url.query else "")
    for _ in range(count):
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        if "host" not in [name.lower() for name, _ in headers]:
            connection.putheader("Host", url.netloc)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        show(answer.status, answer.getheaders(), answer.read().decode(errors="replace"))


def ask_grpc(url, count):
    link = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
    link.initiate_connection()
    with socket.create_connection((url.hostname, url.port), 10) as connection:
        for _ in range(count):
            number = link.get_next_available_stream_id()
            link.send_headers(number, [(":method", "POST"), (":scheme", "http"), (":path", CALL), (":authority", url.netloc),
                                       ("content-type", "application/grpc"), ("te", "trailers")])
            link.send_data(number, message(""), end_stream=True)
            status, heads, body, over = 0, [], b"", False
            while not over:
                connection.sendall(link.data_to_send())
                data = connection.recv(65536)
                if not data:
                    sys.exit("the server closed the connection")
                for event in link.receive_data(data):
                    if isinstance(event, h2.events.ResponseReceived):
                        heads = event.headers
                        status = int(dict(heads)[":status"])
                        status = status if dict(heads).get("grpc-status", "0") == "0" else 500
                    elif isinstance(event, h2.events.DataReceived):
                        body += event.data
                        link.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    elif isinstance(event, h2.events.TrailersReceived) and dict(event.headers).get("grpc-status") != "0":
                        status = 500
                    elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset, h2.events.ConnectionTerminated)):
                        over = True
            show(status, [pair for pair in heads if not pair[0].startswith(":")], text_of(body) if body else "")


def client(argv):
    url, method, headers, count = None, "GET", [], 1
    words = iter(argv)
    for word in words:
        if word == "-H":
            name, _, value = next(words).partition(":")
            headers.append((name, value))
        elif word.startswith("--method="):
            method = word.partition("=")[2]
        elif word.startswith("--count="):
            count = int(word.partition("=")[2])
        else:
            url = urllib.parse.urlsplit(word)
    if url.scheme == "grpc":
        ask_grpc(url, count)
    else:
        ask_http(url, method, headers, count)


if os.path.basename(sys.argv[0]) == "client":
    client(sys.argv[1:])
else:
    server(sys.argv[2:])
