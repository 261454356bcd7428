"""The pod runner against the real API server and controllers: what a kubelet would do with these pods, ours does."""

import json
import os
import shutil
import subprocess
import sys
import urllib.request

from report import Report, need

from k8s import world
from k8s.cluster import Cluster, enter
from k8s.podrunner import Image, PodRunner
from k8s.support.waiting import until

HERE = os.path.dirname(os.path.abspath(__file__))
NS = "default"


def app(name, port, *flags, **more):
    return {"name": name, "image": "app", "args": [str(port), *flags], "ports": [{"name": "http", "containerPort": port}], **more}


def shell(name, script, **more):
    return {"name": name, "image": "sh", "args": [script], **more}


def http(port, path="/healthz", **more):
    return {"httpGet": {"port": port, "path": path}, "periodSeconds": 1, **more}


class Bench:
    def __init__(self, cluster, runner):
        self.cluster, self.api, self.runner = cluster, cluster.api, runner

    def pod(self, name, containers, inits=(), labels=None, **spec):
        self.api.create(f"/api/v1/namespaces/{NS}/pods", {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels or {"app": name}},
            "spec": {"terminationGracePeriodSeconds": 5, **spec, "initContainers": list(inits), "containers": list(containers)}})

    def get(self, name):
        return self.api.find(f"/api/v1/namespaces/{NS}/pods/{name}")

    def delete(self, name):
        self.api.delete(f"/api/v1/namespaces/{NS}/pods/{name}")

    def gone(self, name):
        until(f"pod {name} gone", lambda: self.get(name) is None)

    def status(self, pod, container):
        status = self.get(pod).get("status") or {}
        every = (status.get("initContainerStatuses") or []) + (status.get("containerStatuses") or [])
        return next((one for one in every if one["name"] == container), None)

    def until_status(self, pod, container, condition, what):
        return until(lambda: f"{what}: {self.runner.describe(NS, 'app=' + pod)}",
                     lambda: (one := self.status(pod, container)) and condition(one) and one)

    def ready(self, name):
        return self.runner.wait_ready(NS, "app=" + name)

    def phase(self, name, wanted):
        until(lambda: f"{name} {wanted}: {self.runner.describe(NS, 'app=' + name)}",
              lambda: (self.get(name).get("status") or {}).get("phase") == wanted)

    def exec(self, pod, argv, container=None):
        return self.runner.exec(NS, pod, argv, container)

    def times(self, pod, container):
        """{what: time} that app.py told."""
        lines = [line.split() for line in self.runner.logs(NS, pod, container).splitlines()]
        return {line[0]: float(line[1]) for line in lines if len(line) == 2}

    def ask(self, pod, url, *argv, container=None):
        return self.exec(pod, ["curl", "-sS", "-m", "5", *argv, url], container)

    def events(self, pod):
        items = self.api.get(f"/api/v1/namespaces/{NS}/events?fieldSelector=involvedObject.name%3D{pod}")["items"]
        return {one["reason"] for one in items}


def order(b):
    """init, sidecar held by its startup probe, init that needs the sidecar, main."""
    b.pod("order", [app("main", 8080, readinessProbe=http("http"))], [
        shell("first", "echo first $(date +%s.%N)"),
        app("side", 8081, "--slow-start", "1.5", restartPolicy="Always", startupProbe=http(8081, failureThreshold=100)),
        shell("second", "echo second $(date +%s.%N); curl -sS -m 5 127.0.0.1:8081/healthz")])
    b.ready("order")
    first, side = b.times("order", "first")["first"], b.times("order", "side")["start"]
    second, main = b.times("order", "second")["second"], b.times("order", "main")["start"]
    need(first < side, "the sidecar did not wait for the init container before it")
    need(second >= side + 1.5, "the second init container did not wait for the sidecar's startup probe")
    need("well" in b.runner.logs(NS, "order", "second"), "the sidecar did not serve the init container after it")
    need(main > second, "the main container did not wait")
    item = b.get("order")
    need(item["status"]["phase"] == "Running", item["status"])
    kinds = {c["type"]: c["status"] for c in item["status"]["conditions"]}
    need(all(kinds[k] == "True" for k in ("Initialized", "Ready", "ContainersReady", "PodScheduled")), kinds)
    need(b.status("order", "first")["state"]["terminated"]["exitCode"] == 0)
    need(b.status("order", "side")["started"] and b.status("order", "side")["ready"])
    b.delete("order")
    b.gone("order")


