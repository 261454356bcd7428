"""A Kubernetes control plane for tests: etcd, the real API server and controller manager, inside a world (k8s.world).

    enter()
    with Cluster() as cluster:                     # ready when it is entered
        cluster.apply("manifests/")                # kubectl apply -f
        cluster.api.get("/api/v1/nodes")           # or in Python
        cluster.apiserver.kill(); cluster.start_apiserver()

There is no kubelet, scheduler or kube-proxy: k8s.podrunner plays these.
"""

import json
import os
import subprocess

from k8s import world
from k8s.cluster.part import Part
from k8s.cluster.pki import Pki
from k8s.support.api import Api
from k8s.support.waiting import until

PORT = 6443
SERVER = f"https://{world.NODE_ADDRESS}:{PORT}"

# What a mesh needs of the controller manager. Not: nodes' life cycle (our Node has no kubelet to renew it), volumes, cloud.
CONTROLLERS = [
    "serviceaccount-controller", "root-ca-certificate-publisher-controller", "namespace-controller",
    "garbage-collector-controller", "deployment-controller", "replicaset-controller", "statefulset-controller",
    "daemonset-controller", "job-controller", "cronjob-controller", "ttl-after-finished-controller",
    "endpointslice-controller", "endpointslice-mirroring-controller", "endpoints-controller", "disruption-controller",
    "clusterrole-aggregation-controller", "resourcequota-controller", "horizontal-pod-autoscaler-controller",
    "validatingadmissionpolicy-status-controller", "pod-garbage-collector-controller",
]


class ClusterError(Exception):
    """A part did not come up or kubectl said no; the text is theirs."""


def find_peer(name):
    """Where tools/peers/NAME put its peer, installing it when it is not there: the first time before enter()."""
    variable = "HEDDLE_" + name.upper().replace("-", "_")
    if variable in os.environ:
        return os.environ[variable]
    root = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
    if os.environ.get("TEST_SRCDIR"):
        root = os.getcwd()
    done = subprocess.run([os.path.join(root, "tools/peers", name)], stdout=subprocess.PIPE, text=True, check=True)
    os.environ[variable] = done.stdout.strip().splitlines()[-1]
    return os.environ[variable]


def enter(*peers):
    """Comes back inside a world (k8s.world) where a Cluster's programs and these peers are installed."""
    if not world.inside() and world.missing() is None:
        for peer in ("etcd", "kubernetes", *peers):
            find_peer(peer)
    world.enter()


