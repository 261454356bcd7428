"""Stands in for heddle-control in a pod, as far as heddlectl and a kubelet see it: health port, admin pages on loopback. It also
claims the lease and fills in the webhooks' caBundle with the rights that its service account has, and answers /rights with what
came of it.

usage: stand_in.py --namespace NS ... (heddle-control's arguments; others are ignored)
"""

import base64
import datetime
import http.server
import json
import os
import ssl
import sys
import threading
import urllib.request

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount/"


def flag(name, default=""):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default


def call(method, path, body=None, content_type="application/json"):
    with open(ACCOUNT + "token", encoding="ascii") as file:
        token = file.read()
    request = urllib.request.Request(
        f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}{path}", method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": content_type})
    try:
        with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=ACCOUNT + "ca.crt"), timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def work():
    """What the real one does with its rights. The outcome of each, by name."""
    namespace, name = flag("--namespace"), os.environ["POD_NAME"]
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "heddle-control", "namespace": namespace},
             "spec": {"holderIdentity": name, "leaseDurationSeconds": 3600, "renewTime": now}}
    out = {"lease": call("POST", f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases", lease)[0]}
    for kind, config in (("mutating", "heddle-injector"), ("validating", "heddle-validator")):
        path = f"/apis/admissionregistration.k8s.io/v1/{kind}webhookconfigurations/{config}"
        code, text = call("GET", path)
        out[config + " read"] = code
        hooks = json.loads(text)["webhooks"] if code == 200 else []
        with open(ACCOUNT + "ca.crt", "rb") as file:
            bundle = base64.b64encode(file.read()).decode()
        patch = [{"op": "add", "path": f"/webhooks/{i}/clientConfig/caBundle", "value": bundle} for i in range(len(hooks))]
        out[config + " patch"] = call("PATCH", path, patch, "application/json-patch+json")[0]
    with open("/etc/heddle/injection/settings.yaml", encoding="utf-8") as file:
        out["settings"] = file.read()
    out["uid"], out["arguments"] = os.getuid(), sys.argv[1:]
    return out


RIGHTS = {}


def status():
    """Each replica has a sidecar of its own and knows of the other one's."""
    mine = "bookshop/of-" + os.environ["POD_NAME"]
    proxies = [{"node": mine, "state": "synced", "in_configuration": True, "identity": "spiffe://cluster.local/ns/bookshop/sa/web",
                "agent": "heddle-proxy/0.1.0", "types": []},
               {"node": "bookshop/both", "state": "never seen", "in_configuration": True, "types": []}]
    return {"version": "0.1.0", "trust_domain": flag("--trust-domain"), "problems": [], "proxies": proxies,
            "convergence": {"generation": 3, "proxies": 1, "outstanding": 0, "ms": 1.5}}


class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):  # noqa: N802: the name is http.server's
        page = {"/livez": "ok", "/readyz": "ok" if RIGHTS else None, "/status": json.dumps(status()), "/rights": json.dumps(RIGHTS),
                "/metrics": 'heddle_control_certificate_expiry_seconds{name="serving"} 4000000000\n'}.get(self.path)
        self.send_response(200 if page else 503)
        self.send_header("Content-Length", str(len(page or "")))
        self.end_headers()
        self.wfile.write((page or "").encode())

    def log_message(self, *_):
        pass


def serve(address):
    host, port = address.rsplit(":", 1)
    server = http.server.ThreadingHTTPServer((host, int(port)), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def main():
    serve(flag("--admin"))
    serve(flag("--health-address"))
    RIGHTS.update(work())
    threading.Event().wait()


if __name__ == "__main__":
    main()