def termination(b):
    """Main containers first, then sidecars from the last to the first; preStop before; all within the grace period."""
    stop = {"preStop": {"exec": {"command": ["sh", "-c", "echo prestop $(date +%s.%N) >/proc/1/fd/1"]}}}
    b.pod("ending", [app("main", 8080, "--linger", "0.7", lifecycle=stop, readinessProbe=http(8080))], [
        app(name, port, "--linger", "0.3", restartPolicy="Always", startupProbe=http(port, failureThreshold=100))
        for name, port in (("one", 8081), ("two", 8082))],
        terminationGracePeriodSeconds=20)
    b.ready("ending")
    pod = b.runner.find(NS, "ending")
    b.delete("ending")
    need(pod.finished.wait(60), "it did not end")
    b.gone("ending")
    logs = {}
    for container in pod.inits + pod.mains:
        with open(container.log_path(), encoding="utf-8") as file:
            logs[container.name] = {line.split()[0]: float(line.split()[1]) for line in file.read().splitlines()}
    main, one, two = logs["main"], logs["one"], logs["two"]
    need(main["prestop"] < main["term"] < main["exit"], logs)
    need(main["exit"] <= two["term"] < two["exit"] <= one["term"], logs)


def killed_at_last(b):
    b.pod("deaf", [shell("main", "trap '' TERM; echo up; while :; do sleep 0.1; done")], terminationGracePeriodSeconds=1)
    b.ready("deaf")
    pod = b.runner.find(NS, "deaf")
    b.delete("deaf")
    need(pod.finished.wait(60), "it did not end")
    need(pod.mains[0].ended["exitCode"] == 137, pod.mains[0].ended)


def probes(b):
    b.pod("probed", [app("main", 8080, readinessProbe=http(8080, failureThreshold=1), livenessProbe=http(8080, "/", failureThreshold=100)),
                     app("frail", 8090, livenessProbe=http(8090, failureThreshold=2), startupProbe=http(8090, failureThreshold=100))])
    b.ready("probed")
    b.ask("probed", "http://127.0.0.1:8080/sick", "-X", "POST", container="main")
    b.until_status("probed", "main", lambda one: not one["ready"], "not ready any more")
    need(b.status("probed", "main")["restartCount"] == 0, "a readiness probe must not restart")
    b.ask("probed", "http://127.0.0.1:8080/well", "-X", "POST", container="main")
    b.until_status("probed", "main", lambda one: one["ready"], "ready again")
    b.ask("probed", "http://127.0.0.1:8090/sick", "-X", "POST", container="frail")
    b.until_status("probed", "frail", lambda one: one["restartCount"] == 1 and one["ready"], "restarted by its liveness probe")
    need("Unhealthy" in b.events("probed"), b.events("probed"))
    b.delete("probed")
    b.gone("probed")


def more_probes(b):
    b.pod("kinds", [app("main", 8080, readinessProbe={"exec": {"command": ["test", "-e", "/tmp/yes"]}, "periodSeconds": 1},
                        startupProbe={"tcpSocket": {"port": "http"}, "periodSeconds": 1})])
    b.until_status("kinds", "main", lambda one: one["started"], "started by TCP")
    need(not b.status("kinds", "main")["ready"])
    need(b.exec("kinds", ["touch", "/tmp/yes"]) == (0, ""))
    b.ready("kinds")
    need(not os.path.exists("/tmp/yes"), "a container wrote into this machine's own files")
    b.delete("kinds")


def restarts(b):
    b.pod("crash", [shell("main", "echo life; exit 3")])
    one = b.until_status("crash", "main", lambda one: one["restartCount"] >= 2 and "waiting" in one["state"], "restarted twice")
    need(one["state"]["waiting"]["reason"] == "CrashLoopBackOff" and one["lastState"]["terminated"]["exitCode"] == 3, one)
    need("BackOff" in b.events("crash"))
    b.pod("never", [shell("main", "exit 4")], restartPolicy="Never")
    b.phase("never", "Failed")
    b.pod("onfailure", [shell("main", "exit 0")], restartPolicy="OnFailure")
    b.phase("onfailure", "Succeeded")
    b.pod("badinit", [shell("main", "sleep 100")], [shell("init", "exit 1")], restartPolicy="Never")
    b.phase("badinit", "Failed")
    need(b.status("badinit", "main")["restartCount"] == 0)
    for name in ("crash", "never", "onfailure", "badinit"):
        b.delete(name)
    for name in ("crash", "never", "onfailure", "badinit"):
        b.gone(name)


