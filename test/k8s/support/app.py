"""What runs in the tests' containers: an HTTP server that does as it is told.

usage: app.py PORT [--slow-start SECONDS] [--linger SECONDS]

GET /            pod, uid, pid, environment as JSON
GET /healthz     200, or 500 once POST /sick was there
GET /slow/N      the same as /, N seconds later
GET /hook/NAME   200, and told on standard output as "hook/NAME"
POST /sick, /well, /end (exits with 3)
SIGTERM is answered by ending after --linger seconds. Each of these is told on standard output as "what time".
"""

import http.server
import json
import os
import signal
import sys
import threading
import time


def tell(what):
    print(f"{what} {time.time():.3f}", flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    well = True

    def do_GET(self):
        if self.path == "/healthz":
            self.say(200 if Handler.well else 500, "well" if Handler.well else "sick")
        elif self.path.startswith("/hook/"):
            tell(self.path[1:])
            self.say(200, "")
        else:
            if self.path.startswith("/slow/"):
                time.sleep(float(self.path[6:]))
            self.say(200, json.dumps({"host": os.environ.get("HOSTNAME"), "uid": os.getuid(), "pid": os.getpid(),
                                      "peer": self.client_address[0], "env": dict(os.environ)}))

    def do_POST(self):
        if self.path == "/end":
            os._exit(3)
        Handler.well = self.path == "/well"
        self.say(200, "")

    def say(self, code, text):
        self.send_response(code)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


def option(name):
    return float(sys.argv[sys.argv.index(name) + 1]) if name in sys.argv else 0.0


def end(*_):
    tell("term")

    def leave():
        time.sleep(option("--linger"))
        tell("exit")
        os._exit(0)
    threading.Thread(target=leave).start()


signal.signal(signal.SIGTERM, end)
tell("start")
time.sleep(option("--slow-start"))
http.server.ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()