class Cluster:
    def __init__(self, controllers=True, apiserver_flags=()):
        self.folder = os.path.join(world.folder(), "cluster")
        os.makedirs(self.folder, exist_ok=True)
        self.pki = Pki(os.path.join(self.folder, "pki"), ["127.0.0.1", world.NODE_ADDRESS, "10.96.0.1"])
        cert, key = self.pki.client("admin", "admin", "system:masters")
        self.kubeconfig = self.write_kubeconfig("admin", cert, key)
        self.api = Api(SERVER, self.pki.path("ca.crt"), cert, key)
        self.etcd = self._part("etcd", find_peer("etcd"), self._etcd_flags())
        self.apiserver = self._part("kube-apiserver", self.program("kube-apiserver"),
                                    [*self._apiserver_flags(), *apiserver_flags])
        self.controllers = self._part("kube-controller-manager", self.program("kube-controller-manager"),
                                      self._controller_flags()) if controllers else None

    def program(self, name):
        return os.path.join(find_peer("kubernetes"), name)

    def _part(self, name, program, flags):
        return Part(name, [program, *flags], os.path.join(self.folder, name + ".log"))

    def _etcd_flags(self):
        return ["--data-dir", os.path.join(self.folder, "etcd"), "--listen-client-urls", "http://127.0.0.1:2379",
                "--advertise-client-urls", "http://127.0.0.1:2379", "--listen-peer-urls", "http://127.0.0.1:2380",
                "--log-level", "warn", "--snapshot-count", "10000"]

    def _apiserver_flags(self):
        pki = self.pki.path
        return ["--etcd-servers=http://127.0.0.1:2379", "--bind-address=0.0.0.0", f"--secure-port={PORT}",
                f"--advertise-address={world.NODE_ADDRESS}", f"--service-cluster-ip-range={world.SERVICE_RANGE}",
                f"--tls-cert-file={pki('apiserver.crt')}", f"--tls-private-key-file={pki('apiserver.key')}",
                f"--client-ca-file={pki('ca.crt')}", "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
                f"--service-account-key-file={pki('service-accounts.key')}",
                f"--service-account-signing-key-file={pki('service-accounts.key')}",
                "--kubelet-preferred-address-types=InternalIP", "--authorization-mode=RBAC", "--allow-privileged=true", "--profiling=false",
                # A killed server's successor takes over at once; the default is made for servers side by side.
                "--shutdown-delay-duration=0s", "--event-ttl=1h", "-v=1"]

    def _controller_flags(self):
        cert, key = self.pki.client("controllers", "system:kube-controller-manager", "system:masters")
        return [f"--kubeconfig={self.write_kubeconfig('controllers', cert, key)}", "--leader-elect=false",
                f"--controllers={','.join(CONTROLLERS)}", f"--root-ca-file={self.pki.path('ca.crt')}",
                f"--service-account-private-key-file={self.pki.path('service-accounts.key')}",
                "--use-service-account-credentials=false", "--bind-address=127.0.0.1", "--secure-port=0",
                "--kube-api-qps=200", "--kube-api-burst=400", "--endpointslice-updates-batch-period=0s",
                "--concurrent-deployment-syncs=10", "--horizontal-pod-autoscaler-sync-period=15s"]

    def write_kubeconfig(self, name, cert=None, key=None, token=None):
        """A kubeconfig (JSON is YAML) for that client; its path."""
        user = {"client-certificate": cert, "client-key": key} if cert else {"token": token}
        config = {"apiVersion": "v1", "kind": "Config", "current-context": "test",
                  "clusters": [{"name": "test", "cluster": {"server": SERVER, "certificate-authority": self.pki.path("ca.crt")}}],
                  "users": [{"name": name, "user": user}],
                  "contexts": [{"name": "test", "context": {"cluster": "test", "user": name}}]}
        path = os.path.join(self.folder, name + ".kubeconfig")
        with open(path, "w", encoding="ascii") as file:
            json.dump(config, file, indent=1)
        return path

    # --- life ---------------------------------------------------------------------------------

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        self.etcd.start()
        self.start_apiserver()
        if self.controllers:
            self.controllers.start()
            # Pods are refused until their namespace's service account is there.
            until(lambda: "the default service account: " + self.controllers.log(), lambda: self._alive(self.controllers) and
                  self.api.find("/api/v1/namespaces/default/serviceaccounts/default"), 120)

    def start_apiserver(self):
        self.apiserver.start()
        self.wait_ready()

    def wait_ready(self, seconds=120):
        until(lambda: "the API server ready: " + self.apiserver.log(),
              lambda: self._alive(self.etcd) and self._alive(self.apiserver) and self.api.ready(), seconds)

    def restart_etcd(self, kill=True):
        """Ends etcd (as a crash would) and starts it on the same data."""
        self.etcd.kill() if kill else self.etcd.stop()
        self.etcd.start()

    def stop(self):
        for part in (self.controllers, self.apiserver, self.etcd):
            if part:
                part.stop()

    @staticmethod
    def _alive(part):
        if not part.running():
            raise ClusterError(f"{part.name} ended with {part.process.returncode}:\n{part.log()}")
        return True

    # --- kubectl ------------------------------------------------------------------------------

    def kubectl(self, *argv, text=None, check=True, kubeconfig=None):
        """Standard output of kubectl. `text` is its standard input. ClusterError with its standard error when it fails."""
        done = self.try_kubectl(*argv, text=text, kubeconfig=kubeconfig)
        if check and done.returncode != 0:
            raise ClusterError(f"kubectl {' '.join(argv)}: {done.stderr.strip()}")
        return done.stdout

    def try_kubectl(self, *argv, text=None, kubeconfig=None):
        return subprocess.run([self.program("kubectl"), "--kubeconfig", kubeconfig or self.kubeconfig,
                               "--cache-dir", os.path.join(self.folder, "kubectl-cache"), *argv],
                              input=text, capture_output=True, text=True, check=False)

    def apply(self, *paths, text=None, server_side=False):
        """kubectl apply of files, folders or text."""
        flags = ["--server-side", "--force-conflicts"] if server_side else []
        named = [flag for path in paths for flag in ("-f", path)] or ["-f", "-"]
        return self.kubectl("apply", *flags, *named, text=text)
