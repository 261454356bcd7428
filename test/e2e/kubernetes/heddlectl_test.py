"""heddlectl through the kubeconfig, by the real kubectl: every command that reaches a cluster, what it prints and with which exit code.

usage: scenarios.py
"""

import json
import re
import subprocess
import sys

import scenarios
from mesh import SHOP, SYSTEM, VISITORS
from report import need


def installed(mesh):
    mesh.install()
    mesh.visitors()
    mesh.bookshop()
    mesh.mtls("STRICT")
    mesh.policy("backends", "reviews-route", "access")
    mesh.until("an answer through the mesh", mesh.shop)


def ctl(mesh, *argv):
    """(exit code, output, errors)"""
    done = subprocess.run([mesh.programs["heddlectl"], *argv], capture_output=True, text=True, check=False, env=mesh.environment())
    return done.returncode, done.stdout, done.stderr


def says(mesh, *argv, words=(), code=0, errors=False):
    """Runs it; each of `words` (patterns) is in what it prints. Its output."""
    got, out, err = ctl(mesh, *argv)
    text = err if errors else out
    need(got == code, f"heddlectl {' '.join(argv)}: exit {got}, {out[-2000:]}{err[-2000:]}")
    for word in words:
        need(re.search(word, text), f"heddlectl {' '.join(argv)} does not say {word!r}:\n{out}{err}")
    return text


def status(mesh):
    every = [f"{namespace}/{item['metadata']['name']}" for namespace in (SHOP, VISITORS) for item in mesh.pods(namespace)]
    text = says(mesh, "status", "--kubernetes", "--wait", "60s", words=["answered by all"])
    for node in every:
        need(re.search(re.escape(node) + r" +synced", text), f"{node} is not synced in:\n{text}")
    page = json.loads(says(mesh, "status", "--kubeconfig", mesh.cluster.kubeconfig, "--json"))
    need(sorted(p["node"] for p in page["proxies"] if p["in_configuration"]) == sorted(every), page["proxies"])
    need(all(p["agent"] == "heddle-proxy/0.1.0" for p in page["proxies"] if p["in_configuration"]), page["proxies"])


def explain(mesh):
    web, catalog = (f"{SHOP}/{mesh.pod(SHOP, f'app={name}')}" for name in ("web", "catalog"))
    says(mesh, "explain", "--kubernetes", "--from", catalog, "http://reviews:9080/reviews/1", words=[
        "route +1 of 2: bookshop/reviews/0", "timeout +3 s", "retries +3 on ", "95 % to reviews-v1.bookshop:9080", "5 % to reviews-v2",
        r"endpoint 10\.244\.0\.\d+:9080 bookshop/reviews-v1-.*, mutual TLS: allowed"])
    # Who may ask stock: the policy says the same as the sidecar does (kubernetes_test.py).
    allowed = says(mesh, "explain", "--kubernetes", "--from", catalog, "grpc://stock:9090/Stock/Get")
    _, refused, _ = ctl(mesh, "explain", "--kubernetes", "--from", web, "grpc://stock:9090/Stock/Get")
    need(allowed != refused and "stock-callers" in allowed + refused, f"{allowed}\n{refused}")
    says(mesh, "explain", "--kubernetes", "--from", f"{SHOP}/nobody", "http://reviews:9080/", code=1, errors=True, words=["nobody"])


def validate(mesh):
    says(mesh, "validate", "--kubernetes")
    # One that leads nowhere is told, and is no reason to refuse the rest.
    mesh.cluster.apply(text=json.dumps({
        "apiVersion": "heddle.dev/v1", "kind": "BackendPolicy", "metadata": {"name": "astray", "namespace": SHOP},
        "spec": {"targetRef": {"kind": "Service", "name": "no-such"}, "timeouts": {"connect": "2s"}}}))
    code, out, errors = ctl(mesh, "validate", "--kubernetes")
    need("no such Service: bookshop/no-such" in out + errors and "astray" in out + errors, f"{code} {out} {errors}")
    mesh.cluster.kubectl("-n", SHOP, "delete", "backendpolicy", "astray")


def proxy(mesh):
    pod = f"{SHOP}/{mesh.pod(SHOP, 'app=catalog')}"
    for page, words in (("clusters", ["reviews"]), ("listeners", ["15006", "15001"]), ("certs", ["spiffe://cluster.local/ns/bookshop/sa/catalog"]),
                        ("stats", [r"server\.live: 1"]), ("ready", ["LIVE"]), ("info", ["0.1.0"]), ("/stats?filter=inbound_cx", ["inbound_cx"])):
        says(mesh, "proxy", pod, page, words=words)
    json.loads(says(mesh, "proxy", pod, "config"))
    says(mesh, "proxy", pod, "nonsense", code=2, errors=True, words=["no page \"nonsense\"; there are clusters, "])
    says(mesh, "proxy", f"{SHOP}/no-such-pod", "clusters", code=1, errors=True, words=['"no-such-pod" not found'])
    says(mesh, "proxy", "outside/outsider", "clusters", code=1, errors=True, words=["has the pod a heddle-proxy"])


