"""Spans leave heddle-proxy by OTLP over gRPC and over HTTP into a real Jaeger, and `heddlectl trace --jaeger` shows them; a
collector that fails costs spans and nothing else. (heddle-control's --otlp-forward: the bookshop.)

usage: tracing_test.py HEDDLE_PROXY HEDDLECTL
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

import client
from origin import Origin
from process import Program, free_ports, get, peer, program, until
from report import Report

HERE = os.path.dirname(os.path.abspath(__file__))
PORTS = ["ADMIN", "BYGRPC", "BYHTTP", "BYSCRIPT", "OTLPGRPC", "OTLPHTTP", "QUERY"]
# Jaeger opens all of these, used or not.
UNUSED = ["--query.grpc-server.host-port", "--admin.http.host-port", "--collector.grpc-server.host-port",
          "--collector.http-server.host-port", "--processor.jaeger-binary.server-host-port",
          "--processor.jaeger-compact.server-host-port", "--processor.zipkin-compact.server-host-port",
          "--http-server.host-port"]


class Traced:
    """heddle-proxy on tracing.yaml between an origin, a scripted collector and Jaeger. Use as a context manager."""

    def __init__(self, folder, proxy, ctl):
        self.ctl = ctl
        self.origin, self.script = Origin({}), Origin({})
        self.ports = dict(zip(PORTS, free_ports(len(PORTS))))
        values = {**self.ports, "ORIGIN": self.origin.port, "SCRIPT": self.script.port}
        config = os.path.join(folder, "tracing.yaml")
        with open(os.path.join(HERE, "tracing.yaml"), encoding="utf-8") as text, open(config, "w", encoding="utf-8") as out:
            out.write(re.sub(r"@([A-Z]+)@", lambda match: str(values[match[1]]), text.read()))
        flags = [f"{flag}=127.0.0.1:{port}" for flag, port in zip(UNUSED, free_ports(len(UNUSED)))]
        self.jaeger = Program(
            [peer("jaeger"), "--collector.otlp.enabled=true",
             f"--collector.otlp.grpc.host-port=127.0.0.1:{self.ports['OTLPGRPC']}",
             f"--collector.otlp.http.host-port=127.0.0.1:{self.ports['OTLPHTTP']}",
             f"--query.http-server.host-port=127.0.0.1:{self.ports['QUERY']}", *flags],
            os.path.join(folder, "jaeger.log"), env={**os.environ, "SPAN_STORAGE_TYPE": "memory"})
        self.proxy = Program([proxy, "-c", config], os.path.join(folder, "proxy.log"))

    def __enter__(self):
        until(self.jaeger_answers, 60, self.jaeger.log)
        self.proxy.wait_ready(self.ports["ADMIN"])
        return self

    def __exit__(self, *_):
        self.proxy.stop()
        self.jaeger.stop()
        self.origin.close()
        self.script.close()

    def jaeger_answers(self):
        try:
            return get(f"http://127.0.0.1:{self.ports['QUERY']}/api/services")[0] == 200
        except OSError:
            return False

    def ask(self, listener, trace):
        """One request as a part of `trace`; the status."""
        text = (f"GET /books HTTP/1.1\r\nHost: shop.test\r\nx-case: {trace}\r\n"
                f"traceparent: 00-{trace}-00f067aa0ba902b7-01\r\n\r\n")
        got = client.send_http1(self.ports[listener], [text.encode()], answers=1, linger=0.01)
        return [answer["status"] for answer in got["answers"]]

    def trace(self, *args):
        """What `heddlectl trace` prints of Jaeger's; nothing when it fails."""
        done = subprocess.run([self.ctl, "trace", "--jaeger", f"127.0.0.1:{self.ports['QUERY']}", *args],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        return done.stdout if done.returncode == 0 else ""


def reaches_jaeger(traced, listener, service, trace):
    if traced.ask(listener, trace) != [200]:
        return ["the request failed", traced.proxy.log()]
    shown = until(lambda: traced.trace(trace), 30, lambda: f"no trace {trace}\n{traced.proxy.log()}\n{traced.jaeger.log()[-2000:]}")
    wanted = trace, service, "1 span", "shop.test", "200"
    problems = [f"heddlectl trace shows no {word!r}:\n{shown}" for word in wanted if word not in shown]
    listed = traced.trace("--service", service)
    return problems + ([] if trace in listed else [f"heddlectl trace --service {service} lists\n{listed}"])


def http_export_is_a_post(traced):
    """One POST with the path of the URI, the collector's name, and the spans as protobuf."""
    trace = "c" * 32
    traced.script.take()
    if traced.ask("BYSCRIPT", trace) != [200]:
        return ["the request failed"]
    seen = until(lambda: traced.script.seen and traced.script.take(), 10, traced.proxy.log)
    request = seen[0]
    wanted = {"host": "collector.test", "x-key": "100%", "content-type": "application/x-protobuf", "content-length": str(len(request.body))}
    problems = [f"{name} is {request.get(name)!r}" for name, value in wanted.items() if request.get(name) != value]
    if request.start != "POST /in/traces?tenant=a HTTP/1.1":
        problems.append(request.start)
    for part in (bytes.fromhex(trace), bytes.fromhex("00f067aa0ba902b7"), b"by-script", b"service.name"):
        if part not in request.body:
            problems.append(f"the body is without {part!r}: {request.body!r}")
    return problems


def failing_collector_costs_spans_only(traced):
    """A collector that refuses and then is away: requests go on, the log says so once, and later spans arrive."""
    log = len(traced.proxy.log())
    script = traced.script
    port = script.port
    script.close()
    statuses = [traced.ask("BYSCRIPT", "d" * 32) for _ in range(5)]
    until(lambda: "spans were not exported" in traced.proxy.log()[log:], 10, traced.proxy.log)
    problems = [f"a request got {one}" for one in statuses if one != [200]]
    traced.script = Origin({}, port=port)
    trace = "e" * 32

    def arrives():
        traced.ask("BYSCRIPT", trace)
        return any(bytes.fromhex(trace) in one.body for one in traced.script.take())

    until(arrives, 20, lambda: f"nothing arrives any more\n{traced.proxy.log()}", step=0.3)
    said = traced.proxy.log()[log:].count("spans were not exported")
    return problems + ([] if said == 1 else [f"it was said {said} times", traced.proxy.log()[log:]])


def last_spans_leave_at_the_end(traced):
    """SIGTERM right after a request: its span is exported before the process ends."""
    trace = "f" * 32
    traced.ask("BYHTTP", trace)
    traced.proxy.stop(10)
    until(lambda: traced.trace(trace), 20, lambda: f"the last span is lost\n{traced.proxy.log()}")


def main():
    report = Report()
    proxy, ctl = [program(path) for path in sys.argv[1:3]]
    folder = tempfile.mkdtemp()
    try:
        with Traced(folder, proxy, ctl) as traced:
            report.run("spans reach Jaeger over gRPC", lambda: reaches_jaeger(traced, "BYGRPC", "by-grpc", "a" * 32))
            report.run("spans reach Jaeger over HTTP", lambda: reaches_jaeger(traced, "BYHTTP", "by-http", "b" * 32))
            report.run("an export over HTTP is one POST", lambda: http_export_is_a_post(traced))
            report.run("a failing collector costs spans only", lambda: failing_collector_costs_spans_only(traced))
            report.run("the last spans leave at the end", lambda: last_spans_leave_at_the_end(traced))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
