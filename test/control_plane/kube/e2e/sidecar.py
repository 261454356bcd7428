"""A real sidecar that joins a heddle-control by the token of its service account, and what the control plane says of it."""

import datetime
import os
import subprocess

from k8s import world
from k8s.support.waiting import until

PROXY = os.environ.get("HEDDLE_PROXY", "source/main/heddle-proxy")
ENDPOINTS = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"


class Sidecar:
    def __init__(self, cluster, control, name, ns="shop", account="default", claims="default", audience="heddle-control"):
        self.control, self.node = control, f"{ns}/{name}"
        folder = os.path.join(world.folder(), f"sidecar-{name}-{account}-{audience}")
        os.makedirs(folder, mode=0o700)
        token = cluster.api.create(f"/api/v1/namespaces/{ns}/serviceaccounts/{account}/token", {
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"audiences": [audience], "expirationSeconds": 600}})["status"]["token"]
        with open(os.path.join(folder, "token"), "w", encoding="ascii") as file:
            file.write(token)
        root = until("heddle-root", lambda: cluster.api.find(f"/api/v1/namespaces/{ns}/configmaps/heddle-root"))
        with open(os.path.join(folder, "ca.crt"), "w", encoding="ascii") as file:
            file.write(root["data"]["ca.crt"])
        self.log_path = os.path.join(folder, "log")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [PROXY, "--control", f"127.0.0.1:{control.grpc}", "--namespace", ns, "--service-account", claims, "--workload", name,
                 "--address", "10.244.0.50", "--token-file", os.path.join(folder, "token"), "--control-ca", os.path.join(folder, "ca.crt"),
                 "--state-dir", folder, "--intercept", "--admin-address", "127.0.0.1:0"], stdout=log, stderr=log)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()[-3000:]

    def line(self):
        return next((one for one in self.control.status()["proxies"] if one["node"] == self.node), {})

    def stop(self):
        self.process.kill()
        self.process.wait()


def seconds(text):
    """Since the epoch, of a time as the status page writes it."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def acknowledged(sidecar, since):
    """When the sidecar acknowledged the endpoints that were sent after `since`; 0: not yet."""
    for one in sidecar.line().get("types", []):
        if one["type_url"] == ENDPOINTS and one.get("sent_at") and seconds(one["sent_at"]) >= since and one.get("acked_at"):
            acked = seconds(one["acked_at"])
            return acked if acked >= seconds(one["sent_at"]) else 0
    return 0
