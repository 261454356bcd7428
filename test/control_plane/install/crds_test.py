"""Our CRDs in a real API server: they are taken, explain themselves, and refuse what heddle-control refuses; an older copy of
them gives way to the present one and keeps what is stored.

usage: crds_test.py HEDDLECTL FOLDER
"""

import concurrent.futures
import copy
import json
import os
import subprocess
import sys

import crd_cases
from report import Report

from k8s import world
from k8s.cluster import Cluster, enter
from k8s.support.waiting import until

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
PLURALS = {"MeshConfig": "meshconfigs", "BackendPolicy": "backendpolicies", "AuthorizationPolicy": "authorizationpolicies",
           "WorkloadPolicy": "workloadpolicies", "Workload": "workloads"}

# What the objects of crd_cases speak of.
AROUND = """
apiVersion: heddle.dev/v1
kind: Workload
metadata: {name: around, namespace: bookshop, labels: {app: reviews}}
spec: {address: 10.9.9.9, ports: [{name: http, port: 9080}]}
---
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: bookshop}
spec: {selector: {app: reviews}, ports: [{name: http, port: 9080}]}
---
apiVersion: v1
kind: Service
metadata: {name: sample, namespace: bookshop}
spec: {selector: {app: reviews}, ports: [{name: sample, port: 9080}]}
"""


def document(kind, spec, name="case"):
    metadata = {"name": "mesh"} if kind == "MeshConfig" else {"name": name, "namespace": "bookshop"}
    found = {"apiVersion": "heddle.dev/v1", "kind": kind, "metadata": metadata}
    return found if spec is None else {**found, "spec": spec}


def path_of(kind):
    place = "" if kind == "MeshConfig" else "namespaces/bookshop/"
    return f"/apis/heddle.dev/v1/{place}{PLURALS[kind]}"


class Judges:
    """Both answer with the reason why an object is refused, or with an empty text."""

    def __init__(self, api, heddlectl):
        self.api, self.heddlectl = api, os.path.abspath(heddlectl)
        self.folder = os.path.join(world.folder(), "judge")
        os.makedirs(self.folder)

    def server(self, kind, spec):
        code, answer = self.api.raw("POST", path_of(kind) + "?dryRun=All&fieldValidation=Strict", json.dumps(document(kind, spec)))
        if code == 201:
            return ""
        if code not in (400, 422):
            raise AssertionError(f"the API server answers {code}: {answer}")
        return json.loads(answer)["message"]

    def decoder(self, number, kind, spec):
        folder = os.path.join(self.folder, str(number))
        os.makedirs(folder)
        for name, text in (("around.yaml", AROUND), ("case.yaml", json.dumps(document(kind, spec)))):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(text)
        done = subprocess.run([self.heddlectl, "validate", "--quiet", folder], capture_output=True, text=True, timeout=300)
        lines = [line for line in done.stdout.splitlines() if line.startswith("case.yaml")]
        if (done.returncode != 0) != bool(lines):
            raise AssertionError(f"heddlectl validate: {done.returncode}: {done.stdout}{done.stderr}")
        return "\n".join(lines)

    def compare(self, cases, server_takes, decoder_takes):
        """Sentences about each case that is not judged as expected."""
        def judge(numbered):
            number, (kind, spec) = numbered
            problems = []
            for who, why, takes in (("the API server", self.server(kind, spec), server_takes),
                                    ("heddle-control", self.decoder(number, kind, spec), decoder_takes)):
                if takes and why:
                    problems.append(f"{who} refuses {kind} {json.dumps(spec)[:300]}: {why[:500]}")
                elif not takes and not why:
                    problems.append(f"{who} takes {kind} {json.dumps(spec)[:300]}")
            return problems
        base = len(os.listdir(self.folder)) * 10000
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            return [line for found in pool.map(judge, enumerate(cases, base)) for line in found]