def trace(mesh):
    """The bookshop's spans are asked for with a MeshConfig; they come from every sidecar on the way, whichever replica it told."""
    mesh.cluster.apply(text=json.dumps({"apiVersion": "heddle.dev/v1", "kind": "MeshConfig", "metadata": {"name": "mesh"},
                                        "spec": {"mtls": {"mode": "STRICT"}, "tracing": {"samplingPercent": 100}}}))
    def seen():
        mesh.shop()
        code, out, _ = ctl(mesh, "trace", "--kubernetes", "--last")
        return out if code == 0 and all(name in out for name in ("web", "catalog")) else None
    mesh.until(lambda: f"a trace: {ctl(mesh, 'trace', '--kubernetes', '--last')}", seen)
    says(mesh, "trace", "f" * 32, "--kubernetes", code=1, errors=True, words=["f" * 32])


def rotate(mesh):
    pod = f"{SHOP}/{mesh.pod(SHOP, 'app=catalog')}"
    serials = lambda: set(re.findall(r'"serial(?:_number)?": *"([^"]+)"', says(mesh, "proxy", pod, "certs")))
    before = serials()
    need(before, says(mesh, "proxy", pod, "certs"))
    load = mesh.load(300)
    says(mesh, "rotate", "--kubernetes", words=["every workload was told to renew its certificate"])
    mesh.until(lambda: f"another certificate than {before}", lambda: serials() and serials() != before)
    # The root in its three steps; whichever replica is asked, the other one has it too.
    says(mesh, "rotate", "--root", "prepare", "--kubeconfig", mesh.cluster.kubeconfig, words=["the next root is in the trust bundle"])
    mesh.until("two roots", lambda: ctl(mesh, "check")[1].count("certificate: heddle root") == 2)
    says(mesh, "status", "--kubernetes", "--wait", "60s")
    second = serials()
    says(mesh, "rotate", "--root", "activate", "--kubernetes", words=["the new root signs"])
    mesh.until("a certificate of the new root", lambda: serials() != second)
    load.none_failed()


def check(mesh):
    says(mesh, "check", words=["ok +version: 0.1.0, as heddlectl", "ok +sidecars: 8 connected", "good: 0 errors"])
    says(mesh, "check", "--pre", words=["ok +rights: ", "ok +API server: v1.34"])
    deployment = f"/apis/apps/v1/namespaces/{SYSTEM}/deployments/heddle-control"
    mesh.api.patch(deployment, {"spec": {"replicas": 1}})
    mesh.until("one replica is a warning", lambda: "--set control.replicas=2" in ctl(mesh, "check")[1])
    mesh.api.patch(deployment, {"spec": {"replicas": 2}})
    mesh.control_ready()
    says(mesh, "check", "--namespace", "elsewhere", code=1, words=["installation: none in namespace elsewhere yet",
                                                                  "error +webhooks: .*heddle-injector is left of an earlier installation"])


def wrong(mesh):
    """A wrong flag, context, kubeconfig or cluster: one line that says which, and no output."""
    commands = (["status"], ["trace"], ["rotate"], ["validate"], ["explain", "--from", "a/b", "http://c"], ["proxy", "a/b", "clusters"], ["upgrade"])
    for argv in commands:
        for flags, word in ((["--context", "no-such"], 'context "no-such" does not exist'),
                            (["--kubeconfig", "/nowhere/config"], "/nowhere/config: no such file or directory")):
            code, out, errors = ctl(mesh, *argv, *flags)
            need(code == 1 and not out and word in errors and errors.startswith("heddlectl: "), f"{argv} {flags}: {code} {out} {errors}")
        code, out, errors = ctl(mesh, *argv, "--contxt", "x")
        need(code == 2 and not out and "--contxt" in errors, f"{argv} --contxt: {code} {out} {errors}")
    for flags in (["--context", "no-such"], ["--kubeconfig", "/nowhere/config"]):
        says(mesh, "check", *flags, code=1, words=["^error +API server: "])
    for argv in (["status", "--kubernetes"], ["rotate", "--kubernetes"]):
        says(mesh, *argv, "--namespace", "elsewhere", code=1, errors=True, words=["no pod of heddle-control is ready in namespace elsewhere"])


TESTS = [
    ("install, bookshop, policies", installed),
    ("status", status),
    ("explain", explain),
    ("validate", validate),
    ("proxy NAMESPACE/POD", proxy),
    ("trace", trace),
    ("check", check),
    ("wrong flags, contexts, kubeconfigs", wrong),
    ("rotate, under load", rotate),
]

if __name__ == "__main__":
    sys.exit(scenarios.main(TESTS, needed=(installed,)))
