"""h2spec against heddle-proxy's cleartext HTTP/2, in front of an HTTP/1 origin. Each of its cases is one test. With
codec_type AUTO a wrong preface is HTTP/1 and answered as that, so the listener says HTTP2.

usage: h2spec_test.py HEDDLE_PROXY
"""

import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

from origin import Origin
from process import Program, free_ports, peer, program
from report import Report

HERE = os.path.dirname(os.path.abspath(__file__))


def run(proxy, report):
    origin = Origin({})
    listen, admin = free_ports(2)
    with tempfile.TemporaryDirectory() as folder:
        values = {"ADMIN": admin, "LISTEN": listen, "ORIGIN": origin.port}
        config = os.path.join(folder, "server.yaml")
        with open(os.path.join(HERE, "server.yaml"), encoding="utf-8") as text, open(config, "w", encoding="utf-8") as out:
            out.write(re.sub(r"@([A-Z]+)@", lambda match: str(values[match[1]]), text.read()))
        junit = os.path.join(folder, "report.xml")
        with Program([proxy, "-c", config], os.path.join(folder, "output")) as heddle:
            heddle.wait_ready(admin)
            done = subprocess.run([peer("h2spec"), "--host", "127.0.0.1", "--port", str(listen), "--strict", "--timeout", "4",
                                   "--junit-report", junit], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            report.record("heddle-proxy is still running", [] if heddle.running() else [heddle.log()[-2000:]])
        cases = list(xml.etree.ElementTree.parse(junit).getroot().iter("testcase"))
    report.record("h2spec ran its cases", [] if len(cases) > 100 else [f"{len(cases)} cases:\n{done.stdout[-2000:]}"])
    for case in cases:
        bad = [part for part in case if part.tag in ("failure", "error", "skipped")]
        text = [f"{part.tag}: {(part.text or part.get('message') or '').strip()}" for part in bad]
        report.record(f"{case.get('package')} {case.get('classname')}", text)


def main():
    report = Report()
    run(program(sys.argv[1]), report)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
