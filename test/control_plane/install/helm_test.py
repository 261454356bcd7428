"""The real Helm and heddlectl render the chart to the same objects, and refuse the same values.

usage: helm_test.py HEDDLECTL YAML_TO_JSON CHART/Chart.yaml
"""

import json
import os
import subprocess
import sys
import tempfile

from report import Report

# One line each: values as a file has them.
VALUES = [
    {},
    {"namespace": {"create": True}},
    {"trustDomain": "example.org", "imagePullSecrets": ["one", "two"]},
    {"control": {"replicas": 5, "image": "registry.example/heddle-control@sha256:0123", "imagePullPolicy": "Always",
                 "logLevel": "debug", "priorityClassName": "system-cluster-critical"}},
    {"control": {"nodeSelector": {"kubernetes.io/os": "linux", "pool": "7", "odd": "yes"},
                 "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "mesh", "effect": "NoSchedule"},
                                 {"operator": "Exists", "tolerationSeconds": 30}]}},
    {"control": {"resources": {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"cpu": "1500m"}}}},
    {"injection": {"proxyImage": "registry.example/p:1", "sidecar": "classic", "interception": "cni", "ipv6": "off",
                   "interceptionMode": "tproxy", "holdUntilReady": False, "excludeInboundPorts": "22,9000-9010",
                   "includeOutboundCidrs": "10.0.0.0/8,fd00::/8", "proxyConcurrency": 2, "imagePullSecrets": ["three"]}},
    {"webhooks": {"failurePolicy": "Ignore", "timeoutSeconds": 3}},
    {"meshConfig": {"create": True}},
    {"meshConfig": {"create": True, "spec": {"mtls": {"mode": "STRICT"}, "tracing": {"samplingPercent": 0.5},
                                             "accessLog": {"format": "JSON", "json": {"a": "%REQ(:METHOD)% <&>", "b": "\"q\""}},
                                             "egress": {"services": ["*/*"], "unlisted": "DENY"}}}},
]

REFUSED = [
    {"contrl": {}},
    {"control": {"replicass": 2}},
    {"control": {"replicas": 0}},
    {"control": {"replicas": "two"}},
    {"control": {"logLevel": "loud"}},
    {"control": {"tolerations": {}}},
    {"control": {"image": ""}},
    {"injection": {"sidecar": "none"}},
    {"injection": {"proxyCpuRequest": "lots"}},
    {"imagePullSecrets": ["A"]},
    {"webhooks": {"timeoutSeconds": 31}},
    {"trustDomain": "Example"},
]


class Renderers:
    def __init__(self, heddlectl, yaml_to_json, chart):
        self.heddlectl, self.yaml_to_json, self.chart = heddlectl, yaml_to_json, os.path.dirname(chart)
        self.helm = os.environ["HEDDLE_HELM"]
        self.file = os.path.join(tempfile.mkdtemp(), "values.json")

    def run(self, values, argv):
        with open(self.file, "w", encoding="utf-8") as file:
            json.dump(values, file)
        return subprocess.run(argv, capture_output=True, text=True, check=False)

    def by_helm(self, values, namespace="heddle-system"):
        return self.run(values, [self.helm, "template", "heddle", self.chart, "--namespace", namespace, "--include-crds",
                                 "--kube-version", "1.34.0", "-f", self.file])

    def by_heddlectl(self, values, namespace="heddle-system"):
        # Whose own default makes the namespace.
        values = {**values, "namespace": {"create": False, **values.get("namespace", {})}}
        return self.run(values, [self.heddlectl, "install", "--namespace", namespace, "-f", self.file])

    def parse(self, text):
        parsed = subprocess.run([self.yaml_to_json], input=text, capture_output=True, text=True, check=False)
        if parsed.returncode != 0:
            raise AssertionError(parsed.stderr)
        return json.loads(parsed.stdout)

    def objects(self, done):
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        out = {}
        for one in self.parse(done.stdout):
            if one["kind"] == "ConfigMap":  # YAML in YAML: what it says counts, not how it is written
                one["data"] = {key: self.parse(text) for key, text in one["data"].items()}
            name = f"{one['kind']} {one['metadata'].get('namespace', '')}/{one['metadata']['name']}"
            if name in out:
                raise AssertionError(f"{name} twice")
            out[name] = one
        return out


def compare(renderers, values, namespace):
    helm = renderers.objects(renderers.by_helm(values, namespace))
    ours = renderers.objects(renderers.by_heddlectl(values, namespace))
    problems = [f"only Helm has {name}" for name in helm.keys() - ours.keys()]
    problems += [f"only heddlectl has {name}" for name in ours.keys() - helm.keys()]
    for name in sorted(helm.keys() & ours.keys()):
        if helm[name] != ours[name]:
            problems.append(f"{name}: Helm {json.dumps(helm[name])[:2000]}\nheddlectl {json.dumps(ours[name])[:2000]}")
    if len(ours) < 17:
        problems.append(f"only {sorted(ours)}")
    return problems


def refuse(renderers, values):
    problems = []
    for who, done in (("Helm", renderers.by_helm(values)), ("heddlectl", renderers.by_heddlectl(values))):
        key = list(values)[0]
        if done.returncode == 0 or key not in done.stderr or done.stdout:
            problems.append(f"{who} on {values}: {done.returncode} {done.stderr}")
    return problems


def main():
    renderers = Renderers(*sys.argv[1:])
    report = Report()
    lint = subprocess.run([renderers.helm, "lint", "--strict", renderers.chart], capture_output=True, text=True, check=False)
    report.record("helm lint", [] if lint.returncode == 0 else [lint.stdout + lint.stderr])
    for values in VALUES:
        report.run(f"the same objects for {values}", lambda values=values: compare(renderers, values, "heddle-system"))
    report.run("the same objects in another namespace", lambda: compare(renderers, {"namespace": {"create": True}}, "mesh"))
    for values in REFUSED:
        report.run(f"both refuse {values}", lambda values=values: refuse(renderers, values))
    sys.exit(report.end())


if __name__ == "__main__":
    main()
