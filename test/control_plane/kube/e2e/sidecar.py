"""A real sidecar that joins a heddle-control of the test, and tokens: those the API server makes and those nobody would."""

import base64
import datetime
import json
import os
import subprocess
import urllib.request

from k8s import world
from k8s.support.waiting import until

PROXY = os.environ.get("HEDDLE_PROXY", "source/main/heddle-proxy")
AUDIENCE = "heddle-control"
ENDPOINTS = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"


class Sidecar:
    admins = 23000

    def __init__(self, cluster, control, name, ns="shop", account="default", claims="default", audience=AUDIENCE, token=None):
        self.control, self.node = control, f"{ns}/{name}"
        self.folder = os.path.join(world.folder(), f"sidecar-{ns}-{name}-{account}-{abs(hash(audience))}-{token is not None}")
        os.makedirs(self.folder, mode=0o700)
        self.put_token(token or request_token(cluster, ns, account, audience))
        root = until("heddle-root", lambda: cluster.api.find(f"/api/v1/namespaces/{ns}/configmaps/heddle-root"))
        with open(os.path.join(self.folder, "ca.crt"), "w", encoding="ascii") as file:
            file.write(root["data"]["ca.crt"])
        Sidecar.admins += 1
        self.admin = Sidecar.admins
        self.log_path = os.path.join(self.folder, "log")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [PROXY, "--control", f"127.0.0.1:{control.grpc}", "--namespace", ns, "--service-account", claims, "--workload", name,
                 "--address", "10.244.0.50", "--token-file", os.path.join(self.folder, "token"),
                 "--control-ca", os.path.join(self.folder, "ca.crt"), "--state-dir", self.folder, "--intercept",
                 "--admin-address", f"127.0.0.1:{self.admin}"], stdout=log, stderr=log)

    def put_token(self, token):
        """As kubelet does: another file over the old one."""
        path = os.path.join(self.folder, "token")
        with open(path + ".new", "w", encoding="ascii") as file:
            file.write(token)
        os.rename(path + ".new", path)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()[-3000:]

    def config(self):
        """What is in force in it, as text."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/config_dump", timeout=10) as answer:
            return answer.read().decode()

    def line(self):
        """What heddle-control's status page says of it."""
        return next((one for one in self.control.status()["proxies"] if one["node"] == self.node), {})

    def wait_synced(self, seconds=60):
        until(lambda: f"synced: {self.line()} {self.log()} {self.control.log()}", lambda: self.line().get("state") == "synced", seconds)
        return self

    def stop(self):
        self.process.kill()
        self.process.wait()


def request_token(cluster, namespace, account, audience=AUDIENCE):
    return cluster.api.create(f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token", {
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"audiences": [audience] if audience else [], "expirationSeconds": 600}})["status"]["token"]


def with_expiry(cluster, token, expires):
    """The same token, as the API server would have signed it long ago: it ends at `expires` (seconds since the epoch)."""
    head, payload, _ = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    claims.update(iat=int(expires) - 600, nbf=int(expires) - 600, exp=int(expires))
    signed = head + "." + _base64(json.dumps(claims).encode())
    done = subprocess.run(["openssl", "dgst", "-sha256", "-sign", cluster.pki.path("service-accounts.key")], input=signed.encode(),
                          stdout=subprocess.PIPE, check=True)
    return signed + "." + _base64(_raw(done.stdout))


def _base64(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _raw(der):
    """An ECDSA P-256 signature as JWS wants it (RFC 7518 section 3.4), from DER: both numbers, 32 bytes each."""
    first = der[4:4 + der[3]]
    second = der[6 + der[3]:]
    return b"".join(int.from_bytes(one, "big").to_bytes(32, "big") for one in (first, second))


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
