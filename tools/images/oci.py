"""An OCI image layout, and the same as one tar that `docker load` and `podman load` take."""

import io
import json
import os
import tarfile

from tree import digest

EPOCH = "1970-01-01T00:00:00Z"


def encoded(value):
    return json.dumps(value, indent=1, sort_keys=True).encode() + b"\n"


def config(image, version, layers):
    return encoded({
        "architecture": "amd64", "os": "linux", "created": EPOCH,
        "config": {
            "User": f"{image.uid}:{image.uid}",
            "Entrypoint": [f"/usr/local/bin/{image.programs[0]}"],
            "Env": ["PATH=/usr/local/bin:/usr/sbin:/usr/bin"],
            "WorkingDir": "/",
            "Labels": {
                "org.opencontainers.image.title": image.name,
                "org.opencontainers.image.description": image.title,
                "org.opencontainers.image.version": version,
                "org.opencontainers.image.licenses": "Apache-2.0",
                "org.opencontainers.image.base.name": "scratch",
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.plain_digest for layer in layers]},
        "history": [{"created": EPOCH, "created_by": "tools/image", "comment": layer.comment} for layer in layers],
    })


def blobs(image, version, layers):
    """{path in the layout: content}"""
    made = config(image, version, layers)
    manifest = encoded({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(made), "size": len(made)},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": layer.digest,
                    "size": len(layer.bytes)} for layer in layers],
    })
    name = f"heddle/{image.name}:{version}"
    index = encoded({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(manifest),
                       "size": len(manifest), "platform": {"architecture": "amd64", "os": "linux"},
                       "annotations": {"io.containerd.image.name": "docker.io/" + name, "org.opencontainers.image.ref.name": version}}],
    })
    path = lambda content_digest: "blobs/" + content_digest.replace(":", "/")
    out = {"oci-layout": encoded({"imageLayoutVersion": "1.0.0"}), "index.json": index,
           path(digest(made)): made, path(digest(manifest)): manifest}
    out.update({path(layer.digest): layer.bytes for layer in layers})
    # What `docker load` reads.
    out["manifest.json"] = encoded([{"Config": path(digest(made)), "RepoTags": [name],
                                     "Layers": [path(layer.digest) for layer in layers]}])
    return out


def write(folder, files):
    """The layout as a folder, and as one tar beside it."""
    for name, content in files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as out:
            out.write(content)
    with tarfile.open(folder + ".tar", "w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files):
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(files[name]), 0o644, 0
            archive.addfile(info, io.BytesIO(files[name]))
