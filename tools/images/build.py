"""Puts one image together: a layer of Debian's files, which seldom changes, and a layer of our programs."""

import os
import tempfile

import debian
import oci
import sbom
from tree import Layer, Tree, digest

LIBRARIES = "/usr/lib/x86_64-linux-gnu"


def skeleton(image):
    tree = Tree()
    for folder in ("/usr/bin", "/usr/sbin", "/usr/local/bin", LIBRARIES, "/usr/lib64", "/etc", "/run", "/proc", "/sys", "/dev",
                   "/var/lib/heddle"):
        tree.folder(folder)
    tree.folder("/tmp", 0o1777)
    for name in ("bin", "sbin", "lib", "lib64"):
        tree.link("/" + name, "usr/" + name)
    tree.file("/etc/passwd", f"root:x:0:0::/:/sbin/nologin\n{image.user}:x:{image.uid}:{image.uid}::/:/sbin/nologin\n".encode())
    tree.file("/etc/group", f"root:x:0:\n{image.user}:x:{image.uid}:\n".encode())
    tree.file("/etc/nsswitch.conf", b"passwd: files\ngroup: files\nhosts: files dns\n")
    return tree


def build(image, programs, version, out):
    """`programs`: {name: path}. Writes the layout, its tar and the SBOM below `out`; (bytes of its layers, packages)."""
    base, ours, shared = skeleton(image), Tree(), set()
    needed = {}
    for source, place in image.debian:
        base.copy(place, source)
        shared.add(debian.owner(source))
        needed.update(debian.libraries(source))
    for place, target in image.links.items():
        base.link(place, target)
    for name in image.programs:
        needed.update(debian.libraries(programs[name]))
        with tempfile.TemporaryDirectory() as folder:
            stripped = os.path.join(folder, name)
            debian.strip(programs[name], stripped)
            ours.copy(f"/usr/local/bin/{name}", stripped)
    for name, source in needed.items():
        base.copy(f"/usr/lib64/{name}" if name.startswith("ld-linux") else f"{LIBRARIES}/{name}", source)
        shared.add(debian.owner(source))
    layers = [Layer(base, "from Debian 12"), Layer(ours, "Heddle " + version)]
    files = oci.blobs(image, version, layers)
    oci.write(os.path.join(out, image.name), files)
    lock = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "boringssl", "Cargo.lock")
    bill = sbom.document(image, version, {name: debian.version(name) for name in shared},
                         {name: debian.version(name) for name in image.static},
                         {name: sbom.crate_version(lock, name) for name in image.crates}, digest(files["index.json"]))
    with open(os.path.join(out, image.name + ".spdx.json"), "wb") as file:
        file.write(bill)
    return sum(len(layer.bytes) for layer in layers)
