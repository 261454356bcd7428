"""Keys and certificates of a test cluster, made with openssl: a CA, the API server's, one for each client, the key that signs
service-account tokens. All ECDSA P-256, good for two days."""

import os
import subprocess

NAMES = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost"]
DAYS = "2"


def _openssl(*argv):
    subprocess.run(["openssl", *argv], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


class Pki:
    def __init__(self, folder, addresses):
        self.folder = folder
        os.makedirs(folder, mode=0o700, exist_ok=True)
        self.key("ca")
        _openssl("req", "-x509", "-new", "-key", self.path("ca.key"), "-subj", "/CN=test-cluster-ca", "-days", DAYS,
                 "-out", self.path("ca.crt"))
        self.key("service-accounts")
        names = ",".join([f"DNS:{name}" for name in NAMES] + [f"IP:{address}" for address in addresses])
        self.sign("apiserver", "/CN=kube-apiserver", "serverAuth", f"subjectAltName={names}")

    def path(self, name):
        return os.path.join(self.folder, name)

    def key(self, name):
        _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.path(name + ".key"))

    def sign(self, name, subject, usage, *extensions):
        self.key(name)
        _openssl("req", "-new", "-key", self.path(name + ".key"), "-subj", subject, "-out", self.path(name + ".csr"))
        with open(self.path(name + ".ext"), "w", encoding="ascii") as file:
            file.write("\n".join([f"extendedKeyUsage={usage}", *extensions]) + "\n")
        _openssl("x509", "-req", "-in", self.path(name + ".csr"), "-CA", self.path("ca.crt"), "-CAkey", self.path("ca.key"),
                 "-CAcreateserial", "-days", DAYS, "-extfile", self.path(name + ".ext"), "-out", self.path(name + ".crt"))

    def client(self, name, user, group=None):
        """(certificate, key) of a client that the API server knows as `user` in `group`."""
        self.sign(name, (f"/O={group}" if group else "") + f"/CN={user}", "clientAuth")
        return self.path(name + ".crt"), self.path(name + ".key")
