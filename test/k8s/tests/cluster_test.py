"""The test cluster itself: what comes up, what survives the end of its parts."""

import os
import subprocess
import sys
import time

from report import Report, need

from k8s import world
from k8s.cluster import Cluster, enter, find_peer
from k8s.support.api import ApiError, Reflector
from k8s.support.waiting import until


def versions(cluster):
    text = cluster.kubectl("version")
    need(text.count("v1.34.1") == 2, text)
    need(cluster.kubectl("auth", "can-i", "create", "pods", "--as", "nobody", check=False).strip() == "no", "RBAC is off")


def accounts_and_roots(cluster):
    cluster.kubectl("create", "namespace", "fresh")
    until("the namespace's service account", lambda: cluster.api.find("/api/v1/namespaces/fresh/serviceaccounts/default"))
    root = until("kube-root-ca.crt", lambda: cluster.api.find("/api/v1/namespaces/fresh/configmaps/kube-root-ca.crt"))
    need("BEGIN CERTIFICATE" in root["data"]["ca.crt"], root)
    token = cluster.kubectl("create", "token", "default", "-n", "fresh", "--audience", "someone").strip()
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token, "audiences": ["someone"]}}
    answer = cluster.api.create("/apis/authentication.k8s.io/v1/tokenreviews", review)["status"]
    need(answer["user"]["username"] == "system:serviceaccount:fresh:default", answer)
    review["spec"]["audiences"] = ["another"]
    answer = cluster.api.create("/apis/authentication.k8s.io/v1/tokenreviews", review)["status"]
    need(not answer.get("authenticated"), answer)


def namespace_goes(cluster):
    cluster.kubectl("delete", "namespace", "fresh", "--wait=false")
    until("the namespace gone", lambda: cluster.api.find("/api/v1/namespaces/fresh") is None)


def parts_killed(cluster):
    seen = []
    reflector = Reflector(cluster.api, "/api/v1/configmaps", lambda kind, item: seen.append((kind, item["metadata"]["name"]))).start()
    until("the first list", reflector.synced.is_set)
    cluster.kubectl("create", "configmap", "before", "-n", "default")
    cluster.apiserver.kill()
    need(not cluster.api.ready(), "the API server answers though it was killed")
    cluster.start_apiserver()
    cluster.restart_etcd()
    cluster.wait_ready()
    until("an object written after both", lambda: cluster.try_kubectl("create", "configmap", "after", "-n", "default").returncode == 0)
    need(cluster.api.find("/api/v1/namespaces/default/configmaps/before"), "etcd lost an object")
    until(lambda: f"the watch to go on: {seen}", lambda: ("set", "before") in seen and ("set", "after") in seen)
    reflector.stop()


def gateway_api(cluster):
    cluster.apply(os.path.join(find_peer("gateway-api"), "config/crd/standard"), server_side=True)
    route = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "r", "namespace": "default"},
             "spec": {"parentRefs": [{"group": "", "kind": "Service", "name": "s"}], "rules": [{"filters": [{"type": "NoSuch"}]}]}}
    path = "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes"

    def refused():
        try:
            cluster.api.create(path, route)
        except ApiError as error:
            return error.code == 422 and "NoSuch" in error.message
        return False
    until("a bad HTTPRoute refused by its schema", refused)
    route["spec"]["rules"] = [{"backendRefs": [{"name": "s", "port": 80}]}]
    need(cluster.api.create(path, route)["metadata"]["generation"] == 1, "no generation")


def ends_with_its_starter():
    """A second world, killed from outside, leaves no process: their network would still hold the port."""
    code = ("import sys; from k8s import world; world.enter(); from k8s.cluster import Cluster; c = Cluster(controllers=False); "
            "c.start(); print('up', flush=True); import time; time.sleep(600)")
    environment = {name: value for name, value in os.environ.items() if name != world.MARK}
    other = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
    need(other.stdout.readline().strip() == "up", "the second cluster did not come up")
    before = etcds()
    need(len(before) == 2, f"etcd runs {len(before)} times")
    other.kill()
    other.wait()
    until("everything of it ended", lambda: len(etcds()) == 1)


def etcds():
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm", encoding="ascii") as file:
                if file.read().strip() == "etcd":
                    found.append(pid)
        except OSError:
            pass
    return found


def main():
    enter("gateway-api")
    report = Report()
    began = time.monotonic()
    with Cluster() as cluster:
        print(f"the cluster was ready after {time.monotonic() - began:.1f} s")
        for name, test in (("the versions are those we asked for, and RBAC is on", versions),
                           ("a namespace gets its service account, root certificate and tokens", accounts_and_roots),
                           ("a namespace that is deleted goes", namespace_goes),
                           ("the Gateway API's kinds are served and checked", gateway_api),
                           ("killed API server and etcd come back with everything, and watches go on", parts_killed)):
            report.run(name, lambda test=test: test(cluster))
        report.run("a cluster ends with the program that started it", ends_with_its_starter)
        if report.failed:
            print(cluster.apiserver.log())
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
