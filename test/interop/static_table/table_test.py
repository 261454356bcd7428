"""The same static file and the same requests to Envoy and to heddle-proxy: answers, what the origin got, and the access
log agree. A row whose difference is meant stands in docs/differences_from_envoy.md and is left out here.

usage: table_test.py HEDDLE_PROXY [--only TEXT] [--verbose]
"""

import argparse
import os
import pprint
import re
import subprocess
import sys
import tempfile
import threading
import time

import client
from h2_origin import H2Origin
from origin import Origin
from process import ROOT, Program, free_ports, peer, program
from report import Report

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from refused import files  # noqa: E402
from rows import OURS, REPLIES, ROWS  # noqa: E402

LISTENERS = ("main", "edge", "inside", "behind", "hops", "old", "hasty", "whole")
TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "table.yaml")
DIFFERENCES = os.path.join(ROOT, "docs/differences_from_envoy.md")
FIELDS = ("code", "flags", "details", "protocol", "method", "path", "route", "cluster", "attempts", "received", "sent",
          "grpc", "authority", "case", "flags-long", "failure", "termination", "client", "local", "chain", "server", "trailer",
          "grpc-number", "duration", "request-duration", "request-tx", "response-duration", "response-tx", "upstream",
          "upstream-local", "connection", "wire-sent", "wire-received")
# Of these only whether there is one is compared.
MEASURED = {"duration", "request-duration", "request-tx", "response-duration", "response-tx", "upstream", "upstream-local",
            "connection"}
# Values that are each run's own: present or not is compared, the value is not.
OWN = {"date", "x-envoy-upstream-service-time"}


class Side:
    """One proxy with origins of its own."""

    def __init__(self, name, command, folder):
        self.name = name
        self.folder = os.path.join(folder, name)
        os.mkdir(self.folder)
        self.origin = Origin(REPLIES)
        self.h2_origin = H2Origin()
        ports = free_ports(len(LISTENERS) + 2)
        self.ports = dict(zip(LISTENERS, ports))
        self.admin = ports[-1]
        self.log_path = os.path.join(self.folder, "access.log")
        values = {"LOG": self.log_path, "ADMIN": self.admin, "REFUSED": ports[-2], "ORIGIN": self.origin.port,
                  "ORIGIN_H2": self.h2_origin.port, **{name.upper(): port for name, port in self.ports.items()}}
        with open(TABLE, encoding="utf-8") as table:
            text = re.sub(r"@([A-Z0-9_]+)@", lambda match: str(values[match[1]]), table.read())
        config = os.path.join(self.folder, "table.yaml")
        with open(config, "w", encoding="utf-8") as out:
            out.write(text)
        self.results = []
        self.program = Program(command + ["-c", config], os.path.join(self.folder, "output"))

    def run(self, rows):
        for number, row in enumerate(rows):
            source = f"127.9.{number // 250}.{number % 250 + 1}"
            self.origin.take()
            self.h2_origin.take()
            if row.h2 is not None:
                got = client.send_http2(self.ports[row.to], source=source, **row.h2)
            else:
                got = client.send_http1(self.ports[row.to], row.parts, answers=row.answers, to_head=row.to_head,
                                        linger=row.linger, source=source, **row.options)
            time.sleep(0.01)
            got["source"] = source
            got["origin"] = self.origin.take() + self.h2_origin.take()
            self.results.append(got)

    def logged(self):
        """The access log's lines by the client's address: each row has its own."""
        lines = {}
        try:
            with open(self.log_path, encoding="latin-1") as log:
                for line in log:
                    address, *values = line.rstrip("\n").split("\t")
                    fields = {name: "*" if name in MEASURED and value != "-" else value
                              for name, value in zip(FIELDS, values)}
                    lines.setdefault(address.rsplit(":", 1)[0], []).append(certain(fields))
        except FileNotFoundError:
            pass
        return lines


def certain(line):
    """A log line without what is each run's own: the bytes of compressed heads, and of messages that turned out broken,
    where what was seen is a matter of reads; so is how much was seen of answers that were dropped for another attempt."""
    broken = any(flag in ("DPE", "UPE") for flag in line.get("flags", "").split(","))
    if broken or line.get("cluster") == "origin-h2":
        line = {**line, "wire-sent": "*", "wire-received": "*"}
    if line.get("attempts") not in ("0", "1"):
        line = {**line, "wire-received": "*"}
    if broken and "DPE" in line["flags"]:
        line = {**line, "upstream": "*", "upstream-local": "*", "request-tx": "*"}
    return line


def refused_alike(proxy, text):
    """Envoy and heddle-proxy both take the file, or both refuse it."""
    said = {}
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        for command in (peer("envoy"), proxy):
            done = subprocess.run([command, "--mode", "validate", "-c", file.name], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, check=False, timeout=60)
            said[command] = (done.returncode != 0, done.stdout[-600:])
    return [] if len({refused for refused, _ in said.values()}) == 1 else [f"{name}: refused {one[0]}: {one[1]}"
                                                                           for name, one in said.items()]


def headers(fields, row):
    """Lower case, sorted by name, values of one name in their order; own values as `*`."""
    own = OWN if row.keep_ids else OWN | {"x-request-id"}
    return sorted(((name.lower(), "*" if name.lower() in own else value) for name, value in fields),
                  key=lambda field: field[0])


