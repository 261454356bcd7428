"""The demo, on loopback addresses with a real Jaeger and, as root, with interception; each of its claims is one test.

usage: bookshop_test.py HEDDLE_PROXY HEDDLE_CONTROL HEDDLECTL BOOKSHOP
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

from process import peer
from report import Report

# Both print `ok   N. name (seconds): sentence`, several lines maybe, or `FAIL N. name: why`.
CLAIM = re.compile(r"^(ok|FAIL) +(\d+)\. ([^:(]+)", re.MULTILINE)
TOTAL = re.compile(r"^(\d+) of (\d+) claims held$", re.MULTILINE)


def run(report, mode, flags, folder):
    # Not below the runner's own folder: with interception the sidecars have a user of their own, who must get there.
    done = subprocess.run([sys.executable, "examples/bookshop/demo", "--bin", folder, *flags], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=600, env={**os.environ, "TMPDIR": "/tmp"})
    for outcome, number, name in CLAIM.findall(done.stdout):
        at = done.stdout.index(f"{number}. {name}")
        report.record(f"{mode}: {number}. {name.strip()}", [] if outcome == "ok" else [done.stdout[at:at + 1500]])
    total = TOTAL.search(done.stdout)
    whole = total is not None and int(total[2]) == len(CLAIM.findall(done.stdout)) >= 8
    report.record(f"{mode}: every claim was tried and the demo says the same", [] if whole and (
        done.returncode == 0) == (total[1] == total[2]) else [f"ended with {done.returncode}", done.stdout[-3000:]])


def main():
    report = Report()
    jaeger = peer("jaeger")
    for name in ("redis", "curl"):
        peer(name)
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        for path in sys.argv[1:5]:
            shutil.copy(path, os.path.join(folder, os.path.basename(path)))
        os.chmod(folder, 0o755)
        run(report, "loopback", ["--jaeger", jaeger], folder)
        os.environ["PATH"] += ":/usr/sbin:/sbin"
        if os.geteuid() == 0 and shutil.which("ip") and shutil.which("iptables"):
            run(report, "intercept", ["--intercept"], folder)
        else:
            print("without root, ip and iptables there is no interception to test")
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
