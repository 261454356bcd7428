"""Injection and admission against the real API server: what the webhooks answer, it takes; and it goes on without them.

No pod runs here: test/e2e/kubernetes does that. usage: injection_test.py HEDDLE_CONTROL HEDDLECTL
"""

import base64
import glob
import json
import os
import subprocess
import sys

from report import Report, need

from k8s import world
from k8s.cluster import Cluster, enter
from k8s.support.waiting import until

GOLDENS = "test/control_plane/inject/golden/*.yaml"
CRDS = "control_plane/install/chart/crds"
WEBHOOK = "127.0.0.1:15017"
POD = """
apiVersion: v1
kind: Pod
metadata: {name: "%s", namespace: "%s", labels: {%s}, annotations: {%s}}
spec: {containers: [{name: app, image: "app:1", readinessProbe: {httpGet: {path: /ready, port: 8080}}}]}
"""


class Install:
    """heddle-control beside the API server, as a process; webhooks by URL, because there is no kube-proxy."""

    def __init__(self, cluster, program):
        self.cluster = cluster
        self.state = os.path.join(world.folder(), "state")
        settings = os.path.join(world.folder(), "settings.yaml")
        with open(settings, "w", encoding="ascii") as file:
            file.write("proxyImage: heddle-proxy:e2e\n")
        self.log = os.path.join(world.folder(), "control.log")
        self.command = [program, "--kubeconfig", cluster.kubeconfig, "--state-dir", self.state, "--listen", "127.0.0.1:15010",
                        "--webhook", WEBHOOK, "--injection", settings]
        self.process = None

    def start(self):
        with open(self.log, "a", encoding="ascii") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        until(lambda: "heddle-control listening: " + self.said(), lambda: "gRPC on" in self.said() and self.process.poll() is None)

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def said(self):
        with open(self.log, encoding="utf-8") as log:
            return log.read()[-3000:]

    def configure(self):
        with open(os.path.join(self.state, "ca.crt"), "rb") as file:
            bundle = base64.b64encode(file.read()).decode()
        outside = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", "heddle-system"]}

        def webhook(name, path, rule, **more):
            return {"name": name, "clientConfig": {"url": f"https://{WEBHOOK}{path}", "caBundle": bundle},
                    "rules": [{"apiVersions": ["v1"], "scope": "*", **rule}], "sideEffects": "NoneOnDryRun", "timeoutSeconds": 10,
                    "failurePolicy": "Fail", "admissionReviewVersions": ["v1"], "reinvocationPolicy": "IfNeeded", **more}
        pods = {"apiGroups": [""], "operations": ["CREATE"], "resources": ["pods"]}
        policies = {"apiGroups": ["heddle.dev"], "operations": ["CREATE", "UPDATE"],
                    "resources": ["meshconfigs", "backendpolicies", "authorizationpolicies", "workloadpolicies", "workloads"]}
        label = {"key": "heddle.dev/inject", "values": ["enabled"]}
        validate = webhook("validator.heddle.dev", "/validate", policies)
        del validate["reinvocationPolicy"]
        for kind, name, webhooks in (
                ("MutatingWebhookConfiguration", "heddle-injector", [
                    webhook("namespace.injector.heddle.dev", "/inject/namespace", pods,
                            namespaceSelector={"matchExpressions": [{**label, "operator": "In"}, outside]}),
                    webhook("pod.injector.heddle.dev", "/inject/pod", pods,
                            namespaceSelector={"matchExpressions": [{**label, "operator": "NotIn"}, outside]},
                            objectSelector={"matchLabels": {"heddle.dev/inject": "true"}})]),
                ("ValidatingWebhookConfiguration", "heddle-validator", [validate])):
            self.cluster.apply(text=json.dumps({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
                                                "metadata": {"name": name}, "webhooks": webhooks}))


def goldens(cluster):
    """Every object that injection made is one that the API server takes."""
    problems, seen = [], 0
    for path in sorted(glob.glob(GOLDENS)):
        with open(path, encoding="utf-8") as file:
            documents = file.read().split("\n---\n")
        if len(documents) < 4:
            continue
        seen += 1
        done = cluster.try_kubectl("create", "--dry-run=server", "-f", "-", text=documents[3])
        if done.returncode != 0:
            problems.append(f"{path}: {done.stderr}")
    need(seen >= 25, f"{seen} goldens")
    return problems


