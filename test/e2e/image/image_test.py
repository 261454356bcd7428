"""The container images: made twice they are the same bytes, they are as small as promised, what they say of themselves is
true, and the programs in them run with nothing but what is in them (chroot; interception in a namespace of the test's own).

usage: image_test.py HEDDLE_PROXY HEDDLE_CONTROL HEDDLECTL
"""

import filecmp
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile

from process import program
from report import Report

PROGRAMS = dict(zip(("heddle-proxy", "heddle-control", "heddlectl"), map(program, sys.argv[1:4])))
LIMITS = {"heddle-proxy": 15_000_000, "heddle-control": 60_000_000}


def make(out):
    words = [sys.executable, "tools/image", "--out", out, "--version", "9.9.9"]
    for name, path in PROGRAMS.items():
        words += ["--program", f"{name}={path}"]
    return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True).stdout


def files_below(folder):
    return sorted(os.path.relpath(os.path.join(where, name), folder) for where, _, names in os.walk(folder) for name in names)


def read_json(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


class Layout:
    """An OCI layout, read as a runtime reads it: from index.json, every blob checked by its digest."""

    def __init__(self, folder):
        self.folder = folder
        index = read_json(os.path.join(folder, "index.json"))
        self.annotations = index["manifests"][0]["annotations"]
        self.manifest = json.loads(self.blob(index["manifests"][0]))
        self.config = json.loads(self.blob(self.manifest["config"]))

    def blob(self, descriptor):
        kind, hexdigest = descriptor["digest"].split(":")
        with open(os.path.join(self.folder, "blobs", kind, hexdigest), "rb") as file:
            content = file.read()
        if hashlib.sha256(content).hexdigest() != hexdigest or len(content) != descriptor["size"]:
            raise ValueError(f"{descriptor} is something else")
        return content

    def size(self):
        return sum(layer["size"] for layer in self.manifest["layers"])

    def unpack(self, root):
        for layer in self.manifest["layers"]:
            with tarfile.open(fileobj=io.BytesIO(self.blob(layer)), mode="r:gz") as archive:
                archive.extractall(root)


def test_same(one, two):
    names = files_below(one)
    if names != files_below(two) or not names:
        return [f"{names} and {files_below(two)}"]
    _, differ, errors = filecmp.cmpfiles(one, two, names, shallow=False)
    return [f"{name} differs" for name in differ + errors]


def test_says(folder, name):
    layout, problems = Layout(os.path.join(folder, name)), []
    config = layout.config["config"]
    checks = {
        "user": config["User"] == {"heddle-proxy": "1337:1337", "heddle-control": "1338:1338"}[name],
        "entry point": config["Entrypoint"] == [f"/usr/local/bin/{name}"],
        "labels": config["Labels"]["org.opencontainers.image.version"] == "9.9.9",
        "name": layout.annotations["io.containerd.image.name"] == f"docker.io/heddle/{name}:9.9.9",
        "size": layout.size() < LIMITS[name],
        "diff ids": len(layout.config["rootfs"]["diff_ids"]) == len(layout.manifest["layers"]),
    }
    problems += [f"{what}: {config}, {layout.size()} bytes" for what, good in checks.items() if not good]
    with tarfile.open(os.path.join(folder, name + ".tar")) as archive:
        loaded = json.load(archive.extractfile("manifest.json"))[0]
        members = archive.getnames()
    missing = [path for path in [loaded["Config"], *loaded["Layers"]] if path not in members]
    if missing or loaded["RepoTags"] != [f"heddle/{name}:9.9.9"]:
        problems.append(f"the tar for docker load: {loaded}, missing {missing}")
    return problems


def test_sbom(folder, name):
    bill = read_json(os.path.join(folder, name + ".spdx.json"))
    packages = {package["name"]: package for package in bill["packages"]}
    wanted = {"heddle-proxy": ["heddle-proxy", "libc6", "nftables", "iptables", "libprotobuf-dev", "node-llhttp", "boring-sys"],
              "heddle-control": ["heddle-control", "libc6", "libgrpc29", "libssl3", "libprotobuf32"]}[name]
    problems = [f"{one} is not listed" for one in wanted if one not in packages]
    if bill["spdxVersion"] != "SPDX-2.3":
        problems.append(bill["spdxVersion"])
    installed = subprocess.run(["dpkg-query", "-W", "-f=${Version}\n", "libc6:amd64"], stdout=subprocess.PIPE, text=True,
                               check=True).stdout.strip()
    if packages["libc6"]["versionInfo"] != installed:
        problems.append(f"libc6 {packages['libc6']['versionInfo']}, installed is {installed}")
    known = {package["SPDXID"] for package in bill["packages"]} | {"SPDXRef-DOCUMENT"}
    for relation in bill["relationships"]:
        if not {relation["spdxElementId"], relation["relatedSpdxElement"]} <= known:
            problems.append(f"{relation} names what is not there")
    if any(not package["versionInfo"] for package in bill["packages"]):
        problems.append("a package has no version")
    return problems


class Root:
    """An unpacked image with /proc and /dev, as a container has them: in a mount namespace that ends with each command."""

    def __init__(self, layout, root):
        self.root, self.uid = root, layout.config["config"]["User"].split(":")[0]
        layout.unpack(root)

    def run(self, *words, user=None, namespace=None, read_only=False):
        script = ('mount --bind "$1" "$1"; mount -t proc proc "$1/proc"; mount --bind /dev "$1/dev"; '
                  + ('mount -o remount,bind,ro "$1"; ' if read_only else "")
                  + 'cd "$1"; shift; exec chroot --userspec="$1" . "${@:2}"')
        inside = ["ip", "netns", "exec", namespace] if namespace else []
        return subprocess.run([*inside, "unshare", "--mount", "bash", "-c", script, "bash", self.root,
                               f"{user if user is not None else self.uid}:{user if user is not None else self.uid}", *words],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                              env={"PATH": "/usr/local/bin:/usr/sbin:/usr/bin"})


def test_runs(root, names):
    problems = []
    for name in names:
        done = root.run(f"/usr/local/bin/{name}", "--version")
        if done.returncode != 0 or not done.stdout.startswith(name):
            problems.append(f"{name}: {done.returncode} {done.stdout} {done.stderr}")
    for path in ("bin/sh", "usr/bin/sh", "usr/bin/bash", "usr/bin/apt"):
        if os.path.lexists(os.path.join(root.root, path)):
            problems.append(f"there is a {path}")
    return problems


def test_intercepts(root):
    """As the init container: root, a read-only file system, a network namespace of its own."""
    problems, namespace = [], f"heddle-image{os.getpid()}"
    subprocess.run(["ip", "netns", "add", namespace], check=True)
    try:
        subprocess.run(["ip", "netns", "exec", namespace, "ip", "link", "set", "lo", "up"], check=True)
        for backend in ("auto", "nftables", "iptables"):
            for mode in ("redirect", "tproxy"):
                done = root.run("/usr/local/bin/heddle-proxy", "intercept", "--backend", backend, "--mode", mode,
                                "--exclude-inbound-ports", "22,80-90", "--exclude-uids", "5", user=0, namespace=namespace,
                                read_only=True)
                if done.returncode != 0:
                    problems.append(f"{backend} {mode}: {done.stdout} {done.stderr}")
            done = root.run("/usr/local/bin/heddle-proxy", "intercept", "--cleanup", user=0, namespace=namespace, read_only=True)
            if done.returncode != 0:
                problems.append(f"{backend}, clean-up: {done.stdout} {done.stderr}")
    finally:
        subprocess.run(["ip", "netns", "delete", namespace], check=True)
    return problems


def main():
    report = Report()
    if os.geteuid() != 0 or any(shutil.which(tool) is None for tool in ("ip", "unshare", "chroot", "nft")):
        print("skipped: needs root, ip, unshare, chroot and nft")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        one, two = os.path.join(folder, "one"), os.path.join(folder, "two")
        print(make(one), end="")
        make(two)
        report.run("two runs make the same bytes", lambda: test_same(one, two))
        roots = {}
        for name in LIMITS:
            report.run(f"{name}: what the image says of itself", lambda name=name: test_says(one, name))
            report.run(f"{name}: the bill of materials", lambda name=name: test_sbom(one, name))
            roots[name] = Root(Layout(os.path.join(one, name)), os.path.join(folder, "root-" + name))
        report.run("heddle-proxy runs in its image", lambda: test_runs(roots["heddle-proxy"], ["heddle-proxy"]))
        report.run("heddle-control and heddlectl run in theirs",
                   lambda: test_runs(roots["heddle-control"], ["heddle-control", "heddlectl"]))
        report.run("heddle-proxy intercepts from its image, by nft and by iptables, on a read-only file system",
                   lambda: test_intercepts(roots["heddle-proxy"]))
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