def cannot_start(b):
    b.pod("noimage", [{"name": "main", "image": "unknown:1"}])
    b.until_status("noimage", "main", lambda one: one["state"].get("waiting", {}).get("reason") == "ImagePullBackOff", "no such image")
    b.pod("noprogram", [{"name": "main", "image": "sh", "command": ["/no/such/program"]}])
    b.until_status("noprogram", "main", lambda one: one["lastState"].get("terminated", {}).get("exitCode") == 128, "no such program")
    b.pod("asroot", [shell("main", "sleep 100", securityContext={"runAsNonRoot": True})])
    one = b.until_status("asroot", "main", lambda one: one["state"].get("waiting", {}).get("reason") == "CreateContainerConfigError", "refused")
    need("runAsNonRoot" in one["state"]["waiting"]["message"], one)
    for name in ("noimage", "noprogram", "asroot"):
        b.delete(name)


def post_start(b):
    hook = {"postStart": {"exec": {"command": ["sh", "-c", "sleep 1; echo hook $(date +%s.%N) >/proc/1/fd/1"]}}}
    b.pod("held", [app("first", 8080, lifecycle=hook), app("second", 8081, readinessProbe=http(8081))])
    b.ready("held")
    need(b.times("held", "first")["hook"] <= b.times("held", "second")["start"], "the second container did not wait for the first's hook")
    b.pod("badhook", [app("main", 8080, lifecycle={"postStart": {"exec": {"command": ["false"]}}})])
    b.until_status("badhook", "main", lambda one: one["restartCount"] >= 1, "killed because its hook failed")
    need("FailedPostStartHook" in b.events("badhook"))
    b.delete("held")
    b.delete("badhook")


def job(b):
    b.api.create(f"/apis/batch/v1/namespaces/{NS}/jobs", {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "work"}, "spec": {"template": {
            "metadata": {"labels": {"app": "work"}}, "spec": {
                "restartPolicy": "Never", "initContainers": [app("side", 8081, restartPolicy="Always")],
                "containers": [shell("main", "curl -sS -m 5 --retry 5 --retry-connrefused 127.0.0.1:8081/healthz")]}}}})
    done = until(lambda: b.runner.describe(NS, "app=work"), lambda: [
        c for c in (b.api.get(f"/apis/batch/v1/namespaces/{NS}/jobs/work").get("status") or {}).get("conditions") or []
        if c["type"] in ("Complete", "Failed") and c["status"] == "True"])
    need(done[0]["type"] == "Complete", done)
    name = b.runner.listed(NS, "app=work")[0]["metadata"]["name"]
    need(b.status(name, "side")["state"]["terminated"]["exitCode"] == 0, "the sidecar was not ended")


def volumes(b):
    b.cluster.kubectl("create", "configmap", "conf", "--from-literal=k=one")
    b.cluster.kubectl("create", "secret", "generic", "sec", "--from-literal=p=word")
    b.pod("files", [shell("main", "sleep 1000", securityContext={"runAsUser": 1337, "readOnlyRootFilesystem": True}, volumeMounts=[
        {"name": "conf", "mountPath": "/etc/conf"}, {"name": "all", "mountPath": "/var/run/all"}, {"name": "own", "mountPath": "/var/lib/own"},
        {"name": "conf", "mountPath": "/etc/one.txt", "subPath": "k", "readOnly": True}])], volumes=[
            {"name": "conf", "configMap": {"name": "conf"}}, {"name": "own", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            {"name": "all", "projected": {"sources": [
                {"serviceAccountToken": {"path": "token", "audience": "heddle-control", "expirationSeconds": 600}},
                {"secret": {"name": "sec"}}, {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}}]}}])
    b.ready("files")
    text = lambda path: b.exec("files", ["cat", path])[1]
    need(text("/etc/conf/k") == "one" and text("/etc/one.txt") == "one" and text("/var/run/all/p") == "word")
    need(text("/var/run/all/labels") == 'app="files"\n')
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
              "spec": {"token": text("/var/run/all/token"), "audiences": ["heddle-control"]}}
    user = b.api.create("/apis/authentication.k8s.io/v1/tokenreviews", review)["status"]["user"]
    need(user["username"] == f"system:serviceaccount:{NS}:default" and
         user["extra"]["authentication.kubernetes.io/pod-name"] == ["files"], user)
    need(text("/var/run/secrets/kubernetes.io/serviceaccount/namespace") == NS)
    need(b.exec("files", ["sh", "-c", "id -u; echo x >/var/lib/own/f && cat /var/lib/own/f"]) == (0, "1337\nx\n"))
    need(b.exec("files", ["touch", "/etc/x"])[0] != 0, "the root is not read-only")
    b.cluster.kubectl("patch", "configmap", "conf", "-p", '{"data":{"k":"two"}}')
    until("the config map's new value", lambda: text("/etc/conf/k") == "two")
    b.cluster.kubectl("label", "pod", "files", "new=yes")
    until("the label in the downward API", lambda: 'new="yes"' in text("/var/run/all/labels"))
    b.runner.token_life = 0
    before = text("/var/run/all/token")
    until("a new token", lambda: text("/var/run/all/token") != before)
    b.runner.token_life = 10**9
    b.pod("late", [shell("main", "sleep 1000", env=[{"name": "K", "valueFrom": {"configMapKeyRef": {"name": "later", "key": "k"}}}])])
    b.until_status("late", "main", lambda one: one["state"].get("waiting", {}).get("reason") == "CreateContainerConfigError", "waits")
    b.cluster.kubectl("create", "configmap", "later", "--from-literal=k=v")
    b.ready("late")
    need(b.exec("late", ["printenv", "K"]) == (0, "v\n"))
    b.delete("late")
    b.delete("files")