def pod(cluster, name, namespace="meshed", labels="", annotations=""):
    """The pod as the API server keeps it, and what kubectl said."""
    done = cluster.try_kubectl("create", "-f", "-", text=POD % (name, namespace, labels, annotations))
    found = cluster.api.find(f"/api/v1/namespaces/{namespace}/pods/{name}")
    return found, done.stderr


def names(found):
    return [one["name"] for one in found["spec"].get("initContainers", [])] + [one["name"] for one in found["spec"]["containers"]]


def injected(cluster):
    found, said = pod(cluster, "web")
    need(found, said)
    need(names(found) == ["heddle-init", "heddle-proxy", "app"], names(found))
    need(found["spec"]["initContainers"][1]["image"] == "heddle-proxy:e2e", "the settings file was not read")
    probe = found["spec"]["containers"][0]["readinessProbe"]["httpGet"]
    need((probe["path"], probe["port"]) == ("/app-health/app/readyz", 15021), probe)
    # What kubectl prints of it can be made again, and comes out the same.
    text = cluster.kubectl("get", "pod", "web", "-n", "meshed", "-o", "json")
    cluster.kubectl("delete", "pod", "web", "-n", "meshed", "--grace-period=0", "--force")
    again = json.loads(text)
    del again["metadata"]["resourceVersion"], again["metadata"]["uid"]
    cluster.kubectl("create", "-f", "-", text=json.dumps(again))
    second = cluster.api.get("/api/v1/namespaces/meshed/pods/web")
    need(names(second) == names(found), names(second))
    need(second["metadata"]["annotations"] == found["metadata"]["annotations"], "another status")


def limits(cluster):
    """The API server asks again after a LimitRange has had its say about our containers; what it said stays."""
    cluster.apply(text=json.dumps({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l", "namespace": "meshed"},
                                   "spec": {"limits": [{"type": "Container", "default": {"cpu": "700m"}}]}}))
    cluster.apply(text=json.dumps({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": "meshed"},
                                   "spec": {"hard": {"limits.cpu": "100"}}}))
    found = until("a pod within the quota", lambda: pod(cluster, f"limited-{os.urandom(3).hex()}")[0])
    need({one["resources"]["limits"]["cpu"] for one in found["spec"]["initContainers"]} == {"700m"}, found["spec"])
    cluster.kubectl("delete", "quota/q", "limits/l", "-n", "meshed")


def who_decides(cluster):
    for name, namespace, labels, expected in (("no", "meshed", 'heddle.dev/inject: "false"', False),
                                              ("yes", "plain", 'heddle.dev/inject: "true"', True),
                                              ("other", "plain", "", False),
                                              ("system", "kube-system", 'heddle.dev/inject: "true"', False)):
        found, said = pod(cluster, name, namespace, labels)
        need(found, said)
        need(("heddle-proxy" in names(found)) == expected, f"{namespace}/{name}: {names(found)}")


def refused_and_warned(cluster):
    found, said = pod(cluster, "bad", annotations='heddle.dev/exclude-inbound-ports: "http"')
    need(not found and 'annotation heddle.dev/exclude-inbound-ports: found "http", allowed ports' in said, said)
    found, said = pod(cluster, "typo", annotations='heddle.dev/exclude-inbund-ports: "80"')
    need(found and "Warning: heddle: annotation heddle.dev/exclude-inbund-ports is not known" in said, said)


