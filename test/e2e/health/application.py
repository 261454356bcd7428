"""The application behind the probes: HTTP, HTTPS, a bare TCP port and gRPC health, each on a port of its own."""

import http.server
import os
import ssl
import socket
import subprocess
import threading

import h2.config
import h2.connection
import h2.events


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers /status/NNN with that status; /hang with nothing."""

    def do_GET(self):
        self.server.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        if self.path.startswith("/hang"):
            self.server.hold.wait(60)
            return
        self.send_response(int(self.path.split("/")[2].split("?")[0]))
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_):
        pass


class Http(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address="127.0.0.1", folder=None):
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, 0), Handler)
        self.seen, self.hold = [], threading.Event()
        if folder:
            key, certificate = os.path.join(folder, "app.key"), os.path.join(folder, "app.crt")
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                            "-days", "1", "-subj", "/CN=nobody", "-keyout", key, "-out", certificate],
                           check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def end(self):
        self.hold.set()
        self.shutdown()
        self.server_close()


class GrpcHealth:
    """grpc.health.v1.Health/Check: `status` by service; NOT_FOUND for others. Messages by hand: they are tiny."""

    def __init__(self):
        self.status = {"": 1}
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        link = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        link.initiate_connection()
        bodies = {}
        with sock:
            try:
                sock.sendall(link.data_to_send())
                while data := sock.recv(65536):
                    for event in link.receive_data(data):
                        if isinstance(event, h2.events.RequestReceived):
                            bodies[event.stream_id] = b""
                            assert dict(event.headers)[":path"] == "/grpc.health.v1.Health/Check"
                        elif isinstance(event, h2.events.DataReceived):
                            bodies[event.stream_id] += event.data
                        elif isinstance(event, h2.events.StreamEnded):
                            self._answer(link, event.stream_id, bodies.pop(event.stream_id))
                    sock.sendall(link.data_to_send())
            except OSError:
                pass

    def _answer(self, link, stream, body):
        message = body[5:]  # compression flag and length
        service = message[2:2 + message[1]].decode() if message else ""
        link.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
        if service in self.status:
            link.send_data(stream, b"\x00\x00\x00\x00\x02\x08" + bytes([self.status[service]]))
        link.send_headers(stream, [("grpc-status", "0" if service in self.status else "5"),
                                   ("grpc-message", "" if service in self.status else "unknown service")], end_stream=True)

    def end(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
