"""heddle-proxy on server.yaml with a scripted origin behind it."""

import os
import re
import subprocess

from origin import Origin
from process import Program, free_ports

HERE = os.path.dirname(os.path.abspath(__file__))


def make_certificate(folder):
    """A key and a self-signed certificate; (path of the certificate, the key's text)."""
    key, certificate = os.path.join(folder, "key.pem"), os.path.join(folder, "certificate.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
                    "1", "-subj", "/CN=life", "-addext", "subjectAltName=DNS:life.test", "-keyout", key, "-out", certificate],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(key, encoding="utf-8") as text:
        return certificate, text.read()


class Server:
    """Use as a context manager; `flags` go to heddle-proxy."""

    def __init__(self, proxy, folder, *flags):
        self.origin = Origin({})
        self.plain, self.secured, self.admin = free_ports(3)
        self.log_path = os.path.join(folder, "access.log")
        certificate, self.key = make_certificate(folder)
        values = {"ADMIN": self.admin, "PLAIN": self.plain, "SECURED": self.secured, "ORIGIN": self.origin.port,
                  "LOG": self.log_path, "CERTIFICATE": certificate, "KEY": self.key.replace("\n", "\\n")}
        self.config = os.path.join(folder, "server.yaml")
        with open(os.path.join(HERE, "server.yaml"), encoding="utf-8") as text, open(
                self.config, "w", encoding="utf-8") as out:
            out.write(re.sub(r"@([A-Z]+)@", lambda match: str(values[match[1]]), text.read()))
        self.program = Program([proxy, "-c", self.config, *flags], os.path.join(folder, "output"))

    def __enter__(self):
        self.program.wait_ready(self.admin)
        return self

    def __exit__(self, *_):
        self.program.stop()
        self.origin.close()

    def url(self, path):
        return f"http://127.0.0.1:{self.admin}{path}"
