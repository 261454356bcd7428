"""Start, end and everything around a running heddle-proxy: draining without loss, signals, wrong files, the admin page, access
logs and their rotation, starting from the last good configuration.

usage: lifecycle_test.py HEDDLE_PROXY HEDDLE_CONTROL HEDDLECTL
"""

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time

import client
import h2.config
import h2.connection
import h2.events
import http1
from hyperframe.frame import GoAwayFrame
from origin import Origin
from process import Program, free_ports, get, program, until
from report import Report

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bad_files import BAD_FILES, BAD_FLAGS, listener  # noqa: E402
from fixture import HERE, Server  # noqa: E402

ADDRESS = "127.0.3.1"


# --- the end -----------------------------------------------------------------------------------


class Caller(threading.Thread):
    """Asks on one keep-alive connection after another until nobody listens any more. A request that was sent and not
    answered whole is lost, except on a connection that was idle when it was closed: there it never arrived."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.good, self.lost = port, 0, []

    def run(self):
        while True:
            try:
                sock = socket.create_connection(("127.0.0.1", self.port), timeout=5)
            except OSError:
                return
            with sock:
                reader = http1.Reader(sock)
                while self._one(sock, reader):
                    pass

    def _one(self, sock, reader):
        answer = http1.Message()
        try:
            sock.sendall(b"GET /load HTTP/1.1\r\nHost: any.test\r\nx-script: wait:5+200\r\n\r\n")
            reader.response(answer)
        except (OSError, http1.Closed) as error:
            self.lost.append(f"{type(error).__name__} {error} after {self.good}, got {answer.start!r}")
            return False
        if answer.status != 200:
            self.lost.append(f"{answer.start} {answer.body!r}")
        self.good += 1
        return answer.get("connection") != "close"


def drains_under_load(proxy, folder):
    with Server(proxy, folder, "--drain-time-s", "10") as server:
        callers = [Caller(server.plain) for _ in range(8)]
        for one in callers:
            one.start()
        time.sleep(1.0)
        server.program.signal(signal.SIGTERM)
        code = server.program.wait(10)
        for one in callers:
            one.join(5)
    lost = [text for one in callers for text in one.lost]
    asked = sum(one.good for one in callers)
    problems = [f"{len(lost)} of {asked + len(lost)} lost: {lost[:5]}"] if lost else []
    if asked < 50:
        problems.append(f"only {asked} requests were answered")
    return problems + ([] if code == 0 else [f"ended with {code}"])


def http2_finishes(proxy, folder):
    """Twenty slow streams on one connection: each is answered, there is a GOAWAY, the process ends with 0."""
    with Server(proxy, folder, "--drain-time-s", "10") as server:
        link = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="latin-1"))
        link.initiate_connection()
        for _ in range(20):
            link.send_headers(link.get_next_available_stream_id(), [
                (":method", "GET"), (":path", "/slow"), (":scheme", "http"), (":authority", "any.test"),
                ("x-script", "wait:600+200")], end_stream=True)
        ended, closed, goaways = 0, False, []
        # h2 takes nothing more after a GOAWAY; streams that were there before it go on.
        link._frame_dispatch_table[GoAwayFrame] = lambda frame: (goaways.append(frame) or [], [])
        with socket.create_connection(("127.0.0.1", server.plain), timeout=8) as sock:
            sock.sendall(link.data_to_send())
            until(lambda: len(server.origin.seen) == 20, 5, lambda: f"{len(server.origin.seen)} arrived")
            server.program.signal(signal.SIGTERM)
            while not closed:
                data = sock.recv(65536)
                closed = not data
                for event in link.receive_data(data) if data else []:
                    ended += isinstance(event, h2.events.StreamEnded)
                if not closed:
                    sock.sendall(link.data_to_send())
        code = server.program.wait(10)
    errors = [frame.error_code for frame in goaways if frame.error_code]
    good = ended == 20 and goaways and not errors and code == 0
    return [] if good else [f"{ended} streams ended, {len(goaways)} GOAWAY, errors {errors}, code {code}"]


def running_request_finishes(proxy, folder):
    """A slow request is answered with `connection: close`; meanwhile /ready says 503 and nobody new gets in."""
    with Server(proxy, folder, "--drain-time-s", "10") as server:
        got = {}
        text = b"GET /slow HTTP/1.1\r\nHost: any.test\r\nx-script: wait:1500+200\r\n\r\n"
        slow = threading.Thread(target=lambda: got.update(client.send_http1(server.plain, [text], patience=8.0)))
        slow.start()
        until(lambda: server.origin.seen, 5)
        server.program.signal(signal.SIGTERM)
        problems = []
        try:
            ready = until(lambda: (answer := get(server.url("/ready")))[0] != 200 and answer, 1, "/ready is still 200")
            if ready[0] != 503 or "DRAINING" not in ready[1]:
                problems.append(f"/ready: {ready}")
        except OSError as error:
            problems.append(f"the admin page is gone while a request runs: {error}")
        try:
            until(lambda: not listens(server.plain), 1, "it still takes connections")
        except TimeoutError as error:
            problems.append(str(error))
        slow.join()
        code = server.program.wait(5)
    if [answer["status"] for answer in got["answers"]] != [200]:
        problems.append(f"the request was not answered: {got}")
    elif ("connection", "close") not in got["answers"][0]["headers"]:
        problems.append(f"no connection: close in {got['answers'][0]['headers']}")
    return problems + ([] if code == 0 else [f"ended with {code}"])


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def hang(server):
    """A request that takes very long, under way."""
    sock = socket.create_connection(("127.0.0.1", server.plain), timeout=5)
    sock.sendall(b"GET /hang HTTP/1.1\r\nHost: any.test\r\nx-script: wait:30000+200\r\n\r\n")
    until(lambda: server.origin.seen, 5)
    return sock


def ends_after(proxy, folder, flags, signals, least, most):
    """How long it takes to end with a request that hangs."""
    with Server(proxy, folder, *flags) as server, hang(server):
        began = time.monotonic()
        for number in range(signals):
            server.program.signal(signal.SIGTERM)
            time.sleep(0.3 if number + 1 < signals else 0)
        code = server.program.wait(most + 2)
        took = time.monotonic() - began
    problems = [] if least <= took <= most else [f"took {took:.1f} s, not {least} to {most}"]
    return problems + ([] if code == 0 else [f"ended with {code}"])


def quits_when_asked(proxy, folder):
    with Server(proxy, folder) as server:
        status, _, _ = get(server.url("/quitquitquit"), "POST")
        code = server.program.wait(5)
    return [] if (status, code) == (200, 0) else [f"POST /quitquitquit: {status}, ended with {code}"]


def drain_listeners(proxy, folder):
    with Server(proxy, folder) as server:
        status, body, _ = get(server.url("/drain_listeners?graceful"), "POST")
        problems = [] if status == 200 else [f"{status} {body}"]
        until(lambda: not listens(server.plain), 5, "it still listens")
        if not server.program.running():
            problems.append("it ended")
    return problems


def health_fails(proxy, folder):
    with Server(proxy, folder) as server:
        states = [get(server.url("/ready"))[0]]
        for path in ("/healthcheck/fail", "/healthcheck/ok"):
            get(server.url(path), "POST")
            states.append(get(server.url("/ready"))[0])
    return [] if states == [200, 503, 200] else [f"/ready was {states}"]


# --- wrong files and flags -----------------------------------------------------------------------


def refuses(proxy, args, wanted):
    """Exit code 1 and one line on standard error, which holds every text of `wanted`."""
    done = subprocess.run([proxy, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=20)
    lines = done.stderr.rstrip("\n").split("\n")
    problems = [] if done.returncode == 1 else [f"exit code {done.returncode}"]
    if len(lines) != 1:
        problems.append(f"{len(lines)} lines")
    problems += [f"without {text!r}" for text in wanted if text not in lines[-1]]
    return [f"{' '.join(args)}: {', '.join(problems)}: {done.stderr[:500]!r}"] if problems else []


def bad_file(proxy, folder, text, wanted):
    path = os.path.join(folder, "bad.yaml")
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)
    return [problem for mode in ("validate", "serve")
            for problem in refuses(proxy, ["-c", path, "--mode", mode], [path, *wanted])]


def validates(proxy, folder):
    """A good file is said to be good, also while its ports are taken, and nothing is started."""
    with Server(proxy, folder) as server:
        done = subprocess.run([proxy, "-c", server.config, "--mode", "validate"], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=20)
    return [] if done.returncode == 0 and "OK" in done.stdout else [f"{done.returncode}: {done.stdout}"]


def warns(proxy, folder):
    """A field that is not known changes nothing, and is said, by its path."""
    path = os.path.join(folder, "unknown.yaml")
    with open(path, "w", encoding="utf-8") as out:
        out.write(listener("strip_hosts: true"))
    done = subprocess.run([proxy, "-c", path, "--mode", "validate"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=20)
    good = done.returncode == 0 and "strip_hosts" in done.stderr and "filter_chains[0]" in done.stderr
    return [] if good else [f"{done.returncode}: {done.stderr}"]


def port_taken(proxy, folder):
    with Server(proxy, folder) as server:
        with open(server.config, encoding="utf-8") as text, open(os.path.join(folder, "taken.yaml"), "w",
                                                                 encoding="utf-8") as out:
            out.write(text.read().replace(f"port_value: {server.admin}", f"port_value: {server.origin.port}"))
        done = subprocess.run([proxy, "-c", os.path.join(folder, "taken.yaml")], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=20)
    last = done.stderr.rstrip("\n").split("\n")[-1]
    good = done.returncode == 1 and str(server.origin.port) in last and "in use" in last
    return [] if good else [f"{done.returncode}: {done.stderr}"]


# --- the admin page --------------------------------------------------------------------------------


PAGES = ("/", "/help", "/certs", "/clusters", "/clusters?format=json", "/config_dump", "/listeners", "/listeners?format=json",
         "/ready", "/server_info", "/stats", "/stats?usedonly", "/stats?filter=upstream", "/stats?format=prometheus",
         "/stats/prometheus")
POSTS = ("/drain_listeners", "/healthcheck/fail", "/healthcheck/ok", "/logging", "/quitquitquit", "/reopen_logs")


def admin_pages(server, report):
    def answers(path, method, wanted):
        status, body, _ = get(server.url(path), method)
        return [] if status == wanted else [f"{status} {body[:200]}"]

    for path in PAGES:
        report.run(f"admin: GET {path}", lambda path=path: answers(path, "GET", 200))
    for path in POSTS:
        report.run(f"admin: GET {path} is refused", lambda path=path: answers(path, "GET", 405))
    report.run("admin: POST of a page to read is refused", lambda: answers("/ready", "POST", 405))
    for path in ("/nothing", "/ready/", "/../ready", "/%2e%2e/etc/passwd", "//ready"):
        report.run(f"admin: {path} is not there", lambda path=path: answers(path, "GET", 404))
    report.run("admin: secrets are redacted", lambda: redacted(server))
    report.run("admin: JSON is JSON", lambda: is_json(server))
    report.run("admin: Prometheus reads the page", lambda: prometheus(server))
    report.run("admin: the log level changes", lambda: logging(server))
    report.run("admin: survives nonsense", lambda: nonsense(server))


def redacted(server):
    body = get(server.url("/config_dump"))[1]
    lines = [line for line in server.key.splitlines() if line and "-----" not in line]
    problems = [f"a line of the key is shown in /config_dump: {line[:8]}..." for line in lines if line in body]
    for path in ("/certs", "/server_info", "/listeners?format=json"):
        text = get(server.url(path))[1]
        problems += [f"the key is shown in {path}" for line in lines if line in text]
    return problems


def is_json(server):
    problems = []
    for path in ("/certs", "/clusters?format=json", "/config_dump", "/listeners?format=json", "/server_info"):
        try:
            json.loads(get(server.url(path))[1])
        except ValueError as error:
            problems.append(f"{path}: {error}")
    state = json.loads(get(server.url("/server_info"))[1]).get("state")
    return problems + ([] if state == "LIVE" else [f"state is {state}"])


def prometheus(server):
    line = re.compile(r'[a-zA-Z_:][a-zA-Z0-9_:]*(\{[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\.)*"'
                      r'(,[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\.)*")*\})? -?[0-9.e+Inf]+$')
    client.send_http1(server.plain, [b"GET / HTTP/1.1\r\nHost: any.test\r\n\r\n"])
    body = get(server.url("/stats/prometheus"))[1]
    bad = [text for text in body.splitlines() if text and not text.startswith("#") and not line.match(text)]
    wanted = "envoy_cluster_upstream_rq_total"
    return [f"unreadable: {text}" for text in bad[:5]] + ([] if wanted in body else [f"no {wanted} in {body[:500]}"])


def logging(server):
    status, body, _ = get(server.url("/logging?level=debug"), "POST")
    wrong = get(server.url("/logging?level=loud"), "POST")[0]
    get(server.url("/logging?level=info"), "POST")
    return [] if status == 200 and wrong == 400 else [f"{status} {body[:200]}, a wrong level: {wrong}"]


def nonsense(server):
    for text in (b"\0" * 100, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 5000 + b"\r\n", b"GET /" + b"x" * 100000 + b" HTTP/1.1\r\n\r\n",
                 b"POST /logging HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", b"\x16\x03\x01\x02\0"):
        try:
            client.send_http1(server.admin, [text], patience=1.0, linger=0.05)
        except OSError:
            pass
    return [] if get(server.url("/ready"))[0] == 200 else ["it does not answer any more"]


# --- access logs -------------------------------------------------------------------------------------


DEFAULT_LINE = re.compile(r'^\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\] "GET /logged\?a=b HTTP/1\.1" 200 - 0 11 \d+ \d+ "-" "tester" '
                          r'"[0-9a-f-]{36}" "any\.test" "127\.0\.0\.1:\d+"$')


def ask(server, path="/logged?a=b"):
    client.send_http1(server.plain, [f"GET {path} HTTP/1.1\r\nHost: any.test\r\nUser-Agent: tester\r\n\r\n".encode()])


def lines_of(path):
    try:
        with open(path, encoding="utf-8") as log:
            return log.read().splitlines()
    except FileNotFoundError:
        return []


def default_format(server):
    ask(server)
    lines = until(lambda: lines_of(server.log_path), 12, "nothing was logged")
    return [] if DEFAULT_LINE.match(lines[-1]) else [lines[-1]]


def reopens(server, name, how):
    """After a rename nothing is lost: what comes before the reopening is in the old file, what comes after in the new."""
    ask(server, f"/before-{name}")
    moved = server.log_path + ".1"
    os.rename(server.log_path, moved)
    how(server)
    until(lambda: os.path.exists(server.log_path), 5, "no new file")
    time.sleep(0.2)
    ask(server, f"/after-{name}")
    until(lambda: any(f"/after-{name}" in line for line in lines_of(server.log_path)), 12, "nothing in the new file")
    problems = [] if any(f"/before-{name}" in line for line in lines_of(moved)) else ["what came before is lost"]
    if any(f"/after-{name}" in line for line in lines_of(moved)):
        problems.append("the old file is still written")
    os.remove(moved)
    return problems


# --- the last good configuration -----------------------------------------------------------------------


def last_good(proxy, control, ctl, folder, report):
    mesh, state, kept = (os.path.join(folder, name) for name in ("mesh", "control", "kept"))
    shutil.copytree(os.path.join(HERE, "mesh"), mesh)
    os.mkdir(kept, 0o700)
    app = Origin({}, port=19080, address=ADDRESS)
    ports = free_ports(2, ADDRESS)
    token = os.path.join(folder, "token")
    controls, sidecars = [], []

    def start_control():
        controls.append(Program([control, "--config", mesh, "--state-dir", state, "--listen", f"{ADDRESS}:{ports[0]}", "--admin",
                                 f"{ADDRESS}:{ports[1]}"], os.path.join(folder, "control.log")))

    def start_sidecar():
        sidecars.append(Program([proxy, "--control", f"{ADDRESS}:{ports[0]}", "--namespace", "alone", "--service-account", "self",
                                 "--workload", "self-a", "--address", ADDRESS, "--token-file", token, "--control-ca",
                                 os.path.join(state, "ca.crt"), "--state-dir", kept, "--admin-address",
                                 f"{ADDRESS}:15000"], os.path.join(folder, "sidecar.log")))

    def serves():
        text = b"GET / HTTP/1.1\r\nHost: self:9080\r\n\r\n"

        def whole():
            try:
                return [one["status"] for one in client.send_http1(15001, [text], address=ADDRESS)["answers"]] == [200]
            except OSError:
                return False
        until(whole, 20, lambda: f"it does not serve:\n{sidecars[-1].log()[-3000:]}\n{controls[-1].log()[-1500:]}")

    def ready():
        try:
            return get(f"http://{ADDRESS}:{ports[1]}/ready")[0] == 200
        except OSError:
            return False

    def make_token():
        until(ready, 15, lambda: controls[-1].log())
        with open(token, "w", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
            subprocess.run([ctl, "token", "--state-dir", state, "--namespace", "alone", "--service-account", "self"], stdout=out,
                           check=True)

    def first_start():
        start_control()
        make_token()
        start_sidecar()
        serves()

    def kept_privately():
        files = {name: stat.S_IMODE(os.stat(os.path.join(kept, name)).st_mode) for name in os.listdir(kept)}
        until(lambda: os.path.exists(os.path.join(kept, "last_good.pb")), 5, lambda: f"kept: {files}")
        return [f"{name} has mode {mode:o}" for name, mode in files.items() if mode & 0o077]

    def without_control():
        controls[-1].process.kill()
        controls[-1].process.wait()
        serves()
        sidecars[-1].stop()
        start_sidecar()
        serves()

    def unreadable():
        sidecars[-1].stop()
        path = os.path.join(kept, "last_good.pb")
        with open(path, "r+b") as file:
            file.truncate(os.path.getsize(path) // 2)
        start_sidecar()
        time.sleep(1.0)
        return [] if sidecars[-1].running() else [f"it ended: {sidecars[-1].log()[-2000:]}"]

    def back_again():
        start_control()
        serves()

    def another_root():
        """The control plane lost its CA: the running sidecar's certificate is worth nothing, its token and the new root are."""
        controls[-1].stop()
        shutil.rmtree(state)
        start_control()
        make_token()

        def connected():
            return '"connected":true' in get(f"http://{ADDRESS}:15000/server_info")[1] and (
                "--control-ca has changed" in sidecars[-1].log())
        until(connected, 60, lambda: f"it does not come back:\n{sidecars[-1].log()[-3000:]}")
        serves()

    try:
        report.run("last good: a first start", first_start)
        report.run("last good: kept for nobody else to read", kept_privately)
        report.run("last good: serves, and starts anew, without the control plane", without_control)
        report.run("last good: half a file is left out", unreadable)
        report.run("last good: catches up when the control plane is back", back_again)
        report.run("a control plane with another root: the sidecar proves itself anew by its token", another_root)
    finally:
        for one in [*sidecars, *controls]:
            one.stop()
        app.close()


