"""Runs a file's scenarios, each a function of the mesh, in one cluster and in order.

    sys.exit(scenarios.main([("what it shows", function), ...], needed=(installed,)))

usage of such a file: X_test.py HEDDLE_PROXY HEDDLE_CONTROL HEDDLECTL BOOKSHOP [--stay] [NAME...]

NAMEs of functions run those alone (and those that the others need). --stay gives a shell in the cluster at the end, with kubectl
and heddlectl, and leaves out what takes the installation away.
"""

import os
import subprocess
import sys
import time

from report import Report

from k8s.cluster import enter
from mesh import SHOP, SYSTEM, VISITORS, Mesh

PROGRAMS = ("heddle-proxy", "heddle-control", "heddlectl", "bookshop")


def main(tests, needed=(), ends=(), images=None):
    """`needed`: when one of these fails the rest is not tried. `ends`: functions that --stay leaves out. `images(programs)`: more of
    what images' names stand for."""
    programs = dict(zip(PROGRAMS, map(os.path.abspath, sys.argv[1:5])))
    enter("redis", "gateway-api")
    report = Report()
    stay = "--stay" in sys.argv
    only = [name for name in sys.argv[5:] if name != "--stay"]
    with Mesh(programs) as mesh:
        mesh.runner.images.update(images(programs) if images else {})
        for name, test in tests:
            if (only and test.__name__ not in only and test not in needed) or (stay and test in ends):
                continue
            began, failed = time.monotonic(), report.failed
            report.run(name, lambda test=test: test(mesh))
            print(f"{'ok    ' if report.failed == failed else 'FAILED'}  {name} ({time.monotonic() - began:.1f} s)", flush=True)
            if report.failed and test in needed:
                break
        if report.failed:
            for namespace in (SYSTEM, SHOP, VISITORS):
                print(mesh.runner.describe(namespace)[-12000:])
        if stay:
            print("A shell in the cluster: kubectl -n bookshop get pods; heddlectl status. Its end ends the cluster.")
            subprocess.run([os.environ.get("SHELL", "/bin/sh")], env=mesh.environment(), check=False)
    return report.end()
