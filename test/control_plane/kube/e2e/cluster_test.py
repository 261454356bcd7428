"""heddle-control against a real API server: what it reads, what it writes, and what it survives."""

import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from report import Report, need

import control as c
from k8s.cluster import Cluster, enter, find_peer
from k8s.support.waiting import until

ROUTES = "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes"


class Test:
    def __init__(self, cluster):
        self.cluster, self.api = cluster, cluster.api
        self.one = c.Control(cluster, 1)
        self.two = c.Control(cluster, 2)

    def prepare(self):
        c.install(self.cluster)
        c.namespace(self.cluster, "shop", inject=True)
        c.namespace(self.cluster, "quiet")
        self.api.create("/api/v1/nodes", {"metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "z1"}}})
        c.pod(self.cluster, "shop", "web", "10.244.0.50", node="n1")
        c.pod(self.cluster, "shop", "reviews-1", "10.244.0.51", labels={"app": "reviews"}, node="n1")
        for name in ("reviews", "ratings"):
            c.service(self.cluster, "shop", name)
        c.endpoint_slice(self.cluster, "shop", "reviews",
                         [c.endpoint("10.244.0.51", "reviews-1"), c.endpoint("10.244.0.52"),
                          c.endpoint("10.244.0.53", ready=False, serving=True, terminating=True)])
        self.one.start().wait_ready()

    def reads_the_cluster(self):
        text = self.one.proxy("shop/web")
        need('"10.244.0.51"' in text and '"10.244.0.52"' in text, text)
        need("10.244.0.53" not in text, "an endpoint that is not ready is used")
        need('"z1"' in text, "the node's zone is not the endpoint's locality")
        need("ns/shop/sa/default" in text, "the endpoint's identity is not the pod's")
        need(self.one.status()["problems"] == [], self.one.status()["problems"])

    def follows_changes(self):
        path = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/reviews-0"
        self.api.patch(path, {"endpoints": [c.endpoint("10.244.0.51", "reviews-1", ready=False, serving=True, terminating=True)]})
        until("the terminating endpoint alone", lambda: "10.244.0.52" not in self.one.proxy("shop/web"))
        need('"10.244.0.51"' in self.one.proxy("shop/web"), "the last serving endpoint is not used")
        self.api.patch(path, {"endpoints": [c.endpoint("10.244.0.51", "reviews-1")]})
        before = self.one.status()["generation"]
        for i in range(5):
            self.api.patch("/api/v1/namespaces/shop/pods/web/status", {"status": {"message": f"noise {i}"}})
        c.pod(self.cluster, "shop", "late", "10.244.0.60")
        until("a new pod", lambda: self.one.proxy("shop/late"))
        need(self.one.status()["generation"] <= before + 2, "a pod's status made a new world")
        self.api.delete("/api/v1/namespaces/shop/pods/late", grace=0)
        until("the pod gone", lambda: not self.one.proxy("shop/late"))

    def strange_services_do_no_harm(self):
        c.service(self.cluster, "shop", "headless", clusterIP="None")
        c.service(self.cluster, "shop", "elsewhere", type="ExternalName", externalName="example.com", selector=None, ports=[])
        c.service(self.cluster, "shop", "dns", ports=[{"name": "dns", "port": 53, "protocol": "UDP"}])
        c.service(self.cluster, "shop", "sticky", sessionAffinity="ClientIP")
        until("the headless one", lambda: "headless.shop" in self.one.proxy("shop/web"))
        until("the sticky one", lambda: "sticky.shop" in self.one.proxy("shop/web"))
        need("elsewhere.shop" not in self.one.proxy("shop/web"), "an ExternalName is a cluster")
        need(self.one.status()["problems"] == [], self.one.status()["problems"])

    def gives_callers_what_is_near(self):
        """Hints and internalTrafficPolicy, for callers in two zones, and both addresses of a Service of two families."""
        self.api.create("/api/v1/nodes", {"metadata": {"name": "n2", "labels": {"topology.kubernetes.io/zone": "z2"}}})
        c.pod(self.cluster, "shop", "far", "10.244.0.80", node="n2")
        for name, more in (("zonal", {}), ("local", {"internalTrafficPolicy": "Local"})):
            c.service(self.cluster, "shop", name, **more)
            c.endpoint_slice(self.cluster, "shop", name, [
                {**c.endpoint(f"10.244.{9 if name == 'zonal' else 8}.{i}"), "nodeName": f"n{i}", "zone": f"z{i}", "hints": {"forZones": [{"name": f"z{i}"}]}}
                for i in (1, 2)])

        def given(caller):
            text = self.one.proxy(caller)
            return [one for one in ("10.244.9.1", "10.244.9.2", "10.244.8.1", "10.244.8.2") if f'"{one}"' in text]

        until(lambda: f"those near web: {given('shop/web')}", lambda: given("shop/web") == ["10.244.9.1", "10.244.8.1"])
        need(given("shop/far") == ["10.244.9.2", "10.244.8.2"], given("shop/far"))
        path = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/zonal-0"
        self.api.patch(path, {"endpoints": [{**c.endpoint("10.244.9.1"), "zone": "z1", "hints": {"forZones": [{"name": "z1"}]}},
                                            {**c.endpoint("10.244.9.2"), "zone": "z2"}]})
        until("all, when one has no hints", lambda: given("shop/far") == ["10.244.9.1", "10.244.9.2", "10.244.8.2"])
        service = c.service(self.cluster, "shop", "both", ipFamilyPolicy="PreferDualStack")
        ips = service["spec"]["clusterIPs"]
        until("its addresses", lambda: all((f"[{ip}]" if ":" in ip else ip) + ":80" in self.one.proxy("shop/web") for ip in ips))
        need("source_ip" in self.one.proxy("shop/web") or "sourceIp" in self.one.proxy("shop/web"), "sessionAffinity is not consistent hashing")
        need(self.one.status()["problems"] == [], self.one.status()["problems"])

    def writes_the_bundle(self):
        bundle = until("ConfigMap heddle-root", lambda: self.api.find("/api/v1/namespaces/shop/configmaps/heddle-root"))
        secret = self.api.get("/api/v1/namespaces/heddle-system/secrets/heddle-ca")
        need("BEGIN CERTIFICATE" in bundle["data"]["ca.crt"], bundle)
        need({"ca.key", "ca.crt"} <= set(secret["data"]), list(secret["data"]))
        need(self.api.find("/api/v1/namespaces/quiet/configmaps/heddle-root") is None, "a namespace that is not ours has it")
        self.api.patch("/api/v1/namespaces/quiet", {"metadata": {"labels": {"heddle.dev/inject": "enabled"}}})
        until("the bundle after the label", lambda: self.api.find("/api/v1/namespaces/quiet/configmaps/heddle-root"))

    def accepts_a_route(self):
        c.route(self.cluster, "shop", "reviews", "reviews", ["ratings"])
        until(lambda: f"Accepted: {self.api.get(ROUTES + '/reviews').get('status')}",
              lambda: c.conditions(self.api.get(ROUTES + "/reviews")) == {
                  "Accepted": ("True", "Accepted", 1), "ResolvedRefs": ("True", "ResolvedRefs", 1)})
        need("shop/reviews/0" in self.one.proxy("shop/web"), "the route is not served")

    def says_what_is_wrong_with_a_route(self):
        self.api.patch(ROUTES + "/reviews", {"spec": {"rules": [{"backendRefs": [
            {"name": "ratings", "port": 80}, {"name": "nobody", "port": 80, "weight": 1}]}]}})
        until(lambda: f"BackendNotFound: {self.api.get(ROUTES + '/reviews')['status']}",
              lambda: c.conditions(self.api.get(ROUTES + "/reviews")) == {
                  "Accepted": ("True", "Accepted", 2), "ResolvedRefs": ("False", "BackendNotFound", 2)})
        need("no_backend" in self.one.proxy("shop/web"), "the share of the missing backend is not answered 500")
        events = until("an Event", lambda: [one for one in self.api.get("/api/v1/namespaces/shop/events")["items"]
                                           if one["involvedObject"]["name"] == "reviews"])
        need(events[0]["reason"] == "BackendNotFound" and events[0]["type"] == "Warning", events)
        c.service(self.cluster, "shop", "nobody")
        until("it to heal when the Service comes", lambda: c.conditions(self.api.get(ROUTES + "/reviews"))["ResolvedRefs"][0] == "True")
        self.api.delete("/api/v1/namespaces/shop/services/nobody")
        until("it to fail when the Service goes", lambda: c.conditions(self.api.get(ROUTES + "/reviews"))["ResolvedRefs"][0] == "False")
        c.route(self.cluster, "shop", "orphan", "missing", ["ratings"])
        until("NoMatchingParent", lambda: c.conditions(self.api.get(ROUTES + "/orphan")).get("Accepted", ("", ""))[1] == "NoMatchingParent")

    def names_the_kind_of_a_backend_that_is_no_service(self):
        c.route(self.cluster, "shop", "bucket", "ratings", [{"group": "example.com", "kind": "Bucket", "name": "b"}])
        until(lambda: f"InvalidKind: {self.api.get(ROUTES + '/bucket').get('status')}",
              lambda: c.conditions(self.api.get(ROUTES + "/bucket")) == {
                  "Accepted": ("True", "Accepted", 1), "ResolvedRefs": ("False", "InvalidKind", 1)})
        self.api.delete(ROUTES + "/bucket")

    def leaves_other_controllers_alone(self):
        theirs = {"parentRef": {"group": "", "kind": "Service", "name": "reviews"}, "controllerName": "example.com/other",
                  "conditions": [{"type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "observedGeneration": 1,
                                  "lastTransitionTime": "2026-01-01T00:00:00Z"}]}
        route = self.api.get(ROUTES + "/reviews")
        self.api.patch(ROUTES + "/reviews/status", {"status": {"parents": [theirs, *route["status"]["parents"]]}})
        self.api.patch(ROUTES + "/reviews", {"spec": {"rules": [{"backendRefs": [{"name": "ratings", "port": 80}]}]}})
        until("the new generation", lambda: c.conditions(self.api.get(ROUTES + "/reviews"))["ResolvedRefs"] == ("True", "ResolvedRefs", 3))
        parents = self.api.get(ROUTES + "/reviews")["status"]["parents"]
        need(theirs in parents and len(parents) == 2, parents)

    def refuses_what_it_cannot_do(self):
        """RequestMirror is valid for the API server and not supported here: refused, what was served goes on."""
        self.api.patch(ROUTES + "/reviews", {"spec": {"rules": [{"filters": [
            {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "ratings", "port": 80}}}],
            "backendRefs": [{"name": "ratings", "port": 80}]}]}})
        until(lambda: f"UnsupportedValue: {self.api.get(ROUTES + '/reviews')['status']}",
              lambda: c.conditions(self.api.get(ROUTES + "/reviews"))["Accepted"] == ("False", "UnsupportedValue", 4))
        need("shop/reviews/0" in self.one.proxy("shop/web"), "what was served before is gone")
        self.api.delete(ROUTES + "/reviews")
        self.api.delete(ROUTES + "/orphan")
        until("no problems", lambda: self.one.status()["problems"] == [])

    def grants_references(self):
        c.service(self.cluster, "quiet", "far")
        c.route(self.cluster, "shop", "far", "reviews", [{"name": "far", "namespace": "quiet", "port": 80}])
        until("RefNotPermitted", lambda: c.conditions(self.api.get(ROUTES + "/far")).get("ResolvedRefs", ("", ""))[1] == "RefNotPermitted")
        self.api.create("/apis/gateway.networking.k8s.io/v1beta1/namespaces/quiet/referencegrants", {
            "apiVersion": "gateway.networking.k8s.io/v1beta1", "kind": "ReferenceGrant", "metadata": {"name": "shop"}, "spec": {"from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "shop"}],
                                                   "to": [{"group": "", "kind": "Service"}]}})
        until("the grant", lambda: c.conditions(self.api.get(ROUTES + "/far"))["ResolvedRefs"][0] == "True")
        self.api.delete(ROUTES + "/far")

    def prefers_grpc_routes(self):
        c.route(self.cluster, "shop", "http", "reviews", ["ratings"])
        c.route(self.cluster, "shop", "calls", "reviews", ["ratings"], kind="GRPCRoute",
                matches=[{"method": {"service": "shop.Reviews", "method": "Get"}}])
        until("the HTTPRoute's Conflicted", lambda: c.conditions(self.api.get(ROUTES + "/http")).get("Accepted", ("", ""))[1] == "Conflicted")
        need("/shop.Reviews/Get" in self.one.proxy("shop/web"), "the GRPCRoute is not served")
        self.api.delete(ROUTES.replace("httproutes", "grpcroutes") + "/calls")
        until("the HTTPRoute to hold", lambda: c.conditions(self.api.get(ROUTES + "/http"))["Accepted"][0] == "True")
        self.api.delete(ROUTES + "/http")

    def writes_policy_status(self):
        path = "/apis/heddle.dev/v1/namespaces/shop/backendpolicies"
        self.api.create(path, {"apiVersion": "heddle.dev/v1", "kind": "BackendPolicy", "metadata": {"name": "p"},
                               "spec": {"targetRef": {"group": "", "kind": "Service", "name": "absent"}, "connectTimeout": "1s"}})
        until(lambda: f"TargetNotFound: {self.api.get(path + '/p')}",
              lambda: c.conditions(self.api.get(path + "/p")).get("Accepted") == ("False", "TargetNotFound", 1))
        c.service(self.cluster, "shop", "absent")
        until("Accepted", lambda: c.conditions(self.api.get(path + "/p"))["Accepted"][0] == "True")

    def a_crd_may_come_late(self):
        self.cluster.kubectl("delete", "crd", "grpcroutes.gateway.networking.k8s.io")
        gateway = os.path.join(find_peer("gateway-api"), "config/crd/standard/gateway.networking.k8s.io_grpcroutes.yaml")
        self.cluster.kubectl("apply", "--server-side", "-f", gateway)
        until("the kind to be served", lambda: self.api.raw("GET", "/apis/gateway.networking.k8s.io/v1/grpcroutes")[0] == 200)
        c.route(self.cluster, "shop", "again", "reviews", ["ratings"], kind="GRPCRoute")
        until(lambda: "the GRPCRoute of the new CRD: " + self.one.log(), lambda: "shop/again/0" in self.one.proxy("shop/web"), 90)
        self.api.delete(ROUTES.replace("httproutes", "grpcroutes") + "/again")

    def outlives_the_api_server(self):
        self.cluster.apiserver.kill()
        need(self.one.get(self.one.health, "/readyz")[0] == 200, "not ready without the API server")
        need('"10.244.0.51"' in self.one.proxy("shop/web"), "what was known is forgotten")
        self.cluster.start_apiserver()
        c.pod(self.cluster, "shop", "after", "10.244.0.70")
        until(lambda: "a pod of the new API server: " + self.one.log(), lambda: self.one.proxy("shop/after"), 90)
        self.cluster.restart_etcd()
        self.cluster.wait_ready()
        until("etcd to take writes", lambda: self.cluster.try_kubectl("delete", "pod", "after", "-n", "shop", "--grace-period=0",
                                                                      "--force").returncode == 0, 90)
        until(lambda: "the pod gone: " + self.one.log(), lambda: not self.one.proxy("shop/after"), 90)
        need(self.one.process.poll() is None, self.one.log())

    def a_second_replica_shares_the_ca(self):
        self.two.start().wait_ready()
        roots = [one.status()["roots"] for one in (self.one, self.two)]
        need(roots[0] == roots[1] and len(roots[0]) == 1, roots)
        need("leading" not in self.two.log(), self.two.log())

    def a_rotation_reaches_every_replica(self):
        """A step that one replica is told is taken up by the other."""
        done = subprocess.run(["curl", "-sf", "-X", "POST", "-H", "x-heddle-admin: 1",
                               f"http://127.0.0.1:{self.two.admin}/rotate?root=prepare"], stdout=subprocess.PIPE, text=True, check=False)
        need(done.returncode == 0, done)
        until(lambda: f"two roots: {self.one.status()['roots']}", lambda: len(self.one.status()["roots"]) == 2)
        until("both in the bundle", lambda: self.api.get("/api/v1/namespaces/shop/configmaps/heddle-root")["data"]["ca.crt"].count(
            "BEGIN CERTIFICATE") == 2)

    def the_other_leads_when_one_dies(self):
        lease = "/apis/coordination.k8s.io/v1/namespaces/heddle-system/leases/heddle-control"
        need(self.api.get(lease)["spec"]["holderIdentity"] == "control-1", self.api.get(lease))
        self.one.kill()
        until("a new leader", lambda: self.api.get(lease)["spec"]["holderIdentity"] == "control-2", 60)
        c.namespace(self.cluster, "third", inject=True)
        until("the new leader's writing", lambda: self.api.find("/api/v1/namespaces/third/configmaps/heddle-root"))
        self.two.stop()
        need(self.api.get(lease)["spec"].get("holderIdentity", "") == "", "the lease was not given back")


def main():
    enter("gateway-api")
    report = Report()
    with Cluster(controllers=False) as cluster:
        test = Test(cluster)
        names = ["prepare", "reads_the_cluster", "follows_changes", "strange_services_do_no_harm", "gives_callers_what_is_near", "writes_the_bundle",
                 "accepts_a_route", "says_what_is_wrong_with_a_route", "names_the_kind_of_a_backend_that_is_no_service",
                 "leaves_other_controllers_alone", "refuses_what_it_cannot_do", "grants_references", "prefers_grpc_routes", "writes_policy_status", "a_crd_may_come_late",
                 "outlives_the_api_server", "a_second_replica_shares_the_ca", "a_rotation_reaches_every_replica",
                 "the_other_leads_when_one_dies"]
        wanted = sys.argv[1:] or names
        for name in names:
            if name in wanted or name == "prepare":
                report.run(name.replace("_", " "), getattr(test, name))
            # Each stands on the one before.
            if report.failed:
                break
        for one in (test.one, test.two):
            one.stop()
            if report.failed and one.process:
                print(f"--- {one.name}\n{one.log()}")
    sys.exit(report.end())


main()