def privileges(b):
    caps = "grep -E 'Cap(Eff|Bnd)|NoNewPrivs' /proc/self/status"
    b.pod("caps", [
        shell("plain", "sleep 1000"),
        shell("none", "sleep 1000", securityContext={"capabilities": {"drop": ["ALL"]}, "allowPrivilegeEscalation": False, "runAsUser": 1337})],
        [shell("admin", caps + "; ip route add blackhole 192.0.2.1 && echo routed",
               securityContext={"capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]}})])
    b.ready("caps")
    admin = b.runner.logs(NS, "caps", "admin")
    need("CapEff:\t0000000000003000" in admin and "routed" in admin, admin)
    plain = b.exec("caps", ["sh", "-c", caps + "; ip route add blackhole 192.0.2.2; echo over"], "plain")[1]
    need("CapEff:\t00000000a80425fb" in plain and "Operation not permitted" in plain, plain)
    none = b.exec("caps", ["sh", "-c", caps], "none")[1]
    need("CapEff:\t0000000000000000" in none and "CapBnd:\t0000000000000000" in none and "NoNewPrivs:\t1" in none, none)
    first = b.exec("caps", ["sh", "-c", "cat /proc/1/cmdline; ls /proc | grep -c '^[0-9]'"], "plain")[1]
    need("sleep" in first, f"process 1 is not the container's own: {first}")
    b.delete("caps")


def environment(b):
    b.pod("told", [app("main", 8080, "--slow-start", "$(ZERO)", readinessProbe=http(8080), env=[
        {"name": "ZERO", "value": "0"}, {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}])], hostname="own-name")
    b.ready("told")
    env = json.loads(b.ask("told", "http://127.0.0.1:8080/")[1])["env"]
    need(env["IP"] == b.get("told")["status"]["podIP"] and env["NODE"] == "node-1" and env["HOSTNAME"] == "own-name", env)
    need(env["KUBERNETES_SERVICE_HOST"] == "10.96.0.1", env)
    code, version = b.exec("told", ["curl", "-sS", "--cacert", "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt",
                                    "https://kubernetes.default.svc/version"])
    need(code == 0 and "v1.34.1" in version, version)
    b.delete("told")


def deployment(name, replicas, labels, **spec):
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {
        "replicas": replicas, "selector": {"matchLabels": {"app": name}},
        "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "template": {"metadata": {"labels": {"app": name, **labels}}, "spec": {"terminationGracePeriodSeconds": 15, "containers": [
            app("main", 8080, "--linger", "4", readinessProbe=http(8080))], **spec}}}}