def events(cluster):
    """The owner of a pod is told why; here it is a ReplicaSet that we wrote ourselves."""
    owner = cluster.api.create("/apis/apps/v1/namespaces/meshed/replicasets", {
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "owner", "namespace": "meshed"},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": {
            "metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "a"}]}}}})
    for annotations in ({}, {"heddle.dev/sidecar": "both"}):
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {
            "generateName": "owner-", "namespace": "meshed", "annotations": annotations, "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "owner", "uid": owner["metadata"]["uid"], "controller": True}]},
            "spec": {"containers": [{"name": "a", "image": "a"}]}}
        cluster.try_kubectl("create", "-f", "-", text=json.dumps(body))

    def told():
        items = cluster.api.get("/api/v1/namespaces/meshed/events")["items"]
        return {(one["reason"], one["type"]) for one in items if one["involvedObject"].get("uid") == owner["metadata"]["uid"]}
    until(lambda: f"both Events: {told()}", lambda: told() == {("Injected", "Normal"), ("InjectionRefused", "Warning")})


def policies(cluster):
    policy = {"apiVersion": "heddle.dev/v1", "kind": "BackendPolicy", "metadata": {"name": "p", "namespace": "meshed"},
              "spec": {"targetRef": {"group": "", "kind": "Service", "name": "nosuch"}, "timeouts": {"connect": "1s"}}}
    done = cluster.try_kubectl("create", "-f", "-", text=json.dumps(policy))
    need(done.returncode == 0, done.stderr)
    need("Warning: heddle: spec.targetRef.name: no such Service: meshed/nosuch" in done.stderr, done.stderr)
    # A rule that the schema cannot say.
    bad = {"apiVersion": "heddle.dev/v1", "kind": "AuthorizationPolicy", "metadata": {"name": "p", "namespace": "meshed"},
           "spec": {"action": "ALLOW", "rules": [{"from": [{"principals": ["a*b"]}]}]}}
    done = cluster.try_kubectl("create", "-f", "-", text=json.dumps(bad))
    need(done.returncode != 0 and "spec.rules[0].from[0].principals[0]" in done.stderr, done.stderr)


def security(cluster):
    """Pod Security: with interception from outside a sidecar is "restricted"; heddle-init is not, and the refusal says so."""
    restricted = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "strict", "namespace": "strict", "annotations": {
        "heddle.dev/interception": "cni"}}, "spec": {
            "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "a", "image": "a", "securityContext": {
                "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}]}}
    done = cluster.try_kubectl("create", "-f", "-", text=json.dumps(restricted))
    need(done.returncode == 0, done.stderr)
    restricted["metadata"] = {"name": "init", "namespace": "strict"}
    done = cluster.try_kubectl("create", "-f", "-", text=json.dumps(restricted))
    need(done.returncode != 0 and "heddle-init" in done.stderr and "NET_ADMIN" in done.stderr, done.stderr)


def without_it(cluster, install):
    """Away, it takes along the pods of the mesh and nobody else's."""
    install.stop()
    found, said = pod(cluster, "late")
    need(not found and "namespace.injector.heddle.dev" in said, said)
    for namespace in ("kube-system", "heddle-system", "plain"):
        found, said = pod(cluster, "late", namespace)
        need(found, f"{namespace}: {said}")
    install.start()
    until("pods of the mesh again", lambda: pod(cluster, "late")[0])


def main():
    enter()
    program, heddlectl = (os.path.realpath(one) for one in sys.argv[1:3])
    report = Report()
    with Cluster() as cluster:
        cluster.apply(CRDS, server_side=True)
        for name, label in (("meshed", "heddle.dev/inject=enabled"), ("plain", "a=b"), ("heddle-system", "a=b"), ("shop", "a=b"),
                            ("strict", "heddle.dev/inject=enabled")):
            cluster.kubectl("create", "namespace", name)
            cluster.kubectl("label", "namespace", name, label)
            until(f"the service account of {name}", lambda name=name: cluster.api.find(f"/api/v1/namespaces/{name}/serviceaccounts/default"))
        cluster.kubectl("label", "namespace", "strict", "pod-security.kubernetes.io/enforce=restricted")
        cluster.kubectl("create", "serviceaccount", "web", "-n", "shop")
        report.run("every golden is an object that the API server takes", lambda: goldens(cluster))
        install = Install(cluster, program)
        install.start()
        install.configure()
        until("the webhooks in force", lambda: "heddle-proxy" in names(pod(cluster, f"try-{os.urandom(4).hex()}")[0] or {
            "spec": {"containers": []}}))
        for name, test in (("a pod is injected, and made again it is the same", injected),
                           ("a LimitRange and a quota hold for the sidecar too", limits),
                           ("labels of the namespace and the pod decide", who_decides),
                           ("refusals and warnings reach the one who applies", refused_and_warned),
                           ("whoever asked for a pod is told by an Event", events),
                           ("policies are refused for what they say, and warned of for what they name", policies),
                           ("Pod Security's restricted is kept", security)):
            report.run(name, lambda test=test: test(cluster))
        report.run("without heddle-control only the mesh waits", lambda: without_it(cluster, install))
        offline = subprocess.run([heddlectl, "inject", "-f", "-"], input=POD % ("offline", "meshed", "", ""), capture_output=True,
                                 text=True, check=True).stdout
        report.run("a manifest injected offline meets the webhook and is injected once", lambda: need(
            cluster.kubectl("create", "-f", "-", text=offline) and
            names(cluster.api.get("/api/v1/namespaces/meshed/pods/offline")) == ["heddle-init", "heddle-proxy", "app"], "twice"))
        install.stop()
        if report.failed:
            print(install.said())
    sys.exit(report.end())


if __name__ == "__main__":
    main()