def plain(value):
    """What came behind the answers, without its time."""
    return re.sub(rb"\ndate: [^\r]*", b"\ndate: *", value) if isinstance(value, bytes) else value


def comparable(row, got, log):
    """What is compared of one row. Requests that the origin got only a part of are left out: how much of a head goes on
    before its body turns out wrong is a matter of reads. So is the time left for a second attempt. An HTTP/2 connection
    that ends with GOAWAY or without is the same."""
    attempts = [{"start": seen.start, "headers": headers(seen.headers, row), "body": seen.body,
                 "trailers": sorted(seen.trailers)} for seen in got["origin"] if seen.complete]
    for attempt in attempts[1:]:
        attempt["headers"] = [field for field in attempt["headers"] if field[0] != "x-envoy-expected-rq-timeout-ms"]
    return {
        "answers": [{**answer, "headers": headers(answer["headers"], row)} for answer in got["answers"]],
        "interim": got["interim"],
        "closed": got["closed"] or got.get("goaway") is not None,
        "ended": {key: plain(got[key]) for key in ("reset", "timeout", "unreadable", "left") if got.get(key)},
        "origin": attempts,
        "log": log.get(got["source"], []),
    }


def flat(value, at=""):
    """Leaves by path, so that a difference is named by its place."""
    if isinstance(value, dict):
        pairs = value.items()
    elif isinstance(value, list) and value and isinstance(value[0], tuple):
        names = sorted({name for name, _ in value})
        pairs = ((f"{{{name}}}", [text for key, text in value if key == name]) for name in names)
        return {f"{at}{key}": text for key, text in pairs}
    elif isinstance(value, list):
        pairs = [("count", len(value))] + list(enumerate(value))
    else:
        return {at: value}
    out = {}
    for key, inner in pairs:
        out.update(flat(inner, f"{at}.{key}" if at else str(key)))
    return out


def differences(envoy, heddle, skip):
    left, right = flat(envoy), flat(heddle)
    return [f"{key}: Envoy {left.get(key)!r}, heddle-proxy {right.get(key)!r}"
            for key in sorted(left.keys() | right.keys()) if left.get(key) != right.get(key) and not matches(key, skip)]


def documented():
    """[(row patterns, patterns of what is not compared)] of the tables in docs/differences_from_envoy.md."""
    listed = []
    with open(DIFFERENCES, encoding="utf-8") as text:
        for line in text:
            cells = line.split(" | ")
            if line.startswith("| `"):
                listed.append([re.findall(r"`([^`]+)`", cell) for cell in cells[:2]])
    return listed


def matches(text, patterns):
    return any(re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), text) for pattern in patterns)


def left_out(listed, row):
    """Patterns of what is not compared of this row."""
    return [what for rows, whats in listed if matches(row.name, rows) for what in whats]


def ours(row, heddle):
    """A row that is left out altogether still has to be answered as OURS says; 400 means that the origin got nothing."""
    wanted = OURS.get(row.name)
    statuses = [answer["status"] for answer in heddle["answers"]]
    problems = [] if wanted is None or statuses == wanted else [f"heddle-proxy answered {statuses}, wanted {wanted}"]
    if wanted == [400] and heddle["origin"]:
        problems.append(f"the origin received {heddle['origin']}")
    return problems


def show(parts):
    return [part if len(str(part)) < 400 else part[:400] for part in parts]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("proxy")
    parser.add_argument("--only", default="")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    listed = documented()
    report = Report()
    names = [row.name for row in ROWS]
    report.record("row names are distinct", [name for name in set(names) if names.count(name) > 1])
    report.record("documented differences are rows", [pattern for patterns, _ in listed for pattern in patterns
                                                      if not any(matches(name, [pattern]) for name in names)])
    for name, text in files():
        if options.only in name:
            report.run(f"refused alike: {name}", lambda text=text: refused_alike(program(options.proxy), text))
    rows = [row for row in ROWS if options.only in row.name]
    with tempfile.TemporaryDirectory() as folder:
        envoy = Side("envoy", [peer("envoy"), "--concurrency", "1", "--use-dynamic-base-id", "--log-level", "warning",
                               "--file-flush-interval-msec", "20"], folder)
        heddle = Side("heddle", [program(options.proxy)], folder)
        with envoy.program, heddle.program:
            for side in (envoy, heddle):
                side.program.wait_ready(side.admin)
            threads = [threading.Thread(target=side.run, args=(rows,)) for side in (envoy, heddle)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            time.sleep(1.0)
            alive = [side.name for side in (envoy, heddle) if not side.program.running()]
        report.record("both are still running at the end", [f"{name} ended" for name in alive])
        logs = envoy.logged(), heddle.logged()
        for row, left, right in zip(rows, envoy.results, heddle.results):
            left, right = comparable(row, left, logs[0]), comparable(row, right, logs[1])
            skip = left_out(listed, row)
            problems = differences(left, right, skip) + ours(row, right)
            if skip and not options.only and not differences(left, right, []):
                print(f"note: {row.name}: documented, yet the same this time")
            if problems:
                problems.append(f"sent to {row.to}: {row.h2 or show(row.parts)}")
            if options.verbose:
                problems += [pprint.pformat(left, width=150), pprint.pformat(right, width=150)]
            report.record(row.name, problems)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
