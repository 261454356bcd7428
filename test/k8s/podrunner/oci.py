"""Images from OCI image layouts, as a container runtime takes them: every blob checked by its digest, layers unpacked one over the
other, and the configuration's user, entry point, environment and working directory kept. Nothing of this machine lies below.

    name, image = oci.load("out/images/heddle-proxy", into=folder)     # "heddle/heddle-proxy:0.1.0", Image
    runner.images[name] = image
"""

import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile

from k8s.podrunner.runtime import Image

LAYERS = {"application/vnd.oci.image.layer.v1.tar": lambda content: content,
          "application/vnd.oci.image.layer.v1.tar+gzip": gzip.decompress}
REMOVED, OPAQUE = ".wh.", ".wh..wh..opq"


class BadImage(Exception):
    """The layout is not what it says, or says what is not honoured here."""


def load(layout, into):
    """(name, Image); the folder `into` becomes its root."""
    with open(os.path.join(layout, "oci-layout"), encoding="utf-8") as file:
        if json.load(file).get("imageLayoutVersion") != "1.0.0":
            raise BadImage(f"{layout}: another version of the layout")
    with open(os.path.join(layout, "index.json"), encoding="utf-8") as file:
        index = json.load(file)
    if len(index["manifests"]) != 1:
        raise BadImage(f"{layout}: {len(index['manifests'])} images, one is wanted")
    named = index["manifests"][0]
    manifest = json.loads(blob(layout, named))
    config = json.loads(blob(layout, manifest["config"]))
    sums = config["rootfs"]["diff_ids"]
    if len(sums) != len(manifest["layers"]):
        raise BadImage(f"{layout}: {len(manifest['layers'])} layers, {len(sums)} in the configuration")
    os.makedirs(into, mode=0o755)
    for layer, wanted in zip(manifest["layers"], sums):
        if layer["mediaType"] not in LAYERS:
            raise BadImage(f"{layout}: a layer of type {layer['mediaType']}")
        plain = LAYERS[layer["mediaType"]](blob(layout, layer))
        if "sha256:" + hashlib.sha256(plain).hexdigest() != wanted:
            raise BadImage(f"{layout}: layer {layer['digest']} is not {wanted} when it is unpacked")
        unpack(plain, into)
    said = config.get("config") or {}
    name = (named.get("annotations") or {}).get("io.containerd.image.name", os.path.basename(layout))
    return name.removeprefix("docker.io/"), Image(
        entrypoint=said.get("Entrypoint") or [], command=said.get("Cmd") or [], root=into, workdir=said.get("WorkingDir") or "/",
        env=dict(one.split("=", 1) for one in said.get("Env") or []), user=user(said.get("User") or "0", into))


def blob(layout, descriptor):
    kind, _, wanted = descriptor["digest"].partition(":")
    if kind != "sha256" or len(wanted) != 64 or not wanted.isalnum():
        raise BadImage(f"{layout}: digest {descriptor['digest']}")
    with open(os.path.join(layout, "blobs", kind, wanted), "rb") as file:
        content = file.read()
    if len(content) != descriptor["size"] or hashlib.sha256(content).hexdigest() != wanted:
        raise BadImage(f"{layout}: blob {descriptor['digest']} is something else")
    return content


def place(root, name):
    """(folder, name) below the root for a member of a layer; BadImage when it leads out of it."""
    folder, name = os.path.split(os.path.normpath("/" + name))
    below, real = root + folder.rstrip("/"), os.path.realpath(root)
    if not (os.path.realpath(below) + "/").startswith(real + "/"):
        raise BadImage(f"a layer's {folder}/{name} is outside the image")
    return below, name


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def unpack(plain, root):
    """A layer over those before it; files named .wh.NAME take NAME of those away."""
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        members = archive.getmembers()
        for member in members:
            folder, name = place(root, member.name)
            if not name.startswith(REMOVED):
                continue
            for gone in os.listdir(folder) if name == OPAQUE else [name.removeprefix(REMOVED)]:
                remove(os.path.join(folder, gone))
        for member in members:
            folder, name = place(root, member.name)
            if name.startswith(REMOVED):
                continue
            if not member.isdir():
                remove(os.path.join(folder, name))
            member.name = os.path.relpath(os.path.join(folder, name), root)
            if member.islnk():
                member.linkname = os.path.relpath(os.path.join(*place(root, member.linkname)), root)
            archive.extract(member, root, numeric_owner=True)


def user(text, root):
    """As numbers; a name is looked up in the image."""
    who, _, group = text.partition(":")
    if not who.isdecimal():
        lines = _lines(os.path.join(root, "etc/passwd"), who)
        who, group = lines[2], group or lines[3]
    if group and not group.isdecimal():
        group = _lines(os.path.join(root, "etc/group"), group)[2]
    return f"{who}:{group}" if group else who


def _lines(path, name):
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.startswith(name + ":"):
                return line.strip().split(":")
    raise BadImage(f"{path} has no {name}")
