"""The kubelet's own server, which the API server calls for `kubectl logs`, `exec` and `port-forward`.

Whoever reaches it is served: it listens inside the test's own network only.
"""

import ctypes
import http.server
import json
import os
import socket
import ssl
import subprocess
import threading
import time
import urllib.parse

from k8s import world
from k8s.podrunner import runtime, spdy, spec as making
from k8s.support.log import say

PORT = 10250
NEWNET = 0x40000000


def certificate(folder):
    """(certificate, key) that the server signs itself: the API server does not check it unless it is told to."""
    cert, key = os.path.join(folder, "kubelet.crt"), os.path.join(folder, "kubelet.key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
                    "/CN=kubelet", "-days", "2", "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


def connect_within(netns, port):
    """A connection to 127.0.0.1:port as seen inside that network namespace. Its thread comes back where it was."""
    libc = ctypes.CDLL(None, use_errno=True)
    if netns is None:
        return socket.create_connection(("127.0.0.1", port), 10)
    with open("/proc/thread-self/ns/net", "rb") as home, open(netns, "rb") as there:
        if libc.setns(there.fileno(), NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        try:
            return socket.create_connection(("127.0.0.1", port), 10)
        finally:
            if libc.setns(home.fileno(), NEWNET) != 0:
                os._exit(1)


class Server:
    """Serves the runner's pods until the program ends."""

    def __init__(self, runner, address=world.NODE_ADDRESS, port=PORT):
        handler = type("Bound", (Handler,), {"runner": runner})
        self.server = http.server.ThreadingHTTPServer((address, port), handler)
        self.server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate(world.folder()))
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, name="kubelet", daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    runner = None

    def do_GET(self):
        self.serve()

    def do_POST(self):
        self.serve()

    def serve(self):
        url = urllib.parse.urlsplit(self.path)
        parts = [part for part in url.path.split("/") if part]
        query = urllib.parse.parse_qs(url.query)
        try:
            pod = self.runner.find(parts[1], parts[2])
            if parts[0] == "containerLogs":
                self.logs(pod.container(parts[3]), query)
            elif parts[0] == "exec":
                self.upgrade("v4.channel.k8s.io", lambda: Exec(pod.container(parts[3]), query))
            elif parts[0] == "portForward":
                self.upgrade("portforward.k8s.io", lambda: Forward(pod.netns_path()))
            else:
                self.say(404, "not served")
        except (KeyError, StopIteration, IndexError):
            self.say(404, "no such pod or container")
        except OSError as error:
            say(f"kubelet: {self.path}: {error}")
            self.close_connection = True

    def say(self, code, text):
        self.send_response(code)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def logs(self, container, query):
        follow = query.get("follow") == ["true"]
        with open(container.log_path(query.get("previous") == ["true"]), "rb") as file:
            text = file.read()
            if "tailLines" in query:
                count = int(query["tailLines"][0])
                text = b"".join(text.splitlines(keepends=True)[-count:]) if count else b""
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Connection", "close")
            self.close_connection = True
            self.end_headers()
            self.wfile.write(text)
            process = container.process
            while follow and process is not None:
                over = process.code is not None
                more = file.read()
                self.wfile.write(more)
                self.wfile.flush()
                if over:
                    return
                time.sleep(0.1)

    def upgrade(self, protocol, make):
        """Answers 101 and lets what make() gives handle the peer's streams."""
        if "spdy" not in self.headers.get("Upgrade", "").lower():
            self.say(400, "only SPDY/3.1 is spoken here")
            return
        self.send_response(101)
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", "SPDY/3.1")
        self.send_header("X-Stream-Protocol-Version", protocol)
        self.end_headers()
        self.wfile.flush()
        self.close_connection = True
        spdy.Session(self.connection, make().opened).run()

    def log_message(self, *_):
        pass


class Exec:
    """One command: waits for the streams that the query announces, runs it, writes how it ended to the error stream."""

    def __init__(self, container, query):
        self.container, self.argv = container, query.get("command", [])
        self.wanted = {"error"} | {name for name, flag in (("stdin", "input"), ("stdout", "output"), ("stderr", "error"))
                                   if query.get(flag, ["0"])[0] in ("1", "true")}
        self.streams = {}

    def opened(self, stream):
        self.streams[stream.headers.get("streamtype", "")] = stream
        if self.wanted <= set(self.streams):
            threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        status = {"metadata": {}, "status": "Success"}
        try:
            code = self._command()
            if code != 0:
                status = {"metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
                          "message": f"command terminated with non-zero exit code: exit status {code}",
                          "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]}}
        except runtime.StartError as error:
            status = {"metadata": {}, "status": "Failure", "reason": "InternalError", "message": str(error)}
        for name in ("stdout", "stderr"):
            if name in self.streams:
                self.streams[name].close()
        self.streams["error"].write(json.dumps(status).encode())
        self.streams["error"].close()

    def _command(self):
        container = self.container
        if container.process is None or container.process.code is not None:
            raise runtime.StartError(f"container {container.name} is not running")
        pipes = {name: os.pipe() for name in ("stdin", "stdout", "stderr")}
        try:
            process = runtime.launch(making.exec_spec(container.made, container.process.pid, self.argv), pipes["stdout"][1],
                                     pipes["stderr"][1], pipes["stdin"][0])
        finally:
            for descriptor in (pipes["stdin"][0], pipes["stdout"][1], pipes["stderr"][1]):
                os.close(descriptor)
        copies = [threading.Thread(target=self._copy_out, args=(name, pipes[name][0]), daemon=True) for name in ("stdout", "stderr")]
        for thread in copies:
            thread.start()
        threading.Thread(target=self._copy_in, args=(pipes["stdin"][1],), daemon=True).start()
        code = process.wait()
        for thread in copies:
            thread.join(5)
        return code

    def _copy_out(self, name, descriptor):
        with os.fdopen(descriptor, "rb") as pipe:
            while chunk := pipe.read1(16384):
                if name in self.streams:
                    self.streams[name].write(chunk)

    def _copy_in(self, descriptor):
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as pipe:
                while "stdin" in self.streams and (chunk := self.streams["stdin"].read()):
                    pipe.write(chunk)
        except OSError:
            pass


class Forward:
    """Port-forward: a pair of streams, error and data, for each connection."""

    def __init__(self, netns):
        self.netns = netns
        self.errors = {}

    def opened(self, stream):
        kind, number = stream.headers.get("streamtype"), stream.headers.get("requestid", "")
        if kind == "error":
            self.errors[number] = stream
        elif kind == "data":
            threading.Thread(target=self._carry, args=(stream, self.errors.get(number)), daemon=True).start()

    def _carry(self, stream, error):
        try:
            connection = connect_within(self.netns, int(stream.headers["port"]))
        except (OSError, KeyError, ValueError) as problem:
            if error is not None:
                error.write(f"cannot connect to port {stream.headers.get('port')}: {problem}".encode())
        else:
            with connection:
                threading.Thread(target=self._to_pod, args=(stream, connection), daemon=True).start()
                try:
                    connection.settimeout(None)
                    while chunk := connection.recv(16384):
                        stream.write(chunk)
                except OSError:
                    pass
        stream.close()
        if error is not None:
            error.close()

    @staticmethod
    def _to_pod(stream, connection):
        try:
            while chunk := stream.read():
                connection.sendall(chunk)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass
