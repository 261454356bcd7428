"""An installation in a real API server, with pods: check, install, check, look into it, upgrade, uninstall. heddle-control is a
stand-in that uses its rights and answers heddlectl; heddlectl, kubectl, the API server and its admission are the real ones.

usage: lifecycle_test.py HEDDLECTL
"""

import json
import os
import subprocess
import sys

from report import Report, need

from k8s.cluster import Cluster, enter, find_peer
from k8s.podrunner import Image, PodRunner
from k8s.support.waiting import until

HERE = os.path.dirname(os.path.abspath(__file__))
NS = "heddle-system"
ACCOUNT = f"system:serviceaccount:{NS}:heddle-control"

# What heddle-control may do, and what it may not: verb, resource, name, namespace.
MAY = [
    ("list", "pods", "", ""), ("watch", "endpointslices.discovery.k8s.io", "", ""), ("list", "nodes", "", ""),
    ("watch", "httproutes.gateway.networking.k8s.io", "", ""), ("patch", "httproutes.gateway.networking.k8s.io/status", "", "x"),
    ("watch", "backendpolicies.heddle.dev", "", ""), ("patch", "meshconfigs.heddle.dev/status", "", ""),
    ("create", "tokenreviews.authentication.k8s.io", "", ""), ("create", "events", "", "x"), ("create", "configmaps", "", "x"),
    ("patch", "configmaps", "heddle-root", "x"), ("create", "secrets", "", NS), ("get", "secrets", "heddle-ca", NS),
    ("update", "leases.coordination.k8s.io", "heddle-control", NS),
    ("patch", "mutatingwebhookconfigurations.admissionregistration.k8s.io", "heddle-injector", ""),
]
MAY_NOT = [
    ("list", "secrets", "", ""), ("list", "serviceaccounts", "", ""), ("get", "configmaps", "heddle-root", "x"),
    ("update", "backendpolicies.heddle.dev/status", "", "x"), ("get", "secrets", "heddle-ca", "x"), ("get", "secrets", "other", NS), ("create", "secrets", "", "x"),
    ("patch", "configmaps", "kube-root-ca.crt", "x"), ("list", "configmaps", "", ""), ("create", "pods", "", "x"),
    ("delete", "pods", "", "x"), ("patch", "pods", "", "x"), ("create", "pods/exec", "", "x"),
    ("patch", "mutatingwebhookconfigurations.admissionregistration.k8s.io", "other", ""),
    ("create", "mutatingwebhookconfigurations.admissionregistration.k8s.io", "", ""),
    ("patch", "backendpolicies.heddle.dev", "", "x"), ("delete", "backendpolicies.heddle.dev", "", "x"),
    ("create", "clusterrolebindings.rbac.authorization.k8s.io", "", ""), ("impersonate", "users", "", ""),
    ("update", "leases.coordination.k8s.io", "other", NS), ("create", "serviceaccounts/token", "", "x"),
]


class Mesh:
    def __init__(self, cluster, runner, heddlectl):
        self.cluster, self.api, self.runner, self.heddlectl = cluster, cluster.api, runner, heddlectl

    def ctl(self, *argv, code=0):
        """Standard output of heddlectl."""
        done = subprocess.run([self.heddlectl, *argv], capture_output=True, text=True, check=False, timeout=600)
        need(done.returncode == code, f"heddlectl {' '.join(argv)} exits {done.returncode}: {done.stdout[:3000]}{done.stderr[:3000]}")
        return done.stdout if not done.stderr else done.stdout + done.stderr

    def control_pods(self):
        items = self.api.get(f"/api/v1/namespaces/{NS}/pods?labelSelector=app.kubernetes.io%2Fname%3Dheddle-control")["items"]
        return sorted(item["metadata"]["name"] for item in items)


def has(text, *lines):
    missing = [line for line in lines if line not in text]
    need(not missing, f"{missing} not in\n{text}")


def before(mesh):
    has(mesh.ctl("check"), "ok      API server: v1.34.1", "ok      installation: none in namespace heddle-system yet",
        "ok      rights: everything", "warning Gateway API", "good: 0 errors, 1 warning")
    nobody = mesh.cluster.write_kubeconfig("nobody", token="nobody")
    has(mesh.ctl("check", "--kubeconfig", nobody, code=1), "error   ")


def install(mesh):
    text = mesh.ctl("install")
    mesh.cluster.apply(text=text)
    mesh.runner.wait_ready(NS, "app.kubernetes.io/name=heddle-control", count=2)
    mesh.cluster.kubectl("-n", NS, "rollout", "status", "deployment/heddle-control", "--timeout=120s")
    # Nothing differs from what was asked for.
    has(mesh.ctl("upgrade", "--dry-run"), "heddle-control 0.1.0 -> 0.1.0\nAfter applying")
    again = mesh.cluster.apply(text=text)
    need("created" not in again, again)


def rights_used(mesh):
    """What the stand-in did in its pod: as whom, with which files, with which success."""
    problems, leaders = [], 0
    for pod in mesh.control_pods():
        url = "http://127.0.0.1:15014/rights"
        code, text = mesh.runner.exec(NS, pod, ["python3", "-c", f"import urllib.request as u; print(u.urlopen('{url}').read().decode())"])
        need(code == 0, text)
        found = json.loads(text)
        leaders += found["lease"] == 201
        expect = {"heddle-injector read": 200, "heddle-injector patch": 200, "heddle-validator read": 200, "heddle-validator patch": 200,
                  "uid": 1338}
        problems += [f"{pod}: {key}: {found.get(key)}" for key, value in expect.items() if found.get(key) != value]
        if "proxyImage:" not in found["settings"] or f"systemNamespace: {NS}" not in found["settings"]:
            problems.append(f"{pod}: settings {found['settings']}")
    return problems if leaders == 1 else problems + [f"{leaders} replicas made the lease"]


def rights(mesh):
    problems = []
    mesh.cluster.kubectl("create", "namespace", "x")
    for wanted, table in ((True, MAY), (False, MAY_NOT)):
        for verb, resource, name, namespace in table:
            main, _, sub = resource.partition("/")
            plural, _, group = main.partition(".")
            review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {
                "user": ACCOUNT, "groups": ["system:serviceaccounts", f"system:serviceaccounts:{NS}", "system:authenticated"],
                "resourceAttributes": {"verb": verb, "group": group, "resource": plural, "subresource": sub, "name": name,
                                       "namespace": namespace}}}
            allowed = mesh.api.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)["status"].get("allowed", False)
            if allowed != wanted:
                problems.append(f"{verb} {resource} {name} in {namespace or 'all'}: {allowed}")
    # Who edits a namespace edits its policies, and who views it sees them.
    for role, verb, wanted in (("edit", "create", "yes"), ("view", "list", "yes"), ("view", "create", "no")):
        mesh.cluster.kubectl("create", "rolebinding", f"{role}-{verb}", "--clusterrole", role, "--user", f"{role}-{verb}", "-n", "x")
        until(f"role {role} {verb}s policies: {wanted}", lambda role=role, verb=verb, wanted=wanted: mesh.cluster.try_kubectl(
            "auth", "can-i", verb, "backendpolicies.heddle.dev", "-n", "x", "--as", f"{role}-{verb}").stdout.strip() == wanted)
    return problems


def after(mesh):
    mesh.cluster.kubectl("create", "namespace", "bookshop")
    mesh.cluster.kubectl("label", "namespace", "bookshop", "heddle.dev/inject=enabled")
    has(mesh.ctl("check", code=1), "ok      heddle-control: 2 of 2 replicas ready", "ok      version: 0.1.0, as heddlectl",
        "ok      custom resources: 5 kinds served", "ok      webhook: heddle-injector, failurePolicy Fail",
        "ok      service: 2 ready endpoints", "ok      leader: heddle-control-", "error   namespace bookshop: has no ConfigMap heddle-root",
        "warning sidecars: 1 are not connected: bookshop/both", "ok      certificate: serving ends 2096", "not good: 1 error")


def look_inside(mesh):
    text = mesh.ctl("status", "--kubernetes")
    has(text, "answered by all 2 proxies", *[f"bookshop/of-{pod}" for pod in mesh.control_pods()])
    need(text.count("bookshop/both") == 1, text)
    has(mesh.ctl("proxy", f"{NS}/{mesh.control_pods()[0]}", "clusters", code=1), "nobody answers HTTP")
    has(mesh.ctl("status", "--context", "nobody", code=1), "nobody")


def fails_closed(mesh):
    """The webhooks have an authority now, but nobody answers: pods of injected namespaces wait, everything else does not."""
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    asked = {"bookshop": 500, "x": 201, NS: 403, "kube-system": 201}  # 403: pod security of its own namespace
    problems = []
    mesh.cluster.kubectl("label", "namespace", "kube-system", NS, "heddle.dev/inject=enabled")
    for namespace, wanted in asked.items():
        code, text = mesh.api.raw("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All", json.dumps(pod))
        if code != wanted or (code == 403 and "PodSecurity" not in text):
            problems.append(f"a pod in {namespace}: {code} {text}")
    mesh.cluster.kubectl("label", "namespace", "kube-system", NS, "heddle.dev/inject-")
    policy = {"apiVersion": "heddle.dev/v1", "kind": "WorkloadPolicy", "metadata": {"name": "p"}, "spec": {}}
    for namespace, wanted in (("x", 500), (NS, 201)):
        code, text = mesh.api.raw("POST", f"/apis/heddle.dev/v1/namespaces/{namespace}/workloadpolicies?dryRun=All", json.dumps(policy))
        if code != wanted:
            problems.append(f"a policy in {namespace}: {code} {text}")
    # The installation's own MeshConfig needs nobody.
    answer = mesh.cluster.apply(text=mesh.ctl("install", "--set", "meshConfig.create=true", "--set", "meshConfig.spec.mtls.mode=STRICT"))
    return problems + ([] if "meshconfig.heddle.dev/mesh created" in answer else [answer])


def upgrade(mesh):
    has(mesh.ctl("upgrade", "--dry-run", "--set", "control.logLevel=debug"), "Deployment heddle-system/heddle-control: changes "
        "spec.template.spec.containers[0].args[")
    old = mesh.control_pods()
    mesh.cluster.apply(text=subprocess.run([mesh.heddlectl, "upgrade", "--set", "injection.proxyLogLevel=debug"], capture_output=True,
                                           text=True, check=True).stdout)
    # Settings are read at the start: other settings, other pods.
    until("the pods replaced", lambda: len(mesh.control_pods()) == 2 and not set(old) & set(mesh.control_pods()), 180)
    bundle = mesh.api.get("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/heddle-injector")
    need(all(hook["clientConfig"].get("caBundle") for hook in bundle["webhooks"]), "applying took the caBundle away")


def uninstall(mesh):
    text = mesh.ctl("uninstall")
    mesh.cluster.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", text=text)
    until("the namespace gone", lambda: mesh.api.find(f"/api/v1/namespaces/{NS}") is None, 180)
    need(mesh.api.find("/apis/heddle.dev/v1/meshconfigs/mesh"), "a policy went without --crds")
    left = [path for path in ("/apis/rbac.authorization.k8s.io/v1/clusterroles", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
                              "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
                              "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations")
            if any("heddle" in item["metadata"]["name"] for item in mesh.api.get(path)["items"])]
    need(not left, f"left: {left}")
    mesh.cluster.kubectl("delete", "--ignore-not-found", "--wait=false", "-f", "-", text=mesh.ctl("uninstall", "--crds"))
    until("the kinds gone", lambda: mesh.api.raw("GET", "/apis/heddle.dev/v1/backendpolicies")[0] == 404)


def main():
    heddlectl = os.path.abspath(sys.argv[1])
    enter()
    report = Report()
    image = Image(["/usr/bin/python3", "/stand_in.py"], files={"/stand_in.py": os.path.join(HERE, "stand_in.py")})
    with Cluster() as cluster, PodRunner(cluster.api, {"heddle/heddle-control:0.1.0": image}) as runner:
        # heddlectl finds the real kubectl and its configuration as a person's would.
        os.environ["PATH"] = find_peer("kubernetes") + ":" + os.environ["PATH"]
        os.environ["KUBECONFIG"] = cluster.kubeconfig
        mesh = Mesh(cluster, runner, heddlectl)
        for name, test in (("check before", before), ("install, and nothing differs from it", install),
                           ("heddle-control's rights suffice", rights_used), ("and do not go further", rights),
                           ("check after", after), ("status and proxy through forwarded ports", look_inside),
                           ("fails closed, and locks nobody out", fails_closed), ("upgrade", upgrade), ("uninstall", uninstall)):
            report.run(name, lambda test=test: test(mesh))
    sys.exit(report.end())


if __name__ == "__main__":
    main()
