"""heddle-control in a real cluster that is in trouble: policies that say nonsense with nobody to refuse them, an API server that has
forgotten, tokens past their time. What is served goes on being served, somebody is told, and in the end all is as the objects say.

Traffic under such trouble is test/e2e/kubernetes: watches cut every second, API server and etcd killed, a token revoked.
"""

import json
import os
import signal
import sys
import time
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from report import Report, need

import control as c
from k8s import world
from k8s.cluster import Cluster, enter
from k8s.support.waiting import until
from sidecar import Sidecar, request_token, with_expiry

OURS = "/apis/heddle.dev/v1"
SHOP = OURS + "/namespaces/shop"
ROUTES = "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes"


class Bad:
    """A kind with an error that the API server lets pass: the object as it was, as it is wrong, and as it is corrected.

    `first` and `then` are what the sidecar's configuration holds of the first and of the corrected one, each not of the other.
    """

    def __init__(self, kind, folder, good, bad, field, fixed, first, then, reason="Invalid", loose=False):
        self.kind, self.folder, self.good, self.bad, self.field, self.fixed = kind, folder, good, bad, field, fixed
        self.first, self.then, self.reason, self.loose = first, then, reason, loose
        self.name = "mesh" if kind == "MeshConfig" else "bad"
        self.path = f"{folder}/{self.name}"
        self.group = "gateway.networking.k8s.io/v1" if kind == "HTTPRoute" else "heddle.dev/v1"


def principal(account):
    return f"cluster.local/ns/shop/sa/{account}"


def route(**rule):
    return {"parentRefs": [{"group": "", "kind": "Service", "name": "reviews"}],
            "rules": [{"backendRefs": [{"name": "ratings", "port": 80}], **rule}]}


MIRROR = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "ratings", "port": 80}}}
REVIEWS = {"group": "", "kind": "Service", "name": "reviews"}
CASES = [
    Bad("MeshConfig", OURS + "/meshconfigs", {"accessLog": {"path": "/tmp/first.log"}},
        {"accessLog": {"path": "/tmp/wrong.log"}, "trustDomain": "elsewhere.example"}, "spec.trustDomain",
        {"accessLog": {"path": "/tmp/then.log"}, "defaults": {"timeouts": {"request": "2s"}}}, "/tmp/first.log", "/tmp/then.log"),
    # The default of MeshConfig is 2 s by now.
    Bad("BackendPolicy", SHOP + "/backendpolicies", {"targetRef": REVIEWS, "timeouts": {"connect": "7s"}},
        {"targetRef": REVIEWS, "retries": {"perTryTimeout": "3s"}}, "spec.retries.perTryTimeout",
        {"targetRef": REVIEWS, "timeouts": {"connect": "8s"}}, '"7s"', '"8s"'),
    # What our own schema refuses, an older copy of it may not.
    Bad("Workload", SHOP + "/workloads", {"address": "10.9.9.9", "serviceAccount": "first"},
        {"address": "nowhere", "serviceAccount": "wrong"}, "spec.address",
        {"address": "10.9.9.9", "serviceAccount": "then"}, "ns/shop/sa/first", "ns/shop/sa/then", loose=True),
    Bad("AuthorizationPolicy", SHOP + "/authorizationpolicies", {"rules": [{"from": [{"principals": [principal("alpha")]}]}]},
        {"rules": [{"from": [{"ipBlocks": ["10.0.0.0/99"]}]}]}, "spec.rules[0].from[0].ipBlocks[0]",
        {"rules": [{"from": [{"principals": [principal("omega")]}]}]}, "sa/alpha", "sa/omega", loose=True),
    Bad("WorkloadPolicy", SHOP + "/workloadpolicies", {"egress": {"services": ["reviews"]}},
        {"egress": {"services": ["reviews", "a/b/c"]}}, "spec.egress.services[1]",
        {"egress": {"services": ["reviews", "ratings"]}}, None, "ratings.shop:80", loose=True),
    Bad("HTTPRoute", ROUTES, route(timeouts={"request": "1100ms"}),
        route(filters=[MIRROR]), "spec.rules[0].filters[0]",
        route(timeouts={"request": "1200ms"}), '"1.100s"', '"1.200s"', reason="UnsupportedValue"),
]