def schema_of(api, plural):
    return api.get(f"{CRDS}/{plural}.heddle.dev")["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]


def established(api):
    def all_are():
        names = {item["metadata"]["name"]: {c["type"]: c["status"] for c in (item.get("status") or {}).get("conditions") or []}
                 for item in api.get(CRDS)["items"]}
        return all(names.get(f"{plural}.heddle.dev", {}).get("Established") == "True" for plural in PLURALS.values())
    until("the CRDs established", all_are)
    for kind in PLURALS:  # the API server begins to serve a kind a little later
        until(f"{kind} served", lambda kind=kind: api.raw("GET", path_of(kind))[0] == 200)


def clean(api):
    problems = []
    for plural in PLURALS.values():
        found = api.get(f"{CRDS}/{plural}.heddle.dev")
        for condition in found["status"]["conditions"]:
            if condition["type"] in ("NonStructuralSchema", "KubernetesAPIApprovalPolicyConformant") and condition["status"] == "True":
                problems.append(f"{plural}: {condition['message']}")
    return problems


def explains(cluster):
    problems = []
    for path, phrase in (("backendpolicies.spec.retries.backoff", "First wait before a retry"),
                         ("hap.spec.rules.from.principals", "SPIFFE ids"),
                         ("workloadpolicies.spec.mtls.mode", "Plain text is accepted beside mutual TLS"),
                         ("meshconfigs", "What holds for the whole mesh"),
                         ("hwl.spec.weight", "Relative share"),
                         ("hbp.status.conditions", "Accepted")):
        # What is explained is published a little after it is served.
        done = until(f"an explanation of {path}", lambda path=path: (one := cluster.try_kubectl("explain", path)).returncode == 0 and one)
        text = " ".join(done.stdout.split())
        if phrase not in text:
            problems.append(f"kubectl explain {path}: {text}")
    return problems


def columns(cluster):
    api = cluster.api
    api.create(path_of("BackendPolicy"), document("BackendPolicy", crd_cases.backend()[1], "shown"))
    condition = {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "observedGeneration": 1,
                 "lastTransitionTime": "2024-01-01T00:00:00Z"}
    applied = {**document("BackendPolicy", None, "shown"),
               "status": {"observedGeneration": 1, "conditions": [condition], "proxies": {"total": 3, "acked": 2, "nacked": 1}}}
    answer = api.patch(path_of("BackendPolicy") + "/shown/status?fieldManager=heddle-control&force=true", applied,
                       "application/apply-patch+yaml")
    problems = [] if answer["status"] == applied["status"] else [f"status became {answer['status']}"]
    if answer["metadata"]["generation"] != 1:
        problems.append("writing the status counts as a change of the object")
    for name in ("hbp", "heddle", "backendpolicy"):
        text = cluster.kubectl("get", name, "-n", "bookshop")
        if not all(word in text for word in ("SERVICE", "ACCEPTED", "reviews", "True", "shown")):
            problems.append(f"kubectl get {name}: {text}")
    api.delete(path_of("BackendPolicy") + "/shown")
    return problems


def names(api):
    problems = []
    for kind, name in (("MeshConfig", "other"), ("Workload", "a.b"), ("Workload", "x" * 64)):
        found = document(kind, {"address": "10.9.8.7"} if kind == "Workload" else {}, name)
        found["metadata"]["name"] = name
        code, answer = api.raw("POST", path_of(kind) + "?dryRun=All", json.dumps(found))
        if code != 422:
            problems.append(f"{kind} named {name}: {code} {answer}")
    return problems


def defaults(api):
    found = api.create(path_of("BackendPolicy") + "?dryRun=All", document("BackendPolicy", crd_cases.backend(
        timeouts={}, retries={"budget": {}}, limits={}, outlierDetection={}, loadBalancer={})[1]))["spec"]
    expect = {"targetRef": crd_cases.TARGET, "timeouts": {"connect": "5s", "idle": "5m"},
              "retries": {"attempts": 2, "backoff": "25ms", "budget": {"percent": 25, "minConcurrency": 20}},
              "limits": {"connections": 1024, "pendingRequests": 1024, "requests": 10240},
              "outlierDetection": {"consecutive5xx": 5, "consecutiveGatewayFailures": 0, "interval": "10s",
                                   "baseEjectionTime": "30s", "maxEjectionPercent": 50},
              "loadBalancer": {"algorithm": "LEAST_REQUEST"}}
    problems = [] if found == expect else [f"defaults: {found}"]
    bare = api.create(path_of("BackendPolicy") + "?dryRun=All", document("BackendPolicy", crd_cases.backend()[1]))["spec"]
    return problems + ([] if bare == {"targetRef": crd_cases.TARGET} else [f"what MeshConfig.defaults says is hidden by {bare}"])


def old_copy(crd):
    """The CRD as an earlier release might have had it: no bounds, no defaults, no rules, no columns, some fields missing."""
    crd = copy.deepcopy(crd)

    def forget(schema):
        for word in ("minimum", "maximum", "pattern", "maxLength", "minLength", "maxItems", "minItems", "maxProperties",
                     "minProperties", "default", "x-kubernetes-validations", "enum", "anyOf", "not", "description"):
            if not isinstance(schema.get(word), dict) or word == "not":
                schema.pop(word, None)
        for inner in [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]:
            if isinstance(inner, dict):
                forget(inner)
    version = crd["spec"]["versions"][0]
    forget(version["schema"]["openAPIV3Schema"])
    version.pop("additionalPrinterColumns")
    version["schema"]["openAPIV3Schema"]["properties"].pop("status")
    return {"apiVersion": crd["apiVersion"], "kind": crd["kind"], "metadata": {"name": crd["metadata"]["name"]}, "spec": crd["spec"]}


def contains(whole, part):
    """Whether everything in `part` is in `whole`; defaults may have come."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and contains(whole[key], value) for key, value in part.items())
    if isinstance(part, list):
        return isinstance(whole, list) and len(whole) == len(part) and all(map(contains, whole, part))
    return whole == part


def upgrade(cluster, files):
    """Last: takes the CRDs away, brings an old copy, stores objects, applies the present CRDs over it."""
    api = cluster.api
    present = {plural: api.get(f"{CRDS}/{plural}.heddle.dev") for plural in PLURALS.values()}
    for plural in present:
        api.delete(f"{CRDS}/{plural}.heddle.dev")
    until("the CRDs gone", lambda: not [item for item in api.get(CRDS)["items"] if item["spec"]["group"] == "heddle.dev"])
    for crd in present.values():
        cluster.kubectl("apply", "-f", "-", text=json.dumps(old_copy(crd)))
    established(api)
    stored = {}
    for number, (kind, spec) in enumerate(case for case in crd_cases.GOOD if case[0] != "MeshConfig"):
        name = f"kept-{number}"
        api.create(path_of(kind), document(kind, spec, name))
        stored[(kind, name)] = spec
    # Nobody's present rules allow it: it stays readable, and can be mended or deleted.
    kind, spec = crd_cases.backend(limits={"connections": 0})
    api.create(path_of(kind), document(kind, spec, "invalid-today"))
    stored[(kind, "invalid-today")] = spec
    cluster.apply(*files)
    established(api)
    until("the present rules in force", lambda: api.raw("POST", path_of(kind) + "?dryRun=All", json.dumps(document(kind, spec, "new")))[0] == 422)
    problems = []
    for (kind, name), spec in stored.items():
        found = api.find(f"{path_of(kind)}/{name}")
        if found is None or not contains(found["spec"], spec):
            problems.append(f"{kind} {name} became {found and found['spec']}")
    api.patch(path_of("BackendPolicy") + "/invalid-today", {"spec": {"limits": {"connections": 1}}})
    cluster.apply(*files)  # once more changes nothing
    return problems


def main():
    heddlectl, *files = sys.argv[1:]
    enter()
    report = Report()
    with Cluster() as cluster:
        api = cluster.api
        report.run("the CRDs are taken by kubectl apply", lambda: print(cluster.apply(*files)))
        established(api)
        cluster.kubectl("create", "namespace", "bookshop")
        judges = Judges(api, heddlectl)
        at_bounds = [case for kind, plural in PLURALS.items() for case in crd_cases.bounds(kind, schema_of(api, plural))]
        print(f"{len(at_bounds)} values at bounds")
        for name, test in (
                ("their schemas are structural", lambda: clean(api)),
                ("kubectl explain says what the protos say", lambda: explains(cluster)),
                ("columns, short names, category, status", lambda: columns(cluster)),
                ("names that cannot be meant are refused", lambda: names(api)),
                ("defaults come into the parts that are written, and into no others", lambda: defaults(api)),
                ("what is good is taken by both", lambda: judges.compare(crd_cases.GOOD, True, True)),
                ("what is bad is refused by both", lambda: judges.compare(crd_cases.BAD, False, False)),
                ("what only the API server refuses", lambda: judges.compare(crd_cases.STRICTER, False, True)),
                ("what only heddle-control can refuse", lambda: judges.compare(crd_cases.LOOSER, True, False)),
                ("values inside every bound are taken by both",
                 lambda: judges.compare([(kind, spec) for kind, spec, good in at_bounds if good], True, True)),
                ("values outside every bound are refused by both",
                 lambda: judges.compare([(kind, spec) for kind, spec, good in at_bounds if not good], False, False)),
                ("the present CRDs over an older copy keep what is stored", lambda: upgrade(cluster, files))):
            report.run(name, test)
    sys.exit(report.end())


if __name__ == "__main__":
    main()