def main():
    report = Report()
    proxy, control, ctl = [program(path) for path in sys.argv[1:4]]

    def apart(name, test, *args):
        def run():
            with tempfile.TemporaryDirectory() as folder:
                return test(proxy, folder, *args)
        report.run(name, run)

    apart("SIGTERM under load loses nothing", drains_under_load)
    apart("SIGTERM lets a running request finish", running_request_finishes)
    apart("SIGTERM lets HTTP/2 streams finish", http2_finishes)
    apart("SIGTERM ends after the drain time", ends_after, ["--drain-time-s", "1"], 1, 0.8, 3.0)
    apart("a second SIGTERM ends at once", ends_after, ["--drain-time-s", "60"], 2, 0.2, 2.0)
    apart("POST /quitquitquit ends", quits_when_asked)
    apart("POST /drain_listeners closes them", drain_listeners)
    apart("the health check fails by hand", health_fails)
    for name, text, wanted in BAD_FILES:
        apart(f"bad file: {name}", bad_file, text, wanted)
    for args, wanted in BAD_FLAGS:
        report.run(f"bad flags: {' '.join(args)}", lambda args=args, wanted=wanted: refuses(proxy, args, wanted))
    apart("--mode validate of a good file", validates)
    apart("--mode validate names unknown fields", warns)
    apart("a port that is taken", port_taken)
    with tempfile.TemporaryDirectory() as folder, Server(proxy, folder) as server:
        admin_pages(server, report)
        report.run("access log: the default format", lambda: default_format(server))
        report.run("access log: SIGUSR1 reopens", lambda: reopens(server, "signal", lambda one: one.program.signal(signal.SIGUSR1)))
        report.run("access log: POST /reopen_logs reopens",
                   lambda: reopens(server, "post", lambda one: get(one.url("/reopen_logs"), "POST")))
    with tempfile.TemporaryDirectory() as folder:
        report.run("last good", lambda: last_good(proxy, control, ctl, folder, report))
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