class Test:
    def __init__(self, cluster):
        self.cluster, self.api = cluster, cluster.api
        self.one = c.Control(cluster, 1)
        self.sidecar = None
        self.fresh = 0

    def prepare(self):
        c.install(self.cluster)
        c.namespace(self.cluster, "shop", inject=True)
        c.pod(self.cluster, "shop", "web", "10.244.0.50")
        c.pod(self.cluster, "shop", "reviews-1", "10.244.0.51", labels={"app": "reviews"})
        for name in ("reviews", "ratings"):
            c.service(self.cluster, "shop", name)
        c.endpoint_slice(self.cluster, "shop", "reviews", [c.endpoint("10.244.0.51", "reviews-1"), c.endpoint("10.9.9.9")])
        self.one.start().wait_ready()
        self.sidecar = Sidecar(self.cluster, self.one, "web").wait_synced()

    # --- bad policies, no webhook ---------------------------------------------------------------

    def loosen(self, plural):
        """The CRD as one that checks nothing."""
        crd = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.heddle.dev"
        anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        self.api.patch(crd, [{"op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec", "value": anything}],
                       "application/json-patch+json")

    def write(self, bad, spec):
        """The object with exactly this spec; its generation."""
        there = self.api.find(bad.path)
        body = {"apiVersion": bad.group, "kind": bad.kind, "metadata": {"name": bad.name}, "spec": spec}
        if there is None:
            return self.api.create(bad.folder, body)["metadata"]["generation"]
        body["metadata"]["resourceVersion"] = there["metadata"]["resourceVersion"]
        return self.api.replace(bad.path, body)["metadata"]["generation"]

    def accepted(self, bad):
        """(status, reason, message, observedGeneration) of the condition."""
        status = self.api.get(bad.path).get("status") or {}
        if "parents" in status:
            status = status["parents"][0]
        for one in status.get("conditions") or []:
            if one["type"] == "Accepted":
                return one["status"], one["reason"], one["message"], one["observedGeneration"]
        return None

    def wait_accepted(self, bad, status, generation):
        found = lambda: (now := self.accepted(bad)) and now[0] == status and now[3] == generation and now
        return until(lambda: f"{bad.kind} Accepted {status} of generation {generation}: {self.accepted(bad)} {self.one.log()}", found)

    def in_force(self, text):
        return text is None or text in self.sidecar.config()

    def something_else_arrives(self):
        """A change of something else reaches the sidecar: what it has is of now."""
        self.fresh += 1
        address = f"10.251.0.{self.fresh}"
        self.api.patch("/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/reviews-0", {"endpoints": [
            c.endpoint("10.244.0.51", "reviews-1"), c.endpoint("10.9.9.9"), c.endpoint(address)]})
        until(lambda: f"{address} at the sidecar", lambda: address in self.sidecar.config())

    def bad_policy(self, bad):
        if bad.loose:
            self.loosen(bad.folder.rsplit("/", 1)[1])
        self.wait_accepted(bad, "True", self.write(bad, bad.good))
        until(lambda: f"{bad.first} at the sidecar: " + self.sidecar.log(), lambda: self.in_force(bad.first))
        need(not bad.loose or not self.in_force(bad.then), f"{bad.then} is there already")
        # The API server may have the loose schema only a little later.
        generation = until(f"the API server to take the bad {bad.kind}", lambda: self.taken(bad))
        found = self.wait_accepted(bad, "False", generation)
        need(found[1] == bad.reason and bad.field in found[2], found)
        if bad.kind != "HTTPRoute":
            need(c.conditions(self.api.get(bad.path))["Programmed"] == ("False", "Invalid", generation), self.api.get(bad.path)["status"])
        namespace = "default" if bad.kind == "MeshConfig" else "shop"
        events = lambda: [one for one in self.api.get(f"/api/v1/namespaces/{namespace}/events")["items"]
                          if one["involvedObject"]["kind"] == bad.kind and one["reason"] == bad.reason and bad.field in one["message"]]
        until(lambda: f"an Event on the {bad.kind}", events)
        self.something_else_arrives()
        need(self.in_force(bad.first) and not self.in_force(bad.then), f"what the {bad.kind} said before is not served: {self.one.log()}")
        need(bad.kind in str(self.one.status()["problems"]), self.one.status()["problems"])
        self.wait_accepted(bad, "True", self.write(bad, bad.fixed))
        until(lambda: f"{bad.then} at the sidecar", lambda: self.in_force(bad.then))
        if bad.kind != "HTTPRoute":
            until(lambda: f"Programmed: {self.api.get(bad.path)['status']}",
                  lambda: c.conditions(self.api.get(bad.path)).get("Programmed") == ("True", "Programmed", generation + 1))
            need(self.api.get(bad.path)["status"]["proxies"] == {"total": 1, "acked": 1, "nacked": 0}, self.api.get(bad.path)["status"])
        need(bad.first is None or not self.in_force(bad.first), f"{bad.first} is still there")
        until("no problems", lambda: not [p for p in self.one.status()["problems"] if p["severity"] == "error"])
        if bad.kind != "MeshConfig":
            self.api.delete(bad.path)

    def taken(self, bad):
        try:
            return self.write(bad, bad.bad)
        except Exception as error:  # noqa: BLE001: refused yet
            return None if bad.loose else need(False, error)

    def bad_policies(self):
        """One test for each kind."""
        return [(f"a bad {bad.kind} is told, and what it said before goes on", lambda bad=bad: self.bad_policy(bad)) for bad in CASES]

    # --- what a sidecar does not take ---------------------------------------------------------------

    def a_sidecar_rejects(self):
        """Which operators there are is for the sidecar to say: it goes on with what it has, and everybody is told why."""
        path = OURS + "/meshconfigs/mesh"
        generation = self.api.patch(path, {"spec": {"accessLog": {"path": "/tmp/new.log", "text": "%NO_SUCH_OPERATOR%"}}})["metadata"]["generation"]
        programmed = lambda: c.conditions(self.api.get(path)).get("Programmed")
        until(lambda: f"Rejected: {self.api.get(path)['status']} {self.one.log()}", lambda: programmed() == ("False", "Rejected", generation))
        status = self.api.get(path)["status"]
        message = next(one["message"] for one in status["conditions"] if one["type"] == "Programmed")
        need("rejected by 1 of 1 sidecars connected to control-1; shop/web: LDS: " in message and "NO_SUCH_OPERATOR" in message, message)
        need(status["proxies"] == {"total": 1, "acked": 0, "nacked": 1}, status)
        events = lambda: [one for one in self.api.get("/api/v1/namespaces/shop/events")["items"] if one["reason"] == "ConfigurationRejected"]
        found = until("an Event on the pod", events)[0]
        pod = self.api.get("/api/v1/namespaces/shop/pods/web")
        need(found["involvedObject"]["kind"] == "Pod" and found["involvedObject"]["uid"] == pod["metadata"]["uid"], found)
        need("NO_SUCH_OPERATOR" in found["message"], found)
        need(self.sidecar.line()["state"] == "rejecting" and "/tmp/new.log" not in self.log_paths(), self.sidecar.line())
        columns = self.cluster.kubectl("get", "meshconfigs").splitlines()
        need(columns[0].split()[2:4] == ["ACCEPTED", "PROGRAMMED"] and "False" in columns[1], columns)
        generation = self.api.patch(path, {"spec": {"accessLog": {"text": None}}})["metadata"]["generation"]
        until(lambda: f"Programmed: {self.api.get(path)['status']}", lambda: programmed() == ("True", "Programmed", generation))
        until("the new log", lambda: "/tmp/new.log" in self.log_paths())

    def log_paths(self):
        """Access logs of the listeners in force."""
        out = set()

        def walk(value):
            if isinstance(value, dict):
                if "error_state" in value:
                    value = {key: one for key, one in value.items() if key != "error_state"}
                if isinstance(value.get("path"), str):
                    out.add(value["path"])
                for one in value.values():
                    walk(one)
            elif isinstance(value, list):
                for one in value:
                    walk(one)
        walk(json.loads(self.sidecar.config()))
        return out

    # --- a replica that starts while something is wrong -----------------------------------------

    def starts_amid_errors(self):
        """It serves what the others serve: what was said before, and a guard where nothing ever was said."""
        self.loosen("authorizationpolicies")
        changed = Bad("AuthorizationPolicy", SHOP + "/authorizationpolicies", {"rules": [{"from": [{"principals": [principal("kept")]}]}]},
                      {"rules": [{"from": [{"ipBlocks": ["nonsense"]}]}]}, "spec.rules[0].from[0].ipBlocks[0]", {"rules": []}, None, None, loose=True)
        self.wait_accepted(changed, "True", self.write(changed, changed.good))
        self.wait_accepted(changed, "False", until("the bad policy to be taken", lambda: self.taken(changed)))
        never = Bad("AuthorizationPolicy", SHOP + "/authorizationpolicies", None, None, None, None, None, None)
        never.path, never.name = SHOP + "/authorizationpolicies/never", "never"
        found = self.wait_accepted(never, "False", self.write(never, {"action": "DENY", "rules": [{"to": [{"ports": [0]}]}]}))
        need("until this is valid, everything that it may guard is refused" in found[2], found)
        record = lambda: (self.api.find("/api/v1/namespaces/heddle-system/configmaps/heddle-last-good") or {}).get("data", {}).get("objects.json", "")
        until(lambda: f"the record: {record()}", lambda: "sa/kept" in record() and "never" not in record())
        two = c.Control(self.cluster, 2)
        two.start().wait_ready()
        for one in (self.one, two):
            text = until(f"the policies at {one.name}", lambda one=one: one.proxy("shop/web"))
            need("sa/kept" in text, f"{one.name} does not serve what the policy said before: {text}")
        need(two.proxy("shop/web") == self.one.proxy("shop/web"), "the replicas differ")
        refused = [rule for rule in self.rules(two) if rule["action"] == "DENY" and any("never" in name for name in rule["policies"])]
        need(refused, f"nothing guards for the policy that never was valid: {self.rules(two)}")
        self.api.delete(never.path)
        self.wait_accepted(changed, "True", self.write(changed, changed.fixed))
        until(lambda: f"an empty record: {record()}", lambda: record() == "[]")
        until("the correction at both", lambda: all("sa/kept" not in one.proxy("shop/web") for one in (self.one, two)))
        self.api.delete(changed.path)
        two.stop()

    def rules(self, control):
        """Every RBAC in what the sidecar is given."""
        out = []

        def walk(value):
            if isinstance(value, dict):
                if "policies" in value:
                    out.append({"action": value.get("action", "ALLOW"), "policies": list(value["policies"])})
                for one in value.values():
                    walk(one)
            elif isinstance(value, list):
                for one in value:
                    walk(one)
        walk(json.loads(control.proxy("shop/web")))
        return out

    # --- 410 --------------------------------------------------------------------------------------

    def compact(self):
        """etcd forgets everything but the present."""
        ask = lambda path, body: json.load(urllib.request.urlopen("http://127.0.0.1:2379" + path, json.dumps(body).encode(), timeout=30))
        revision = ask("/v3/kv/range", {"key": "AA=="})["header"]["revision"]
        ask("/v3/kv/compaction", {"revision": revision, "physical": True})

    def metric(self, name, resource):
        wanted = f'heddle_control_kubernetes_{name}_total{{resource="{resource}"}} '
        return next(int(line[len(wanted):]) for line in self.one.get(self.one.admin, "/metrics")[1].splitlines() if line.startswith(wanted))

    def forgotten(self):
        """heddle-control stands still while its watches are cut, the cluster changes and the history is forgotten."""
        c.pod(self.cluster, "shop", "goes", "10.244.0.60")
        c.service(self.cluster, "shop", "goes")
        self.api.create(ROUTES, {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "goes"},
                                 "spec": {**route(), "parentRefs": [{"group": "", "kind": "Service", "name": "ratings"}]}})
        c.namespace(self.cluster, "leaves", inject=True)
        until("the pod", lambda: self.one.proxy("shop/goes"))
        until("service and route", lambda: "goes.shop" in self.sidecar.config() and "shop/goes/0" in self.sidecar.config())
        before = {name: self.metric("expired", name) for name in ("pods", "services", "httproutes", "endpointslices")}
        lists = self.metric("lists", "pods")
        self.one.process.send_signal(signal.SIGSTOP)
        try:
            # Its connections end here: nothing of what follows is in a buffer for it.
            self.cluster.apiserver.kill()
            self.cluster.start_apiserver()
            self.api.delete("/api/v1/namespaces/shop/pods/goes", grace=0)
            self.api.delete("/api/v1/namespaces/shop/services/goes")
            self.api.delete(ROUTES + "/goes")
            self.api.patch("/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/reviews-0", {"endpoints": [c.endpoint("10.250.0.1")]})
            c.service(self.cluster, "shop", "comes")
            # A server that begins here knows of no event before.
            self.compact()
            self.cluster.apiserver.kill()
            self.cluster.start_apiserver()
        finally:
            self.one.process.send_signal(signal.SIGCONT)
        until(lambda: "pods to be listed again: " + self.one.log(), lambda: self.metric("expired", "pods") > before["pods"], 90)
        for name, count in before.items():
            until(lambda name=name: f"{name} to be listed again: " + self.one.log(), lambda name=name, count=count: self.metric("expired", name) > count, 90)
        until(lambda: "the list after it: " + self.one.log(), lambda: self.metric("lists", "pods") > lists, 90)
        until("the pod gone", lambda: not self.one.proxy("shop/goes"))
        for text in ("goes.shop", "shop/goes/0", "10.244.0.51"):
            until(lambda text=text: f"{text} gone from the sidecar", lambda text=text: text not in self.sidecar.config())
        for text in ("comes.shop", "10.250.0.1"):
            until(lambda text=text: f"{text} at the sidecar", lambda text=text: text in self.sidecar.config())
        need("has forgotten version" in self.one.whole_log(), self.one.log())

    # --- tokens past their time ---------------------------------------------------------------------

    def an_expired_token(self):
        """A sidecar that comes back with the token of yesterday is told so, and joins as soon as the file holds today's."""
        c.pod(self.cluster, "shop", "late", "10.244.0.61")
        until("the pod", lambda: self.one.proxy("shop/late"))
        good = request_token(self.cluster, "shop", "default")
        late = Sidecar(self.cluster, self.one, "late", token=with_expiry(self.cluster, good, time.time() - 3600))
        until(lambda: "the reason at the sidecar: " + late.log(), lambda: "expired" in late.log())
        need("token has expired" in self.one.whole_log(), self.one.log())
        need(late.line().get("state") not in ("synced", "pending", "rejecting"), late.line())
        late.put_token(good)
        late.wait_synced()
        late.stop()

    def its_own_token_expires(self):
        """The file is replaced late: until then it leads no more, what it serves it serves on, and then it goes on by itself."""
        self.api.create("/api/v1/namespaces/heddle-system/serviceaccounts", {"metadata": {"name": "heddle-control"}})
        self.api.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
            "metadata": {"name": "everything"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "heddle-control", "namespace": "heddle-system"}]})
        token = lambda: request_token(self.cluster, "heddle-system", "heddle-control", None)
        path = os.path.join(world.folder(), "own-token")

        def put(text):
            with open(path + ".new", "w", encoding="ascii") as file:
                file.write(text)
            os.rename(path + ".new", path)
        put(token())
        with open(self.cluster.write_kubeconfig("own"), encoding="ascii") as file:
            config = json.load(file)
        config["users"][0]["user"] = {"tokenFile": path}
        kubeconfig = path + ".kubeconfig"
        with open(kubeconfig, "w", encoding="ascii") as file:
            json.dump(config, file)
        self.one.stop()
        lease = lambda: self.api.get("/apis/coordination.k8s.io/v1/namespaces/heddle-system/leases/heddle-control")["spec"]
        self.one = c.Control(self.cluster, 1, kubeconfig)
        self.one.start().wait_ready()
        self.sidecar.control = self.one
        self.sidecar.wait_synced(120)
        until(lambda: f"leading: {lease()}", lambda: lease().get("holderIdentity") == "control-1")
        began = len(self.one.whole_log())
        said = lambda: self.one.whole_log()[began:]
        put(with_expiry(self.cluster, token(), time.time() - 3600))
        until(lambda: "not leading any more: " + self.one.log(), lambda: "not leading any more" in said(), 180)
        need("Unauthorized" in said(), said())
        need(self.one.get(self.one.health, "/readyz")[0] == 200, "not ready")
        need(self.sidecar.line().get("state") == "synced", self.sidecar.line())
        put(token())
        until(lambda: "leading again: " + self.one.log(), lambda: ": leading" in said()[said().rfind("not leading any more"):], 120)
        c.service(self.cluster, "shop", "renewed")
        until(lambda: "a change with the new token: " + self.one.log(), lambda: "renewed.shop" in self.sidecar.config(), 120)


def main():
    enter("gateway-api")
    report = Report()
    wanted = sys.argv[1:]
    with Cluster(controllers=False) as cluster:
        test = Test(cluster)
        tests = [("prepare", test.prepare), *test.bad_policies(), ("a sidecar rejects", test.a_sidecar_rejects),
                 ("starts amid errors", test.starts_amid_errors),
                 ("a 410: everything is listed again", test.forgotten),
                 ("an expired token", test.an_expired_token), ("its own token expires", test.its_own_token_expires)]
        for name, one in tests:
            if not wanted or name == "prepare" or any(word in name for word in wanted):
                began, failed = time.monotonic(), report.failed
                report.run(name, one)
                print(f"{'ok    ' if report.failed == failed else 'FAILED'}  {name} ({time.monotonic() - began:.1f} s)", flush=True)
        test.one.stop()
        if test.sidecar:
            test.sidecar.stop()
        if report.failed:
            print(test.one.log())
    sys.exit(report.end())


main()
