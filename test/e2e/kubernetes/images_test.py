"""The two container images, run as pods with nothing of this machine below them: the control plane installs from its own, sidecars of
each kind run from theirs, and requests pass.

usage: scenarios.py
"""

import os
import subprocess
import sys

import scenarios
from k8s import world
from k8s.podrunner import oci
from mesh import SHOP, SYSTEM, identity
from report import need

OURS = {"heddle/heddle-control:0.1.0": "1338", "heddle/heddle-proxy:0.1.0": "1337"}


def images(programs):
    """Made by tools/image, then read from the layouts that it wrote."""
    out = os.path.join(world.folder(), "layouts")
    words = [sys.executable, "tools/image", "--out", out]
    for name in ("heddle-proxy", "heddle-control", "heddlectl"):
        words += ["--program", f"{name}={os.path.realpath(programs[name])}"]
    subprocess.run(words, check=True)
    found = dict(oci.load(os.path.join(out, name), os.path.join(world.folder(), "root-" + name))
                 for name in ("heddle-proxy", "heddle-control"))
    need(sorted(found) == sorted(OURS), f"the layouts are of {sorted(found)}")
    return found


def installed(mesh):
    # Nothing may be found by a name without a tag, which stands for this machine's programs.
    for name in ("heddle/heddle-control", "heddle/heddle-proxy", "heddle-proxy"):
        del mesh.runner.images[name]
    mesh.install()
    mesh.visitors()
    mesh.bookshop()
    mesh.mtls("STRICT")


def alone(mesh):
    """What runs is the image's: its programs, its user, no shell, no file of this machine."""
    pods = [(SYSTEM, item["metadata"]["name"], None) for item in mesh.pods(SYSTEM)]
    pods += [(SHOP, item["metadata"]["name"], "heddle-proxy") for item in mesh.pods(SHOP)]
    need(len(pods) == 9, pods)
    for namespace, name, container in pods:
        running = mesh.runner.find(namespace, name).container(container)
        image, pid = running.spec["image"], running.process.pid
        need(image in OURS, image)
        # As root of the test, seen from outside: the image has no program that could tell.
        with open(f"/proc/{pid}/status", encoding="utf-8") as file:
            ids = next(line.split()[1:] for line in file if line.startswith("Uid:"))
        need(set(ids) == {OURS[image]}, f"{name} runs as {ids}")
        need(os.readlink(f"/proc/{pid}/exe") == f"/usr/local/bin/{image.split('/')[1].split(':')[0]}", os.readlink(f"/proc/{pid}/exe"))
        for path in ("bin/sh", "usr/bin/python3", "usr/bin/apt", "root", "home", "usr/include"):
            need(not os.path.lexists(os.path.join("/proc", str(pid), "root", path)), f"{name} has a /{path}")
        code, said = outcome(running, ["sh", "-c", "true"])
        need(code != 0 and "not found" in said, f"sh in {name}: {code} {said}")
    control = mesh.pods(SYSTEM)[0]["metadata"]["name"]
    said = mesh.cluster.kubectl("-n", SYSTEM, "exec", control, "--", "heddlectl", "version")
    need(said == "heddlectl 0.1.0\n", said)


def outcome(running, argv):
    try:
        return running.exec(argv, 20)
    except Exception as error:  # noqa: BLE001: however it is refused
        return -1, str(error)


def traffic(mesh):
    answer = mesh.until("an answer through the mesh", mesh.shop)
    caller = answer["catalog"]["caller"]
    need(f"URI={identity('web')}" in caller and f"By={identity('catalog')}" in caller, caller)
    mesh.load(3).none_failed(early=False)


def kinds(mesh):
    """Classic, whose hooks run programs of the image; TPROXY, as root; both under load."""
    load = mesh.load(600)
    for name, annotations in (("catalog", {"heddle.dev/sidecar": "classic"}), ("stock", {"heddle.dev/interception-mode": "tproxy"})):
        mesh.api.patch(f"/apis/apps/v1/namespaces/{SHOP}/deployments/{name}",
                       {"spec": {"template": {"metadata": {"annotations": annotations}}}})
        mesh.cluster.kubectl("-n", SHOP, "rollout", "status", "deployment", name, "--timeout=180s")
    mesh.cluster.kubectl("-n", SHOP, "rollout", "restart", "deployment", "catalog", "stock")
    for name in ("catalog", "stock"):
        mesh.cluster.kubectl("-n", SHOP, "rollout", "status", "deployment", name, "--timeout=180s")
    mesh.until("an answer", mesh.shop)
    load.none_failed()


TESTS = [
    ("tools/image's two layouts: installed, the bookshop injected", installed),
    ("each container has its image and nothing else", alone),
    ("requests with mutual TLS", traffic),
    ("classic and TPROXY sidecars from the image, under load", kinds),
]

if __name__ == "__main__":
    sys.exit(scenarios.main(TESTS, needed=(installed,), images=images))
