"""The Gateway API's own conformance suite for meshes, profiles MESH-HTTP and MESH-GRPC, against Heddle in a real cluster. Each of the
suite's tests counts as one; what the suite says of the extended features that we do not name stands in docs/gateway_api.md.

usage: conformance_test.py HEDDLE_PROXY HEDDLE_CONTROL HEDDLECTL BOOKSHOP [SUITE'S TEST]
"""

import os
import re
import subprocess
import sys

from report import Report, need

from k8s import world
from k8s.cluster import enter, find_peer
from mesh import Mesh

# Of the extended features, those that we promise (docs/gateway_api.md). Not MeshClusterIPMatching: a name in Host decides here.
EXTENDED = [
    "MeshConsumerRoute", "MeshHTTPRouteBackendRequestHeaderModification", "MeshHTTPRouteNamedRouteRule",
    "MeshHTTPRouteQueryParamMatching", "MeshHTTPRouteRedirectPath", "MeshHTTPRouteRedirectPort", "MeshHTTPRouteRewritePath",
    "MeshHTTPRouteSchemeRedirect", "HTTPRouteResponseHeaderModification", "HTTPRouteParentRefPort",
]
ENDED = re.compile(r"^    --- (PASS|FAIL|SKIP): TestConformance/(\w+) \(", re.MULTILINE)


def suite(mesh, *flags):
    """(exit code, output) of the suite."""
    argv = [find_peer("gateway-conformance"), "-test.v", "-test.timeout", "30m", "--conformance-profiles=MESH-HTTP,MESH-GRPC",
            "--supported-features=" + ",".join(EXTENDED), "--namespace-labels=heddle.dev/inject=enabled", "--gateway-class=",
            "--cleanup-base-resources=false", "--organization=heddle", "--project=heddle", "--url=https://heddle.dev", "--version=test",
            "--contact=none", "--report-output=" + os.path.join(world.folder(), "conformance.yaml"), *flags]
    done = subprocess.run(argv, cwd=world.folder(), env={**os.environ, "KUBECONFIG": mesh.cluster.kubeconfig}, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, done.stdout


def part(output, name):
    """The end of what the suite said about one test, for a report."""
    lines = [line for line in output.splitlines() if f"TestConformance/{name}" in line or "wanted" in line or "expected" in line]
    return "\n".join(line[:400] for line in lines[-25:])


def main():
    programs = dict(zip(("heddle-proxy", "heddle-control", "heddlectl", "bookshop"), map(os.path.abspath, sys.argv[1:5])))
    enter("python-h2", "gateway-api", "gateway-conformance")
    report = Report()
    only = [f"--run-test={name}" for name in sys.argv[5:6]]
    with Mesh(programs) as mesh:
        report.run("heddlectl install", mesh.install)
        if not report.failed:
            code, output = suite(mesh, *only)
            results = {name: outcome for outcome, name in ENDED.findall(output)}
            for name, outcome in results.items():
                if outcome != "SKIP":
                    report.record(name, [] if outcome == "PASS" else [part(output, name)])
                    print(f"{outcome} {name}", flush=True)
            report.run("the suite ran to its end", lambda: need(results and (code == 0) == ("FAIL" not in results.values()), output[-4000:]))
        if report.failed:
            print(mesh.runner.describe("gateway-conformance-mesh")[-6000:])
            print(mesh.runner.describe("heddle-system")[-6000:])
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