def services(b):
    """Deployment, Service, DNS, spread over endpoints, a pod that calls itself, a rolling update."""
    path = f"/apis/apps/v1/namespaces/{NS}/deployments"
    b.api.create(path, deployment("web", 2, {}))
    b.api.create(f"/api/v1/namespaces/{NS}/services", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {
        "selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}})
    b.pod("client", [shell("main", "sleep 1000")])
    b.runner.wait_ready(NS, "app=web", 2)
    b.ready("client")
    until("the service answers", lambda: b.ask("client", "http://web/")[0] == 0)
    seen = {json.loads(b.ask("client", f"http://web.{NS}.svc.cluster.local/")[1])["host"] for _ in range(40)}
    need(len(seen) == 2, f"only {seen} answered")
    peer = json.loads(b.ask("client", "http://web/")[1])["peer"]
    need(peer == b.get("client")["status"]["podIP"], f"the caller's address was changed to {peer}")
    need(all(b.ask(sorted(seen)[0], "http://web/")[0] == 0 for _ in range(10)), "a pod cannot call its own service")
    need(b.ask("client", "http://no-such-name/")[0] == 6, "an unknown name was resolved")
    before = {p["metadata"]["name"] for p in b.runner.listed(NS, "app=web")}
    b.api.patch(f"{path}/web", {"spec": {"template": {"metadata": {"annotations": {"again": "1"}}}}})
    failed = 0
    def renewed():
        nonlocal failed
        failed += b.ask("client", "http://web/healthz", "-f")[0] != 0
        now = {p["metadata"]["name"] for p in b.runner.listed(NS, "app=web")}
        return len(now) == 2 and not now & before
    until(lambda: b.runner.describe(NS, "app=web"), renewed, 120, 0.02)
    need(failed <= 1, f"{failed} requests failed during the rolling update")
    b.api.patch(f"{path}/web", {"spec": {"replicas": 0}})
    until("no pods left", lambda: not b.runner.listed(NS, "app=web"))
    until("calls refused", lambda: b.ask("client", "http://web/")[0] == 7)
    b.cluster.kubectl("delete", "deployment,service", "web")
    b.delete("client")


def api_server_away(b):
    b.pod("steady", [app("main", 8080, readinessProbe=http(8080))])
    b.ready("steady")
    began = b.times("steady", "main")["start"]
    b.cluster.apiserver.kill()
    need(b.ask("steady", "http://127.0.0.1:8080/healthz")[1] == "well")
    b.cluster.start_apiserver()
    b.cluster.kubectl("label", "pod", "steady", "after=1")
    b.ready("steady")
    need(b.times("steady", "main")["start"] == began, "the container was restarted")
    b.delete("steady")
    b.gone("steady")


def host_network(b):
    b.pod("host", [app("main", 18080)], hostNetwork=True)
    b.ready("host")
    need(b.get("host")["status"]["podIP"] == world.NODE_ADDRESS)
    b.delete("host")


def kubectl_reaches_in(b):
    """logs, exec with input and exit code, port-forward to a loopback port: over the API server, as a user would."""
    b.pod("reached", [app("main", 8080, readinessProbe=http(8080))])
    b.ready("reached")
    need(b.cluster.kubectl("logs", "reached").startswith("start "), "no logs")
    need(b.cluster.kubectl("exec", "-i", "reached", "--", "cat", text="told") == "told", "exec did not pass its input through")
    done = b.cluster.try_kubectl("exec", "reached", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    need((done.returncode, done.stdout) == (7, "out\n") and done.stderr.startswith("err\n"), done)
    forward = subprocess.Popen([b.cluster.program("kubectl"), "--kubeconfig", b.cluster.kubeconfig, "port-forward", "reached", ":8080"],
                               stdout=subprocess.PIPE, text=True)
    try:
        port = int(forward.stdout.readline().split("->")[0].rpartition(":")[2])
        for _ in range(3):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as answer:
                need(answer.read() == b"well")
    finally:
        forward.kill()
        forward.wait()
    b.delete("reached")


TESTS = [
    ("init containers, sidecars and main containers start in order", order),
    ("termination: preStop, main containers, sidecars in reverse", termination),
    ("a container that ignores SIGTERM is killed after its grace period", killed_at_last),
    ("readiness and liveness probes", probes),
    ("exec and TCP probes; containers have files of their own", more_probes),
    ("restart policies, backoff, phases", restarts),
    ("what cannot start says why", cannot_start),
    ("postStart holds the next container", post_start),
    ("a Job with a sidecar completes", job),
    ("volumes: tokens, config maps, secrets, downward API, empty folders, and their updates", volumes),
    ("users, capabilities, privilege escalation", privileges),
    ("environment, names, the API server from within", environment),
    ("services: DNS, endpoints, rolling update, no endpoints", services),
    ("kubectl logs, exec and port-forward", kubectl_reaches_in),
    ("pods go on while the API server is away", api_server_away),
    ("pods in the node's network", host_network),
]


def main():
    enter()
    report = Report()
    python = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else shutil.which("python3")
    images = {"app": Image([python, "-S", "/app.py"], files={"/app.py": os.path.join(HERE, "../support/app.py")}),
              "sh": Image(["/bin/sh", "-c"])}
    only = sys.argv[1:]
    with Cluster() as cluster, PodRunner(cluster.api, images, first_backoff=0.2, last_backoff=2.0) as runner:
        bench = Bench(cluster, runner)
        for name, test in TESTS:
            if not only or test.__name__ in only:
                report.run(name, lambda test=test: test(bench))
        if report.failed:
            with open(os.path.join(world.folder(), "test.log"), encoding="utf-8") as file:
                print(file.read()[-6000:])
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
